//! Batches and frames to append, made before any clock starts.

use tidelog_log::LogIdentity;
use tidelog_proto::batch::{
    BATCH_PREFIX_BYTES, BatchBuilder, BatchHeader, Compression, NewRecord, RecordBatch, assign,
};
use tidelog_proto::frame::{Frame, FrameStamp};
use tidelog_proto::ids::{LeaderEpoch, Offset, PartitionId, RaftIndex, RaftTerm, TopicId};

use crate::json_lines::JsonLines;

/// When the first record was made, in milliseconds since the epoch.
pub const FIRST_TIMESTAMP_MS: i64 = 1_750_000_000_000;

/// How much later each batch begins than the one before it.
pub const BATCH_INTERVAL_MS: i64 = 20;

/// Different batches; more would only take longer to make.
const POOL_BATCHES: u64 = 16;

/// Bytes of most records' values.
const LINE_BYTES: usize = 400;

/// Room that the last record of a batch fills, so much that its length has two digits wherever it is encoded.
const LAST_RECORD_BYTES: usize = 600;

/// Where the times stand in a batch, each eight bytes, big-endian.
const TIMES_AT: [usize; 2] = [27, 35];
const CRC_AT: usize = 17;

/// Tells whose log the benchmarks write.
#[must_use]
pub fn identity(partition: u32) -> LogIdentity {
    LogIdentity { topic_id: TopicId::new(*b"tidelog benches!"), partition: PartitionId::new(partition) }
}

/// Builds a batch of JSON lines that is exactly `batch_bytes` long before compression.
///
/// # Panics
/// If `batch_bytes` is not within about 1 KiB and 1 MiB.
#[must_use]
pub fn batch(seed: u64, compression: Compression, batch_bytes: usize) -> RecordBatch {
    let mut lines = JsonLines::new(seed);
    let mut builder = BatchBuilder::new(compression);
    let mut timestamp = FIRST_TIMESTAMP_MS;
    while builder.encoded_bytes() + LINE_BYTES + LAST_RECORD_BYTES < batch_bytes {
        push(&mut builder, &mut lines, timestamp, LINE_BYTES);
        timestamp = FIRST_TIMESTAMP_MS + i64::try_from(builder.len()).unwrap_or(0) % BATCH_INTERVAL_MS;
    }
    let mut trial = builder.clone();
    push(&mut trial, &mut lines.clone(), timestamp, LAST_RECORD_BYTES);
    let overhead = trial.encoded_bytes() - builder.encoded_bytes() - LAST_RECORD_BYTES;
    let value_bytes = batch_bytes - builder.encoded_bytes() - overhead;
    push(&mut builder, &mut lines, timestamp, value_bytes);
    assert_eq!(builder.encoded_bytes(), batch_bytes, "the last record fills the batch");
    builder.finish().expect("the records fit together")
}

fn push(builder: &mut BatchBuilder, lines: &mut JsonLines, timestamp: i64, value_bytes: usize) {
    let key = lines.user();
    let value = lines.line(timestamp, value_bytes);
    let record =
        NewRecord { timestamp, key: Some(key.as_bytes()), value: Some(value.as_bytes()), ..NewRecord::default() };
    builder.push(&record).expect("the record fits the batch");
}

/// Makes the frames of one log, one after the other: each holds an uncompressed batch of its own memory, and begins
/// [`BATCH_INTERVAL_MS`] after the one before it.
#[derive(Clone, Debug)]
pub struct Frames {
    identity: LogIdentity,
    pool: Vec<RecordBatch>,
    next_offset: Offset,
    next_index: RaftIndex,
}

impl Frames {
    /// Starts at the start of an empty log.
    ///
    /// # Panics
    /// As [`batch`].
    #[must_use]
    pub fn new(identity: LogIdentity, batch_bytes: usize) -> Self {
        let pool = (0..POOL_BATCHES).map(|seed| batch(seed, Compression::None, batch_bytes)).collect();
        Self { identity, pool, next_offset: Offset::new(0), next_index: RaftIndex::new(0) }
    }

    fn next_frame(&mut self) -> Frame {
        let number = self.next_index.get();
        let model = usize::try_from(number % POOL_BATCHES).unwrap_or(0);
        let mut bytes = self.pool[model].bytes().to_vec();
        assign(&mut bytes, self.next_offset, LeaderEpoch::new(1)).expect("offsets stay small");
        delay(&mut bytes, i64::try_from(number).unwrap_or(0) * BATCH_INTERVAL_MS);
        let batch = RecordBatch::parse(bytes.into()).expect("only times and offsets were changed");
        self.next_offset = batch.header().next_offset();
        self.next_index = self.next_index.next();
        let append_time_ms = batch.header().max_timestamp();
        let stamp = FrameStamp { term: RaftTerm::new(1), index: RaftIndex::new(number), commit_lag: 1, append_time_ms };
        Frame::data(self.identity.seed(), stamp, batch)
    }
}

impl Iterator for Frames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        Some(self.next_frame())
    }
}

/// Makes all records of an encoded batch `by_ms` younger.
fn delay(batch: &mut [u8], by_ms: i64) {
    for at in TIMES_AT {
        let field: &mut [u8; 8] = batch[at..].first_chunk_mut().expect("a batch has a whole header");
        *field = (i64::from_be_bytes(*field) + by_ms).to_be_bytes();
    }
    let crc = crc32c::crc32c(&batch[BATCH_PREFIX_BYTES..]);
    batch[CRC_AT..BATCH_PREFIX_BYTES].copy_from_slice(&crc.to_be_bytes());
    debug_assert!(BatchHeader::parse(batch).is_ok());
}

#[cfg(test)]
mod tests {
    use tidelog_proto::batch::DecodeLimits;

    use super::*;

    #[test]
    fn batches_have_the_size_asked_for() {
        for batch_bytes in [4 * 1024, 16 * 1024, 256 * 1024] {
            let batch = batch(3, Compression::None, batch_bytes);
            assert_eq!(batch.bytes().len(), batch_bytes);
            assert!(batch.records(DecodeLimits::DEFAULT).unwrap().all(|record| record.is_ok()));
        }
    }

    #[test]
    fn frames_follow_one_another_and_are_sound() {
        let frames: Vec<_> = Frames::new(identity(0), 4096).take(40).collect();
        for pair in frames.windows(2) {
            assert_eq!(pair[0].next_offset(), pair[1].base_offset());
            let [first, second] = [&pair[0], &pair[1]].map(|frame| frame.batch().unwrap());
            assert_eq!(second.verify_crc(), Ok(()));
            assert!(first.header().max_timestamp() < second.header().base_timestamp());
        }
    }
}
