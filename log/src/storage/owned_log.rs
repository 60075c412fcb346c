//! One log of a storage thread: its writer, and who waits for what was appended to become durable.

use std::collections::VecDeque;
use std::io;

use tidelog_proto::frame::Frame;
use tidelog_proto::ids::RaftIndex;

use super::due::Due;
use super::queues::Work;
use super::request::{Append, Completion, Durability, Exclusive};
use crate::identity::LogIdentity;
use crate::staging::Staging;
use crate::writer::{AppendError, Appended, LogWriter, PendingCheckpoint, PendingSync, WriteError};

/// Bytes after which a log is synced although nobody asked for it: what the operating system holds back for long, it
/// writes in one burst that every other log has to wait for.
const UNSYNCED_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A log and everything that is in flight for it.
pub(super) struct OwnedLog {
    writer: LogWriter,
    /// Appends that were not yet completed, oldest first: each waits for those before it.
    waiters: VecDeque<Waiter>,
    /// How many jobs of the sync task, begun, ready or finished, have a sync or a checkpoint of this log.
    jobs: u32,
    /// It is in the list of those to be made ready for a sync.
    pub(super) in_round: bool,
    /// It was changed after its checkpoint began, and stands in the list of those that need one.
    pub(super) changed: bool,
    /// Bytes appended since the last sync began.
    unsynced_bytes: u64,
    /// What poisoned the log, until someone was told.
    failure: Option<WriteError>,
    /// Work that has to wait for what is in flight. While there is some, nothing else is begun.
    parked: Option<Work>,
}

/// An append that was tried.
struct Waiter {
    outcome: Result<Appended, AppendError>,
    durability: Durability,
    completion: Completion<Appended, AppendError>,
}

impl OwnedLog {
    /// Takes a writer. What was appended before is made durable now: no later sync might learn that its write-back
    /// had failed.
    pub(super) fn new(mut writer: LogWriter) -> Self {
        let failure = writer.sync().err();
        Self {
            writer,
            waiters: VecDeque::new(),
            jobs: 0,
            in_round: false,
            changed: false,
            unsynced_bytes: 0,
            failure,
            parked: None,
        }
    }

    pub(super) fn identity(&self) -> LogIdentity {
        self.writer.identity()
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.writer.is_poisoned()
    }

    /// Tells whether anything appended may still be lost.
    fn is_dirty(&self) -> bool {
        self.writer.durable_end() < self.writer.end_index()
    }

    /// Tells whether something may still be lost and no sync that will begin covers it.
    pub(super) fn is_volatile(&self) -> bool {
        self.is_dirty() && !self.is_poisoned() && self.waiters.is_empty() && !self.in_round && self.jobs == 0
    }

    /// Tells whether the log has to be in the next round.
    pub(super) fn wants_sync(&self) -> bool {
        self.is_dirty()
            && !self.is_poisoned()
            && (!self.waiters.is_empty() || self.unsynced_bytes >= UNSYNCED_BYTES_MAX)
    }

    // Work, in the order of its submission.

    /// Tells whether `work` can be done now.
    ///
    /// What is not an append needs the log for itself. An append that rolls seals the old segment, which a sync of it
    /// that is under way could contradict: the kernel reports a failed write-back to one of the two only.
    pub(super) fn can_do(&self, work: &Work) -> bool {
        match work {
            Work::Exclusive(_) | Work::Close(_) => self.jobs == 0 && self.waiters.is_empty(),
            Work::Appends(appends) => {
                let frames = appends.iter().flat_map(|append| &append.frames);
                self.jobs == 0 || self.writer.fits_active_segment(frames)
            }
        }
    }

    pub(super) fn park(&mut self, work: Work) {
        assert!(self.parked.is_none(), "a log with parked work is given no other");
        self.parked = Some(work);
    }

    /// Gives parked work back if it can be done by now.
    pub(super) fn unpark(&mut self) -> Option<Work> {
        let can_do = self.parked.as_ref().is_some_and(|work| self.can_do(work));
        if can_do { self.parked.take() } else { None }
    }

    /// Appends what one turn brought. The completions of what needs no sync, and of what failed, are due at once, unless
    /// they have to wait for earlier ones.
    pub(super) fn append(&mut self, appends: Vec<Append>, staging: &mut Staging, due: &mut Vec<Due>) {
        self.unsynced_bytes += appends.iter().map(Append::frame_bytes).sum::<u64>();
        self.writer.swap_staging(staging);
        match appends.len() {
            1 => appends.into_iter().for_each(|append| self.append_one(append)),
            _ => self.append_together(appends),
        }
        self.writer.swap_staging(staging);
        self.complete_settled(due);
    }

    fn append_one(&mut self, append: Append) {
        let outcome = self.writer.append(&append.frames);
        self.waiters.push_back(append.waiter(outcome));
    }

    /// Appends all in one write if that succeeds; otherwise each gets the answer that it would have got alone.
    fn append_together(&mut self, mut appends: Vec<Append>) {
        let lens: Vec<usize> = appends.iter().map(|append| append.frames.len()).collect();
        let mut end = Appended { end_offset: self.writer.end_offset(), end_index: self.writer.end_index() };
        let mut frames = Vec::with_capacity(lens.iter().sum());
        appends.iter_mut().for_each(|append| frames.append(&mut append.frames));
        let outcome = self.writer.append(&frames);
        let (written, needed_bytes) = match &outcome {
            Ok(_) => (frames.len(), 0),
            Err(AppendError::DiskFull { appended, needed_bytes }) => (*appended, *needed_bytes),
            Err(
                AppendError::Chain { .. }
                | AppendError::ForeignFrame { .. }
                | AppendError::Frame { .. }
                | AppendError::Write(_),
            ) => (0, 0),
        };
        let mut failure = outcome.err().filter(|error| matches!(error, AppendError::Write(_)));
        let mut start = 0;
        for (append, len) in appends.into_iter().zip(lens) {
            let own = &frames[start..start + len];
            let outcome = if start + len <= written {
                end = own.last().map_or(end, end_behind);
                Ok(end)
            } else if start < written {
                Err(AppendError::DiskFull { appended: written - start, needed_bytes })
            } else {
                failure.take().map_or_else(|| self.writer.append(own), Err)
            };
            self.waiters.push_back(append.waiter(outcome));
            start += len;
        }
    }

    /// Lets someone work with the writer alone.
    pub(super) fn exclusive(&mut self, exclusive: Exclusive) {
        exclusive(&mut self.writer);
    }

    /// Closes the log. One that was poisoned is left to recovery.
    pub(super) fn close(self) -> Result<(), WriteError> {
        self.failure.map_or_else(|| self.writer.close(), Err)
    }

    // Syncs and checkpoints.

    /// Begins a sync of what was written so far, if there is anything to sync. In a round that was not taken yet it goes
    /// into the place of an earlier one of the same log.
    pub(super) fn begin_sync(&mut self) -> Option<PendingSync> {
        self.in_round = false;
        if self.is_poisoned() || !self.is_dirty() {
            return None;
        }
        self.unsynced_bytes = 0;
        Some(self.writer.begin_sync())
    }

    /// Notes that one more job has something of this log.
    pub(super) fn joined_job(&mut self) {
        self.jobs += 1;
    }

    pub(super) fn finish_sync(&mut self, pending: &PendingSync, outcome: io::Result<()>, due: &mut Vec<Due>) {
        self.jobs -= 1;
        let outcome = self.writer.finish_sync(pending, outcome);
        self.note_failure(outcome, due);
    }

    /// Begins a checkpoint, if there is anything new to note.
    pub(super) fn begin_checkpoint(&mut self) -> Option<PendingCheckpoint> {
        let pending = self.writer.begin_checkpoint()?;
        self.jobs += 1;
        Some(pending)
    }

    /// Tells whether the log has no more to note: it has not grown meanwhile, and there was space for the checkpoint.
    pub(super) fn finish_checkpoint(
        &mut self,
        pending: &PendingCheckpoint,
        outcome: io::Result<()>,
        due: &mut Vec<Due>,
    ) -> bool {
        self.jobs -= 1;
        let outcome = self.writer.finish_checkpoint(pending, outcome);
        let is_done = outcome.is_ok() && pending.durable_end() == self.writer.end_index();
        self.note_failure(outcome, due);
        is_done
    }

    /// Gives the log up, because something that it depends on has failed.
    pub(super) fn poison(&mut self, due: &mut Vec<Due>) {
        self.writer.poison();
        self.complete_settled(due);
    }

    fn note_failure(&mut self, outcome: Result<(), WriteError>, due: &mut Vec<Due>) {
        if self.is_poisoned() {
            self.failure = self.failure.take().or(outcome.err());
        }
        self.complete_settled(due);
    }

    /// Moves completions from the front as far as their outcome is known. Everyone who waits for a poisoned log fails.
    fn complete_settled(&mut self, due: &mut Vec<Due>) {
        if self.is_poisoned() {
            for waiter in self.waiters.iter_mut().filter(|waiter| waiter.outcome.is_ok()) {
                waiter.outcome = Err(self.failure.take().unwrap_or(WriteError::Poisoned).into());
            }
        }
        let durable_end = self.writer.durable_end();
        while self.waiters.front().is_some_and(|waiter| waiter.is_settled(durable_end)) {
            due.extend(self.waiters.pop_front().map(|waiter| Due::Append(waiter.completion, waiter.outcome)));
        }
    }
}

impl Append {
    fn waiter(self, outcome: Result<Appended, AppendError>) -> Waiter {
        Waiter { outcome, durability: self.durability, completion: self.completion }
    }
}

impl Waiter {
    fn is_settled(&self, durable_end: RaftIndex) -> bool {
        match (&self.outcome, self.durability) {
            (Err(_), _) | (Ok(_), Durability::Written) => true,
            (Ok(appended), Durability::Synced) => appended.end_index <= durable_end,
        }
    }
}

fn end_behind(frame: &Frame) -> Appended {
    Appended { end_offset: frame.next_offset(), end_index: frame.stamp().index.next() }
}
