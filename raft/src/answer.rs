//! How a proposer learns what came of its proposal.

use std::fmt;

use openraft::raft::responder::Responder;

use crate::types::TypeConfig;

/// Takes the outcome of a proposal, once. Dropped without it where the group has stopped.
pub(crate) struct Answer<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Answer<T> {
    /// `take` runs on the group's own tasks: it must not block.
    pub(crate) fn new(take: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(take))
    }
}

impl<T: Send + 'static> Responder<TypeConfig, T> for Answer<T> {
    fn on_complete(self, outcome: T) {
        (self.0)(outcome);
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}
