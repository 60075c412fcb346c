//! One script, ended at each of its operations, failed at each of its requests, and run on a full disk.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use tidelog_log::environment::Environment;
use tidelog_log::environment::simulated::{CrashPoint, FaultTarget, SimulatedEnvironment};
use tidelog_proto::ids::RaftIndex;

use super::test_journals::{
    Asked, DIR, SMALL, TrackedJournal, group, has_lost_names, machine_with_journal, open, purge_mark, vote,
};
use super::{Journal, LIMITS, OpenError, create};

/// How many losses of power are tried after each crash.
const POWER_SEEDS: u64 = 8;

/// Groups whose records span several sectors.
const MANY_GROUPS: u32 = 40;

/// Two lives: opened, voted, files taken turns, ticked, shut down; opened again, and voted once more.
fn run_script(machine: &SimulatedEnvironment) -> TrackedJournal {
    let life = TrackedJournal::unopened(machine.duplicate());
    let mut life = life.next_life(machine.clone(), SMALL);
    for term in 0..7 {
        for number in 0..2 {
            life.ask(Asked::Vote(group(number), vote(term)));
        }
        life.ask(Asked::Committed(group(1), RaftIndex::new(term)));
        if term == 3 {
            life.ask(Asked::Purged(group(1), purge_mark(30)));
            life.ask(Asked::Removed(group(0)));
        }
        if term % 2 == 0 {
            life.tick();
        }
        life.settle();
    }
    life.shutdown();
    let mut life = life.next_life(machine.clone(), SMALL);
    life.ask(Asked::Vote(group(1), vote(100)));
    life.settle();
    life
}

fn machine() -> SimulatedEnvironment {
    machine_with_journal(1)
}

#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_completed() {
    let whole = machine();
    let first = whole.operations();
    whole.start_trace();
    run_script(&whole);
    let retired = whole.take_trace().iter().filter(|line| line.contains("at 0, 64 bytes")).count();
    assert!(retired >= 4, "the files take turns in the script: {retired}");
    for operation in first..whole.operations() {
        for point in [CrashPoint::Before, CrashPoint::Torn, CrashPoint::After] {
            for seed in 0..POWER_SEEDS {
                let machine = machine();
                machine.crash_at(operation, point);
                let life = run_script(&machine);
                assert!(machine.is_down());
                let next = life.next_life(machine.crash(operation * POWER_SEEDS + seed), SMALL);
                assert!(next.is_open(), "operation {operation} {point:?}");
                next.machine.power_off();
            }
        }
    }
}

#[test]
fn what_a_tick_wrote_and_the_disk_lost_is_no_damage() {
    for seed in 0..200 {
        let machine = machine_with_journal(seed);
        let mut life = TrackedJournal::unopened(machine.duplicate()).next_life(machine.clone(), LIMITS);
        (0..MANY_GROUPS).for_each(|number| assert!(life.ask(Asked::Vote(group(number), vote(1)))));
        life.settle();
        (0..MANY_GROUPS).for_each(|number| assert!(life.ask(Asked::Committed(group(number), RaftIndex::new(7)))));
        life.tick();
        life.settle();
        // The write, and then the sync that never comes.
        machine.crash_at(machine.operations() + 1, CrashPoint::Before);
        life.ask(Asked::Vote(group(0), vote(2)));
        life.settle();
        let next = life.next_life(machine.crash(seed), LIMITS);
        assert!(next.is_open());
        next.machine.power_off();
    }
}

#[test]
fn a_crash_while_a_journal_is_made_leaves_none_or_a_whole_one() {
    let make = |machine: &SimulatedEnvironment| create(machine, Path::new(DIR));
    let empty = || {
        let machine = SimulatedEnvironment::new(1);
        machine.create_dir_all(Path::new(DIR)).unwrap();
        machine
    };
    let whole = empty();
    let first = whole.operations();
    make(&whole).unwrap();
    for operation in first..=whole.operations() {
        for point in [CrashPoint::Before, CrashPoint::Torn, CrashPoint::After] {
            for seed in 0..POWER_SEEDS {
                let machine = empty();
                machine.crash_at(operation, point);
                let made = make(&machine);
                let next = machine.crash(seed);
                match open(&next, SMALL) {
                    Err(OpenError::Missing { .. }) if made.is_err() => make(&next).unwrap(),
                    opened => drop(opened.unwrap()),
                }
                open(&next, SMALL).unwrap();
                next.power_off();
            }
        }
    }
}

#[test]
fn a_failed_request_ends_the_journal_and_the_next_process_finds_what_was_completed() {
    for target in [FaultTarget::Sync, FaultTarget::Write, FaultTarget::Resize, FaultTarget::Name, FaultTarget::Read] {
        let mut failures = 0;
        for number in 0..100 {
            let machine = machine();
            machine.start_trace();
            machine.fail(target, number..number + 1);
            let life = run_script(&machine);
            let trace = machine.take_trace();
            if !trace.iter().any(|line| line.ends_with("Fail")) {
                break;
            }
            failures += 1;
            if has_lost_names(&trace) {
                assert!(life.next_life(machine.crash(number), SMALL).is_open());
                continue;
            }
            // The page cache outlives the process and shows what the disk may not hold.
            for seed in 0..POWER_SEEDS {
                let next = life.machine.kill();
                next.crash_at(next.operations() + seed, CrashPoint::Torn);
                let opened = open(&next, SMALL);
                let found = opened.as_ref().ok().map(|(_, found)| found.clone());
                if let Some(found) = &found {
                    life.check(found);
                }
                let (journal, after_crash) = open(&next.crash(seed), SMALL).unwrap();
                life.check(&after_crash);
                assert!(found.is_none_or(|found| found == after_crash), "what was told once is durable");
                drop(journal);
            }
        }
        assert!(failures > 0, "{target:?} never failed");
    }
}

#[test]
fn a_full_disk_stops_no_vote_of_a_known_group() {
    let machine = machine();
    let mut life = TrackedJournal::unopened(machine.duplicate()).next_life(machine.clone(), SMALL);
    for number in 0..4 {
        assert!(life.ask(Asked::Vote(group(number), vote(1))));
    }
    life.settle();
    machine.set_capacity_bytes(0);
    for term in 2..100 {
        assert!(life.ask(Asked::Vote(group(u32::try_from(term % 4).unwrap()), vote(term))));
        life.settle();
    }
    assert!(life.outcomes().iter().all(|(_, ok)| *ok));
    life.shutdown();
    let next = life.next_life(machine.crash(1), SMALL);
    assert!(next.is_open(), "the journal opens on a full disk");
}

#[test]
fn a_state_too_large_for_a_full_disk_is_refused_and_taken_when_there_is_room() {
    let machine = machine();
    let (journal, _) = open(&machine, SMALL).unwrap();
    machine.set_capacity_bytes(0);
    let outcomes = super::test_journals::Outcomes::default();
    for number in 0..400_u32 {
        journal.handle().save_vote(group(number), vote(1), outcomes.note(number as usize)).unwrap();
        machine.run_until_idle();
    }
    let saved = outcomes.list().iter().filter(|(_, ok)| *ok).count();
    assert!((5..400).contains(&saved), "{saved}");
    for number in 0..200 {
        let known = group(u32::try_from(number % saved).unwrap());
        journal.handle().save_vote(known, vote(3), outcomes.note(400 + number)).unwrap();
        machine.run_until_idle();
        assert_eq!(outcomes.list().last(), Some(&(400 + number, true)), "both files have room for what is there");
    }
    journal.handle().save_vote(group(0), vote(2), outcomes.note(600)).unwrap();
    journal.handle().save_vote(group(400), vote(1), outcomes.note(601)).unwrap();
    machine.run_until_idle();
    assert!(outcomes.list().ends_with(&[(600, true), (601, false)]), "a new group does not stop a known one");
    machine.set_capacity_bytes(1 << 20);
    journal.handle().save_vote(group(1000), vote(1), outcomes.note(1000)).unwrap();
    machine.run_until_idle();
    assert_eq!(outcomes.list().last(), Some(&(1000, true)));
    journal.shutdown().unwrap();
    let (_, found) = open(&machine.crash(1), SMALL).unwrap();
    assert_eq!(found.len(), saved + 1, "what was refused is not there");
}

#[test]
fn a_journal_is_made_once() {
    let machine = SimulatedEnvironment::new(1);
    machine.create_dir_all(Path::new(DIR)).unwrap();
    let missing = Journal::open(std::sync::Arc::new(machine.clone()), Path::new(DIR)).unwrap_err();
    assert!(matches!(missing, OpenError::Missing { .. }) && missing.counts_as_wiped(), "{missing}");
    create(&machine, Path::new(DIR)).unwrap();
    assert_eq!(create(&machine, Path::new(DIR)).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    let machine = machine.crash(1);
    Journal::open(std::sync::Arc::new(machine.clone()), Path::new(DIR)).unwrap();
    machine.power_off();
}
