//! Work that would stall a worker of the runtime: reads of pages that are not in memory, walks of large batches.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// A bounded share of the runtime's threads for blocking calls.
#[derive(Clone, Debug)]
pub(crate) struct BlockingPool {
    tasks: Arc<Semaphore>,
}

/// The work was not done: the runtime is shutting down, or the work panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotDone;

impl BlockingPool {
    pub(crate) fn new(tasks_max: usize) -> Self {
        Self { tasks: Arc::new(Semaphore::new(tasks_max.max(1))) }
    }

    /// Runs `work` when it is its turn.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotDone> {
        let turn = Arc::clone(&self.tasks).acquire_owned().await.map_err(|_| NotDone)?;
        let task = spawn_blocking(move || {
            let done = work();
            // Kept until here, also if nobody waits any more.
            drop(turn);
            done
        });
        task.await.map_err(|_| NotDone)
    }
}
