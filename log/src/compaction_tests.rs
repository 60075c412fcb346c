//! Compaction against what it promises, with crashes at every step.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidelog_proto::batch::{BatchBuilder, Compression, DecodeLimits, NewRecord, ProducerStamp};
use tidelog_proto::frame::{Frame, FrameStamp, FrameType};
use tidelog_proto::ids::{
    LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, RaftIndex, RaftTerm, Sequence, TopicId,
};

use crate::environment::Environment;
use crate::environment::simulated::{CrashPoint, Rng, SimulatedEnvironment};
use crate::{CleanupPolicy, CompactionPlan, CompactionStats, Fault, Log, LogConfig, LogIdentity, OpenError};

const IDENTITY: LogIdentity = LogIdentity { topic_id: TopicId::new([6; 16]), partition: PartitionId::new(0) };
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Key and value of a record to be appended.
type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

type Records = BTreeMap<u64, (Option<Vec<u8>>, Option<Vec<u8>>)>;

fn open(machine: &SimulatedEnvironment, compaction_buffer_bytes: usize) -> Log {
    let config = LogConfig {
        segment_bytes: 1024,
        index_interval_bytes: 100,
        cleanup_policy: CleanupPolicy::Compact,
        compaction_buffer_bytes,
        min_cleanable_dirty_ratio: 0.0,
        ..LogConfig::default()
    };
    Log::open(Arc::new(machine.clone()), Path::new("/log"), IDENTITY, config).unwrap()
}

fn stamp(log: &Log, now_ms: i64) -> FrameStamp {
    FrameStamp {
        term: RaftTerm::new(1),
        index: log.writer.end_index(),
        commit_lag: u32::MAX,
        append_time_ms: now_ms.max(log.writer.last_append_time_ms().unwrap_or(0)),
    }
}

fn append(log: &mut Log, now_ms: i64, compression: Compression, records: &[Pair<'_>]) {
    let mut builder = BatchBuilder::new(compression);
    for (key, value) in records {
        builder.push(&NewRecord { timestamp: now_ms, key: *key, value: *value, ..NewRecord::default() }).unwrap();
    }
    let batch = builder.finish().unwrap().assigned(log.writer.end_offset(), LeaderEpoch::new(1)).unwrap();
    let frame = Frame::data(IDENTITY.seed(), stamp(log, now_ms), batch);
    log.writer.append(&[frame]).unwrap();
}

fn append_no_op(log: &mut Log, now_ms: i64) {
    let offset = log.writer.end_offset();
    let frame = Frame::internal(IDENTITY.seed(), FrameType::NoOp, stamp(log, now_ms), offset, &[]).unwrap();
    log.writer.append(&[frame]).unwrap();
}

/// Appends random records; the model gets them too.
fn append_random(log: &mut Log, machine: &SimulatedEnvironment, rng: &mut Rng, model: &mut Records) {
    let codecs = [Compression::None, Compression::Gzip, Compression::Lz4];
    let base_offset = log.writer.end_offset().get();
    let mut records = Vec::new();
    for offset in base_offset..=base_offset + rng.below(4) {
        let key = (!rng.percent(5)).then(|| vec![b'k', u8::try_from(rng.below(20)).unwrap()]);
        let value = (!rng.percent(20)).then(|| vec![b'v'; rng.index(40)]);
        model.insert(offset, (key.clone(), value.clone()));
        records.push((key, value));
    }
    let borrowed: Vec<_> = records.iter().map(|(key, value)| (key.as_deref(), value.as_deref())).collect();
    append(log, machine.now_ms(), codecs[rng.index(3)], &borrowed);
    if rng.percent(20) {
        append_no_op(log, machine.now_ms());
    }
}

fn read_all(log: &Log) -> Records {
    let mut records = Records::new();
    let mut next = log.reader.log_start_offset();
    while next < log.reader.log_end_offset() {
        let read = log.reader.read(next, log.reader.log_end_offset(), 700).unwrap();
        assert!(read.next_offset > next, "stuck at {next}");
        for batch in read.batches {
            for record in batch.records(DecodeLimits::default()).unwrap() {
                let record = record.unwrap();
                let pair = (record.key.map(|key| key.to_vec()), record.value.map(|value| value.to_vec()));
                assert!(records.insert(record.offset.get(), pair).is_none(), "{} twice", record.offset);
            }
        }
        next = read.next_offset;
    }
    records
}

/// Commits everything, gives it up for compaction, and runs one round.
fn compact(log: &mut Log, machine: &SimulatedEnvironment) -> Option<CompactionStats> {
    log.writer.sync().unwrap();
    let end = log.writer.end_index();
    log.reader.advance_committed(end).unwrap();
    log.writer.advance_start(log.reader.log_start_offset(), end).unwrap();
    let plan = log.writer.plan_compaction(machine.now_ms(), DecodeLimits::default())?;
    let compaction = plan.run().unwrap();
    Some(log.writer.install_compaction(compaction).unwrap())
}

/// Checks what a log holds against all that was ever appended: nothing foreign, the last record of every key (a tombstone
/// may be gone), every record without a key.
fn check(found: &Records, model: &Records) {
    let mut last = BTreeMap::new();
    for (offset, (key, value)) in model {
        match key {
            Some(key) => drop(last.insert(key.clone(), (*offset, value.is_none()))),
            None => assert!(found.contains_key(offset), "record {offset} has no key but is gone"),
        }
    }
    for (offset, record) in found {
        assert_eq!(model.get(offset), Some(record), "record {offset}");
    }
    for (key, (offset, is_tombstone)) in last {
        assert!(is_tombstone || found.contains_key(&offset), "the last record {offset} of {key:?} is gone");
    }
}

#[test]
fn last_record_of_every_key_stays_and_ends_never_move() {
    for seed in 0..150 {
        let machine = SimulatedEnvironment::new(seed);
        let mut rng = Rng::new(seed);
        let buffer_bytes = if rng.percent(50) { 1024 } else { 64 * 1024 };
        let mut log = open(&machine, buffer_bytes);
        let mut model = Records::new();
        for _ in 0..6 {
            for _ in 0..20 {
                append_random(&mut log, &machine, &mut rng, &mut model);
            }
            let ends = (log.writer.end_offset(), log.writer.end_index());
            let held = log.reader.read(Offset::new(0), Offset::MAX, 10_000).unwrap();
            while compact(&mut log, &machine).is_some() {}
            assert_eq!((log.writer.end_offset(), log.writer.end_index()), ends);
            drop(held);
            check(&read_all(&log), &model);
            machine.advance(std::time::Duration::from_millis(rng.below(40) * 3_600_000));
            if rng.percent(30) {
                log.writer.close().unwrap();
                log = open(&machine, buffer_bytes);
            }
        }
        let found = read_all(&log);
        assert!(found.len() < model.len() / 2, "seed {seed}: {} of {} records are left", found.len(), model.len());
        let log = open(&machine.crash(seed), buffer_bytes);
        check(&read_all(&log), &model);
    }
}

#[test]
fn a_crash_at_any_step_of_a_round_leaves_every_last_record() {
    let life = |machine: &SimulatedEnvironment, model: &mut Records| {
        let mut rng = Rng::new(7);
        let mut log = open(machine, 64 * 1024);
        for _ in 0..40 {
            append_random(&mut log, machine, &mut rng, model);
        }
        log.writer.sync().unwrap();
        log
    };
    let machine = SimulatedEnvironment::new(1);
    let mut log = life(&machine, &mut Records::new());
    let first = machine.operations();
    compact(&mut log, &machine).unwrap();
    let last = machine.operations();
    drop(log);
    assert!(last - first > 40, "{first} to {last}");

    for number in first..last {
        for point in [CrashPoint::Before, CrashPoint::Torn, CrashPoint::After] {
            let machine = SimulatedEnvironment::new(1);
            let mut model = Records::new();
            let mut log = life(&machine, &mut model);
            machine.crash_at(number, point);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| compact(&mut log, &machine)));
            assert!(outcome.is_err() || machine.is_down(), "operation {number} {point:?} crashed nothing");
            drop(log);
            for seed in 0..3 {
                let machine = machine.crash(seed);
                let mut log = open(&machine, 64 * 1024);
                check(&read_all(&log), &model);
                while compact(&mut log, &machine).is_some() {}
                check(&read_all(&log), &model);
            }
        }
    }
}

#[test]
fn a_tombstone_lives_its_time_from_the_first_compaction_and_then_goes() {
    let machine = SimulatedEnvironment::new(2);
    let mut log = open(&machine, 64 * 1024);
    append(&mut log, machine.now_ms(), Compression::None, &[(Some(b"key"), Some(b"value"))]);
    append(&mut log, machine.now_ms(), Compression::None, &[(Some(b"key"), None)]);
    log.writer.roll().unwrap();
    machine.advance(std::time::Duration::from_millis(10 * DAY_MS.unsigned_abs()));
    let stats = compact(&mut log, &machine).unwrap();
    assert_eq!((stats.superseded_records, stats.expired_tombstones), (1, 0), "however old it is");
    assert_eq!(read_all(&log).len(), 1);

    let mut rounds_until_gone = 0;
    while read_all(&log).contains_key(&1) {
        machine.advance(std::time::Duration::from_millis(DAY_MS.unsigned_abs() / 4));
        append(&mut log, machine.now_ms(), Compression::None, &[(Some(b"other"), Some(b"value"))]);
        log.writer.roll().unwrap();
        compact(&mut log, &machine).unwrap();
        rounds_until_gone += 1;
    }
    assert_eq!(rounds_until_gone, 4, "a day in quarters");
}

#[test]
fn small_segments_are_joined() {
    let machine = SimulatedEnvironment::new(3);
    let mut log = open(&machine, 64 * 1024);
    for _ in 0..30 {
        append(&mut log, machine.now_ms(), Compression::None, &[(Some(b"key"), Some(b"value"))]);
        log.writer.roll().unwrap();
    }
    compact(&mut log, &machine).unwrap();
    assert_eq!(log.reader.segments().len(), 31, "tombstones may wait in any of them");
    machine.advance(std::time::Duration::from_millis(2 * DAY_MS.unsigned_abs()));
    append(&mut log, machine.now_ms(), Compression::None, &[(Some(b"key"), Some(b"value"))]);
    log.writer.roll().unwrap();
    compact(&mut log, &machine).unwrap();
    assert!(log.reader.segments().len() <= 4, "{} segments", log.reader.segments().len());
    assert_eq!(read_all(&log).len(), 1);
    assert_eq!(log.reader.log_end_offset(), Offset::new(31));
}

#[test]
fn a_held_slice_outlives_the_segment_it_was_cut_from() {
    let machine = SimulatedEnvironment::new(4);
    let mut log = open(&machine, 64 * 1024);
    for _ in 0..20 {
        append(&mut log, machine.now_ms(), Compression::None, &[(Some(b"key"), Some(b"value"))]);
    }
    log.writer.roll().unwrap();
    log.reader.advance_committed(RaftIndex::new(20)).unwrap();
    let held = log.reader.read(Offset::new(0), Offset::MAX, u64::MAX).unwrap();
    assert_eq!(held.batches.len(), 20);
    compact(&mut log, &machine).unwrap();
    assert_eq!(read_all(&log).len(), 1);
    for batch in held.batches {
        assert_eq!(batch.verify_crc(), Ok(()));
    }
}

fn planned(log: &mut Log, machine: &SimulatedEnvironment) -> Option<CompactionPlan> {
    log.writer.plan_compaction(machine.now_ms(), DecodeLimits::DEFAULT)
}

/// Appends one record in a segment of its own.
fn append_alone(log: &mut Log, machine: &SimulatedEnvironment, key: &[u8], value: Option<&[u8]>) {
    append(log, machine.now_ms(), Compression::None, &[(Some(key), value)]);
    log.writer.roll().unwrap();
}

fn let_a_day_pass(machine: &SimulatedEnvironment) {
    machine.advance(Duration::from_millis(DAY_MS.unsigned_abs() + 1));
}

/// The old value was kept, since its output could not be installed, but the tombstone behind it went.
#[test]
fn retention_in_the_middle_of_a_round_brings_no_value_back() {
    let machine = SimulatedEnvironment::new(1);
    let mut log = open(&machine, 64 * 1024);
    append_alone(&mut log, &machine, b"other", Some(b"value"));
    append_alone(&mut log, &machine, b"key", Some(b"deleted later"));
    compact(&mut log, &machine);
    let_a_day_pass(&machine);
    append_alone(&mut log, &machine, b"key", None);
    let end = log.writer.end_index();
    log.writer.sync().unwrap();
    log.reader.advance_committed(end).unwrap();
    log.writer.advance_start(Offset::new(0), end).unwrap();
    let compaction = planned(&mut log, &machine).unwrap().run().unwrap();
    log.writer.advance_start(Offset::new(1), end).unwrap();
    assert_eq!(log.writer.install_compaction(compaction).unwrap(), CompactionStats::default());
    for _ in 0..3 {
        let_a_day_pass(&machine);
        append_alone(&mut log, &machine, b"third", Some(b"value"));
        compact(&mut log, &machine);
        assert!(!read_all(&log).contains_key(&1), "the value was deleted: {:?}", read_all(&log));
    }
    assert!(!read_all(&log).contains_key(&2), "the tombstone's time is over");
}

/// A value in a transaction stays, so its tombstone must.
#[test]
fn a_tombstone_behind_a_transaction_stays() {
    let machine = SimulatedEnvironment::new(2);
    let mut log = open(&machine, 64 * 1024);
    let (id, epoch) = (ProducerId::new(1), ProducerEpoch::new(0));
    let producer = ProducerStamp { id, epoch, base_sequence: Some(Sequence::new(0)) };
    let mut builder = BatchBuilder::new(Compression::None).transactional().producer(producer);
    builder.push(&NewRecord { key: Some(b"key"), value: Some(b"deleted later"), ..NewRecord::default() }).unwrap();
    let batch = builder.finish().unwrap().assigned(Offset::new(0), LeaderEpoch::new(1)).unwrap();
    let frame = Frame::data(IDENTITY.seed(), stamp(&log, machine.now_ms()), batch);
    log.writer.append(&[frame]).unwrap();
    append_alone(&mut log, &machine, b"key", None);
    for _ in 0..3 {
        compact(&mut log, &machine);
        let_a_day_pass(&machine);
        append_alone(&mut log, &machine, b"other", Some(b"value"));
    }
    assert!(read_all(&log).contains_key(&0) && read_all(&log).contains_key(&1), "{:?}", read_all(&log));
}

/// The second round wrote over the files of the first, and the log could not be opened any more.
#[test]
fn there_is_one_round_at_a_time() {
    let machine = SimulatedEnvironment::new(3);
    let mut log = open(&machine, 64 * 1024);
    append_alone(&mut log, &machine, b"key", Some(b"value"));
    append_alone(&mut log, &machine, b"key", Some(b"value"));
    let end = log.writer.end_index();
    log.reader.advance_committed(end).unwrap();
    log.writer.advance_start(Offset::new(0), end).unwrap();
    let first = planned(&mut log, &machine).unwrap();
    assert!(planned(&mut log, &machine).is_none(), "one is planned");
    let first = first.run().unwrap();
    assert!(planned(&mut log, &machine).is_none(), "one is to be installed");
    drop(first);
    let first = planned(&mut log, &machine).expect("the last was given up").run().unwrap();
    log.writer.install_compaction(first).unwrap();
    append_alone(&mut log, &machine, b"key", Some(b"value"));
    assert!(compact(&mut log, &machine).is_some());
    assert_eq!(read_all(&log).len(), 1);
}

/// A machine that lost its power right after the manifest of a swap was durable, and the contents of its segments.
fn swapping() -> (SimulatedEnvironment, Vec<(PathBuf, Vec<u8>)>) {
    for operations in 0.. {
        let machine = SimulatedEnvironment::new(1);
        let mut log = open(&machine, 64 * 1024);
        for _ in 0..40 {
            append(&mut log, machine.now_ms(), Compression::None, &[(Some(b"key"), Some(b"value"))]);
        }
        log.writer.sync().unwrap();
        let end = log.writer.end_index();
        log.reader.advance_committed(end).unwrap();
        log.writer.advance_start(Offset::new(0), end).unwrap();
        let compaction = log.writer.plan_compaction(machine.now_ms(), DecodeLimits::default()).unwrap().run().unwrap();
        machine.crash_at(machine.operations() + operations, CrashPoint::After);
        log.writer.install_compaction(compaction).unwrap_err();
        drop(log);
        let machine = machine.crash(1);
        if machine.read_contents(Path::new("/log/compaction")).is_some() {
            let is_segment = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "log");
            let segments = machine.files().into_iter().filter(is_segment);
            return (
                machine.clone(),
                segments.map(|path| (path.clone(), machine.read_contents(&path).unwrap())).collect(),
            );
        }
    }
    unreachable!("a swap has a manifest");
}

fn try_open(machine: &SimulatedEnvironment) -> Result<Log, OpenError> {
    Log::open(Arc::new(machine.clone()), Path::new("/log"), IDENTITY, LogConfig::default())
}

/// The swap was finished first, and only then was the log refused for want of a checkpoint. Found by fuzzing.
#[test]
fn without_a_checkpoint_a_swap_is_left_as_it_is() {
    let (machine, segments) = swapping();
    machine.remove_file(Path::new("/log/checkpoint")).unwrap();
    assert!(matches!(try_open(&machine), Err(OpenError::CheckpointMissing { .. })));
    for (path, contents) in segments {
        assert_eq!(machine.read_contents(&path), Some(contents), "{}", path.display());
    }
}

/// It was reported as an I/O error, which may pass when it is tried again. Found by fuzzing.
#[test]
fn a_compacted_segment_of_another_length_is_damage_and_replaces_nothing() {
    let (machine, segments) = swapping();
    let waiting = machine.files().into_iter().find(|path| path.extension().is_some_and(|ending| ending == "compacted"));
    let waiting = waiting.unwrap();
    let mut contents = machine.read_contents(&waiting).unwrap();
    contents.pop();
    machine.set_contents(&waiting, &contents);
    let Err(OpenError::Damaged(damage)) = try_open(&machine) else { panic!("it was not refused as damaged") };
    let found = contents.len() as u64;
    assert_eq!((damage.path, damage.position_bytes), (waiting, found));
    assert_eq!(damage.fault, Fault::Length { expected: found + 1, found });
    for (path, contents) in segments {
        assert_eq!(machine.read_contents(&path), Some(contents), "{}", path.display());
    }
}
