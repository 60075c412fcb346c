//! What the cluster knows of a topic.

use std::collections::BTreeSet;

use tidelog_log::LogIdentity;
use tidelog_proto::ids::{BrokerId, PartitionId, TopicId, TopicName};

use crate::metadata::TopicConfigs;
use crate::replica_id::ReplicaId;

/// What the names of topics begin with that belong to the brokers, and no others.
pub const INTERNAL_PREFIX: &str = "__";

/// The id under which the metadata group keeps its own log. No topic has it.
pub const METADATA_TOPIC_ID: TopicId = TopicId::new([0; 16]);

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its id. No other topic has, had or will have it.
    pub id: TopicId,
    /// Its name. No other topic has it now.
    pub name: TopicName,
    /// Whether it belongs to the brokers: it is neither changed nor deleted on demand.
    pub internal: bool,
    /// How many replicas each partition is meant to have.
    pub replication_factor: u32,
    /// Its partitions, by number, from 0 without gaps; at least one.
    pub partitions: Vec<Partition>,
    /// What was set for it.
    pub configs: TopicConfigs,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its replicas, the preferred leader first; at least one, each on another broker.
    pub replicas: Vec<ReplicaId>,
}

impl Topic {
    /// Counts the partitions.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        // Bounded by a limit of the metadata long before.
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    /// Gives a partition; `None` if there are not as many.
    #[must_use]
    pub fn partition(&self, partition: PartitionId) -> Option<&Partition> {
        self.partitions.get(usize::try_from(partition.get()).ok()?)
    }

    /// Lists the partitions by number, each with the identity of its log.
    pub fn partitions(&self) -> impl Iterator<Item = (LogIdentity, &Partition)> {
        let of = |partition| LogIdentity { topic_id: self.id, partition: PartitionId::new(partition) };
        (0..).map(of).zip(&self.partitions)
    }
}

impl Partition {
    /// Gives the replica that a broker holds; `None` if it holds none.
    #[must_use]
    pub fn replica_on(&self, broker_id: BrokerId) -> Option<ReplicaId> {
        self.replicas.iter().copied().find(|replica| replica.broker() == broker_id)
    }
}

/// A topic that was deleted, while there may still be files of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    /// The brokers that were registered when it was deleted and have not yet confirmed that they hold nothing of it; at
    /// least one.
    pub pending: BTreeSet<BrokerId>,
}
