//! The state of all groups, as the entries of the journal make it.

use std::collections::BTreeMap;

use tidelog_log::LogIdentity;

use super::record::Entry;
use crate::hard_state::HardState;

/// What is remembered of every group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups(BTreeMap<LogIdentity, HardState>);

impl Groups {
    pub(super) fn get(&self, group: LogIdentity) -> Option<&HardState> {
        self.0.get(&group)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Counts entries of groups that are not there; of a group that comes with two, both.
    pub(super) fn count_new(&self, entries: &[Entry]) -> usize {
        let is_new = |entry: &&Entry| match entry {
            Entry::Vote(group, _) | Entry::Purged(group, _) => !self.0.contains_key(group),
            Entry::Committed(..) | Entry::Removed(_) | Entry::Durable => false,
        };
        entries.iter().filter(is_new).count()
    }

    pub(super) fn into_map(self) -> BTreeMap<LogIdentity, HardState> {
        self.0
    }

    /// Changes the state as an entry says. The last vote and purge mark count; a committed index never goes down, and
    /// is nothing by itself: of a group of which nothing else is known it is passed over.
    pub(super) fn apply(&mut self, entry: &Entry) {
        match *entry {
            Entry::Vote(group, vote) => self.0.entry(group).or_default().vote = Some(vote),
            Entry::Purged(group, mark) => self.0.entry(group).or_default().purged = Some(mark),
            Entry::Committed(group, index) => {
                if let Some(state) = self.0.get_mut(&group) {
                    state.committed = state.committed.max(Some(index));
                }
            }
            Entry::Removed(group) => {
                self.0.remove(&group);
            }
            Entry::Durable => {}
        }
    }

    pub(super) fn apply_all(&mut self, entries: &[Entry]) {
        entries.iter().for_each(|entry| self.apply(entry));
    }

    /// Gives entries that make this state out of nothing.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let of_group = |(&group, state): (&LogIdentity, &HardState)| {
            let vote = state.vote.map(|vote| Entry::Vote(group, vote));
            let purged = state.purged.map(|mark| Entry::Purged(group, mark));
            let committed = state.committed.map(|index| Entry::Committed(group, index));
            [vote, purged, committed]
        };
        self.0.iter().flat_map(of_group).flatten().collect()
    }
}
