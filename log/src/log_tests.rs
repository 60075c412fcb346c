//! The log as its users see it, on the simulated machine.
#![allow(clippy::unwrap_used, reason = "tests")]

mod damaged_indexes;
mod failed_syncs;
mod old_views;

use std::path::Path;
use std::sync::Arc;

use tidelog_proto::batch::{BatchBuilder, Compression, NewRecord, RecordBatch};
use tidelog_proto::frame::{Frame, FrameStamp, FrameType};
use tidelog_proto::ids::{LeaderEpoch, Offset, PartitionId, RaftIndex, RaftTerm, TopicId};

use crate::environment::Environment;
use crate::environment::simulated::SimulatedEnvironment;
use crate::{AppendError, Log, LogConfig, LogIdentity, OpenError, ScrubStep, WriteError};

const IDENTITY: LogIdentity = LogIdentity { topic_id: TopicId::new([5; 16]), partition: PartitionId::new(1) };

fn open(machine: &SimulatedEnvironment) -> Log {
    try_open(machine, 512).unwrap()
}

/// Opens a log whose segments are large enough for everything in a test.
fn open_large(machine: &SimulatedEnvironment) -> Log {
    try_open(machine, 1 << 20).unwrap()
}

fn try_open(machine: &SimulatedEnvironment, segment_bytes: u64) -> Result<Log, OpenError> {
    let config = LogConfig { segment_bytes, index_interval_bytes: 64, ..LogConfig::default() };
    Log::open(Arc::new(machine.clone()), Path::new("/log"), IDENTITY, config)
}

fn no_op(index: u64) -> Frame {
    let stamp =
        FrameStamp { term: RaftTerm::new(1), index: RaftIndex::new(index), commit_lag: u32::MAX, append_time_ms: 0 };
    Frame::internal(IDENTITY.seed(), FrameType::NoOp, stamp, Offset::new(0), &index.to_le_bytes()).unwrap()
}

/// Makes the next entry of `log`: one record.
fn record(log: &Log, timestamp: i64) -> Frame {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(&NewRecord { timestamp, value: Some(b"value"), ..NewRecord::default() }).unwrap();
    let batch = builder.finish().unwrap().assigned(log.writer.end_offset(), LeaderEpoch::new(1)).unwrap();
    let stamp =
        FrameStamp { term: RaftTerm::new(1), index: log.writer.end_index(), commit_lag: u32::MAX, append_time_ms: 0 };
    Frame::data(IDENTITY.seed(), stamp, batch)
}

fn append(log: &mut Log, indexes: std::ops::Range<u64>) {
    let frames: Vec<_> = indexes.map(no_op).collect();
    log.writer.append(&frames).unwrap();
}

fn entries(log: &Log) -> Vec<u64> {
    let end = log.reader.end_index();
    let frames = log.reader.read_entries(log.reader.raft_start(), end, u64::MAX).unwrap();
    frames.iter().map(|frame| u64::from_le_bytes(frame.payload().unwrap()[..].try_into().unwrap())).collect()
}

#[test]
fn entries_are_there_after_an_orderly_close_and_after_a_power_cut() {
    let machine = SimulatedEnvironment::new(1);
    let mut log = open(&machine);
    append(&mut log, 0..40);
    assert_eq!(entries(&log), (0..40).collect::<Vec<_>>());
    assert!(log.reader.segments().len() > 3, "it rolled");
    log.writer.close().unwrap();

    let mut log = open(&machine);
    assert!(log.report.clean);
    append(&mut log, 40..45);
    log.writer.sync().unwrap();
    append(&mut log, 45..47);

    let log = open(&machine.crash(9));
    assert!(!log.report.clean);
    let found = entries(&log);
    assert!(found.len() >= 45 && found.len() <= 47, "{found:?}");
    assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_cut_suffix_never_comes_back() {
    for from in 0..30 {
        let machine = SimulatedEnvironment::new(from);
        let mut log = open(&machine);
        append(&mut log, 0..30);
        log.writer.sync().unwrap();
        log.writer.truncate_suffix(RaftIndex::new(from)).unwrap();
        assert_eq!(entries(&log), (0..from).collect::<Vec<_>>());
        let mut log = open(&machine.crash(from));
        assert_eq!(entries(&log), (0..from).collect::<Vec<_>>());
        append(&mut log, from..35);
        assert_eq!(entries(&log), (0..35).collect::<Vec<_>>());
        log.writer.close().unwrap();
    }
}

#[test]
fn committed_entries_cannot_be_cut() {
    let machine = SimulatedEnvironment::new(3);
    let mut log = open(&machine);
    append(&mut log, 0..30);
    log.reader.advance_committed(RaftIndex::new(20)).unwrap();
    let error = log.writer.truncate_suffix(RaftIndex::new(19)).unwrap_err();
    assert!(matches!(error, WriteError::Committed { .. }), "{error}");
    log.writer.truncate_suffix(RaftIndex::new(20)).unwrap();
    assert_eq!(entries(&log).len(), 20);
}

#[test]
fn segments_before_the_start_go_and_readers_learn_it() {
    let machine = SimulatedEnvironment::new(4);
    let mut log = open(&machine);
    append(&mut log, 0..40);
    log.reader.advance_committed(RaftIndex::new(40)).unwrap();
    log.writer.advance_start(Offset::new(0), RaftIndex::new(25)).unwrap();
    assert!(log.reader.segments()[0].name.base_index > RaftIndex::new(0));
    assert!(log.reader.read_entries(RaftIndex::new(24), RaftIndex::new(30), 1).is_err());
    assert_eq!(entries(&log), (25..40).collect::<Vec<_>>());
    drop(log);
    assert_eq!(entries(&open(&machine.crash(1))).first(), Some(&25));
}

/// A sound frame in the place of another passed for a gap, which only compaction leaves: the reader gave out the wrong
/// entry.
#[test]
fn a_sound_frame_in_the_wrong_place_is_damage() {
    let machine = SimulatedEnvironment::new(5);
    let mut log = open(&machine);
    append(&mut log, 0..5);
    log.writer.close().unwrap();
    let path = Path::new("/log/00000000000000000000-0.log");
    let mut bytes = machine.read_contents(path).unwrap();
    let frame_bytes = (bytes.len() - 64) / 5;
    bytes.copy_within(64 + 3 * frame_bytes..64 + 4 * frame_bytes, 64);
    machine.set_contents(path, &bytes);
    let log = open(&machine);
    assert!(log.report.clean);
    let error = log.reader.read_entries(RaftIndex::new(0), RaftIndex::new(1), u64::MAX).unwrap_err();
    assert!(matches!(error, crate::ReadError::Damaged(_)), "{error}");
}

/// A frame of a newer version behind the durable mark was taken for a torn tail and cut: what a newer release had
/// acknowledged was gone after a step back.
#[test]
fn a_sound_frame_of_a_newer_version_is_refused_and_a_torn_one_is_cut() {
    for is_sound in [true, false] {
        let machine = SimulatedEnvironment::new(6);
        let mut log = open(&machine);
        append(&mut log, 0..2);
        let position = usize::try_from(log.reader.segments()[0].log_bytes).unwrap();
        drop(log);
        let mut frame = Vec::new();
        no_op(2).encode_into(&mut frame);
        frame[5] = 2;
        if is_sound {
            let seed = crc32fast::hash(&[&[5; 16][..], &1_u32.to_le_bytes()].concat());
            let mut crc = crc32fast::Hasher::new_with_initial(seed);
            crc.update(&frame[4..]);
            frame[..4].copy_from_slice(&crc.finalize().to_le_bytes());
        }
        let path = Path::new("/log/00000000000000000000-0.log");
        let mut bytes = machine.read_contents(path).unwrap();
        bytes[position..position + frame.len()].copy_from_slice(&frame);
        machine.set_contents(path, &bytes);
        let config = LogConfig { segment_bytes: 512, ..LogConfig::default() };
        let opened = Log::open(Arc::new(machine.clone()), Path::new("/log"), IDENTITY, config);
        assert_eq!(opened.is_err(), is_sound, "{opened:?}");
    }
}

/// It was taken, acknowledged, and at the next opening cut as torn, with everything behind it.
#[test]
fn a_batch_that_does_not_fit_its_checksum_is_refused() {
    let machine = SimulatedEnvironment::new(7);
    let mut log = open(&machine);
    let sound = record(&log, 0);
    let mut bytes = sound.body().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let batch = RecordBatch::parse(bytes.into()).unwrap();
    let error = log.writer.append(&[Frame::data(IDENTITY.seed(), sound.stamp(), batch)]).unwrap_err();
    assert!(matches!(error, AppendError::Frame { frame: 0, .. }), "{error}");
    log.writer.append(&[sound]).unwrap();
}

/// The indexes were emptied before the log was found to be damaged.
#[test]
fn opening_that_refuses_changes_no_file() {
    let machine = SimulatedEnvironment::new(8);
    let mut log = open_large(&machine);
    append(&mut log, 0..100);
    log.writer.close().unwrap();
    let path = Path::new("/log/00000000000000000000-0.log");
    let bytes = machine.read_contents(path).unwrap();
    machine.set_contents(path, &bytes[..bytes.len() - 20]);
    let contents = || machine.files().into_iter().map(|path| machine.read_contents(&path)).collect::<Vec<_>>();
    let before = contents();
    assert!(matches!(try_open(&machine, 1 << 20), Err(OpenError::Damaged(_))));
    assert_eq!(contents(), before);
}

/// The seal of a segment whose frames had gone missing was removed before the gap was found.
#[test]
fn opening_that_refuses_removes_no_file() {
    let machine = SimulatedEnvironment::new(9);
    let mut log = open_large(&machine);
    for indexes in [0..10, 10..20, 20..30] {
        append(&mut log, indexes);
        log.writer.roll().unwrap();
    }
    log.writer.close().unwrap();
    machine.remove_file(Path::new("/log/00000000000000000000-10.log")).unwrap();
    let before = machine.files();
    assert!(matches!(try_open(&machine, 1 << 20), Err(OpenError::Damaged(_))));
    assert_eq!(machine.files(), before);
}

/// Nothing of it counted as committed, and the scrub passed it over.
#[test]
fn what_lies_below_the_raft_start_is_scrubbed_after_opening() {
    let machine = SimulatedEnvironment::new(10);
    let mut log = open_large(&machine);
    append(&mut log, 0..100);
    log.writer.roll().unwrap();
    log.reader.advance_committed(RaftIndex::new(100)).unwrap();
    // The offsets stay, as where compaction needs the records.
    let record = record(&log, 0);
    log.writer.append(&[record]).unwrap();
    log.writer.roll().unwrap();
    log.reader.advance_committed(RaftIndex::new(101)).unwrap();
    log.writer.advance_start(Offset::new(0), RaftIndex::new(101)).unwrap();
    log.writer.close().unwrap();
    let mut scrubber = open_large(&machine).reader.scrubber();
    let scrubbed = loop {
        if let ScrubStep::Finished(scrubbed) = scrubber.step(u64::MAX).unwrap() {
            break scrubbed;
        }
    };
    assert!(scrubbed.segments >= 1, "{scrubbed:?}");
}
