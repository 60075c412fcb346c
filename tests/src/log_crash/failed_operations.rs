//! Operations that the machine fails, each once, one after another: what was acknowledged is never lost, and a log that
//! does not know what is on its disk any more does nothing until it is opened again.

use std::io;

use tidelog_log::environment::simulated::FaultTarget;
use tidelog_log::{AppendError, CompactionError, OpenError, ReadError, SmallFileError, WriteError};

use super::script::{SEGMENT_BYTES, STEPS, unborn};
use crate::log_fixture::tracked_log::{Ending, Failure, Step, TrackedLog};

const POWER_CUTS: u64 = 3;

#[test]
fn a_failed_write_poisons_the_log_and_loses_nothing_acknowledged() {
    fail_one_after_another(FaultTarget::Write);
}

#[test]
fn a_failed_sync_poisons_the_log_and_is_never_repeated() {
    fail_one_after_another(FaultTarget::Sync);
}

#[test]
fn a_failed_allocation_or_cut_poisons_the_log_and_loses_nothing_acknowledged() {
    fail_one_after_another(FaultTarget::Resize);
}

#[test]
fn a_failed_create_rename_or_remove_poisons_the_log_and_loses_nothing_acknowledged() {
    fail_one_after_another(FaultTarget::Name);
}

#[test]
fn a_failed_read_changes_nothing() {
    fail_one_after_another(FaultTarget::Read);
}

/// Lives the same life again and again; the first time the first operation of a kind fails, then the second, and so on.
fn fail_one_after_another(target: FaultTarget) {
    for segment_bytes in SEGMENT_BYTES {
        let mut number = 0;
        while fail_one(segment_bytes, target, number) {
            number += 1;
        }
        assert!(number > 20, "{number} failures are too few to be proof");
    }
}

/// Lives a life whose operation `number` of a kind fails; tells whether there was one.
fn fail_one(segment_bytes: u64, target: FaultTarget, number: u64) -> bool {
    let mut tracked = unborn(segment_bytes);
    tracked.reads_may_fail = target == FaultTarget::Read;
    tracked.machine.start_trace();
    tracked.machine.fail(target, number..number + 1);
    let has_failed = live_on(&mut tracked, target);
    let trace = tracked.machine.take_trace();
    let fault = trace.iter().find(|line| line.ends_with(": Fail"));
    let Some(fault) = fault else {
        assert!(!has_failed, "{number}: a failure without a fault");
        return false;
    };
    // A read may give what it found before the place that could not be read.
    assert!(has_failed || target == FaultTarget::Read, "{number}: a failure was passed over: {fault}");
    check_refusals(&mut tracked);
    check_readers(&mut tracked);
    check_endings(&tracked, fault.contains("sync directory"));
    true
}

/// Lives the life on through a failure that changes nothing, or to one that ends it; tells whether there was one.
fn live_on(tracked: &mut TrackedLog, target: FaultTarget) -> bool {
    let mut has_failed = false;
    if let Err(failure) = tracked.open(Ending::PowerCut) {
        check_failure(&failure);
        if target != FaultTarget::Read {
            return true;
        }
        has_failed = true;
        tracked.open(Ending::Killed).unwrap_or_else(|failure| panic!("it fails once only: {failure}"));
    }
    for step in STEPS {
        let Err(failure) = tracked.take(step) else { continue };
        assert!(!has_failed, "it fails once only: {step:?}: {failure}");
        check_failure(&failure);
        has_failed = true;
        let again = match &tracked.log {
            Some(log) if log.writer.is_poisoned() => break,
            Some(_) => {
                assert!(changes_nothing(step, target), "{step:?} failed, but the log goes on: {failure}");
                tracked.check_ends();
                // Later steps build on it.
                tracked.take(step)
            }
            None if target == FaultTarget::Read => tracked.open(Ending::Killed),
            None => break,
        };
        again.unwrap_or_else(|failure| panic!("it fails once only: {step:?}: {failure}"));
    }
    has_failed
}

/// Tells whether a failed step leaves the log as it was.
fn changes_nothing(step: Step, target: FaultTarget) -> bool {
    target == FaultTarget::Read || matches!(step, Step::Compact(_))
}

/// Checks that a failure is the one that was injected, as it came from the machine.
fn check_failure(failure: &Failure) {
    let error: &io::Error = match failure {
        Failure::Open(OpenError::Io { error, .. } | OpenError::Write(WriteError::Io { error, .. }))
        | Failure::Open(OpenError::SmallFile(SmallFileError::Io { error, .. }))
        | Failure::Append(AppendError::Write(WriteError::Io { error, .. }))
        | Failure::Write(WriteError::Io { error, .. })
        | Failure::Read(ReadError::Io { error, .. })
        | Failure::Compaction(CompactionError::Io { error, .. }) => error,
        other => panic!("an I/O error came out as: {other:?}"),
    };
    assert_eq!(error.raw_os_error(), Some(5), "{error}");
}

/// Checks that a poisoned log refuses everything without touching the disk.
fn check_refusals(tracked: &mut TrackedLog) {
    let operations = tracked.machine.operations();
    let end = tracked.model.end_index();
    let frames = tracked.maker.frames(&tracked.model, 2, 0);
    let Some(log) = &mut tracked.log else { return };
    if !log.writer.is_poisoned() {
        return;
    }
    let writer = &mut log.writer;
    let start = (log.reader.log_start_offset(), log.reader.raft_start());
    let refusals = [
        writer.append(&frames).map(drop).map_err(|error| match error {
            AppendError::Write(error) => error,
            error => panic!("{error}"),
        }),
        writer.sync(),
        writer.roll(),
        writer.write_checkpoint(),
        writer.truncate_suffix(end),
        writer.advance_start(start.0, start.1),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Err(WriteError::Poisoned)), "{refusal:?}");
    }
    assert_eq!(tracked.machine.operations(), operations, "a poisoned log touches the disk");
}

/// Checks that readers of a poisoned log go on, and see nothing that was not written.
fn check_readers(tracked: &mut TrackedLog) {
    let Some(log) = tracked.log.as_ref().filter(|log| log.writer.is_poisoned()) else { return };
    let (start, end) = (log.reader.raft_start(), log.reader.end_index());
    let found = log.reader.read_entries(start, end, u64::MAX).unwrap_or_else(|error| panic!("a reader fails: {error}"));
    assert_eq!(start + found.len() as u64, end, "entries are missing");
    let expected = &tracked.model.entries[tracked.model.number_of(start)..];
    assert!(expected.iter().map(|entry| &entry.frame).take(found.len()).eq(&found), "entries that were not written");
}

/// Ends the life in every way, and checks what is left.
fn check_endings(tracked: &TrackedLog, of_directory: bool) {
    for seed in 1..=POWER_CUTS {
        let mut next = tracked.next_life(Ending::PowerCut, seed);
        next.open_and_go_on(Ending::PowerCut).unwrap_or_else(|failure| panic!("power cut {seed}: {failure}"));
    }
    let mut next = tracked.next_life(Ending::Killed, 0);
    next.open(Ending::Killed).unwrap_or_else(|failure| panic!("killed: {failure}"));
    // A directory that could not be synced once never can be again, as on a file system that has aborted its journal.
    if !of_directory {
        next.take(Step::Append(2)).and_then(|()| next.take(Step::Sync)).unwrap_or_else(|failure| panic!("{failure}"));
        next.take(Step::PowerCut).unwrap_or_else(|failure| panic!("killed, then power cut: {failure}"));
    }
}
