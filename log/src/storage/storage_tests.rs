//! What a storage thread promises, one promise after the other.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidelog_proto::ids::RaftIndex;

use super::test_logs::{DIR, Record, frame, frames, identity, open, start, values};
use super::{
    Append, Durability, LogHandle, Outcome, Request, ShutdownError, Storage, StorageConfig, SubmitError, outcome,
};
use crate::environment::simulated::{FaultTarget, SimulatedEnvironment};
use crate::environment::{Environment, RealEnvironment};
use crate::{AppendError, Appended, ChainError, Log, LogConfig, LogReader, WriteError};

const SEGMENT_BYTES: u64 = 1 << 20;

/// Every file by itself, and checkpoints out of the way.
fn config() -> StorageConfig {
    StorageConfig { syncfs_files_min: None, checkpoint_interval_ms: 1_000_000, ..StorageConfig::default() }
}

fn one_log(machine: &SimulatedEnvironment, config: &StorageConfig) -> (Storage, LogHandle, LogReader) {
    let (storage, mut logs) = start(machine, config, 1, SEGMENT_BYTES);
    let (handle, reader) = logs.remove(0);
    (storage, handle, reader)
}

fn append(handle: &LogHandle, indexes: std::ops::Range<u64>, durability: Durability) -> Outcome<Appended, AppendError> {
    let (completion, appended) = outcome();
    handle.append(frames(handle, indexes), durability, completion).unwrap();
    appended
}

fn synced(handle: &LogHandle, indexes: std::ops::Range<u64>) -> Outcome<Appended, AppendError> {
    append(handle, indexes, Durability::Synced)
}

/// Checks that every append has succeeded by now.
fn all_ok(outcomes: impl IntoIterator<Item = Outcome<Appended, AppendError>>) {
    for appended in outcomes {
        appended.try_take().unwrap().unwrap();
    }
}

/// Steps tasks this often.
fn steps(machine: &SimulatedEnvironment, count: u64) {
    for _ in 0..count {
        machine.run_one();
    }
}

/// Steps tasks until something has happened.
fn run_until(machine: &SimulatedEnvironment, happened: impl Fn() -> bool) {
    while !happened() {
        assert!(machine.run_one(), "the tasks came to rest before");
    }
}

/// Steps tasks until the sync task, which was at rest, has taken its next job and not yet begun it.
fn run_until_taken(machine: &SimulatedEnvironment) {
    machine.start_trace();
    while !machine.take_trace().iter().any(|line| line == "step storage-sync") {
        assert!(machine.run_one(), "the tasks came to rest before");
    }
}

fn syncs_of(trace: &[String], partition: u32) -> usize {
    let log = identity(partition).dir(Path::new(DIR)).join("00000000000000000000-0.log");
    trace.iter().filter(|line| line.contains(&format!(" sync {}:", log.display()))).count()
}

#[test]
fn an_append_is_completed_after_its_sync_and_a_written_one_before() {
    let machine = SimulatedEnvironment::new(1);
    let (_storage, handle, reader) = one_log(&machine, &config());
    machine.start_trace();
    let written = append(&handle, 0..2, Durability::Written);
    machine.run_until_idle();
    assert_eq!(written.try_take().unwrap().unwrap().end_index, RaftIndex::new(2));
    assert_eq!(syncs_of(&machine.take_trace(), 0), 0);

    let synced = synced(&handle, 2..3);
    machine.run_until_idle();
    assert_eq!(synced.try_take().unwrap().unwrap().end_index, RaftIndex::new(3));
    assert_eq!(syncs_of(&machine.take_trace(), 0), 1);
    assert_eq!(values(&reader), (0, vec![0, 1, 2]));
}

#[test]
fn what_is_written_during_a_sync_waits_for_the_next_one() {
    let machine = SimulatedEnvironment::new(2);
    let (_storage, handle, _) = one_log(&machine, &config());
    let first = synced(&handle, 0..1);
    run_until_taken(&machine);
    let second = synced(&handle, 1..2);
    run_until(&machine, || first.try_take().is_some());
    assert_eq!(syncs_of(&machine.take_trace(), 0), 1);
    assert!(second.try_take().is_none());
    machine.run_until_idle();
    assert_eq!(syncs_of(&machine.take_trace(), 0), 1);
    second.try_take().unwrap().unwrap();
}

#[test]
fn appends_that_wait_together_share_a_write_and_a_sync() {
    let machine = SimulatedEnvironment::new(3);
    let (_storage, logs) = start(&machine, &config(), 3, SEGMENT_BYTES);
    let mut outcomes = Vec::new();
    for index in 0..20 {
        outcomes.extend(logs.iter().map(|(handle, _)| synced(handle, index..index + 1)));
    }
    let before = machine.operations();
    machine.run_until_idle();
    all_ok(outcomes);
    // Of each log one allocation, one write and one sync, for sixty appends.
    assert_eq!(machine.operations() - before, 9);
}

#[test]
fn an_empty_synced_append_makes_durable_what_was_written() {
    let machine = SimulatedEnvironment::new(4);
    let (_storage, handle, _) = one_log(&machine, &config());
    let written = append(&handle, 0..5, Durability::Written);
    let all = synced(&handle, 5..5);
    machine.run_until_idle();
    written.try_take().unwrap().unwrap();
    assert_eq!(all.try_take().unwrap().unwrap().end_index, RaftIndex::new(5));
    let found = open(Arc::new(machine.crash(1)), 0, SEGMENT_BYTES);
    assert_eq!(values(&found.reader).1.len(), 5);
}

#[test]
fn a_failed_sync_ends_its_log_and_no_other_and_is_never_tried_again() {
    let machine = SimulatedEnvironment::new(5);
    let (storage, logs) = start(&machine, &config(), 3, SEGMENT_BYTES);
    let outcomes: Vec<_> = logs.iter().flat_map(|(handle, _)| [synced(handle, 0..1), synced(handle, 1..2)]).collect();
    machine.start_trace();
    machine.fail(FaultTarget::Sync, 1..2);
    machine.run_until_idle();
    let outcomes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.try_take().unwrap()).collect();
    assert!(matches!(&outcomes[2], Err(AppendError::Write(WriteError::Io { .. }))), "{outcomes:?}");
    assert!(matches!(&outcomes[3], Err(AppendError::Write(WriteError::Poisoned))), "{outcomes:?}");
    assert!(outcomes[..2].iter().chain(&outcomes[4..]).all(Result::is_ok), "{outcomes:?}");

    let refused = logs[1].0.append(Vec::new(), Durability::Synced, |_| panic!("it was refused")).unwrap_err();
    assert!(matches!(refused, SubmitError::Poisoned(Request::Append(_))) && !refused.retriable());
    let (completion, closed) = outcome();
    logs[1].0.close(completion).unwrap();
    let others = [synced(&logs[0].0, 2..3), synced(&logs[2].0, 2..3)];
    machine.run_until_idle();
    assert!(matches!(closed.try_take().unwrap(), Err(WriteError::Poisoned)));
    all_ok(others);
    storage.shutdown().unwrap();
    assert_eq!(syncs_of(&machine.take_trace(), 1), 1);
}

#[test]
fn a_failed_write_ends_its_log_and_whoever_waits_for_a_sync_of_it() {
    let machine = SimulatedEnvironment::new(6);
    let (storage, logs) = start(&machine, &config(), 2, SEGMENT_BYTES);
    let (handle, reader) = &logs[0];
    let waiting = synced(handle, 0..1);
    run_until(&machine, || reader.end_index() == RaftIndex::new(1));
    machine.fail(FaultTarget::Write, 0..1);
    let failing = synced(handle, 1..2);
    let behind = synced(handle, 2..3);
    machine.run_until_idle();
    drop(waiting.try_take().unwrap());
    assert!(matches!(failing.try_take().unwrap(), Err(AppendError::Write(WriteError::Io { .. }))));
    assert!(matches!(behind.try_take().unwrap(), Err(AppendError::Write(WriteError::Poisoned))));
    let other = synced(&logs[1].0, 0..1);
    machine.run_until_idle();
    other.try_take().unwrap().unwrap();
    let error = storage.shutdown().unwrap_err();
    assert!(matches!(&error, ShutdownError::Logs(failures) if failures.len() == 1), "{error}");
}

#[test]
fn a_failed_syncfs_ends_every_log() {
    let machine = SimulatedEnvironment::new(7);
    let (_storage, logs) = start(&machine, &StorageConfig { syncfs_files_min: Some(2), ..config() }, 3, SEGMENT_BYTES);
    let outcomes: Vec<_> = logs[..2].iter().map(|(handle, _)| synced(handle, 0..1)).collect();
    machine.start_trace();
    machine.fail(FaultTarget::Sync, 0..1);
    machine.run_until_idle();
    assert!(machine.take_trace().iter().any(|line| line.contains("sync all: Fail")));
    assert!(outcomes.iter().all(|appended| appended.try_take().unwrap().is_err()));
    for (handle, _) in &logs {
        let refused = handle.with_writer(|_| panic!("it was refused")).unwrap_err();
        assert!(matches!(refused, SubmitError::Poisoned(Request::Exclusive(_))));
    }
}

#[test]
fn a_log_whose_writer_was_left_with_something_volatile_is_synced_when_it_is_added() {
    let machine = SimulatedEnvironment::new(8);
    let (storage, _) = start(&machine, &config(), 0, SEGMENT_BYTES);
    let mut log = open(Arc::new(machine.clone()), 0, SEGMENT_BYTES);
    log.writer.append(&[frame(identity(0), 0, 0, 0)]).unwrap();
    machine.fail(FaultTarget::Sync, 0..1);
    let handle = storage.add(log.writer).unwrap();
    machine.run_until_idle();
    assert!(matches!(handle.with_writer(|_| ()), Err(SubmitError::Poisoned(_))));
    let (completion, closed) = outcome();
    handle.close(completion).unwrap();
    machine.run_until_idle();
    assert!(matches!(closed.try_take().unwrap(), Err(WriteError::Io { .. })), "the cause is not lost");
}

#[test]
fn a_refused_append_fails_alone_and_in_its_turn() {
    let machine = SimulatedEnvironment::new(9);
    let (_storage, handle, reader) = one_log(&machine, &config());
    let record = Record::default();
    let foreign = frame(identity(9), 2, 2, 0);
    let requests = [
        frames(&handle, 0..2),
        vec![foreign],
        frames(&handle, 7..8),
        frames(&handle, 2..4),
        Vec::new(),
        frames(&handle, 4..5),
    ];
    for (number, frames) in (0..).zip(requests) {
        handle.append(frames, Durability::Synced, record.note(number)).unwrap();
    }
    machine.run_until_idle();
    assert_eq!(record.take(), [(0, true), (1, false), (2, false), (3, true), (4, true), (5, true)]);
    assert_eq!(values(&reader), (0, (0..5).collect()));
}

#[test]
fn on_a_full_disk_each_append_gets_the_answer_that_it_would_have_got_alone() {
    let machine = SimulatedEnvironment::new(10);
    let (_storage, logs) = start(&machine, &config(), 1, 4096);
    let (handle, reader) = &logs[0];
    // Fills one page and needs another one for a segment of its own.
    let padded = |indexes: std::ops::Range<u64>| -> Vec<_> {
        indexes.map(|index| frame(handle.identity(), index, index, 900)).collect()
    };
    machine.set_capacity_bytes(0);
    let free = machine.free_bytes(Path::new(DIR)).unwrap();
    assert_eq!(free, 0);
    let outcomes: Vec<_> = [0..1, 1..4, 4..6, 6..7]
        .into_iter()
        .map(|indexes| {
            let (completion, appended) = outcome();
            handle.append(padded(indexes), Durability::Synced, completion).unwrap();
            appended
        })
        .collect();
    machine.run_until_idle();
    let outcomes: Vec<_> = outcomes.into_iter().map(|appended| appended.try_take().unwrap()).collect();
    assert!(outcomes[0].is_ok() && outcomes[1].is_ok(), "{outcomes:?}");
    assert!(matches!(outcomes[2], Err(AppendError::DiskFull { appended: 0, .. })), "{outcomes:?}");
    assert!(matches!(outcomes[3], Err(AppendError::Chain { error: ChainError::Index { .. }, .. })), "{outcomes:?}");
    machine.set_capacity_bytes(u64::MAX);
    let again = synced(handle, 4..6);
    machine.run_until_idle();
    again.try_take().unwrap().unwrap();
    assert_eq!(values(reader), (0, (0..6).collect()));
}

#[test]
fn a_full_queue_gives_the_request_back_and_leaves_room_for_other_logs() {
    let machine = SimulatedEnvironment::new(11);
    let bytes = frame(identity(0), 0, 0, 0).frame_bytes() as u64;
    for config in
        [StorageConfig { queue_bytes_max: bytes * 8, ..config() }, StorageConfig { queue_requests_max: 8, ..config() }]
    {
        let machine = machine.crash(1);
        let (storage, logs) = start(&machine, &config, 5, SEGMENT_BYTES);
        let mut outcomes = Vec::new();
        for (handle, _) in &logs[..4] {
            outcomes.extend([synced(handle, 0..1), synced(handle, 1..2)]);
            let refused = handle.append(frames(handle, 2..3), Durability::Synced, |_| panic!("refused")).unwrap_err();
            assert!(refused.retriable(), "{refused}");
            let Request::Append(Append { frames, .. }) = refused.into_request() else { panic!("it was an append") };
            assert_eq!(frames[0].stamp().index, RaftIndex::new(2));
        }
        // No log has more than its share, but all of it is taken. A close is taken nevertheless.
        assert!(matches!(logs[4].0.with_writer(|_| ()), Err(SubmitError::Full(_))));
        logs[4].0.close(Result::unwrap).unwrap();
        assert!(matches!(logs[4].0.with_writer(|_| ()), Err(SubmitError::Closed(_))));
        machine.run_until_idle();
        all_ok(outcomes);
        let again = synced(&logs[0].0, 2..3);
        machine.run_until_idle();
        again.try_take().unwrap().unwrap();
        storage.shutdown().unwrap();
    }
}

#[test]
fn an_append_larger_than_the_queue_is_taken_when_nothing_waits() {
    let machine = SimulatedEnvironment::new(12);
    let config = StorageConfig { queue_bytes_max: 10, round_bytes_max: 1, ..config() };
    let (_storage, handle, _) = one_log(&machine, &config);
    let large = synced(&handle, 0..50);
    assert!(matches!(handle.with_writer(|_| ()), Err(SubmitError::Full(_))));
    machine.run_until_idle();
    large.try_take().unwrap().unwrap();
}

#[test]
fn a_busy_log_does_not_keep_others_waiting() {
    let machine = SimulatedEnvironment::new(13);
    let (_storage, logs) = start(&machine, &config(), 2, 1 << 30);
    let record = Record::default();
    let large = 700 * 1024;
    for index in 0..22 {
        let frame = frame(logs[0].0.identity(), index, index, large);
        logs[0].0.append(vec![frame], Durability::Synced, record.note(index)).unwrap();
    }
    logs[1].0.append(frames(&logs[1].0, 0..1), Durability::Synced, record.note(100)).unwrap();
    machine.run_until_idle();
    let place = record.take().iter().position(|(number, _)| *number == 100).unwrap();
    // What fits into one round with it.
    assert!(place <= 13, "it waited for {place} appends of the other log");
}

#[test]
fn a_truncation_waits_for_the_sync_under_way_and_later_appends_for_the_truncation() {
    for seed in 0..200 {
        let machine = SimulatedEnvironment::new(seed);
        let (_storage, handle, reader) = one_log(&machine, &config());
        let record = Record::default();
        handle.append(frames(&handle, 0..4), Durability::Synced, record.note(0)).unwrap();
        steps(&machine, seed % 7);
        handle.append(frames(&handle, 4..5), Durability::Synced, record.note(1)).unwrap();
        handle.truncate_suffix(RaftIndex::new(2), record.note(2)).unwrap();
        let anew = vec![frame(handle.identity(), 2, 77, 0)];
        handle.append(anew, Durability::Synced, record.note(3)).unwrap();
        machine.run_until_idle();
        assert_eq!(record.take(), [(0, true), (1, true), (2, true), (3, true)], "seed {seed}");
        assert_eq!(values(&reader), (0, vec![0, 1, 77]), "seed {seed}");
        let found = open(Arc::new(machine.crash(seed)), 0, SEGMENT_BYTES);
        assert_eq!(values(&found.reader), (0, vec![0, 1, 77]), "seed {seed}");
    }
}

#[test]
fn closing_a_log_drains_it_and_the_next_opening_is_clean() {
    let machine = SimulatedEnvironment::new(14);
    let (storage, handle, _) = one_log(&machine, &config());
    let record = Record::default();
    handle.append(frames(&handle, 0..3), Durability::Synced, record.note(0)).unwrap();
    handle.append(frames(&handle, 3..5), Durability::Written, record.note(1)).unwrap();
    handle.close(record.note(2)).unwrap();
    assert!(matches!(handle.with_writer(|_| ()), Err(SubmitError::Closed(_))));
    machine.run_until_idle();
    assert_eq!(record.take(), [(0, true), (1, true), (2, true)]);
    let log = open(Arc::new(machine.clone()), 0, SEGMENT_BYTES);
    assert!(log.report.clean);
    // It may come back to the same storage thread.
    let handle = storage.add(log.writer).unwrap();
    handle.append(frames(&handle, 5..6), Durability::Synced, record.note(3)).unwrap();
    storage.shutdown().unwrap();
    assert_eq!(record.take(), [(3, true)]);
}

#[test]
fn shutting_down_does_what_was_taken_and_closes_every_log() {
    for seed in 0..50 {
        let machine = SimulatedEnvironment::new(seed);
        let (storage, logs) = start(&machine, &StorageConfig { round_bytes_max: 100, ..config() }, 4, 512);
        let outcomes: Vec<_> =
            (0..10).flat_map(|index| logs.iter().map(move |(handle, _)| synced(handle, index..index + 1))).collect();
        steps(&machine, seed);
        storage.shutdown().unwrap();
        all_ok(outcomes);
        assert!(!machine.run_one(), "both tasks are done");
        assert!(matches!(logs[0].0.with_writer(|_| ()), Err(SubmitError::Closed(_))));
        for partition in 0..4 {
            let log = open(Arc::new(machine.crash(seed)), partition, 512);
            assert!(log.report.clean);
            assert_eq!(values(&log.reader), (0, (0..10).collect()));
        }
    }
}

#[test]
fn dropping_the_storage_waits_for_nothing_and_loses_nothing() {
    let machine = SimulatedEnvironment::new(15);
    let (storage, handle, _) = one_log(&machine, &config());
    let appended = synced(&handle, 0..3);
    drop(storage);
    assert!(appended.try_take().is_none());
    assert!(matches!(handle.with_writer(|_| ()), Err(SubmitError::Closed(_))));
    machine.run_until_idle();
    appended.try_take().unwrap().unwrap();
    assert!(open(Arc::new(machine.clone()), 0, SEGMENT_BYTES).report.clean);
}

#[test]
fn nobody_waits_for_a_storage_thread_that_is_gone() {
    let machine = SimulatedEnvironment::new(16);
    let (storage, handle, _) = one_log(&machine, &config());
    let appended = synced(&handle, 0..1);
    machine.power_off();
    assert!(appended.wait().is_none());
    assert!(matches!(handle.with_writer(|_| ()), Err(SubmitError::Closed(_))));
    let log = open(Arc::new(machine.crash(1)), 0, SEGMENT_BYTES);
    assert!(storage.add(log.writer).is_err());
    assert!(matches!(storage.shutdown(), Err(ShutdownError::Panicked)));
}

#[test]
fn a_completion_that_panics_ends_the_storage_thread_and_not_its_callers() {
    let machine = SimulatedEnvironment::new(17);
    let (storage, handle, _) = one_log(&machine, &config());
    handle.with_writer(|_| panic!("on purpose, in a test")).unwrap();
    let behind = synced(&handle, 0..1);
    assert!(catch_unwind(AssertUnwindSafe(|| machine.run_until_idle())).is_err());
    machine.run_until_idle();
    assert!(behind.wait().is_none());
    assert!(matches!(handle.with_writer(|_| ()), Err(SubmitError::Closed(_))));
    assert!(matches!(storage.shutdown(), Err(ShutdownError::Panicked)));
}

#[test]
fn a_completion_may_submit_the_next_request() {
    let machine = SimulatedEnvironment::new(18);
    let (_storage, handle, reader) = one_log(&machine, &config());
    append_on(handle, 0, 1);
    run_until(&machine, || reader.end_index() == RaftIndex::new(10));
    assert_eq!(values(&reader), (0, (0..10).collect()));
    machine.power_off();
}

#[test]
fn a_changed_log_notes_what_is_durable_when_it_is_due_and_an_idle_one_does_nothing() {
    let machine = SimulatedEnvironment::new(19);
    let config = StorageConfig { checkpoint_interval_ms: 1000, ..config() };
    let (storage, logs) = start(&machine, &config, 2, SEGMENT_BYTES);
    let appended = synced(&logs[0].0, 0..3);
    machine.run_until_idle();
    appended.try_take().unwrap().unwrap();
    let tick = |after_ms: u64| {
        machine.advance(Duration::from_millis(after_ms));
        let before = machine.operations();
        storage.tick();
        machine.run_until_idle();
        machine.operations() - before
    };
    assert_eq!(tick(999), 0);
    assert!(tick(1) > 0, "the checkpoint");
    assert_eq!(tick(5000), 0);

    // What was noted is never cut: its loss is damage, not a torn tail.
    let log = identity(0).dir(Path::new(DIR)).join("00000000000000000000-0.log");
    let crashed = machine.crash(1);
    crashed.flip_bit(&log, 64 + 30, 0);
    let identity = identity(0);
    let opened = Log::open(Arc::new(crashed), &identity.dir(Path::new(DIR)), identity, LogConfig::default());
    assert!(matches!(opened, Err(crate::OpenError::Damaged(_))), "{opened:?}");
}

/// Appends one entry, and another one this many further whenever one is synced, for ever.
fn append_on(handle: LogHandle, index: u64, in_flight: u64) {
    let frames = frames(&handle, index..index + 1);
    let next = handle.clone();
    // Refused when the machine stops.
    let _ = handle.append(frames, Durability::Synced, move |outcome| {
        if outcome.is_ok() {
            append_on(next, index + in_flight, in_flight);
        }
    });
}

#[test]
fn checkpoints_come_while_rounds_never_cease_and_do_not_crowd_them_out() {
    let machine = SimulatedEnvironment::new(20);
    let config = StorageConfig { checkpoint_interval_ms: 1000, ..config() };
    let (_storage, logs) = start(&machine, &config, 8, SEGMENT_BYTES);
    for (handle, _) in &logs {
        (0..3).for_each(|index| append_on(handle.clone(), index, 3));
    }
    machine.start_trace();
    for _ in 0..20_000 {
        machine.advance(Duration::from_millis(1));
        machine.run_one();
    }
    let trace = machine.take_trace();
    let checkpoints = trace.iter().filter(|line| line.contains("rename")).count();
    let written = logs.iter().map(|(_, reader)| reader.end_index().get()).sum::<u64>();
    assert!((80..=8 * 20).contains(&checkpoints), "{checkpoints} checkpoints of 8 logs in 20 intervals");
    assert!(written > 3000, "{written} entries");
    machine.power_off();
}

#[test]
fn a_checkpoint_that_found_no_space_is_tried_again() {
    let machine = SimulatedEnvironment::new(23);
    let config = StorageConfig { checkpoint_interval_ms: 1000, ..config() };
    let (storage, handle, _) = one_log(&machine, &config);
    let appended = synced(&handle, 0..3);
    machine.run_until_idle();
    appended.try_take().unwrap().unwrap();
    let checkpoints = |capacity_bytes| {
        machine.set_capacity_bytes(capacity_bytes);
        machine.advance(Duration::from_secs(1));
        machine.start_trace();
        storage.tick();
        machine.run_until_idle();
        machine.take_trace().iter().filter(|line| line.contains("rename")).count()
    };
    assert_eq!(checkpoints(0), 0);
    assert_eq!(checkpoints(u64::MAX), 1);
    let appended = synced(&handle, 3..4);
    machine.run_until_idle();
    appended.try_take().unwrap().unwrap();
}

#[test]
fn a_segment_is_not_sealed_while_a_sync_of_it_is_under_way() {
    for seed in 0..50 {
        let machine = SimulatedEnvironment::new(seed);
        let (_storage, logs) = start(&machine, &config(), 1, 512);
        let (handle, reader) = &logs[0];
        machine.start_trace();
        let first = synced(handle, 0..1);
        run_until(&machine, || reader.end_index() == RaftIndex::new(1));
        let rolling: Vec<_> = (1..20).map(|index| synced(handle, index..index + 1)).collect();
        machine.run_until_idle();
        all_ok(rolling.into_iter().chain([first]));
        let trace = machine.take_trace();
        let place = |what: &str| trace.iter().position(|line| line.contains(what) && line.contains("-0.log")).unwrap();
        assert!(place(" sync ") < place(" set length "), "seed {seed}");
    }
}

#[test]
fn the_next_round_is_written_while_a_sync_is_under_way() {
    let is_written_before_sync = |seed| {
        let machine = SimulatedEnvironment::new(seed);
        // Each append fills a round.
        let (_storage, logs) = start(&machine, &StorageConfig { round_bytes_max: 1, ..config() }, 2, SEGMENT_BYTES);
        machine.start_trace();
        let outcomes = [synced(&logs[0].0, 0..1), synced(&logs[1].0, 0..1)];
        run_until(&machine, || logs[1].1.end_index() == RaftIndex::new(1));
        let is_synced = syncs_of(&machine.take_trace(), 0) > 0;
        machine.run_until_idle();
        all_ok(outcomes);
        !is_synced
    };
    assert!((0..50).any(is_written_before_sync));
}

#[test]
fn a_full_round_waits_for_the_sync_before_it() {
    for seed in 0..50 {
        let machine = SimulatedEnvironment::new(seed);
        let (_storage, handle, reader) = one_log(&machine, &StorageConfig { round_bytes_max: 100, ..config() });
        let first = synced(&handle, 0..1);
        run_until_taken(&machine);
        // It fills the round behind the first.
        let second = synced(&handle, 1..5);
        run_until(&machine, || reader.end_index() == RaftIndex::new(5));
        let third = synced(&handle, 5..6);
        run_until(&machine, || reader.end_index() == RaftIndex::new(6));
        assert!(syncs_of(&machine.take_trace(), 0) >= 1, "seed {seed}");
        machine.run_until_idle();
        all_ok([first, second, third]);
    }
}

#[test]
fn what_was_only_written_becomes_durable_within_the_checkpoint_interval() {
    let machine = SimulatedEnvironment::new(21);
    let config = StorageConfig { checkpoint_interval_ms: 1000, ..config() };
    let (storage, handle, _) = one_log(&machine, &config);
    let written = append(&handle, 0..3, Durability::Written);
    machine.run_until_idle();
    written.try_take().unwrap().unwrap();
    machine.advance(Duration::from_secs(1));
    storage.tick();
    machine.run_until_idle();
    for seed in 0..20 {
        let found = open(Arc::new(machine.crash(seed)), 0, SEGMENT_BYTES);
        assert_eq!(values(&found.reader), (0, vec![0, 1, 2]));
    }
}

#[test]
fn much_that_was_only_written_is_synced_without_being_asked() {
    let machine = SimulatedEnvironment::new(22);
    let (_storage, logs) = start(&machine, &config(), 1, 1 << 30);
    let (handle, _) = &logs[0];
    machine.start_trace();
    for index in 0..40 {
        let frame = frame(handle.identity(), index, index, 1 << 20);
        handle.append(vec![frame], Durability::Written, |outcome| assert!(outcome.is_ok())).unwrap();
        machine.run_until_idle();
    }
    assert_eq!(syncs_of(&machine.take_trace(), 0), 1);
}

#[test]
fn threads_and_disks_of_this_machine_do_the_same() {
    const LOGS: u32 = 12;
    const APPENDS: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let environment: Arc<dyn Environment> = Arc::new(RealEnvironment::new());
    let open = |partition| {
        let config = LogConfig { segment_bytes: 4096, ..LogConfig::default() };
        let identity = identity(partition);
        Log::open(Arc::clone(&environment), &identity.dir(dir.path()), identity, config).unwrap()
    };
    let config = StorageConfig { syncfs_files_min: Some(4), ..StorageConfig::default() };
    let storage = Storage::start(Arc::clone(&environment), dir.path(), config).unwrap();
    let handles: Vec<_> = (0..LOGS).map(|partition| storage.add(open(partition).writer).unwrap()).collect();
    let orders = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for handle in &handles {
            scope.spawn(|| {
                let record = Record::default();
                for index in 0..APPENDS {
                    handle.append(frames(handle, index..index + 1), Durability::Synced, record.note(index)).unwrap();
                }
                synced(handle, APPENDS..APPENDS).wait().unwrap().unwrap();
                orders.lock().unwrap().push(record.take());
            });
        }
    });
    let in_order: Vec<_> = (0..APPENDS).map(|index| (index, true)).collect();
    assert!(orders.into_inner().unwrap().iter().all(|order| *order == in_order));
    storage.shutdown().unwrap();
    for partition in 0..LOGS {
        let log = open(partition);
        assert!(log.report.clean);
        assert_eq!(values(&log.reader), (0, (0..APPENDS).collect()));
    }
}
