//! What a proposal comes to.

use tidelog_proto::ids::{Offset, RaftIndex, RaftTerm};

use crate::metadata::{MetadataError, MetadataOutcome};

/// A committed and applied entry, as its proposer learns of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// The term of its leader.
    pub(crate) term: RaftTerm,
    /// Its index.
    pub(crate) index: RaftIndex,
    /// What it did.
    pub(crate) outcome: Outcome,
}

/// What an entry did when it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing that anybody is told of.
    None,
    /// A batch is readable from this offset on.
    Batch(Offset),
    /// The log starts here, or already did further on.
    LogStart(Offset),
    /// What came of a command to the metadata group.
    Metadata(Box<Result<MetadataOutcome, MetadataError>>),
}
