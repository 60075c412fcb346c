//! Random lives of a journal, each ended by a shutdown, a killed process or a loss of power, some with a fault before:
//! whatever was completed is there in the next life, and nothing is there that was not asked for.
//!
//! `TIDELOG_SEED=n cargo test -p tidelog-raft life_tests` runs one case and shows what it did if it fails,
//! `TIDELOG_SEEDS=n` runs this many.
#![allow(clippy::unwrap_used, reason = "tests")]

use tidelog_log::environment::simulated::{CrashPoint, FaultTarget, Rng, SimulatedEnvironment};
use tidelog_proto::ids::RaftIndex;

use super::Limits;
use super::test_journals::{Asked, TrackedJournal, group, has_lost_names, machine_with_journal, purge_mark, vote};

const SEEDS_DEFAULT: u64 = 3000;

#[test]
fn what_was_completed_is_there_in_every_later_life() {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seeds = match number("TIDELOG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDELOG_SEEDS").unwrap_or(SEEDS_DEFAULT),
    };
    let is_traced = seeds.end - seeds.start == 1;
    let mut saved = 0;
    for seed in seeds {
        match std::panic::catch_unwind(|| run_case(seed, is_traced)) {
            Ok(in_case) => saved += in_case,
            Err(panic) => {
                eprintln!(
                    "seed {seed} fails; repeat it with: TIDELOG_SEED={seed} cargo test -p tidelog-raft life_tests"
                );
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(saved > 0, "nothing was ever saved, so nothing was tested");
}

/// Gives the number of requests that were saved.
fn run_case(seed: u64, is_traced: bool) -> usize {
    let mut rng = Rng::new(seed);
    let limits = Limits { file_bytes_min: 64 + rng.below(1500), requests_max: 1 + rng.index(12) };
    let machine = machine_with_journal(rng.next_u64());
    let mut life = TrackedJournal::unopened(machine.duplicate());
    let mut next = machine;
    let mut saved = 0;
    for _ in 0..2 + rng.below(5) {
        next.start_trace();
        plan_fault(&mut rng, &next);
        life = life.next_life(next, limits);
        live(&mut rng, &mut life);
        saved += life.outcomes().iter().filter(|(_, ok)| *ok).count();
        if rng.percent(30) {
            life.shutdown();
        }
        let trace = life.machine.take_trace();
        trace.iter().filter(|_| is_traced).for_each(|line| println!("{line}"));
        next = if rng.percent(40) && !has_lost_names(&trace) {
            life.machine.kill()
        } else {
            life.machine.crash(rng.next_u64())
        };
    }
    let last = life.next_life(next, limits);
    assert!(last.is_open(), "the journal opens where nothing fails");
    last.machine.power_off();
    saved
}

fn plan_fault(rng: &mut Rng, machine: &SimulatedEnvironment) {
    let at = rng.below(60);
    match rng.below(4) {
        0 => {}
        1 => {
            let target = [FaultTarget::Sync, FaultTarget::Write, FaultTarget::Resize][rng.index(3)];
            machine.fail(target, at / 3..at / 3 + 1);
        }
        _ => {
            let point = [CrashPoint::Before, CrashPoint::Torn, CrashPoint::After][rng.index(3)];
            machine.crash_at(machine.operations() + at, point);
        }
    }
}

fn live(rng: &mut Rng, life: &mut TrackedJournal) {
    for number in 0..rng.below(100) {
        let group = group(u32::try_from(rng.below(5)).unwrap());
        match rng.below(20) {
            0..6 => life.ask(Asked::Vote(group, vote(rng.below(1000)))),
            6..8 => life.ask(Asked::Purged(group, purge_mark(rng.below(1000)))),
            8 => life.ask(Asked::Removed(group)),
            9..12 => life.ask(Asked::Committed(group, RaftIndex::new(number * 10 + rng.below(10)))),
            12 => {
                life.tick();
                false
            }
            _ => life.machine.run_one(),
        };
    }
}
