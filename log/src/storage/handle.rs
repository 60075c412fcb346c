//! One log of a storage thread, as those see it who append to it.

use std::fmt;
use std::sync::Arc;

use tidelog_proto::frame::Frame;
use tidelog_proto::ids::{Offset, RaftIndex};

use super::queues::LogKey;
use super::request::{Append, Durability, Request, SubmitError};
use super::shared::Shared;
use crate::identity::LogIdentity;
use crate::writer::{AppendError, Appended, LogWriter, WriteError};

/// Submits requests to one log of a [`Storage`](super::Storage). Clones are the same log.
///
/// No method waits: each either takes the request or gives it back. Requests of one log take effect, and are completed,
/// in the order of their submission. Completions run on the storage thread: they must neither block nor panic. A
/// completion is dropped, not run, only if the storage thread itself comes to an end.
#[derive(Clone)]
pub struct LogHandle {
    shared: Arc<Shared>,
    key: LogKey,
    identity: LogIdentity,
}

impl LogHandle {
    pub(super) fn new(shared: Arc<Shared>, key: LogKey, identity: LogIdentity) -> Self {
        Self { shared, key, identity }
    }

    /// Tells whose log it is.
    #[must_use]
    pub fn identity(&self) -> LogIdentity {
        self.identity
    }

    /// Submits any request.
    ///
    /// # Errors
    /// The request, untouched, and why it was not taken.
    pub fn submit(&self, request: Request) -> Result<(), SubmitError> {
        self.shared.lock().queues.submit(self.key, request)?;
        self.shared.wake_writer();
        Ok(())
    }

    /// Appends frames, as [`LogWriter::append`] does.
    ///
    /// # Errors
    /// As [`LogHandle::submit`].
    pub fn append(
        &self,
        frames: Vec<Frame>,
        durability: Durability,
        completion: impl FnOnce(Result<Appended, AppendError>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        self.submit(Request::Append(Append { frames, durability, completion: Box::new(completion) }))
    }

    /// Cuts every entry from index `from` on, as [`LogWriter::truncate_suffix`] does.
    ///
    /// # Errors
    /// As [`LogHandle::submit`].
    pub fn truncate_suffix(
        &self,
        from: RaftIndex,
        completion: impl FnOnce(Result<(), WriteError>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        self.with_writer(move |writer| completion(writer.truncate_suffix(from)))
    }

    /// Moves the log start, as [`LogWriter::advance_start`] does.
    ///
    /// # Errors
    /// As [`LogHandle::submit`].
    pub fn advance_start(
        &self,
        log_start_offset: Offset,
        raft_start: RaftIndex,
        completion: impl FnOnce(Result<(), WriteError>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        self.with_writer(move |writer| completion(writer.advance_start(log_start_offset, raft_start)))
    }

    /// Seals the active segment, as [`LogWriter::roll`] does.
    ///
    /// # Errors
    /// As [`LogHandle::submit`].
    pub fn roll(&self, completion: impl FnOnce(Result<(), WriteError>) + Send + 'static) -> Result<(), SubmitError> {
        self.with_writer(move |writer| completion(writer.roll()))
    }

    /// Makes everything appended before durable and notes it, as [`LogWriter::write_checkpoint`] does.
    ///
    /// # Errors
    /// As [`LogHandle::submit`].
    pub fn write_checkpoint(
        &self,
        completion: impl FnOnce(Result<(), WriteError>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        self.with_writer(move |writer| completion(writer.sync().and_then(|()| writer.write_checkpoint())))
    }

    /// Does anything with the writer, alone: everything submitted before was completed, and nothing is in flight. All
    /// other logs of the storage thread wait meanwhile.
    ///
    /// # Errors
    /// As [`LogHandle::submit`].
    pub fn with_writer(&self, work: impl FnOnce(&mut LogWriter) + Send + 'static) -> Result<(), SubmitError> {
        self.submit(Request::Exclusive(Box::new(work)))
    }

    /// Closes the log, as [`LogWriter::close`] does. Nothing is taken afterwards; what was taken before is done first. A
    /// full queue is no obstacle.
    ///
    /// # Errors
    /// As [`LogHandle::submit`].
    pub fn close(&self, completion: impl FnOnce(Result<(), WriteError>) + Send + 'static) -> Result<(), SubmitError> {
        self.submit(Request::Close(Box::new(completion)))
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").field("identity", &self.identity).finish_non_exhaustive()
    }
}
