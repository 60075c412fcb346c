//! A disk that is full at any byte of a life: a typed refusal, nothing half visible, and the log goes on as soon as there
//! is space again.

use std::io;

use tidelog_log::environment::Environment;
use tidelog_log::{AppendError, CompactionError, OpenError, ReadError, SmallFileError, WriteError};

use super::script::{SEGMENT_BYTES, STEPS, unborn};
use crate::log_fixture::DIR;
use crate::log_fixture::seeds::SeededTest;
use crate::log_fixture::tracked_log::{Ending, Failure, Step, TrackedLog};

/// More than any life here needs.
const AMPLE_BYTES: u64 = 1 << 40;

const PAGE_BYTES: u64 = 4_096;

#[test]
fn a_full_disk_is_refused_by_name_and_forgotten_once_there_is_space() {
    let cases: Vec<(u64, u64, usize)> = SEGMENT_BYTES
        .into_iter()
        .flat_map(|segment_bytes| {
            let pages = pages_needed(segment_bytes);
            let from_the_start = (0..pages).map(move |pages| (segment_bytes, pages, 0));
            // Full from a step on: what is free then is taken away but for a few pages.
            let later = (0..STEPS.len()).flat_map(move |step| (0..12).map(move |pages| (segment_bytes, pages, step)));
            from_the_start.chain(later)
        })
        .collect();
    let test = SeededTest {
        name: "log_crash::full_disk::a_full_disk_is_refused_by_name_and_forgotten_once_there_is_space",
        seeds: cases.len() as u64,
        count_variable: None,
    };
    test.run(|number| {
        let (segment_bytes, free_pages, from_step) = cases[usize::try_from(number).expect("it numbers a case")];
        fill(segment_bytes, free_pages, from_step);
    });
}

/// Lives the life with so many pages free from a step on, and with ample space after the first refusal.
fn fill(segment_bytes: u64, free_pages: u64, from_step: usize) {
    let mut tracked = unborn(segment_bytes);
    if from_step == 0 {
        tracked.machine.set_capacity_bytes(free_pages * PAGE_BYTES);
    }
    if let Err(failure) = tracked.open(Ending::PowerCut) {
        check_failure(&failure);
        tracked.machine.set_capacity_bytes(AMPLE_BYTES);
        tracked.open(Ending::Killed).unwrap_or_else(|failure| panic!("there is space again: {failure}"));
    }
    for (number, step) in STEPS.into_iter().enumerate() {
        if number == from_step && from_step > 0 {
            tracked.machine.set_capacity_bytes(used_bytes(&tracked) + free_pages * PAGE_BYTES);
        }
        let Err(failure) = tracked.take(step) else { continue };
        check_failure(&failure);
        go_on(&mut tracked, step, &failure);
    }
    tracked.machine.set_capacity_bytes(AMPLE_BYTES);
    tracked
        .take(Step::ReadAll)
        .and_then(|()| tracked.take(Step::PowerCut))
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// Checks what a refused step left, gives the disk space and takes the step again.
fn go_on(tracked: &mut TrackedLog, step: Step, failure: &Failure) {
    if tracked.log.is_some() {
        assert!(!tracked.log().writer.is_poisoned(), "{step:?} poisoned the log: {failure}");
        tracked.check_everything().unwrap_or_else(|failure| panic!("reads go on on a full disk: {failure}"));
    }
    tracked.machine.set_capacity_bytes(AMPLE_BYTES);
    let outcome = match tracked.log {
        Some(_) => tracked.take(step),
        // It could not be closed in order, so it is opened as after the end of its process.
        None => tracked.open(Ending::Killed),
    };
    outcome.unwrap_or_else(|failure| panic!("{step:?}, but there is space again: {failure}"));
}

fn check_failure(failure: &Failure) {
    let error: &io::Error = match failure {
        Failure::Append(AppendError::DiskFull { .. } | AppendError::Write(WriteError::DiskFull { .. }))
        | Failure::Write(WriteError::DiskFull { .. })
        | Failure::Open(OpenError::Write(WriteError::DiskFull { .. })) => return,
        Failure::Open(OpenError::Io { error, .. } | OpenError::SmallFile(SmallFileError::Io { error, .. }))
        | Failure::Read(ReadError::Io { error, .. })
        | Failure::Compaction(CompactionError::Io { error, .. }) => error,
        other => panic!("a full disk came out as: {other:?}"),
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
}

/// Tells how much of the disk is in use.
fn used_bytes(tracked: &TrackedLog) -> u64 {
    let free = tracked.machine.free_bytes(DIR.as_ref()).expect("the directory exists");
    AMPLE_BYTES.saturating_sub(free)
}

/// Counts the pages that the whole life needs at most.
fn pages_needed(segment_bytes: u64) -> u64 {
    let mut tracked = unborn(segment_bytes);
    tracked.open(Ending::PowerCut).unwrap_or_else(|failure| panic!("{failure}"));
    let mut used = 0;
    for step in STEPS {
        tracked.take(step).unwrap_or_else(|failure| panic!("{failure}"));
        used = used.max(used_bytes(&tracked));
    }
    used / PAGE_BYTES
}
