//! Every bit of small journals is flipped, every word zeroed, every file lost: the journal is refused, or it is found in a
//! state that once was its own and holds everything that was known to be durable.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use tidelog_log::environment::simulated::SimulatedEnvironment;
use tidelog_proto::ids::RaftIndex;

use super::recovery::FILES;
use super::test_journals::{
    Asked, DIR, SMALL, State, TrackedJournal, group, machine_with_journal, open, purge_mark, vote,
};

/// A journal at rest, and the states that may be found when a part of it is damaged: its last one first.
struct Sample {
    name: &'static str,
    machine: SimulatedEnvironment,
    possible: Vec<State>,
}

/// How a sample ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// In order.
    ShutDown,
    /// In order, opened again, and shut down before anything was saved: all of it is in the base.
    Reopened,
    /// Somewhere, after a tick.
    Ticked,
    /// Right after its last round.
    Abrupt,
}

fn sample(name: &'static str, rounds: u64, end: End) -> Sample {
    let machine = machine_with_journal(1);
    let mut life = TrackedJournal::unopened(machine.duplicate()).next_life(machine.clone(), SMALL);
    let mut possible = Vec::new();
    for round in 0..rounds {
        possible = vec![life.expected()];
        for number in 0..2 {
            life.ask(Asked::Vote(group(number), vote(round)));
            possible.insert(0, life.expected());
        }
        if round == 0 {
            life.ask(Asked::Purged(group(1), purge_mark(9)));
            possible.insert(0, life.expected());
        }
        life.settle();
    }
    match end {
        End::ShutDown => life.shutdown(),
        End::Reopened => {
            life.shutdown();
            life = life.next_life(machine.clone(), SMALL);
            life.shutdown();
        }
        End::Ticked => {
            life.ask(Asked::Committed(group(1), RaftIndex::new(8)));
            possible.insert(0, life.expected());
            life.tick();
            life.settle();
        }
        End::Abrupt => {}
    }
    // A round is known to be durable by the next one, by a tick or by a shutdown.
    match end {
        End::ShutDown | End::Reopened => possible.truncate(1),
        End::Ticked => possible.truncate(2),
        End::Abrupt => {}
    }
    machine.power_off();
    Sample { name, machine, possible }
}

fn samples() -> Vec<Sample> {
    vec![
        sample("shut down", 2, End::ShutDown),
        sample("shut down after the files took turns", 9, End::ShutDown),
        sample("reopened", 2, End::Reopened),
        sample("ticked", 2, End::Ticked),
        sample("abrupt", 3, End::Abrupt),
        sample("abrupt after the files took turns", 9, End::Abrupt),
    ]
}

impl Sample {
    fn files(&self) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
        let paths = FILES.map(|name| Path::new(DIR).join(name));
        paths.into_iter().map(|path| (path.clone(), self.machine.read_contents(&path).unwrap()))
    }

    /// Damages a copy; tells whether it was refused.
    fn is_refused_with(&self, what: &str, damage: impl FnOnce(&SimulatedEnvironment)) -> bool {
        let machine = self.machine.duplicate();
        damage(&machine);
        let opened = open(&machine, SMALL);
        machine.power_off();
        match opened {
            Ok((_, found)) => {
                assert!(self.possible.contains(&found), "{}, {what}: {found:?}", self.name);
                false
            }
            Err(error) => {
                assert!(error.counts_as_wiped(), "{}, {what}: {error}", self.name);
                true
            }
        }
    }
}

#[test]
fn an_undamaged_journal_is_found_in_its_last_state() {
    for sample in samples() {
        let (_, found) = open(&sample.machine.duplicate(), SMALL).unwrap();
        assert_eq!(found, sample.possible[0], "{}", sample.name);
    }
}

#[test]
fn any_flipped_bit_is_refused_or_changes_nothing_durable() {
    for sample in samples() {
        let mut refused = 0;
        for (path, content) in sample.files() {
            for position in 0..content.len() as u64 {
                for bit in 0..8 {
                    let what = format!("bit {bit} of byte {position} of {}", path.display());
                    let flip = |machine: &SimulatedEnvironment| machine.flip_bit(&path, position, bit);
                    refused += usize::from(sample.is_refused_with(&what, flip));
                }
            }
        }
        assert!(refused > 8 * 64, "{}: only {refused} bits matter", sample.name);
    }
}

#[test]
fn any_word_that_turned_to_zeros_is_refused_or_changes_nothing_durable() {
    for sample in samples() {
        let mut refused = 0;
        for (path, content) in sample.files() {
            for start in (0..content.len()).step_by(8) {
                let mut damaged = content.clone();
                damaged[start..start + 8].fill(0);
                let what = format!("8 bytes at {start} of {} zeroed", path.display());
                let zero = |machine: &SimulatedEnvironment| machine.set_contents(&path, &damaged);
                refused += usize::from(sample.is_refused_with(&what, zero));
            }
        }
        assert!(refused > 8, "{}: hardly a word matters", sample.name);
    }
}

#[test]
fn a_live_file_that_is_gone_counts_as_wiped() {
    let sample = sample("shut down", 9, End::ShutDown);
    let refused: Vec<bool> = FILES
        .iter()
        .map(|name| {
            let path = Path::new(DIR).join(name);
            sample.is_refused_with(name, |machine| machine.set_contents(&path, &[]))
        })
        .collect();
    assert_eq!(refused.iter().filter(|refused| **refused).count(), 1, "one file is live: {refused:?}");
}
