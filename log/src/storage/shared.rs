//! What the handles and the two tasks of a storage thread share.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::queues::{LogKey, Queues};
use super::sync_job::SyncJob;
use crate::environment::TaskHandle;
use crate::identity::LogIdentity;
use crate::writer::{LogWriter, WriteError};

/// What handles and both tasks share.
pub(super) struct Shared {
    /// Held for a few moves, never across I/O, a completion or a wake-up of somebody else's code.
    state: Mutex<State>,
    /// Both are set once, as soon as the task runs, which is before it is given anything.
    pub(super) writer: OnceLock<Arc<dyn TaskHandle>>,
    pub(super) sync: OnceLock<Arc<dyn TaskHandle>>,
}

/// What goes from one thread to another.
pub(super) struct State {
    pub(super) queues: Queues,
    /// Logs on their way to the writer task.
    pub(super) arriving: Vec<(LogKey, Box<LogWriter>)>,
    /// What the sync task does next. A round in it grows with every write, until the sync task takes it.
    pub(super) job: Option<SyncJob>,
    /// The sync task has taken a job and not finished it: it looks for the next by itself.
    pub(super) is_syncing: bool,
    /// The writer task writes no more before the sync task has taken what is ready.
    pub(super) is_full: bool,
    /// Jobs on their way back to the writer task: at most two, since it makes them ready one by one.
    pub(super) finished: Vec<SyncJob>,
    /// The writer task has ended.
    pub(super) writer_ended: bool,
    /// The logs that could not be closed in order; `None` before all were tried.
    pub(super) closed: Option<Vec<(LogIdentity, WriteError)>>,
}

impl Shared {
    pub(super) fn new(queues: Queues) -> Self {
        let state = State {
            queues,
            arriving: Vec::new(),
            job: None,
            is_syncing: false,
            is_full: false,
            finished: Vec::new(),
            writer_ended: false,
            closed: None,
        };
        Self { state: Mutex::new(state), writer: OnceLock::new(), sync: OnceLock::new() }
    }

    /// A completion that panicked did not hold the lock, so the state is whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake_writer(&self) {
        if let Some(task) = self.writer.get() {
            task.wake();
        }
    }

    pub(super) fn wake_sync(&self) {
        if let Some(task) = self.sync.get() {
            task.wake();
        }
    }

    /// Waits for both tasks to come to their end.
    pub(super) fn join(&self) {
        for task in [&self.writer, &self.sync] {
            if let Some(task) = task.get() {
                task.join();
            }
        }
    }
}
