//! The records of a batch, read one after another within bounds.

use std::iter::FusedIterator;
use std::ops::Range;

use bytes::Bytes;

use super::decompress::decompress;
use super::record::read_header;
use super::varint::Cursor;
use super::{BatchError, BatchHeader, DecodeLimits, Headers, Record, RecordBatch, RecordFault, TimestampType};
use crate::ids::Offset;

/// The shortest record: its length, attributes, two deltas, two nulls and a header count of 0.
const RECORD_BYTES_MIN: usize = 7;

/// The shortest header: an empty key and a null value.
const HEADER_BYTES_MIN: usize = 2;

impl RecordBatch {
    /// Returns the records, decompressed within `limits` if need be.
    ///
    /// The CRC is not checked here.
    ///
    /// # Errors
    /// If the records cannot be decompressed or their count cannot be true. What is wrong with a
    /// single record is said by the iterator.
    pub fn records(&self, limits: DecodeLimits) -> Result<Records, BatchError> {
        let header = self.header();
        let bytes = self.decompressed_records(limits)?;
        let walk = RecordWalk::new(header, bytes.len())?;
        Ok(Records { base_offset: header.base_offset(), bytes, walk })
    }

    /// Returns the encoded records, sharing the batch's bytes if they are not compressed.
    pub(super) fn decompressed_records(&self, limits: DecodeLimits) -> Result<Bytes, BatchError> {
        let stored = self.records_bytes();
        // A batch emptied by compaction has no compressed stream either, whatever its codec.
        if stored.is_empty() && self.header().record_count() == 0 {
            return Ok(stored);
        }
        Ok(decompress(self.header().compression(), stored, limits)?)
    }
}

/// An iterator over the records of one batch.
///
/// Yields as many records as the header counts, their offsets rising; or, at the first fault,
/// an error and then nothing. Bytes after the last record are a fault.
#[derive(Clone, Debug)]
pub struct Records {
    base_offset: Offset,
    /// All records, encoded but not compressed.
    bytes: Bytes,
    walk: RecordWalk,
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let layout = self.walk.next(&self.bytes)?;
        Some(layout.map(|layout| layout.record(&self.bytes, self.base_offset)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // One more than the records: the fault of bytes after the last.
        (0, Some(self.walk.remaining() as usize + 1))
    }
}

impl FusedIterator for Records {}

/// Where the parts of one record lie in its batch's encoded records.
#[derive(Clone, Debug)]
pub(super) struct RecordLayout {
    /// The whole record, its length field included.
    pub(super) whole: Range<usize>,
    pub(super) offset_delta: u32,
    pub(super) timestamp: i64,
    pub(super) key: Option<Range<usize>>,
    pub(super) value: Option<Range<usize>>,
    pub(super) headers: Range<usize>,
    pub(super) header_count: u32,
}

impl RecordLayout {
    /// Makes the record, sharing `bytes`, which this layout was read from.
    pub(super) fn record(&self, bytes: &Bytes, base_offset: Offset) -> Record {
        let slice = |range: &Option<Range<usize>>| range.clone().map(|range| bytes.slice(range));
        Record {
            offset: base_offset + u64::from(self.offset_delta),
            timestamp: self.timestamp,
            key: slice(&self.key),
            value: slice(&self.value),
            headers: Headers::new(bytes.slice(self.headers.clone()), self.header_count),
        }
    }
}

/// The state of a walk over encoded records; the bytes are handed in at each step.
#[derive(Clone, Debug)]
pub(super) struct RecordWalk {
    /// Where the next record begins.
    position: usize,
    /// How many records were read.
    index: u32,
    record_count: u32,
    last_offset_delta: u32,
    /// The offset delta of the record before, if there was one.
    previous_delta: Option<u32>,
    base_timestamp: i64,
    /// The time of every record, if the broker set it.
    append_time: Option<i64>,
    /// Set at the end and after a fault.
    ended: bool,
}

impl RecordWalk {
    pub(super) fn new(header: BatchHeader<'_>, records_bytes: usize) -> Result<Self, BatchError> {
        let record_count = header.record_count();
        if record_count as usize > records_bytes / RECORD_BYTES_MIN {
            return Err(BatchError::CountAboveBytes { record_count, records_bytes: records_bytes as u64 });
        }
        let append_time = match header.attributes().timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp()),
        };
        Ok(Self {
            position: 0,
            index: 0,
            record_count,
            last_offset_delta: header.last_offset_delta(),
            previous_delta: None,
            base_timestamp: header.base_timestamp(),
            append_time,
            ended: false,
        })
    }

    const fn remaining(&self) -> u32 {
        if self.ended { 0 } else { self.record_count - self.index }
    }

    /// Reads the next record of `bytes`, which must be the same at each step.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Option<Result<RecordLayout, BatchError>> {
        if self.ended {
            return None;
        }
        if self.index == self.record_count {
            self.ended = true;
            let trailing = bytes.len() - self.position;
            return (trailing > 0).then_some(Err(BatchError::TrailingRecordBytes(trailing as u64)));
        }
        let layout = self.read(bytes).map_err(|fault| {
            self.ended = true;
            BatchError::Record { record: self.index, fault }
        });
        self.index += 1;
        Some(layout)
    }

    fn read(&mut self, bytes: &[u8]) -> Result<RecordLayout, RecordFault> {
        let start = self.position;
        let mut cursor = Cursor::new(bytes, start..bytes.len());
        let body_bytes = cursor.length()?;
        let body = cursor.range(body_bytes)?;
        let end = body.end;
        let mut cursor = Cursor::new(bytes, body);

        let attributes = cursor.byte()?;
        if attributes != 0 {
            return Err(RecordFault::Attributes(attributes));
        }
        let timestamp = self.timestamp(cursor.varlong()?)?;
        let offset_delta = self.offset_delta(cursor.varint()?)?;
        let key = cursor.nullable()?;
        let value = cursor.nullable()?;
        let header_count = header_count(&mut cursor)?;
        let headers_start = cursor.position();
        for _ in 0..header_count {
            read_header(bytes, &mut cursor)?;
        }
        if cursor.remaining() > 0 {
            return Err(RecordFault::TrailingBytes);
        }
        self.position = end;
        self.previous_delta = Some(offset_delta);
        Ok(RecordLayout {
            whole: start..end,
            offset_delta,
            timestamp,
            key,
            value,
            headers: headers_start..end,
            header_count,
        })
    }

    fn timestamp(&self, delta: i64) -> Result<i64, RecordFault> {
        match self.append_time {
            Some(append_time) => Ok(append_time),
            None => self.base_timestamp.checked_add(delta).ok_or(RecordFault::TimestampDelta(delta)),
        }
    }

    fn offset_delta(&self, delta: i32) -> Result<u32, RecordFault> {
        let fault = RecordFault::OffsetDelta(delta);
        let delta = u32::try_from(delta).map_err(|_| fault)?;
        let rises = self.previous_delta.is_none_or(|previous| delta > previous);
        if rises && delta <= self.last_offset_delta { Ok(delta) } else { Err(fault) }
    }
}

fn header_count(cursor: &mut Cursor<'_>) -> Result<u32, RecordFault> {
    let count = cursor.varint()?;
    u32::try_from(count)
        .ok()
        .filter(|count| *count as usize <= cursor.remaining() / HEADER_BYTES_MIN)
        .ok_or(RecordFault::HeaderCount(count))
}
