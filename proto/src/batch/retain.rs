//! What compaction does to a batch: fewer records, the same place in the log.

use std::ops::Range;

use super::compress::{UnsupportedCodec, compress};
use super::header::at;
use super::header_fields::{HeaderFields, seal_batch};
use super::records::RecordWalk;
use super::{BATCH_HEADER_BYTES, BatchError, Compression, DecodeLimits, DecompressError, Record, RecordBatch};

/// What is left of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retained {
    /// Every record; the batch stays as it is.
    All,
    /// Some records, in this batch.
    Some(RecordBatch),
    /// No record; [`emptied`] makes the batch that keeps the place, where one is needed.
    None,
}

/// Keeps the records for which `keep` returns true, in a batch that takes the same offsets.
///
/// Base and last offset, leader epoch, producer, sequences, times and the records' own bytes stay;
/// count, CRC and the compressed stream are made anew, by the same codec where it is worth it. The
/// max timestamp stays, so that it is an upper bound. The CRC is verified first, lest damage get a
/// true checksum.
///
/// # Errors
/// If the batch is damaged or its records cannot be read within `limits`.
pub fn retain_records(
    batch: &RecordBatch,
    limits: DecodeLimits,
    mut keep: impl FnMut(&Record) -> bool,
) -> Result<Retained, BatchError> {
    batch.verify_crc()?;
    let header = batch.header();
    let records = batch.decompressed_records(limits)?;
    let mut walk = RecordWalk::new(header, records.len())?;
    let mut kept = Kept::default();
    while let Some(layout) = walk.next(&records) {
        let layout = layout?;
        if keep(&layout.record(&records, header.base_offset())) {
            kept.add(layout.whole);
        }
    }
    if kept.record_count == header.record_count() {
        return Ok(Retained::All);
    }
    if kept.record_count == 0 {
        return Ok(Retained::None);
    }
    let mut bytes = Vec::with_capacity(BATCH_HEADER_BYTES + kept.bytes);
    bytes.extend_from_slice(header.as_bytes());
    for range in kept.ranges {
        bytes.extend_from_slice(&records[range]);
    }
    rebuild(batch, bytes, kept.record_count).map(Retained::Some)
}

/// Returns the batch without its records: 61 bytes that take the same offsets.
///
/// It is uncompressed whatever the batch was, as in Kafka: there is nothing to compress.
///
/// # Panics
/// Never: a header that was sane stays so.
#[must_use]
pub fn emptied(batch: &RecordBatch) -> RecordBatch {
    let mut bytes = batch.header().as_bytes().to_vec();
    set_records(&mut bytes, batch, Compression::None, 0);
    seal_batch(bytes).expect("a header that was sane stays so")
}

/// Makes a batch of the old header and the plain records in `bytes`.
fn rebuild(batch: &RecordBatch, bytes: Vec<u8>, record_count: u32) -> Result<RecordBatch, BatchError> {
    let (mut bytes, compression) = compress(batch.header().compression(), bytes)?;
    bytes[..BATCH_HEADER_BYTES].copy_from_slice(batch.header().as_bytes());
    set_records(&mut bytes, batch, compression, record_count);
    seal_batch(bytes)
}

fn set_records(bytes: &mut [u8], batch: &RecordBatch, compression: Compression, record_count: u32) {
    let mut fields = HeaderFields::new(bytes);
    fields.set_attributes(batch.header().attributes().with_compression(compression));
    fields.put(at::RECORD_COUNT, record_count.to_be_bytes());
}

/// Where the kept records lie; neighbours are one range.
#[derive(Default)]
struct Kept {
    ranges: Vec<Range<usize>>,
    bytes: usize,
    record_count: u32,
}

impl Kept {
    fn add(&mut self, record: Range<usize>) {
        self.bytes += record.len();
        self.record_count += 1;
        match self.ranges.last_mut() {
            Some(last) if last.end == record.start => last.end = record.end,
            _ => self.ranges.push(record),
        }
    }
}

impl From<UnsupportedCodec> for BatchError {
    fn from(UnsupportedCodec(codec): UnsupportedCodec) -> Self {
        DecompressError::UnsupportedCodec(codec).into()
    }
}
