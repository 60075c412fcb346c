//! Sound logs on simulated machines, made once per process, to be damaged by every run in its own copy.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use tidelog_log::environment::Environment;
use tidelog_log::environment::simulated::{CrashPoint, SimulatedEnvironment};
use tidelog_log::{CleanupPolicy, Log, LogConfig, LogIdentity, OpenError};
use tidelog_proto::batch::{
    BatchBuilder, Compression, DecodeLimits, NewRecord, ProducerStamp, RecordBatch, RecordHeader,
};
use tidelog_proto::frame::{Frame, FrameStamp, FrameType};
use tidelog_proto::ids::{LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, RaftIndex, RaftTerm, TopicId};

use crate::checksums::SEGMENT_HEADER_BYTES;
use crate::readback::Content;

/// Whose logs they are.
pub const IDENTITY: LogIdentity =
    LogIdentity { topic_id: TopicId::new(*b"fuzzed by bytes."), partition: PartitionId::new(3) };

/// Where they lie.
pub const DIR: &str = "/log";

/// Times of samples lie around this one.
const TIME_MS: i64 = 1_700_000_000_000;

/// What became of a sample before it is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// The process died. The last segment is read as a whole when the log is opened.
    Crashed,
    /// It was closed in order. Nothing is read when it is opened.
    Closed,
    /// As crashed, and sealed segments have been compacted.
    Compacted,
    /// The process died while a compacted segment took the place of others.
    Swapping,
}

/// A sound log.
#[derive(Debug)]
pub struct SampleLog {
    /// What became of it.
    pub past: Past,
    machine: SimulatedEnvironment,
    config: LogConfig,
    /// What is read from it.
    pub content: Content,
    /// Its segment files, compacted ones that wait for their manifest among them; the last is the one that was written to.
    pub segments: Vec<SegmentFile>,
    /// Every other file of its directory.
    pub others: Vec<(PathBuf, Vec<u8>)>,
    /// The first index that its checkpoint does not vouch for.
    pub durable_end: RaftIndex,
}

/// A segment file of a sample.
#[derive(Debug)]
pub struct SegmentFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes.
    pub image: Vec<u8>,
    /// Its frames, each with its position.
    pub frames: Vec<(usize, Frame)>,
}

/// One log of every kind.
pub static SAMPLES: LazyLock<Vec<SampleLog>> = LazyLock::new(|| {
    vec![
        SampleLog::written(Past::Crashed, 1024, Some(20)),
        SampleLog::written(Past::Crashed, 4096, None),
        SampleLog::written(Past::Closed, 1024, None),
        SampleLog::written(Past::Closed, 4096, None),
        SampleLog::compacted(Past::Compacted),
        SampleLog::compacted(Past::Swapping),
    ]
});

/// Gives one of the samples.
#[must_use]
pub fn pick(number: u8) -> &'static SampleLog {
    &SAMPLES[usize::from(number) % SAMPLES.len()]
}

impl SampleLog {
    /// Copies the machine on which the log lies.
    #[must_use]
    pub fn machine(&self) -> SimulatedEnvironment {
        self.machine.duplicate()
    }

    /// Opens the log on a machine that was copied from this sample's.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open(&self, machine: &SimulatedEnvironment) -> Result<Log, OpenError> {
        open(machine, &self.config)
    }

    /// Lists the segment files that hold other bytes than this sample's, on a machine that was copied from it.
    #[must_use]
    pub fn changed_segments(&self, machine: &SimulatedEnvironment) -> Vec<PathBuf> {
        let changed = |segment: &&SegmentFile| machine.read_contents(&segment.path).as_ref() != Some(&segment.image);
        self.segments.iter().filter(changed).map(|segment| segment.path.clone()).collect()
    }

    /// A log of 26 entries of every kind.
    fn written(past: Past, segment_bytes: u64, checkpoint_at: Option<u64>) -> Self {
        let machine = SimulatedEnvironment::new(1);
        let config = LogConfig { segment_bytes, index_interval_bytes: 200, ..LogConfig::default() };
        let mut log = open(&machine, &config).expect("a new log opens");
        append(&mut log, 0..checkpoint_at.unwrap_or(13));
        log.writer.sync().expect("the machine is sound");
        let mut durable_end = RaftIndex::new(0);
        if checkpoint_at.is_some() {
            log.writer.write_checkpoint().expect("the machine is sound");
            durable_end = log.writer.durable_end();
        }
        append(&mut log, checkpoint_at.unwrap_or(13)..26);
        log.writer.sync().expect("the machine is sound");
        if past == Past::Closed {
            durable_end = log.writer.durable_end();
            log.writer.close().expect("the machine is sound");
        }
        Self::found(past, &machine.kill(), config, durable_end)
    }

    /// A log most of which was compacted, or is being.
    fn compacted(past: Past) -> Self {
        let config = LogConfig {
            segment_bytes: 1024,
            index_interval_bytes: 200,
            cleanup_policy: CleanupPolicy::Compact,
            min_cleanable_dirty_ratio: 0.0,
            compaction_buffer_bytes: 16 * 1024,
            ..LogConfig::default()
        };
        // Each life goes one operation further into the swap, until the power fails where the manifest stands.
        for operations in 0.. {
            let machine = SimulatedEnvironment::new(1);
            let mut log = open(&machine, &config).expect("a new log opens");
            append(&mut log, 0..30);
            log.writer.sync().expect("the machine is sound");
            let end = log.writer.end_index();
            log.reader.advance_committed(end).expect("it is written");
            log.writer.advance_start(Offset::ZERO, end).expect("it is committed");
            let plan = log.writer.plan_compaction(machine.now_ms(), DecodeLimits::DEFAULT).expect("it is worth doing");
            let compaction = plan.run().expect("the machine is sound");
            if past == Past::Swapping {
                machine.crash_at(machine.operations() + operations, CrashPoint::After);
            }
            let installed = log.writer.install_compaction(compaction);
            if past == Past::Compacted {
                installed.expect("the machine is sound");
                append(&mut log, 30..36);
                log.writer.sync().expect("the machine is sound");
                return Self::found(past, &machine.kill(), config, end);
            }
            drop(log);
            let machine = machine.crash(1);
            let is_waiting = |name: &str| machine.files().iter().any(|path| path.ends_with(name));
            if is_waiting("compaction") {
                return Self::found(past, &machine, config, end);
            }
        }
        unreachable!("a swap has a manifest")
    }

    /// Takes down what is found on a machine.
    fn found(past: Past, machine: &SimulatedEnvironment, config: LogConfig, durable_end: RaftIndex) -> Self {
        let log = open(&machine.duplicate(), &config).expect("a sample is sound");
        let content = Content::of(&log.reader).expect("a sample is sound");
        let files = machine.files().into_iter().filter(|path| path.starts_with(DIR));
        let images = files.map(|path| (machine.read_contents(&path).expect("it is listed"), path));
        let (segments, others): (Vec<_>, Vec<_>) = images
            .partition(|(_, path)| path.extension().is_some_and(|ending| ending == "log" || ending == "compacted"));
        let segments = segments.into_iter().map(|(image, path)| SegmentFile { frames: frames_of(&image), path, image });
        Self {
            past,
            machine: machine.duplicate(),
            config,
            content,
            segments: segments.collect(),
            others: others.into_iter().map(|(image, path)| (path, image)).collect(),
            durable_end,
        }
    }
}

fn open(machine: &SimulatedEnvironment, config: &LogConfig) -> Result<Log, OpenError> {
    Log::open(Arc::new(machine.clone()), Path::new(DIR), IDENTITY, config.clone())
}

/// Walks the frames of a sound segment file.
fn frames_of(image: &[u8]) -> Vec<(usize, Frame)> {
    let image = bytes::Bytes::copy_from_slice(image);
    let mut frames = Vec::new();
    let mut at = SEGMENT_HEADER_BYTES;
    while let Ok(frame) = Frame::decode(IDENTITY.seed(), &image.slice(at.min(image.len())..)) {
        at += frame.frame_bytes();
        frames.push((at - frame.frame_bytes(), frame));
    }
    frames
}

fn append(log: &mut Log, indexes: std::ops::Range<u64>) {
    for index in indexes {
        let frame = sample_frame(RaftIndex::new(index), log.writer.end_offset());
        log.writer.append(&[frame]).expect("the machine is sound");
    }
}

/// Makes the entry that a sample has at `index`. Any of them may follow any earlier one.
///
/// # Panics
/// Never.
#[must_use]
pub fn sample_frame(index: RaftIndex, base_offset: Offset) -> Frame {
    let (seed, number) = (IDENTITY.seed(), index.get());
    let lag = [u32::MAX, 1, 2, 4, 3][usize::try_from(number % 5).expect("it is small")];
    let stamp = FrameStamp {
        term: RaftTerm::new(1 + number / 9),
        index,
        commit_lag: lag,
        append_time_ms: TIME_MS + number.cast_signed() * 100,
    };
    let internal = |frame_type, payload: &[u8]| Frame::internal(seed, frame_type, stamp, base_offset, payload);
    let frame = match number % 8 {
        0 => internal(FrameType::NoOp, &[]),
        3 => internal(FrameType::Membership, b"one, two and three"),
        6 => Frame::log_start(seed, stamp, base_offset, Offset::ZERO),
        7 => Ok(Frame::transaction_marker(seed, stamp, assigned(marker(), base_offset))),
        _ => Ok(Frame::data(seed, stamp, assigned(sample_batch(number), base_offset))),
    };
    frame.expect("it is well-formed")
}

fn assigned(batch: RecordBatch, base_offset: Offset) -> RecordBatch {
    batch.assigned(base_offset, LeaderEpoch::new(1)).expect("offsets of samples are small")
}

/// Makes the control batch that ends a transaction.
fn marker() -> RecordBatch {
    let producer = ProducerStamp { id: ProducerId::new(9), epoch: ProducerEpoch::new(0), base_sequence: None };
    let mut builder = BatchBuilder::new(Compression::None).producer(producer).transactional().control();
    let commit = NewRecord { timestamp: TIME_MS, key: Some(&[0, 0, 0, 1]), value: Some(&[0; 6]), headers: &[] };
    builder.push(&commit).expect("it fits");
    builder.finish().expect("it is well-formed")
}

/// Makes a batch of a few records, whose codec, keys, times and sizes follow from a number.
///
/// # Panics
/// Never.
#[must_use]
pub fn sample_batch(number: u64) -> RecordBatch {
    let codecs = [Compression::None, Compression::Gzip, Compression::Lz4];
    let mut builder = BatchBuilder::new(codecs[usize::try_from(number % 3).expect("it is small")]);
    let headers = [RecordHeader { key: "sent", value: Some(b"now") }, RecordHeader { key: "sent", value: None }];
    for record in 0..=number % 4 {
        let key = format!("key {}", (number * 7 + record) % 5);
        let value = format!("record {record} of {number} ").repeat(usize::try_from(number % 4).expect("it is small"));
        let record = NewRecord {
            timestamp: TIME_MS + (number * 100 + record * 7).cast_signed() - (number % 5).cast_signed() * 250,
            key: (number % 6 != 5).then_some(key.as_bytes()),
            value: (record != 2).then_some(value.as_bytes()),
            headers: if number % 9 == 4 { &headers } else { &[] },
        };
        builder.push(&record).expect("it fits");
    }
    builder.finish().expect("it is well-formed")
}
