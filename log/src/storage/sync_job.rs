//! What the sync task is given to do: the syncs of one round, or one checkpoint.

use std::collections::BTreeMap;
use std::io;

use super::queues::LogKey;
use crate::environment::Filesystem;
use crate::writer::{PendingCheckpoint, PendingSync};

/// Work for the sync task, and what came of it.
pub(super) enum SyncJob {
    Round(SyncRound),
    Checkpoint { key: LogKey, pending: PendingCheckpoint, outcome: io::Result<()> },
}

/// Logs that are made durable together. It grows until the sync task takes it.
#[derive(Default)]
pub(super) struct SyncRound {
    /// By log, what was written to it last.
    pub(super) waiting: BTreeMap<LogKey, PendingSync>,
    /// What came of those that were tried.
    pub(super) done: Vec<LogSync>,
    /// They were tried by one `syncfs`, and that failed.
    pub(super) has_filesystem_failed: bool,
}

/// The sync of one log, and what came of it.
pub(super) struct LogSync {
    pub(super) key: LogKey,
    pub(super) pending: PendingSync,
    pub(super) outcome: io::Result<()>,
}

impl SyncJob {
    pub(super) fn checkpoint(key: LogKey, pending: PendingCheckpoint) -> Self {
        Self::Checkpoint { key, pending, outcome: Ok(()) }
    }

    /// Does the next part of the job, each once, whatever came of the others. Tells whether it was the last.
    pub(super) fn run_next(&mut self, filesystem: &dyn Filesystem, syncfs_files_min: Option<usize>) -> bool {
        match self {
            Self::Round(round) => round.run_next(filesystem, syncfs_files_min),
            Self::Checkpoint { pending, outcome, .. } => {
                *outcome = pending.run();
                true
            }
        }
    }
}

impl SyncRound {
    fn run_next(&mut self, filesystem: &dyn Filesystem, syncfs_files_min: Option<usize>) -> bool {
        let is_begun = !self.done.is_empty();
        if !is_begun && syncfs_files_min.is_some_and(|min| self.waiting.len() >= min) {
            self.sync_filesystem(filesystem);
        } else if let Some((key, pending)) = self.waiting.pop_first() {
            let outcome = pending.run();
            self.done.push(LogSync { key, pending, outcome });
        }
        self.waiting.is_empty()
    }

    fn sync_filesystem(&mut self, filesystem: &dyn Filesystem) {
        let outcome = filesystem.sync_all();
        self.has_filesystem_failed = outcome.is_err();
        for (key, pending) in std::mem::take(&mut self.waiting) {
            let outcome = outcome.as_ref().copied().map_err(same_error);
            self.done.push(LogSync { key, pending, outcome });
        }
    }
}

/// Says the same to one more log.
fn same_error(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
