//! What a Raft group must remember beside its log.

use tidelog_proto::ids::{RaftIndex, RaftTerm};

use crate::replica_id::ReplicaId;

/// For whom a replica has voted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The term of the vote.
    pub term: RaftTerm,
    /// The candidate, or leader, that has it.
    pub replica: ReplicaId,
    /// A majority has granted it: that replica is the leader of the term.
    pub committed: bool,
}

/// The last entry that is no longer in the log because retention removed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgeMark {
    /// Its term.
    pub term: RaftTerm,
    /// Its index; the log starts behind it.
    pub index: RaftIndex,
}

/// What is remembered of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The last vote; `None` before the first.
    pub vote: Option<Vote>,
    /// An index known to be committed; `None` where none was noted. The group may be further: it is written lazily.
    pub committed: Option<RaftIndex>,
    /// What was purged last; `None` where nothing was.
    pub purged: Option<PurgeMark>,
}
