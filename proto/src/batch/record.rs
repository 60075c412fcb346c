//! A record as it is read, and as it is written.

use bytes::Bytes;

use super::RecordFault;
use super::varint::Cursor;
use crate::ids::Offset;

/// One record, sharing the bytes of its batch (or of the batch's decompressed records).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the partition.
    pub offset: Offset,
    /// Its time in milliseconds: the producer's, or the broker's append time if the batch says so.
    pub timestamp: i64,
    /// Its key; null and empty differ.
    pub key: Option<Bytes>,
    /// Its value; null and empty differ, and null is a tombstone where the topic is compacted.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Headers,
}

impl Record {
    /// Returns the record in the form that [`BatchBuilder::push`](super::BatchBuilder::push) takes,
    /// with `headers` as a place to lay its headers out.
    #[must_use]
    pub fn as_new<'a>(&'a self, headers: &'a mut Vec<RecordHeader<'a>>) -> NewRecord<'a> {
        headers.extend(&self.headers);
        NewRecord { timestamp: self.timestamp, key: self.key.as_deref(), value: self.value.as_deref(), headers }
    }
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// Its key, which may repeat within a record.
    pub key: &'a str,
    /// Its value; null and empty differ.
    pub value: Option<&'a [u8]>,
}

/// A record to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// Its time in milliseconds.
    pub timestamp: i64,
    /// Its key; null and empty differ.
    pub key: Option<&'a [u8]>,
    /// Its value; null and empty differ.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order.
    pub headers: &'a [RecordHeader<'a>],
}

/// The headers of a record: an ordered list in which keys may repeat.
///
/// They stay encoded until they are asked for: a header takes two bytes at least, and a list of
/// decoded ones would let a small batch claim much memory.
#[derive(Clone, Debug)]
pub struct Headers {
    /// `count` headers, checked: lengths in bounds, keys UTF-8, nothing after the last.
    encoded: Bytes,
    count: u32,
}

impl Headers {
    pub(super) const fn new(encoded: Bytes, count: u32) -> Self {
        Self { encoded, count }
    }

    /// Returns how many headers there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Tells whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the headers in order.
    #[must_use]
    pub fn iter(&self) -> HeadersIter<'_> {
        HeadersIter { encoded: &self.encoded, remaining: self.count }
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other)
    }
}

impl Eq for Headers {}

impl<'a> IntoIterator for &'a Headers {
    type Item = RecordHeader<'a>;
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The headers of one record in order.
#[derive(Clone, Debug)]
pub struct HeadersIter<'a> {
    encoded: &'a [u8],
    remaining: u32,
}

impl<'a> Iterator for HeadersIter<'a> {
    type Item = RecordHeader<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let mut cursor = Cursor::new(self.encoded, 0..self.encoded.len());
        let header = read_header(self.encoded, &mut cursor).expect("checked when the record was read");
        self.encoded = &self.encoded[cursor.position()..];
        Some(header)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining as usize, Some(self.remaining as usize))
    }
}

impl ExactSizeIterator for HeadersIter<'_> {}

/// Reads the header at the cursor, which runs over `bytes`.
pub(super) fn read_header<'a>(bytes: &'a [u8], cursor: &mut Cursor<'_>) -> Result<RecordHeader<'a>, RecordFault> {
    let key_bytes = cursor.length()?;
    let key = &bytes[cursor.range(key_bytes)?];
    let key = std::str::from_utf8(key).map_err(|_| RecordFault::HeaderKey)?;
    let value = cursor.nullable()?.map(|range| &bytes[range]);
    Ok(RecordHeader { key, value })
}
