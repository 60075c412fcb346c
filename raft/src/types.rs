//! The types that openraft is compiled with.

use openraft::RaftTypeConfig;
use openraft::impls::{BoxedErrorSource, InlineBatch, TokioRuntime, leader_id_std};

use crate::answer::Answer;
use crate::applied::Applied;
use crate::entry::{LogEntry, Payload, Proposal};
use crate::replica_id::ReplicaId;

/// Every group of a broker, data and metadata alike, has these types, so that openraft is compiled once.
///
/// One leader a term: the term alone is the leader epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Proposal;
    type R = Applied;
    type NodeId = ReplicaId;
    type Node = ();
    type Term = u64;
    type LeaderId = leader_id_std::LeaderId<u64, ReplicaId>;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = LogEntry;
    type AsyncRuntime = TokioRuntime;
    type Responder<T>
        = Answer<T>
    where
        T: Send + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = BoxedErrorSource;
}

/// The leader of an entry, which is its term.
pub(crate) type CommittedLeaderId =
    <leader_id_std::LeaderId<u64, ReplicaId> as openraft::vote::RaftLeaderId>::Committed;

/// An entry's term and index.
pub(crate) type LogId = openraft::LogId<CommittedLeaderId>;

/// A vote: whom a replica follows in a term.
pub(crate) type Vote = openraft::impls::Vote<leader_id_std::LeaderId<u64, ReplicaId>>;

/// The members of a group.
pub(crate) type Membership = openraft::Membership<ReplicaId, ()>;

/// The members of a group, and the entry that says so.
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
