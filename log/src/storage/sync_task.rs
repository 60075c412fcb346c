//! The task that syncs.

use std::sync::Arc;

use super::shared::Shared;
use super::sync_job::SyncJob;
use crate::environment::{Filesystem, Step, Task};

/// Runs one job after the other, one sync in a step.
pub(super) struct SyncTask {
    shared: Arc<Shared>,
    filesystem: Arc<dyn Filesystem>,
    /// See [`StorageConfig`](super::StorageConfig).
    syncfs_files_min: Option<usize>,
    job: Option<SyncJob>,
}

impl SyncTask {
    /// `filesystem` was opened before the first write to it.
    pub(super) fn new(shared: Arc<Shared>, filesystem: Arc<dyn Filesystem>, syncfs_files_min: Option<usize>) -> Self {
        Self { shared, filesystem, syncfs_files_min, job: None }
    }

    /// Hands in a finished job, if there is one, and takes what was made ready meanwhile: the disk does not wait until
    /// the writer task finds the time.
    fn exchange(&mut self, finished: Option<SyncJob>) -> Step {
        let is_finished = finished.is_some();
        let mut state = self.shared.lock();
        state.finished.extend(finished);
        let is_awaited = is_finished || state.is_full;
        self.job = state.job.take();
        state.is_syncing = self.job.is_some();
        let step = match (&self.job, state.writer_ended) {
            (Some(_), _) => Step::Again,
            (None, true) => Step::Done,
            (None, false) => Step::Wait,
        };
        drop(state);
        if is_awaited {
            self.shared.wake_writer();
        }
        step
    }
}

impl Task for SyncTask {
    fn step(&mut self) -> Step {
        let Some(mut job) = self.job.take() else { return self.exchange(None) };
        if job.run_next(self.filesystem.as_ref(), self.syncfs_files_min) {
            return self.exchange(Some(job));
        }
        self.job = Some(job);
        Step::Again
    }
}
