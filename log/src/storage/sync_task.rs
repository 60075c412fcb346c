//! The task that syncs.

use std::sync::Arc;

use super::shared::Shared;
use super::sync_job::SyncJob;
use crate::environment::{Filesystem, Step, Task};

/// Runs one job after the other, one sync in a step.
pub(super) struct SyncTask {
    shared: Arc<Shared>,
    filesystem: Arc<dyn Filesystem>,
    job: Option<SyncJob>,
}

impl SyncTask {
    /// `filesystem` was opened before the first write to it.
    pub(super) fn new(shared: Arc<Shared>, filesystem: Arc<dyn Filesystem>) -> Self {
        Self { shared, filesystem, job: None }
    }
}

impl Task for SyncTask {
    fn step(&mut self) -> Step {
        let Some(mut job) = self.job.take() else {
            let mut state = self.shared.lock();
            self.job = state.job.take();
            return match (&self.job, state.writer_ended) {
                (Some(_), _) => Step::Again,
                (None, true) => Step::Done,
                (None, false) => Step::Wait,
            };
        };
        if job.run_next(self.filesystem.as_ref()) {
            self.shared.lock().finished = Some(job);
            self.shared.wake_writer();
        } else {
            self.job = Some(job);
        }
        Step::Again
    }
}
