//! A journal whose every request and outcome is written down, and what may be found of it afterwards.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tidelog_log::LogIdentity;
use tidelog_log::environment::Environment;
use tidelog_log::environment::simulated::SimulatedEnvironment;
use tidelog_proto::ids::{BrokerId, PartitionId, RaftIndex, RaftTerm, TopicId};

use super::{Journal, Limits, OpenError, SaveError, create};
use crate::{HardState, PurgeMark, ReplicaId, Vote};

/// The data directory.
pub(super) const DIR: &str = "/data";

/// So small that the files take turns after a few records.
pub(super) const SMALL: Limits = Limits { file_bytes_min: 512, requests_max: 16 };

pub(super) type State = BTreeMap<LogIdentity, HardState>;

pub(super) fn group(number: u32) -> LogIdentity {
    LogIdentity { topic_id: TopicId::new([5; 16]), partition: PartitionId::new(number) }
}

pub(super) fn vote(term: u64) -> Vote {
    Vote { term: RaftTerm::new(term), replica: ReplicaId::new(BrokerId::new(1), 2), committed: term.is_multiple_of(2) }
}

pub(super) fn purge_mark(index: u64) -> PurgeMark {
    PurgeMark { term: RaftTerm::new(index / 10), index: RaftIndex::new(index) }
}

/// Makes a machine with an empty journal.
pub(super) fn machine_with_journal(seed: u64) -> SimulatedEnvironment {
    let machine = SimulatedEnvironment::new(seed);
    machine.create_dir_all(Path::new(DIR)).unwrap();
    create(&machine, Path::new(DIR)).unwrap();
    machine
}

pub(super) fn open(machine: &SimulatedEnvironment, limits: Limits) -> Result<(Journal, State), OpenError> {
    Journal::open_with(Arc::new(machine.clone()), Path::new(DIR), limits)
}

/// Tells whether a directory's sync failed. Nothing makes that good before the machine restarts, so no process may go on
/// with the directory meanwhile.
pub(super) fn has_lost_names(trace: &[String]) -> bool {
    trace.iter().any(|line| line.contains(" sync directory ") && line.ends_with("Fail"))
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Vote(LogIdentity, Vote),
    Purged(LogIdentity, PurgeMark),
    Removed(LogIdentity),
    Committed(LogIdentity, RaftIndex),
}

/// Outcomes in the order in which they arrived: number of the request and whether it was saved.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes(Arc<Mutex<Vec<(usize, bool)>>>);

impl Outcomes {
    pub(super) fn note(&self, number: usize) -> impl FnOnce(Result<(), SaveError>) + Send + 'static {
        let outcomes = Arc::clone(&self.0);
        move |outcome| outcomes.lock().unwrap().push((number, outcome.is_ok()))
    }

    pub(super) fn list(&self) -> Vec<(usize, bool)> {
        self.0.lock().unwrap().clone()
    }
}

/// One life of a journal.
pub(super) struct TrackedJournal {
    pub(super) machine: SimulatedEnvironment,
    journal: Option<Journal>,
    /// What was there at its start.
    start: State,
    asked: Vec<Asked>,
    outcomes: Outcomes,
    is_closed: bool,
}

impl TrackedJournal {
    /// A life that never begins, in front of the first one.
    pub(super) fn unopened(machine: SimulatedEnvironment) -> Self {
        Self {
            machine,
            journal: None,
            start: State::new(),
            asked: Vec::new(),
            outcomes: Outcomes::default(),
            is_closed: false,
        }
    }

    /// Begins the next life on `machine` and checks what it finds. If the machine fails, that life is one in which
    /// nothing happens.
    pub(super) fn next_life(self, machine: SimulatedEnvironment, limits: Limits) -> Self {
        match open(&machine, limits) {
            Ok((journal, found)) => {
                self.check(&found);
                Self { journal: Some(journal), start: found, ..Self::unopened(machine) }
            }
            Err(error) => {
                assert!(!error.counts_as_wiped(), "{error}");
                Self { machine, ..self }
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.journal.is_some()
    }

    /// Asks for something; tells whether it was taken.
    pub(super) fn ask(&mut self, asked: Asked) -> bool {
        let Some(journal) = &self.journal else { return false };
        let (handle, completion) = (journal.handle(), self.outcomes.note(self.asked.len()));
        let taken = match asked {
            Asked::Vote(group, vote) => handle.save_vote(group, vote, completion),
            Asked::Purged(group, mark) => handle.save_purged(group, mark, completion),
            Asked::Removed(group) => handle.remove(group, completion),
            Asked::Committed(group, index) => {
                handle.note_committed(group, index);
                Ok(())
            }
        };
        if taken.is_ok() {
            self.asked.push(asked);
        }
        taken.is_ok()
    }

    pub(super) fn tick(&self) {
        self.journal.iter().for_each(Journal::tick);
    }

    pub(super) fn settle(&self) {
        self.machine.run_until_idle();
    }

    /// Shuts down in order, if nothing fails.
    pub(super) fn shutdown(&mut self) {
        self.is_closed = self.journal.take().is_some_and(|journal| journal.shutdown().is_ok());
    }

    pub(super) fn outcomes(&self) -> Vec<(usize, bool)> {
        self.outcomes.list()
    }

    /// The state when everything that was asked is there.
    pub(super) fn expected(&self) -> State {
        let mut state = self.start.clone();
        self.asked.iter().for_each(|asked| apply(&mut state, asked));
        for (position, asked) in self.asked.iter().enumerate() {
            if let Asked::Committed(group, index) = asked
                && self.last_removal(*group, self.asked.len()).is_none_or(|removal| removal < position)
                && let Some(state) = state.get_mut(group)
            {
                state.committed = state.committed.max(Some(*index));
            }
        }
        state
    }

    /// Checks that a state is one that may be found after this life.
    pub(super) fn check(&self, found: &State) {
        let outcomes = self.outcomes();
        let numbers: Vec<usize> = outcomes.iter().map(|(number, _)| *number).collect();
        assert!(numbers.is_sorted(), "completed out of order: {numbers:?}");
        let failed = outcomes.iter().position(|(_, ok)| !ok).unwrap_or(outcomes.len());
        assert!(outcomes[failed..].iter().all(|(_, ok)| !ok), "saved after a failure: {outcomes:?}");

        let acked = outcomes[..failed].last().map_or(0, |(number, _)| number + 1);
        let least = if self.is_closed { self.asked.len() } else { acked };
        let mut state = self.start.clone();
        self.asked[..least].iter().for_each(|asked| apply(&mut state, asked));
        for taken in least..=self.asked.len() {
            if self.is_possible(found, &state, taken, least) {
                return;
            }
            if let Some(asked) = self.asked.get(taken) {
                apply(&mut state, asked);
            }
        }
        panic!("found {found:?}\nafter {:?}\nof which {least} must be there\non {:?}", self.asked, self.start);
    }

    /// Tells whether `found` may be what the first `taken` requests make, of which `least` are durable.
    fn is_possible(&self, found: &State, state: &State, taken: usize, least: usize) -> bool {
        let without_committed = |state: &HardState| HardState { committed: None, ..*state };
        found.len() == state.len()
            && found.iter().zip(state).all(|((found_group, found), (group, state))| {
                found_group == group
                    && without_committed(found) == without_committed(state)
                    && found.committed >= self.committed_at_least(*group, least)
                    && self.is_noted(*group, taken, found.committed)
            })
    }

    fn last_removal(&self, group: LogIdentity, taken: usize) -> Option<usize> {
        self.asked[..taken].iter().rposition(|asked| matches!(asked, Asked::Removed(removed) if *removed == group))
    }

    /// Tells whether somebody noted this index of the group as it is now.
    fn is_noted(&self, group: LogIdentity, taken: usize, index: Option<RaftIndex>) -> bool {
        let removal = self.last_removal(group, taken);
        let at_start = self.start.get(&group).and_then(|state| state.committed).filter(|_| removal.is_none());
        let notes = self.asked[removal.unwrap_or(0)..].iter().filter_map(|asked| match asked {
            Asked::Committed(noted, index) if *noted == group => Some(*index),
            _ => None,
        });
        index == at_start || index.is_some_and(|index| notes.into_iter().any(|noted| noted == index))
    }

    /// What was noted of a known group before something else was made durable is durable as well. A group that was removed
    /// meanwhile is left out: its notes may go with it.
    fn committed_at_least(&self, group: LogIdentity, least: usize) -> Option<RaftIndex> {
        if self.last_removal(group, self.asked.len()).is_some() {
            return None;
        }
        let mut is_known = self.start.contains_key(&group);
        let mut committed = self.start.get(&group).and_then(|state| state.committed);
        for asked in &self.asked[..least] {
            match asked {
                Asked::Vote(known, _) | Asked::Purged(known, _) => is_known |= *known == group,
                Asked::Committed(noted, index) if *noted == group && is_known => {
                    committed = committed.max(Some(*index));
                }
                Asked::Committed(..) | Asked::Removed(_) => {}
            }
        }
        committed
    }
}

fn apply(state: &mut State, asked: &Asked) {
    match *asked {
        Asked::Vote(group, vote) => state.entry(group).or_default().vote = Some(vote),
        Asked::Purged(group, mark) => state.entry(group).or_default().purged = Some(mark),
        Asked::Removed(group) => {
            state.remove(&group);
        }
        Asked::Committed(..) => {}
    }
}
