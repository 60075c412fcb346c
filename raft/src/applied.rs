//! What a proposal comes to.

use tidelog_proto::ids::{Offset, RaftIndex, RaftTerm};

/// A committed and applied entry, as its proposer learns of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The term of its leader.
    pub term: RaftTerm,
    /// Its index.
    pub index: RaftIndex,
    /// Its first offset; the log end offset there if it takes none.
    pub base_offset: Offset,
}
