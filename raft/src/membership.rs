//! The members of a group as bytes, in the log and on the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use prost::Message;

use crate::replica_id::ReplicaId;
use crate::types::Membership;

/// The stored form. Field numbers are never reused.
#[derive(Clone, PartialEq, Message)]
struct StoredMembership {
    /// One set of voters, or two while the group passes from one to the other.
    #[prost(message, repeated, tag = "1")]
    voters: Vec<ReplicaSet>,
    /// All members, voters and learners.
    #[prost(fixed64, repeated, tag = "2")]
    members: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct ReplicaSet {
    #[prost(fixed64, repeated, tag = "1")]
    replicas: Vec<u64>,
}

/// Encodes the members of a group.
pub(crate) fn encode_membership(membership: &Membership) -> Vec<u8> {
    let numbers = |set: &BTreeSet<ReplicaId>| ReplicaSet { replicas: set.iter().map(|id| id.get()).collect() };
    StoredMembership {
        voters: membership.get_joint_config().iter().map(numbers).collect(),
        members: membership.nodes().map(|(id, ())| id.get()).collect(),
    }
    .encode_to_vec()
}

/// Decodes the members of a group.
///
/// # Errors
/// The bytes are not what [`encode_membership`] makes, or the members contradict each other.
pub(crate) fn decode_membership(bytes: &[u8]) -> Result<Membership, MembershipError> {
    let stored = StoredMembership::decode(bytes).map_err(|_| MembershipError::Encoding)?;
    let set = |set: ReplicaSet| set.replicas.into_iter().map(ReplicaId::from_number).collect::<BTreeSet<_>>();
    let members: BTreeMap<_, _> = stored.members.into_iter().map(|id| (ReplicaId::from_number(id), ())).collect();
    Membership::new(stored.voters.into_iter().map(set).collect(), members).map_err(|_| MembershipError::Members)
}

/// A membership entry that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipError {
    /// The bytes are no membership.
    Encoding,
    /// A voter is no member, or there are no voters.
    Members,
}

impl fmt::Display for MembershipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoding => "the members of the group cannot be decoded",
            Self::Members => "the members of the group contradict each other",
        })
    }
}

impl std::error::Error for MembershipError {}
