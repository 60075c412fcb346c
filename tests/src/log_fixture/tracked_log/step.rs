//! One step of a life, with everything random about it drawn when it is taken.

use std::time::Duration;

use tidelog_log::SegmentName;
use tidelog_log::environment::simulated::Rng;
use tidelog_proto::ids::{Offset, RaftIndex};

use super::{Ending, Failure, TrackedLog};

/// What may happen to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many entries in one call.
    Append(usize),
    Sync,
    /// A sync under which so many entries are appended.
    SyncBehindAppends(usize),
    Roll,
    Checkpoint,
    /// Everything durable is committed, and the log learns of it.
    Commit,
    /// Some of what is durable is committed; perhaps the log learns of it.
    CommitSome,
    /// A random suffix above the committed mark is cut.
    Truncate,
    /// The start moves to a random committed place.
    AdvanceStart,
    /// The start moves to the committed mark, while the offsets stay: all that is below may be compacted.
    AdvanceRaftStart,
    /// Everything is given up, and the log begins anew a little further on.
    StartAnew,
    /// What retention gives up is deleted.
    Retain,
    /// A round of compaction, with so many entries appended meanwhile.
    Compact(usize),
    /// Up to so many milliseconds go by.
    Pass(u64),
    /// A few random reads in every way.
    Read,
    /// Everything is read in every way.
    ReadAll,
    /// Closed in order and opened again.
    Reopen,
    /// The process dies, and opens the log again.
    Kill,
    /// The power fails; the log is opened when it is back.
    PowerCut,
}

impl Step {
    /// Draws a step that a live log may take.
    pub(crate) fn random(rng: &mut Rng) -> Self {
        match rng.below(100) {
            0..=31 => Self::Append(1 + rng.index(5)),
            32..=41 => Self::Sync,
            42..=44 => Self::SyncBehindAppends(1 + rng.index(5)),
            45..=47 => Self::Roll,
            48..=50 => Self::Checkpoint,
            51..=58 => Self::Commit,
            59..=62 => Self::CommitSome,
            63..=67 => Self::Truncate,
            68..=70 => Self::AdvanceStart,
            71..=73 => Self::AdvanceRaftStart,
            74 => Self::StartAnew,
            75..=76 => Self::Retain,
            77..=80 => Self::Compact(rng.index(3)),
            81..=82 => Self::Pass(1_000_000),
            83..=91 => Self::Read,
            92..=93 => Self::ReadAll,
            94..=95 => Self::Reopen,
            96..=97 => Self::Kill,
            _ => Self::PowerCut,
        }
    }
}

impl TrackedLog {
    /// Takes a step.
    ///
    /// # Panics
    /// If the log does anything that its model does not.
    pub(crate) fn take(&mut self, step: Step) -> Result<(), Failure> {
        self.steps.push(step);
        match step {
            Step::Append(count) => self.append(count),
            Step::Sync => self.sync(),
            Step::SyncBehindAppends(count) => self.sync_behind_appends(count),
            Step::Roll => self.roll(),
            Step::Checkpoint => self.checkpoint(),
            Step::Commit => self.commit(self.model.durable_end, true),
            Step::CommitSome => {
                let end = self.index_between(self.model.committed_end, self.model.durable_end);
                let told = self.rng.percent(50);
                self.commit(end, told)
            }
            Step::Truncate => {
                let from = self.index_between(self.model.committed_end, self.model.end_index());
                self.truncate(from)
            }
            Step::AdvanceStart => {
                let raft_start = self.index_between(self.model.created_at.base_index, self.model.told_committed_end);
                let offset_max = self.model.offset_at(self.model.told_committed_end);
                let log_start_offset = self.offset_between(self.model.created_at.base_offset, offset_max);
                self.advance_start(log_start_offset, raft_start)
            }
            Step::AdvanceRaftStart => self.advance_start(Offset::new(0), self.model.told_committed_end),
            Step::StartAnew => {
                let base_offset = self.offset_between(self.model.log_start_offset, self.model.end_offset() + 20);
                let base_index = self.model.end_index() + self.rng.below(20);
                self.start_anew(SegmentName { base_offset, base_index })
            }
            Step::Retain => self.retain(),
            Step::Compact(appended) => self.compact(appended),
            Step::Pass(ms_max) => {
                let ms = self.rng.below(ms_max);
                self.machine.advance(Duration::from_millis(ms));
                Ok(())
            }
            Step::Read => self.read_some(),
            Step::ReadAll => self.check_everything(),
            Step::Reopen => self.reopen(),
            Step::Kill => self.restart(Ending::Killed),
            Step::PowerCut => self.restart(Ending::PowerCut),
        }
    }

    fn read_some(&mut self) -> Result<(), Failure> {
        let max_bytes = [0, 100, 1_000, 10_000, u64::MAX][self.rng.index(5)];
        // A little out of range at either end.
        let (first, last) = (self.model.log_start_offset, self.model.end_offset());
        let from = self.offset_between(Offset::new(first.get().saturating_sub(1)), last.next());
        let within = self.offset_between(Offset::new(first.get().saturating_sub(1)), last.next());
        let limit = if self.rng.percent(50) { within } else { Offset::MAX };
        self.check_read(from, limit, max_bytes)?;
        let (first, last) = (self.model.raft_start, self.model.end_index());
        let from = self.index_between(RaftIndex::new(first.get().saturating_sub(1)), last);
        let to = self.index_between(first, last.next());
        self.check_entries(from, to, max_bytes)?;
        let timestamps = self.some_timestamps();
        let timestamp = timestamps[self.rng.index(timestamps.len())];
        self.check_timestamp(timestamp, within)
    }

    /// Draws an index from `first` to `last`, both included.
    pub(crate) fn index_between(&mut self, first: RaftIndex, last: RaftIndex) -> RaftIndex {
        first + self.rng.below(last.distance_from(first).unwrap_or(0) + 1)
    }

    /// Draws an offset from `first` to `last`, both included.
    pub(crate) fn offset_between(&mut self, first: Offset, last: Offset) -> Offset {
        first + self.rng.below(last.distance_from(first).unwrap_or(0) + 1)
    }
}
