//! The types that openraft is compiled with.

use openraft::impls::leader_id_std;

use crate::applied::Applied;
use crate::entry::{LogEntry, Payload, Proposal};
use crate::replica_id::ReplicaId;

openraft::declare_raft_types!(
    /// Every group of a broker, data and metadata alike, has these types, so that openraft is compiled once.
    ///
    /// One leader a term: the term alone is the leader epoch.
    pub(crate) TypeConfig:
        D = Proposal,
        R = Applied,
        NodeId = ReplicaId,
        Node = (),
        Term = u64,
        LeaderId = leader_id_std::LeaderId<u64, ReplicaId>,
        Payload = Payload,
        Entry = LogEntry,
        AsyncRuntime = openraft::impls::TokioRuntime,
);

/// The leader of an entry, which is its term.
pub(crate) type CommittedLeaderId =
    <leader_id_std::LeaderId<u64, ReplicaId> as openraft::vote::RaftLeaderId>::Committed;

/// An entry's term and index.
pub(crate) type LogId = openraft::LogId<CommittedLeaderId>;

/// A vote: whom a replica follows in a term.
pub(crate) type Vote = openraft::impls::Vote<leader_id_std::LeaderId<u64, ReplicaId>>;

/// The members of a group.
pub(crate) type Membership = openraft::Membership<ReplicaId, ()>;
