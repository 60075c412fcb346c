//! What the sync task is given to do: the syncs of one round, or one checkpoint.

use std::io;

use super::queues::LogKey;
use crate::environment::Filesystem;
use crate::writer::{PendingCheckpoint, PendingSync};

/// Work for the sync task, and what came of it.
pub(super) enum SyncJob {
    Round(SyncRound),
    Checkpoint { key: LogKey, pending: PendingCheckpoint, outcome: io::Result<()> },
}

/// Logs that are made durable together.
pub(super) struct SyncRound {
    pub(super) syncs: Vec<LogSync>,
    /// How many of `syncs` were tried.
    tried: usize,
    pub(super) method: SyncMethod,
}

/// How the logs of a round are made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncMethod {
    /// `fdatasync` of each.
    EachFile,
    /// One `syncfs`.
    Filesystem,
}

/// The sync of one log, and what came of it.
pub(super) struct LogSync {
    pub(super) key: LogKey,
    pub(super) pending: PendingSync,
    pub(super) outcome: io::Result<()>,
}

impl SyncJob {
    pub(super) fn round(syncs: Vec<(LogKey, PendingSync)>, method: SyncMethod) -> Self {
        let syncs = syncs.into_iter().map(|(key, pending)| LogSync { key, pending, outcome: Ok(()) }).collect();
        Self::Round(SyncRound { syncs, tried: 0, method })
    }

    pub(super) fn checkpoint(key: LogKey, pending: PendingCheckpoint) -> Self {
        Self::Checkpoint { key, pending, outcome: Ok(()) }
    }

    /// Does the next part of the job, each once, whatever came of the others. Tells whether it was the last.
    pub(super) fn run_next(&mut self, filesystem: &dyn Filesystem) -> bool {
        match self {
            Self::Round(round) => round.run_next(filesystem),
            Self::Checkpoint { pending, outcome, .. } => {
                *outcome = pending.run();
                true
            }
        }
    }
}

impl SyncRound {
    fn run_next(&mut self, filesystem: &dyn Filesystem) -> bool {
        match self.method {
            SyncMethod::EachFile => {
                if let Some(sync) = self.syncs.get_mut(self.tried) {
                    sync.outcome = sync.pending.run();
                    self.tried += 1;
                }
            }
            SyncMethod::Filesystem => {
                if let Err(error) = filesystem.sync_all() {
                    self.syncs.iter_mut().for_each(|sync| sync.outcome = Err(same_error(&error)));
                }
                self.tried = self.syncs.len();
            }
        }
        self.tried == self.syncs.len()
    }
}

/// Says the same to one more log.
fn same_error(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
