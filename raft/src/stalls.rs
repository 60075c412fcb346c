//! A disk without space stops a group's log, not the group: appends wait, in order, until there is space again.
//!
//! Without this Raft would give the group up at the first append that fails, and what is stored could not even be read. The
//! same goes for a change of the log start, which needs a small file.

use std::fmt;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use openraft::storage::IOFlushed;
use tidelog_log::{AppendError, LogIdentity};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::types::TypeConfig;

/// How often it is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// The appends of one group that wait for space.
pub(crate) struct Stalls {
    waiting: Mutex<Waiting>,
    /// For how many reasons nothing new is proposed.
    reasons: watch::Sender<usize>,
    /// Becomes `true` once: nothing waits for space any more.
    closing: watch::Sender<bool>,
}

#[derive(Default)]
struct Waiting {
    /// In the order of the log.
    appends: Vec<Stalled>,
    /// Somebody tries again.
    is_stalled: bool,
}

/// As long as it is there, nothing new is proposed.
#[derive(Debug)]
pub(crate) struct Reason<'a>(&'a Stalls);

impl Drop for Reason<'_> {
    fn drop(&mut self) {
        self.0.reasons.send_modify(|reasons| *reasons -= 1);
    }
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
        Arc::new(Self { waiting: Mutex::default(), reasons: watch::Sender::new(0), closing: watch::Sender::new(false) })
    }

    /// Tells whether anything waits for space.
    pub(crate) fn is_stalled(&self) -> bool {
        *self.reasons.borrow() > 0
    }

    /// Waits until something waits for space.
    pub(crate) async fn began(&self) {
        // The sender is here.
        drop(self.reasons.subscribe().wait_for(|reasons| *reasons > 0).await);
    }

    /// Waits until nothing waits for space.
    pub(crate) async fn ended(&self) {
        // The sender is here.
        drop(self.reasons.subscribe().wait_for(|reasons| *reasons == 0).await);
    }

    /// Lets nothing new be proposed until the reason is dropped.
    pub(crate) fn stall(&self) -> Reason<'_> {
        self.reasons.send_modify(|reasons| *reasons += 1);
        Reason(self)
    }

    /// Waits until it is time to look for space again.
    ///
    /// # Errors
    /// The group is being closed.
    pub(crate) async fn pause(&self) -> io::Result<()> {
        let mut closing = self.closing.subscribe();
        match timeout(RETRY, closing.wait_for(|is_closing| *is_closing)).await {
            Ok(_) => Err(io::ErrorKind::StorageFull.into()),
            Err(_) => Ok(()),
        }
    }

    /// Lets nothing wait for space any more.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Puts an append behind those that wait, or gives it back where none does.
    pub(crate) fn join(&self, append: Stalled) -> Option<Stalled> {
        let mut waiting = self.waiting();
        if !waiting.is_stalled {
            return Some(append);
        }
        waiting.appends.push(append);
        None
    }

    /// Fails all that wait.
    fn fail(&self, error: &io::Error) {
        let mut waiting = self.waiting();
        self.set_stalled(&mut waiting, false);
        for append in mem::take(&mut waiting.appends) {
            append.callback.io_completed(Err(io::Error::new(error.kind(), error.to_string())));
        }
    }

    /// Notes that everything below `end_index` is durable; `true` where nothing waits any more.
    fn note_written(&self, end_index: u64) -> bool {
        let mut waiting = self.waiting();
        let still = waiting.appends.partition_point(|append| append.end_index <= end_index);
        waiting.appends.drain(..still).for_each(|append| append.callback.io_completed(Ok(())));
        let is_done = waiting.appends.is_empty();
        if is_done {
            self.set_stalled(&mut waiting, false);
        }
        is_done
    }

    /// Gives the end of what waits.
    fn end_index(&self) -> Option<u64> {
        self.waiting().appends.last().map(|append| append.end_index)
    }

    fn set_stalled(&self, waiting: &mut Waiting, is_stalled: bool) {
        if mem::replace(&mut waiting.is_stalled, is_stalled) != is_stalled {
            let count = |reasons: &mut usize| if is_stalled { *reasons += 1 } else { *reasons -= 1 };
            self.reasons.send_modify(count);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes an append that has failed. For want of space, or behind one that did, it waits; otherwise Raft is told.
pub(crate) fn take_failed<S: WriteAgain>(store: &Arc<S>, append: Stalled, error: AppendError) {
    let stalls = store.stalls();
    let mut waiting = stalls.waiting();
    let was_stalled = waiting.is_stalled;
    match error {
        AppendError::DiskFull { needed_bytes, .. } if !was_stalled => {
            stalls.set_stalled(&mut waiting, true);
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
