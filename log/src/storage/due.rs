//! Completions whose time has come.

use super::request::Completion;
use crate::writer::{AppendError, Appended, WriteError};

/// A completion with its outcome, to be run when the disk has been given its next work.
pub(super) enum Due {
    Append(Completion<Appended, AppendError>, Result<Appended, AppendError>),
    Close(Completion<(), WriteError>, Result<(), WriteError>),
}

impl Due {
    pub(super) fn run(self) {
        match self {
            Self::Append(completion, outcome) => completion(outcome),
            Self::Close(completion, outcome) => completion(outcome),
        }
    }
}
