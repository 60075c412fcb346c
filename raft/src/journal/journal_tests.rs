#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use tidelog_log::environment::RealEnvironment;
use tidelog_log::environment::simulated::{FaultTarget, SimulatedEnvironment};
use tidelog_log::storage::outcome;
use tidelog_proto::ids::RaftIndex;

use super::test_journals::{
    Asked, DIR, Outcomes, SMALL, TrackedJournal, group, machine_with_journal, open, purge_mark, vote,
};
use super::{FILE_BYTES_MIN, Journal, LIMITS, Limits, SaveError, ShutdownError, SubmitError, create};

fn opened(limits: Limits) -> (SimulatedEnvironment, Journal) {
    let machine = machine_with_journal(1);
    let (journal, groups) = open(&machine, limits).unwrap();
    assert!(groups.is_empty());
    machine.run_until_idle();
    machine.start_trace();
    (machine, journal)
}

/// Counts writes and syncs since it was last asked.
fn writes_and_syncs(machine: &SimulatedEnvironment) -> (usize, usize) {
    let trace = machine.take_trace();
    let count = |verb: &str| {
        let is_one = |line: &&String| line.split(' ').nth(1) == Some(verb);
        trace.iter().filter(is_one).count()
    };
    (count("write"), count("sync"))
}

#[test]
fn everything_saved_is_found_again() {
    let machine = machine_with_journal(1);
    let mut life = TrackedJournal::unopened(machine.duplicate()).next_life(machine.clone(), LIMITS);
    life.ask(Asked::Vote(group(1), vote(3)));
    life.ask(Asked::Vote(group(2), vote(4)));
    life.ask(Asked::Purged(group(2), purge_mark(50)));
    life.ask(Asked::Committed(group(2), RaftIndex::new(70)));
    life.ask(Asked::Committed(group(9), RaftIndex::new(1)));
    life.ask(Asked::Removed(group(1)));
    life.settle();
    life.shutdown();
    let (_, found) = open(&machine.crash(1), LIMITS).unwrap();
    assert_eq!(found, life.expected());
    assert_eq!(found.len(), 1);
    let state = found[&group(2)];
    assert_eq!((state.vote, state.purged), (Some(vote(4)), Some(purge_mark(50))));
    assert_eq!(state.committed, Some(RaftIndex::new(70)));
}

#[test]
fn a_thousand_votes_at_once_cost_one_write_and_one_sync() {
    let (machine, journal) = opened(LIMITS);
    let outcomes = Outcomes::default();
    for number in 0..1000_u32 {
        journal.handle().save_vote(group(number), vote(1), outcomes.note(number as usize)).unwrap();
    }
    machine.run_until_idle();
    assert_eq!(writes_and_syncs(&machine), (1, 1));
    assert_eq!(outcomes.list(), (0..1000).map(|number| (number, true)).collect::<Vec<_>>());
    let (_, found) = open(&machine.crash(1), LIMITS).unwrap();
    assert_eq!(found.len(), 1000);
}

#[test]
fn a_committed_index_never_costs_a_sync_of_its_own() {
    let (machine, journal) = opened(LIMITS);
    let outcomes = Outcomes::default();
    journal.handle().save_vote(group(1), vote(1), outcomes.note(0)).unwrap();
    machine.run_until_idle();
    assert_eq!(writes_and_syncs(&machine), (1, 1));

    journal.handle().note_committed(group(1), RaftIndex::new(5));
    machine.run_until_idle();
    assert_eq!(writes_and_syncs(&machine), (0, 0), "it waits");
    journal.tick();
    machine.run_until_idle();
    assert_eq!(writes_and_syncs(&machine), (1, 0), "a tick writes it");
    journal.handle().note_committed(group(1), RaftIndex::new(6));
    journal.handle().save_vote(group(2), vote(1), outcomes.note(1)).unwrap();
    machine.run_until_idle();
    assert_eq!(writes_and_syncs(&machine), (1, 1), "a vote takes it along");
    let (_, found) = open(&machine.crash(1), LIMITS).unwrap();
    assert_eq!(found[&group(1)].committed, Some(RaftIndex::new(6)));
}

#[test]
fn an_idle_journal_costs_nothing() {
    let (machine, journal) = opened(LIMITS);
    journal.tick();
    machine.run_until_idle();
    assert_eq!(writes_and_syncs(&machine), (0, 0));
    journal.handle().save_vote(group(1), vote(1), |_| {}).unwrap();
    machine.run_until_idle();
    let _ = writes_and_syncs(&machine);
    for writes in [1, 0, 0] {
        journal.tick();
        machine.run_until_idle();
        assert_eq!(writes_and_syncs(&machine), (writes, 0), "the first tick notes how far it is durable");
    }
    assert!(!machine.run_one(), "its task waits");
    journal.shutdown().unwrap();
}

#[test]
fn a_full_queue_refuses_and_takes_again() {
    let (machine, journal) = opened(SMALL);
    let outcomes = Outcomes::default();
    let submit = |number| journal.handle().save_vote(group(1), vote(1), outcomes.note(number));
    (0..SMALL.requests_max).for_each(|number| submit(number).unwrap());
    assert_eq!(submit(99), Err(SubmitError::Full));
    assert!(SubmitError::Full.retriable());
    machine.run_until_idle();
    submit(100).unwrap();
    journal.shutdown().unwrap();
    assert_eq!(outcomes.list().len(), SMALL.requests_max + 1);
    assert!(outcomes.list().iter().all(|(_, ok)| *ok));
}

#[test]
fn a_failed_sync_fails_everyone_from_then_on() {
    let (machine, journal) = opened(SMALL);
    let handle = journal.handle();
    machine.fail(FaultTarget::Sync, 0..1);
    let (completion, first) = outcome();
    handle.save_vote(group(1), vote(1), completion).unwrap();
    machine.run_until_idle();
    assert!(matches!(first.try_take(), Some(Err(SaveError::Failed { .. }))));
    assert_eq!(handle.save_vote(group(1), vote(2), |_| {}), Err(SubmitError::Poisoned));
    let _ = machine.take_trace();
    journal.tick();
    assert!(matches!(journal.shutdown(), Err(ShutdownError::Save(SaveError::Failed { .. }))));
    assert_eq!(writes_and_syncs(&machine), (0, 0), "nothing is tried again");
    assert_eq!(handle.save_vote(group(1), vote(2), |_| {}), Err(SubmitError::Closed));
}

#[test]
fn what_waits_when_the_journal_fails_is_told() {
    let (machine, journal) = opened(SMALL);
    let (outcomes, handle) = (Outcomes::default(), journal.handle());
    machine.fail(FaultTarget::Write, 0..1);
    let second = outcomes.note(2);
    // Taken while the first round is on its way to the disk: its completion runs before those that wait are taken.
    let inner = handle.clone();
    handle
        .save_vote(group(1), vote(1), move |outcome| {
            assert!(outcome.is_err());
            assert_eq!(inner.save_vote(group(1), vote(2), second), Err(SubmitError::Poisoned));
        })
        .unwrap();
    handle.remove(group(1), outcomes.note(1)).unwrap();
    machine.run_until_idle();
    assert_eq!(outcomes.list(), [(1, false)]);
}

#[test]
fn the_files_take_turns_and_stay_small() {
    let (machine, journal) = opened(LIMITS);
    let handle = journal.handle();
    for round in 0..40 {
        for number in 0..1000 {
            handle.save_vote(group(number), vote(round), |_| {}).unwrap();
        }
        machine.run_until_idle();
    }
    let lengths =
        ["journal.a", "journal.b"].map(|name| machine.read_contents(&Path::new(DIR).join(name)).unwrap().len());
    assert_eq!(lengths.map(|len| len as u64), [FILE_BYTES_MIN; 2]);
    let retirements = machine.take_trace().iter().filter(|line| line.contains("at 0, 64 bytes")).count();
    assert_eq!(retirements, 2, "2.5 MiB of records in files of 1 MiB");
    journal.shutdown().unwrap();
    let (_, found) = open(&machine.crash(1), LIMITS).unwrap();
    assert!(found.len() == 1000 && found.values().all(|state| state.vote == Some(vote(39))));
}

#[test]
fn no_two_take_overs_draw_the_same_salt() {
    // Or records of one that failed would pass for records of the next one, which has the same generation.
    let header_after = |seed| {
        let machine = machine_with_journal(1).crash(seed);
        open(&machine, LIMITS).unwrap();
        machine.power_off();
        machine.read_contents(&Path::new(DIR).join("journal.b")).unwrap()[..64].to_vec()
    };
    let (first, second) = (header_after(1), header_after(2));
    assert_eq!(first[..24], second[..24], "the same generation");
    assert_ne!(first[24..32], second[24..32]);
}

#[test]
fn a_removed_group_takes_along_what_was_noted_of_it() {
    let (machine, journal) = opened(LIMITS);
    let handle = journal.handle();
    handle.save_vote(group(1), vote(1), |_| {}).unwrap();
    machine.run_until_idle();
    handle.note_committed(group(1), RaftIndex::new(100));
    handle.remove(group(1), |_| {}).unwrap();
    handle.save_vote(group(1), vote(2), |_| {}).unwrap();
    machine.run_until_idle();
    journal.shutdown().unwrap();
    let (_, found) = open(&machine.crash(1), LIMITS).unwrap();
    assert_eq!(found[&group(1)].committed, None);
}

#[test]
fn a_journal_that_is_dropped_still_saves_what_it_took() {
    let (machine, journal) = opened(SMALL);
    let outcomes = Outcomes::default();
    let handle = journal.handle();
    handle.save_vote(group(1), vote(1), outcomes.note(0)).unwrap();
    drop(journal);
    assert_eq!(handle.save_vote(group(1), vote(2), |_| {}), Err(SubmitError::Closed));
    machine.run_until_idle();
    assert_eq!(outcomes.list(), [(0, true)]);
}

#[test]
fn threads_of_a_real_machine_save_and_find_again() {
    let dir = tempfile::tempdir().unwrap();
    let environment = Arc::new(RealEnvironment::new());
    create(environment.as_ref(), dir.path()).unwrap();
    for life in 1..4 {
        let (journal, found) = Journal::open(environment.clone(), dir.path()).unwrap();
        assert_eq!(found.len(), if life == 1 { 0 } else { 8 });
        assert!(found.values().all(|state| state.vote == Some(vote(life - 1))));
        let voters = (0..8).map(|number| {
            let handle = journal.handle();
            std::thread::spawn(move || {
                let (completion, saved) = outcome();
                handle.save_vote(group(number), vote(life), completion).unwrap();
                saved.wait().unwrap().unwrap();
            })
        });
        let voters: Vec<_> = voters.collect();
        voters.into_iter().for_each(|voter| voter.join().unwrap());
        journal.shutdown().unwrap();
    }
}
