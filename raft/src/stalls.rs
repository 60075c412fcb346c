//! A disk without space stops a group's log, not the group: appends wait, in order, until there is space again.
//!
//! Without this Raft would give the group up at the first append that fails, and what is stored could not even be read.

use std::fmt;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use openraft::storage::IOFlushed;
use tidelog_log::{AppendError, LogIdentity};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::types::TypeConfig;

/// How often it is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// The appends of one group that wait for space.
pub(crate) struct Stalls {
    waiting: Mutex<Waiting>,
    is_stalled: watch::Sender<bool>,
}

#[derive(Default)]
struct Waiting {
    /// In the order of the log.
    appends: Vec<Stalled>,
    /// Below it everything was written by whoever tries again, and is durable.
    written_end: u64,
}

/// An append that Raft waits for.
pub(crate) struct Stalled {
    /// The index behind its last entry.
    pub(crate) end_index: u64,
    pub(crate) callback: IOFlushed<TypeConfig>,
}

/// What can write the appends that wait, from wherever they are kept meanwhile.
pub(crate) trait WriteAgain: Send + Sync + 'static {
    fn identity(&self) -> LogIdentity;

    fn stalls(&self) -> &Stalls;

    /// Gives where it is tried again.
    fn runtime(&self) -> &Handle;

    /// Writes what the log has not yet of the entries below `end_index`, durably.
    fn write_again(&self, end_index: u64) -> impl Future<Output = Result<(), WriteAgainError>> + Send;
}

/// What was not written.
#[derive(Debug)]
pub(crate) enum WriteAgainError {
    /// There is still not enough space.
    DiskFull,
    /// The log has failed or was closed.
    Failed(io::Error),
}

impl fmt::Debug for Stalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stalls").field("is_stalled", &self.is_stalled()).finish_non_exhaustive()
    }
}

impl Stalls {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), is_stalled: watch::Sender::new(false) })
    }

    /// Tells whether appends wait for space.
    pub(crate) fn is_stalled(&self) -> bool {
        *self.is_stalled.borrow()
    }

    /// Waits until no append waits for space.
    pub(crate) async fn ended(&self) {
        // The sender is here.
        drop(self.is_stalled.subscribe().wait_for(|is_stalled| !is_stalled).await);
    }

    /// Puts an append behind those that wait, or gives it back where none does.
    pub(crate) fn join(&self, append: Stalled) -> Option<Stalled> {
        let mut waiting = self.waiting();
        if !self.is_stalled() {
            return Some(append);
        }
        waiting.appends.push(append);
        None
    }

    /// Fails all that wait.
    fn fail(&self, error: &io::Error) {
        let mut waiting = self.waiting();
        self.is_stalled.send_replace(false);
        for append in mem::take(&mut waiting.appends) {
            append.callback.io_completed(Err(io::Error::new(error.kind(), error.to_string())));
        }
    }

    /// Notes that everything below `end_index` is durable; `true` where nothing waits any more.
    fn note_written(&self, end_index: u64) -> bool {
        let mut waiting = self.waiting();
        waiting.written_end = end_index;
        let still = waiting.appends.partition_point(|append| append.end_index <= end_index);
        waiting.appends.drain(..still).for_each(|append| append.callback.io_completed(Ok(())));
        let is_done = waiting.appends.is_empty();
        if is_done {
            self.is_stalled.send_replace(false);
        }
        is_done
    }

    /// Gives the end of what waits.
    fn end_index(&self) -> Option<u64> {
        self.waiting().appends.last().map(|append| append.end_index)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes an append that has failed. For want of space, or behind one that did, it waits; otherwise Raft is told.
pub(crate) fn take_failed<S: WriteAgain>(store: &Arc<S>, append: Stalled, error: AppendError) {
    let stalls = store.stalls();
    let mut waiting = stalls.waiting();
    let is_behind = matches!(error, AppendError::Chain { .. });
    if is_behind && append.end_index <= waiting.written_end {
        // It was sent just before the stall began, and written by who tried again.
        drop(waiting);
        append.callback.io_completed(Ok(()));
        return;
    }
    let was_stalled = stalls.is_stalled();
    match error {
        AppendError::DiskFull { needed_bytes, .. } if !was_stalled => {
            stalls.is_stalled.send_replace(true);
            waiting.appends.push(append);
            tracing::error!(partition = %store.identity(), needed_bytes, "the disk is full: the partition waits for space");
            store.runtime().spawn(try_again(Arc::downgrade(store)));
        }
        AppendError::DiskFull { .. } | AppendError::Chain { .. } if was_stalled => {
            // Those that were sent come in their order; others may have joined meanwhile, and are behind them.
            let place = waiting.appends.partition_point(|other| other.end_index < append.end_index);
            waiting.appends.insert(place, append);
        }
        error => {
            drop(waiting);
            append.callback.io_completed(Err(io::Error::other(error)));
        }
    }
}

/// Tries again until nothing waits, or nobody has the log any more.
async fn try_again<S: WriteAgain>(store: Weak<S>) {
    loop {
        tokio::time::sleep(RETRY).await;
        let Some(store) = store.upgrade() else { return };
        let stalls = store.stalls();
        while let Some(end_index) = stalls.end_index() {
            match store.write_again(end_index).await {
                Ok(()) if stalls.note_written(end_index) => {
                    tracing::info!(partition = %store.identity(), "there is space again: all that waited is written");
                    return;
                }
                Ok(()) => {}
                Err(WriteAgainError::DiskFull) => break,
                Err(WriteAgainError::Failed(error)) => return stalls.fail(&error),
            }
        }
    }
}
