//! Topics, partitions and brokers as replies tell them.

use std::sync::Arc;

use bytes::Bytes;
use tidelog_log::LogIdentity;
use tidelog_proto::api::{TopicSelector, v1};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{BrokerId, TopicId};
use tidelog_raft::metadata::{Broker, MetadataState, Partition, Topic};
use tidelog_raft::{ProduceError, ProposeError, ReplicatedLog};

use tonic::Status;

use super::Node;
use crate::reply_error;

/// Lists the registered brokers, by number.
pub(super) fn brokers(state: &MetadataState) -> Vec<v1::BrokerAddress> {
    let address = |(broker_id, broker): (BrokerId, &Broker)| v1::BrokerAddress {
        broker_id: broker_id.get(),
        address: broker.address.to_string(),
        rack: broker.rack.as_ref().map(ToString::to_string),
    };
    state.brokers().map(address).collect()
}

/// Gives the broker that leads the metadata group, if one is known to.
pub(super) fn controller(node: &Node) -> Option<u32> {
    node.metadata.leadership().borrow().leader.map(BrokerId::get)
}

/// Gives the cluster's id as text; empty before it was made.
pub(super) fn cluster_id(state: &MetadataState) -> String {
    state.cluster_id().map(|id| id.to_string()).unwrap_or_default()
}

pub(super) fn id_bytes(topic_id: TopicId) -> Bytes {
    Bytes::copy_from_slice(topic_id.as_bytes())
}

/// Finds a topic.
///
/// # Errors
/// There is none of this id or name.
pub(super) fn topic<'a>(state: &'a MetadataState, selector: &TopicSelector) -> Result<&'a Arc<Topic>, v1::Error> {
    state.select(selector).ok_or_else(|| match selector {
        TopicSelector::Id(id) => v1::Error::new(ErrorCode::UnknownTopicId, format!("no topic has the id {id}")),
        TopicSelector::Name(name) => {
            v1::Error::new(ErrorCode::UnknownTopicOrPartition, format!("no topic is named {name}"))
        }
    })
}

/// Partitions of one answer: more than a cluster may have, so that only who asks for the same again and again is refused.
const PARTITIONS_MAX: usize = 100_000;

/// Refuses an answer about too many partitions, before anything is made of them.
pub(super) fn check_partitions(
    state: &MetadataState,
    selectors: impl Iterator<Item = TopicSelector>,
) -> Result<(), Status> {
    let count = |selector: TopicSelector| state.select(&selector).map_or(0, |topic| topic.partitions.len());
    let partitions = selectors.map(count).fold(0, usize::saturating_add);
    if partitions <= PARTITIONS_MAX {
        return Ok(());
    }
    let limit = reply_error::limit("partitions_max", PARTITIONS_MAX as u64, Some(partitions as u64), false);
    Err(reply_error::passed_limit(format!("the answer would be about {partitions} partitions"), limit))
}

/// Tells who leads a partition and who holds it.
pub(super) fn partition(node: &Node, identity: LogIdentity, partition: &Partition) -> v1::PartitionMetadata {
    let open = node.partitions().get(&identity).cloned();
    let leadership = open.map(|open| *open.group.leadership().borrow());
    v1::PartitionMetadata {
        partition: identity.partition.get(),
        leader_id: leadership.and_then(|leadership| leadership.leader).map(BrokerId::get),
        leader_epoch: leadership.map_or(0, |leadership| leadership.epoch.get()),
        replica_ids: partition.replicas.iter().map(|replica| replica.broker().get()).collect(),
    }
}

/// Tells what the cluster knows of a topic.
pub(super) fn topic_metadata(node: &Node, topic: &Topic) -> v1::TopicMetadata {
    v1::TopicMetadata {
        name: topic.name.as_str().to_owned(),
        topic_id: id_bytes(topic.id),
        internal: topic.internal,
        partitions: topic.partitions().map(|(identity, held)| partition(node, identity, held)).collect(),
        error: None,
    }
}

/// Tells why a command to the metadata group was not carried out.
pub(super) fn propose_error(error: &ProposeError) -> v1::Error {
    match error {
        ProposeError::Refused(error) => error.into(),
        ProposeError::TooLarge(error) => v1::Error::new(ErrorCode::InvalidRequest, error.to_string()),
        ProposeError::Group(ProduceError::Stopped) => v1::Error::new(
            ErrorCode::RequestTimedOut,
            "the metadata group has stopped; whether the change was made is not known",
        ),
        ProposeError::Group(error @ ProduceError::DiskFull) => reply_error::disk_full(error.to_string()),
        ProposeError::Group(
            error @ (ProduceError::NotLeader(_)
            | ProduceError::Sequence(_)
            | ProduceError::Behind
            | ProduceError::OffsetOutOfRange { .. }),
        ) => v1::Error::new(ErrorCode::NotController, error.to_string()),
    }
}
