//! How many bytes of messages a connection may have here that no session has taken yet.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::message_limits::MESSAGE_BYTES_MAX;

/// Messages of a connection that arrive, or wait for their session: two of the largest.
const CONNECTION_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// A message of this size is not counted: commands and credit never wait behind batches.
const UNCOUNTED_BYTES_MAX: usize = 64 * 1024;

/// The room of one connection; clones share it. Who declares much and sends little takes it from nobody else.
#[derive(Clone, Debug)]
pub(crate) struct AssemblyRoom {
    bytes: Arc<Semaphore>,
}

/// The message of one call that is arriving, or waits for its session.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    /// Its share of the room. Taken by the body, given back by the session, or with the call.
    taken: Mutex<Option<OwnedSemaphorePermit>>,
}

impl AssemblyRoom {
    pub(crate) fn new() -> Self {
        Self { bytes: Arc::new(Semaphore::new(CONNECTION_BYTES_MAX)) }
    }

    /// Waits for room for a message of this length; `None` if it needs none.
    pub(crate) async fn acquire(self, message_bytes: usize) -> Option<OwnedSemaphorePermit> {
        if message_bytes <= UNCOUNTED_BYTES_MAX {
            return None;
        }
        let bytes = u32::try_from(message_bytes.min(CONNECTION_BYTES_MAX)).unwrap_or(u32::MAX);
        // It is never closed.
        self.bytes.acquire_many_owned(bytes).await.ok()
    }
}

impl Assembly {
    /// Notes the share of the message that begins to arrive.
    pub(crate) fn begin(&self, share: Option<OwnedSemaphorePermit>) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = share;
    }

    /// Gives the share back: the session has the message, and counts it where it belongs.
    pub(crate) fn end(&self) {
        self.begin(None);
    }
}
