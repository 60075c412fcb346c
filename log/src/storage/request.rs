//! What can be asked of a storage thread.

use std::fmt;

use tidelog_proto::frame::Frame;

use crate::writer::{AppendError, Appended, LogWriter, WriteError};

/// Takes the outcome of a request, once. It runs on the storage thread, so it must neither block nor panic; it may submit
/// the next request.
pub type Completion<T, E> = Box<dyn FnOnce(Result<T, E>) + Send>;

/// Works on a log's writer, on the storage thread and alone: nothing of the log is in flight meanwhile.
pub type Exclusive = Box<dyn FnOnce(&mut LogWriter) + Send>;

/// What an append has reached when its completion says that it succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A sync that began after the write has ended: it survives a loss of power.
    Synced,
    /// The operating system has it: it survives the end of the process.
    Written,
}

/// One request to a log. Those of one log take effect, and are completed, in the order of their submission.
pub enum Request {
    /// Appends frames.
    Append(Append),
    /// Does anything else with the writer, after everything before it was completed.
    Exclusive(Exclusive),
    /// Closes the log, after everything before it was completed.
    Close(Completion<(), WriteError>),
}

/// Frames to be appended to a log together. None at all, [`Durability::Synced`], makes durable what was appended before.
pub struct Append {
    /// The frames, in order.
    pub frames: Vec<Frame>,
    /// How far they must have come before the completion runs.
    pub durability: Durability,
    /// Takes the outcome.
    pub completion: Completion<Appended, AppendError>,
}

impl Request {
    /// Counts the bytes that wait with the request.
    pub(super) fn frame_bytes(&self) -> u64 {
        match self {
            Self::Append(append) => append.frame_bytes(),
            Self::Exclusive(_) | Self::Close(_) => 0,
        }
    }
}

impl Append {
    pub(super) fn frame_bytes(&self) -> u64 {
        self.frames.iter().map(|frame| frame.frame_bytes() as u64).sum()
    }
}

/// A request that was not taken. It is given back whole: its completion has not run and will not.
#[derive(Debug)]
pub enum SubmitError {
    /// As much is waiting as is allowed.
    Full(Request),
    /// A write or sync of the log has failed. The log must be closed and opened again.
    Poisoned(Request),
    /// The log was closed, or the storage thread was shut down.
    Closed(Request),
}

impl SubmitError {
    /// Tells whether the same request may be taken later.
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Poisoned(_) | Self::Closed(_) => false,
        }
    }

    /// Gives the request back.
    #[must_use]
    pub fn into_request(self) -> Request {
        match self {
            Self::Full(request) | Self::Poisoned(request) | Self::Closed(request) => request,
        }
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "too much is waiting to be written",
            Self::Poisoned(_) => "an earlier write or sync of this log failed; it must be opened again",
            Self::Closed(_) => "the log was closed",
        })
    }
}

impl std::error::Error for SubmitError {}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append(append) => append.fmt(f),
            Self::Exclusive(_) => f.write_str("Exclusive"),
            Self::Close(_) => f.write_str("Close"),
        }
    }
}

impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Append")
            .field("frames", &self.frames.len())
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
