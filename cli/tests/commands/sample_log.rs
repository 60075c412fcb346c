//! A small log on the real disk, in a directory that is gone afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use tidelog_log::environment::RealEnvironment;
use tidelog_log::{Log, LogConfig, LogIdentity};
use tidelog_proto::batch::{
    BatchBuilder, Compression, NewRecord, ProducerStamp, RecordBatch, RecordHeader, stamp_log_append_time,
};
use tidelog_proto::frame::{Frame, FrameStamp, FrameType};
use tidelog_proto::ids::{
    LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, RaftIndex, RaftTerm, Sequence, TopicId,
};

/// When everything in the log happened: 2023-11-14T22:13:20.123Z.
pub(crate) const TIME_MS: i64 = 1_700_000_000_123;

const TOPIC_ID: TopicId = TopicId::new([0x11; 16]);

/// A data directory with one log of several segments, closed in order.
pub(crate) struct SampleLog {
    _temporary: TempDir,
    pub(crate) data_dir: PathBuf,
    pub(crate) dir: PathBuf,
    /// All batches, byte for byte.
    pub(crate) batches: Vec<u8>,
    /// Length of the two frames at the start of the first segment.
    pub(crate) first_frames: [u64; 2],
}

impl SampleLog {
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let data_dir = fs::canonicalize(temporary.path()).unwrap();
        let identity = LogIdentity { topic_id: TOPIC_ID, partition: PartitionId::new(0) };
        let mut sample = Self {
            dir: identity.dir(&data_dir),
            data_dir,
            _temporary: temporary,
            batches: Vec::new(),
            first_frames: [0; 2],
        };
        sample.write_log(0);
        sample
    }

    /// Adds a log of another partition, beside the first; gives its directory.
    pub(crate) fn add_partition(&mut self, partition: u32) -> PathBuf {
        self.batches.clear();
        self.write_log(partition)
    }

    fn write_log(&mut self, partition: u32) -> PathBuf {
        let identity = LogIdentity { topic_id: TOPIC_ID, partition: PartitionId::new(partition) };
        let dir = identity.dir(&self.data_dir);
        let config = LogConfig { segment_bytes: 1024, index_interval_bytes: 200, ..LogConfig::default() };
        let mut log = Log::open(Arc::new(RealEnvironment::new()), &dir, identity, config).unwrap();
        let seed = identity.seed();
        let mut frames = Vec::new();
        frames.push(Frame::internal(seed, FrameType::NoOp, stamp(0), Offset::ZERO, &[]).unwrap());
        let mut offset = Offset::ZERO;
        for index in 1..10 {
            let batch = batch(index).assigned(offset, LeaderEpoch::new(7)).unwrap();
            offset = batch.header().next_offset();
            self.batches.extend_from_slice(batch.bytes());
            frames.push(Frame::data(seed, stamp(index), batch));
        }
        let marker = commit_marker().assigned(offset, LeaderEpoch::new(7)).unwrap();
        offset = marker.header().next_offset();
        self.batches.extend_from_slice(marker.bytes());
        frames.push(Frame::transaction_marker(seed, stamp(10), marker));
        frames.push(Frame::log_start(seed, stamp(11), offset, Offset::ZERO).unwrap());
        self.first_frames = [0, 1].map(|number| frames[number].frame_bytes() as u64);
        log.writer.append(&frames).unwrap();
        log.writer.close().unwrap();
        dir
    }

    /// Lists the segment files, or the index files, in order.
    pub(crate) fn files(&self, ending: &str) -> Vec<PathBuf> {
        let names = fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = names.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
        files.sort();
        files
    }
}

/// Flips a bit of a byte.
pub(crate) fn flip(path: &Path, position: u64) {
    let mut contents = fs::read(path).unwrap();
    contents[usize::try_from(position).unwrap()] ^= 4;
    fs::write(path, contents).unwrap();
}

fn stamp(index: u64) -> FrameStamp {
    FrameStamp { term: RaftTerm::new(7), index: RaftIndex::new(index), commit_lag: 1, append_time_ms: TIME_MS }
}

/// Makes a batch of three records: text, bytes that are no text with headers, a tombstone.
fn batch(number: u64) -> RecordBatch {
    let codecs = [Compression::None, Compression::Gzip, Compression::Lz4];
    let producer =
        ProducerStamp { id: ProducerId::new(5), epoch: ProducerEpoch::new(2), base_sequence: Some(Sequence::new(30)) };
    let mut builder = BatchBuilder::new(codecs[usize::try_from(number).unwrap() % 3]).producer(producer);
    let headers = [RecordHeader { key: "trace", value: Some(b"a\"b") }, RecordHeader { key: "trace", value: None }];
    let text = format!("value {number}, as long as it takes for a codec to be worth while: {}", "x".repeat(100));
    let records = [
        NewRecord { timestamp: TIME_MS, key: Some(b"k1"), value: Some(text.as_bytes()), headers: &[] },
        NewRecord { timestamp: TIME_MS, key: None, value: Some(b"\xff\x00"), headers: &headers },
        NewRecord { timestamp: TIME_MS, key: Some(b""), value: None, headers: &[] },
    ];
    records.iter().for_each(|record| builder.push(record).unwrap());
    builder.finish().unwrap()
}

fn commit_marker() -> RecordBatch {
    let producer = ProducerStamp { id: ProducerId::new(5), epoch: ProducerEpoch::new(2), base_sequence: None };
    let mut builder = BatchBuilder::new(Compression::None).producer(producer).transactional().control();
    let marker = NewRecord { timestamp: TIME_MS, key: Some(&[0, 0, 0, 1]), value: Some(&[0; 6]), headers: &[] };
    builder.push(&marker).unwrap();
    let mut bytes = builder.finish().unwrap().bytes().to_vec();
    stamp_log_append_time(&mut bytes, TIME_MS).unwrap();
    RecordBatch::parse(Bytes::from(bytes)).unwrap()
}
