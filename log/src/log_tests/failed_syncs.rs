//! Failed syncs: memory goes on showing what the disk never got, and counts it as written.

use super::*;
use crate::environment::simulated::FaultTarget;

/// Opens the log, appends to it what follows, syncs, cuts the power, and checks that all of it is there.
fn go_on_and_lose_power(machine: &SimulatedEnvironment, seed: u64, end: u64) {
    let mut log = open_large(machine);
    let found = log.writer.durable_end().get();
    assert_eq!(found, end, "seed {seed}: what memory holds is kept");
    append(&mut log, found..found + 43);
    log.writer.sync().unwrap();
    let log = open_large(&machine.crash(seed));
    assert_eq!(entries(&log), (0..found + 43).collect::<Vec<_>>(), "seed {seed}");
}

/// The next process believed the cached pages, and what it acknowledged stood behind a hole.
#[test]
fn what_a_failed_sync_left_in_memory_is_written_again() {
    for seed in 0..100 {
        let machine = SimulatedEnvironment::new(seed);
        let mut log = open_large(&machine);
        append(&mut log, 0..200);
        machine.fail(FaultTarget::Sync, 0..1);
        log.writer.sync().unwrap_err();
        go_on_and_lose_power(&machine, seed, 200);
    }
}

#[test]
fn a_sync_that_fails_while_the_log_is_opened_is_made_good_by_opening_it_again() {
    for seed in 0..100 {
        let machine = SimulatedEnvironment::new(seed);
        let mut log = open_large(&machine);
        append(&mut log, 0..200);
        drop(log);
        let machine = machine.kill();
        machine.fail(FaultTarget::Sync, 0..1);
        assert!(try_open(&machine, 1 << 20).unwrap_err().retriable());
        go_on_and_lose_power(&machine, seed, 200);
    }
}

/// The zeros of the cut were in memory only, and the cut entries came back behind new ones.
#[test]
fn the_zeros_of_a_cut_whose_sync_failed_are_written_again() {
    for seed in 0..100 {
        let machine = SimulatedEnvironment::new(seed);
        let mut log = open_large(&machine);
        append(&mut log, 0..200);
        log.writer.sync().unwrap();
        machine.fail(FaultTarget::Sync, 0..1);
        log.writer.truncate_suffix(RaftIndex::new(20)).unwrap_err();
        go_on_and_lose_power(&machine, seed, 20);
    }
}
