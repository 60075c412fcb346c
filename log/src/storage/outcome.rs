//! Waiting for a completion, for callers that have a thread to spare.

use std::fmt;
use std::sync::mpsc::{Receiver, sync_channel};

/// Makes a completion and the place where its outcome arrives.
pub fn outcome<T: Send + 'static, E: Send + 'static>() -> (impl FnOnce(Result<T, E>) + Send + 'static, Outcome<T, E>) {
    // A completion runs once, so it never waits for room.
    let (sender, receiver) = sync_channel(1);
    let completion = move |outcome| {
        // Whoever asked may have gone.
        let _ = sender.send(outcome);
    };
    (completion, Outcome { receiver })
}

/// Where the outcome of one request arrives.
pub struct Outcome<T, E> {
    receiver: Receiver<Result<T, E>>,
}

impl<T, E> Outcome<T, E> {
    /// Waits for the outcome; `None` if it will never come, because the storage thread has ended without it.
    pub fn wait(self) -> Option<Result<T, E>> {
        self.receiver.recv().ok()
    }

    /// Takes the outcome if it is there.
    pub fn try_take(&self) -> Option<Result<T, E>> {
        self.receiver.try_recv().ok()
    }
}

impl<T, E> fmt::Debug for Outcome<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome").finish_non_exhaustive()
    }
}
