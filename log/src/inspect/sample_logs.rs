//! Small logs on the simulated machine, to be looked into.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidelog_proto::batch::{BatchBuilder, Compression, DecodeLimits, NewRecord, RecordBatch, stamp_log_append_time};
use tidelog_proto::frame::{Frame, FrameStamp, FrameType};
use tidelog_proto::ids::{LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, RaftIndex, RaftTerm, TopicId};

use super::{Finding, Observer, Verified, verify};
use crate::environment::Environment;
use crate::environment::simulated::SimulatedEnvironment;
use crate::{CleanupPolicy, Log, LogConfig, LogIdentity};

pub(super) const IDENTITY: LogIdentity =
    LogIdentity { topic_id: TopicId::new([8; 16]), partition: PartitionId::new(2) };

const CODECS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Lz4];

/// A log that is written to, on a machine of its own.
pub(super) struct Sample {
    pub(super) machine: SimulatedEnvironment,
    pub(super) log: Log,
    commit_lag: u32,
}

pub(super) fn dir() -> PathBuf {
    IDENTITY.dir(Path::new("/data"))
}

pub(super) fn open(machine: &SimulatedEnvironment) -> Result<Log, crate::OpenError> {
    let config = LogConfig {
        segment_bytes: 1024,
        index_interval_bytes: 100,
        cleanup_policy: CleanupPolicy::Compact,
        min_cleanable_dirty_ratio: 0.0,
        ..LogConfig::default()
    };
    Log::open(Arc::new(machine.clone()), &dir(), IDENTITY, config)
}

impl Sample {
    pub(super) fn new(seed: u64) -> Self {
        let machine = SimulatedEnvironment::new(seed);
        let log = open(&machine).unwrap();
        Self { machine, log, commit_lag: u32::MAX }
    }

    /// Closed in order: three segments, the last of them with one batch.
    pub(super) fn closed() -> SimulatedEnvironment {
        let mut sample = Self::new(1);
        sample.append_batches(12);
        while sample.log.reader.segments().len() < 3 {
            sample.append_batches(1);
        }
        sample.log.writer.close().unwrap();
        sample.machine
    }

    /// Not closed: one segment with entries below and above the mark that the checkpoint tells of, and above those whose
    /// commit a later entry knows of.
    pub(super) fn unclosed() -> SimulatedEnvironment {
        let mut sample = Self::new(2);
        sample.append_no_op();
        sample.append_batches(1);
        sample.log.writer.sync().unwrap();
        sample.log.writer.write_checkpoint().unwrap();
        sample.append_batches(1);
        sample.commit_lag = 1;
        sample.append_no_op();
        sample.commit_lag = u32::MAX;
        sample.append_batches(1);
        sample.log.writer.sync().unwrap();
        assert_eq!(sample.log.reader.segments().len(), 1);
        sample.machine
    }

    fn stamp(&self) -> FrameStamp {
        FrameStamp {
            term: RaftTerm::new(3),
            index: self.log.writer.end_index(),
            commit_lag: self.commit_lag,
            append_time_ms: self.machine.now_ms().max(self.log.writer.last_append_time_ms().unwrap_or(0)),
        }
    }

    fn append(&mut self, frame: Frame) -> Result<(), crate::AppendError> {
        self.log.writer.append(&[frame]).map(drop)
    }

    pub(super) fn append_no_op(&mut self) {
        let offset = self.log.writer.end_offset();
        let frame = Frame::internal(IDENTITY.seed(), FrameType::NoOp, self.stamp(), offset, &[]).unwrap();
        self.append(frame).unwrap();
    }

    /// Appends batches of three records, with each codec in turn.
    pub(super) fn append_batches(&mut self, count: u64) {
        for _ in 0..count {
            self.append_batch().unwrap();
        }
    }

    pub(super) fn append_batch(&mut self) -> Result<(), crate::AppendError> {
        let end_index = self.log.writer.end_index().get();
        let mut builder = BatchBuilder::new(CODECS[usize::try_from(end_index).unwrap() % CODECS.len()]);
        let base_offset = self.log.writer.end_offset();
        for number in 0..3 {
            let key = [b'k', u8::try_from((end_index + number) % 5).unwrap()];
            let value = [b'v'; 20];
            let timestamp = 1_700_000_000_000 + i64::try_from(end_index * 10 + number).unwrap();
            let value = (number != 2).then_some(&value[..]);
            builder.push(&NewRecord { timestamp, key: Some(&key), value, ..NewRecord::default() }).unwrap();
        }
        let batch = builder.finish().unwrap().assigned(base_offset, LeaderEpoch::new(3)).unwrap();
        self.append(Frame::data(IDENTITY.seed(), self.stamp(), batch))
    }

    /// Appends a batch with a true checksum over what no decoder can read.
    pub(super) fn append_unreadable_batch(&mut self) {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(&NewRecord { value: Some(b"value"), ..NewRecord::default() }).unwrap();
        let mut bytes = builder.finish().unwrap().bytes().to_vec();
        // The length of the record.
        bytes[61] = 0x7e;
        stamp_log_append_time(&mut bytes, 1).unwrap();
        let batch = RecordBatch::parse(bytes.into()).unwrap();
        let batch = batch.assigned(self.log.writer.end_offset(), LeaderEpoch::new(3)).unwrap();
        self.append(Frame::data(IDENTITY.seed(), self.stamp(), batch)).unwrap();
    }

    pub(super) fn append_marker(&mut self) {
        let producer = tidelog_proto::batch::ProducerStamp {
            id: ProducerId::new(4),
            epoch: ProducerEpoch::new(0),
            base_sequence: None,
        };
        let mut builder = BatchBuilder::new(Compression::None).producer(producer).transactional().control();
        let (version_and_commit, coordinator_epoch) = ([0, 0, 0, 1], [0, 0, 0, 0, 0, 0]);
        let record = NewRecord {
            timestamp: 1_700_000_000_000,
            key: Some(&version_and_commit),
            value: Some(&coordinator_epoch),
            headers: &[],
        };
        builder.push(&record).unwrap();
        let batch = builder.finish().unwrap().assigned(self.log.writer.end_offset(), LeaderEpoch::new(3)).unwrap();
        let frame = Frame::transaction_marker(IDENTITY.seed(), self.stamp(), batch);
        self.append(frame).unwrap();
    }

    /// Commits all there is and compacts what can be.
    pub(super) fn compact(&mut self) -> Result<(), crate::WriteError> {
        self.log.writer.sync()?;
        let end = self.log.writer.end_index();
        self.log.reader.advance_committed(end).unwrap();
        self.log.writer.advance_start(self.log.reader.log_start_offset(), end)?;
        let Some(plan) = self.log.writer.plan_compaction(self.machine.now_ms(), DecodeLimits::default()) else {
            return Ok(());
        };
        match plan.run() {
            Ok(compaction) => self.log.writer.install_compaction(compaction).map(drop),
            Err(_) => Err(crate::WriteError::Poisoned),
        }
    }

    /// Commits all there is and drops the first segment.
    pub(super) fn drop_first_segment(&mut self) -> Result<(), crate::WriteError> {
        self.log.writer.sync()?;
        self.log.reader.advance_committed(self.log.writer.end_index()).unwrap();
        let second = self.log.reader.segments()[1].name;
        self.log.writer.advance_start(second.base_offset, second.base_index)
    }

    /// Cuts the last entries.
    pub(super) fn truncate(&mut self, entries: u64) -> Result<(), crate::WriteError> {
        let from = self.log.writer.end_index().get() - entries;
        self.log.writer.truncate_suffix(RaftIndex::new(from))
    }
}

/// Keeps whatever it is told.
#[derive(Default)]
pub(super) struct Listener {
    pub(super) findings: Vec<Finding>,
    pub(super) bytes: u64,
    pub(super) offsets: Vec<Offset>,
}

impl Observer for Listener {
    fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn passed(&mut self, frame: &Frame) {
        self.offsets.push(frame.base_offset());
    }

    fn read_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }
}

/// Verifies the log of a machine.
pub(super) fn verify_on(machine: &SimulatedEnvironment) -> (Verified, Vec<Finding>) {
    let environment: Arc<dyn Environment> = Arc::new(machine.clone());
    let mut listener = Listener::default();
    let verified = verify(&environment, &dir(), &mut listener).unwrap();
    let damages = listener.findings.iter().filter(|finding| finding.reason.severity() == super::Severity::Damage);
    assert_eq!(verified.damages, damages.count() as u64);
    (verified, listener.findings)
}

/// Replaces a file's content, given what it holds now.
pub(super) fn change(machine: &SimulatedEnvironment, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut contents = machine.read_contents(path).unwrap();
    change(&mut contents);
    machine.set_contents(path, &contents);
}
