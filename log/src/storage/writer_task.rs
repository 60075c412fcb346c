//! The task that writes.

use std::sync::Arc;

use super::due::Due;
use super::group_commit::GroupCommit;
use super::queues::{LogKey, Work};
use super::shared::Shared;
use super::sync_job::SyncJob;
use crate::environment::{Environment, Step, Task};
use crate::identity::LogIdentity;
use crate::writer::{LogWriter, WriteError};

/// Writes what is submitted, hands rounds to the sync task, and runs completions.
pub(super) struct WriterTask {
    environment: Arc<dyn Environment>,
    shared: Arc<Shared>,
    commit: GroupCommit,
    /// Logs that could not be closed.
    failures: Vec<(LogIdentity, WriteError)>,
}

/// What a step finds.
struct Input {
    arriving: Vec<(LogKey, Box<LogWriter>)>,
    finished: Vec<SyncJob>,
    work: Option<(LogKey, Work)>,
    more_to_write: bool,
    stopping: bool,
    /// No request waits.
    drained: bool,
}

impl WriterTask {
    pub(super) fn new(environment: Arc<dyn Environment>, shared: Arc<Shared>, commit: GroupCommit) -> Self {
        Self { environment, shared, commit, failures: Vec::new() }
    }

    /// Tells the queues what became of their logs, and takes what there is to do: all in one go under the lock.
    fn exchange(&mut self) -> Input {
        let effects = self.commit.take_effects();
        let has_unparked = self.commit.has_unparked();
        let mut state = self.shared.lock();
        self.commit.note_ready(state.job.as_ref());
        let queues = &mut state.queues;
        effects.poisoned.into_iter().for_each(|key| queues.poison(key));
        effects.turns_ended.into_iter().for_each(|key| queues.end_turn(key));
        effects.removed.into_iter().for_each(|key| queues.remove(key));
        // A log that arrives has to be there before its first request.
        let arriving = std::mem::take(&mut state.arriving);
        let work = if self.commit.has_room() && !has_unparked { state.queues.begin_turn() } else { None };
        Input {
            arriving,
            work,
            finished: std::mem::take(&mut state.finished),
            more_to_write: state.queues.has_ready(),
            stopping: state.queues.is_stopping(),
            drained: state.queues.is_empty(),
        }
    }

    /// Makes ready what the sync task does next. `more_to_write` tells that the round would soon be larger.
    fn prepare_job(&mut self, more_to_write: bool) {
        let now = self.environment.monotonic();
        let mut state = self.shared.lock();
        let is_syncing = state.is_syncing;
        self.commit.prepare_job(&mut state.job, more_to_write && !is_syncing, now);
        state.is_full = !self.commit.has_room();
        let has_job = state.job.is_some();
        drop(state);
        if has_job && !is_syncing {
            self.shared.wake_sync();
        }
    }

    fn run_due(&mut self) {
        self.commit.take_due().into_iter().for_each(Due::run);
    }

    /// Closes one log, or ends when all are closed.
    fn close_next(&mut self) -> Step {
        if let Some((identity, outcome)) = self.commit.close_next() {
            self.failures.extend(outcome.err().map(|error| (identity, error)));
            return Step::Again;
        }
        self.shared.lock().closed = Some(std::mem::take(&mut self.failures));
        Step::Done
    }
}

impl Task for WriterTask {
    fn step(&mut self) -> Step {
        let Input { arriving, finished, work, more_to_write, stopping, drained } = self.exchange();
        let mut is_idle = arriving.is_empty() && finished.is_empty();
        for (key, writer) in arriving {
            self.commit.add(key, *writer);
        }
        for job in finished {
            self.commit.finish_job(job, self.environment.monotonic());
        }
        // Before other work, which may complete something of the same log.
        self.run_due();
        for (key, work) in self.commit.take_unparked().into_iter().chain(work) {
            is_idle = false;
            self.commit.execute(key, work, self.environment.monotonic());
        }
        if stopping {
            self.commit.stop_checkpoints();
        }
        self.prepare_job(more_to_write || self.commit.has_unparked());
        self.run_due();
        if !is_idle || more_to_write && self.commit.has_room() {
            return Step::Again;
        }
        if stopping && drained && self.commit.is_idle() { self.close_next() } else { Step::Wait }
    }
}

impl Drop for WriterTask {
    /// Ends the sync task as well. If this task did not come to its own end, nobody will do what is waiting.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.writer_ended = true;
        let abandoned = (state.queues.abandon(), std::mem::take(&mut state.arriving));
        drop(state);
        drop(abandoned);
        self.shared.wake_sync();
    }
}
