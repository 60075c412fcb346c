//! What a command comes to.

use std::sync::Arc;

use tidelog_proto::ids::{BrokerId, ProducerId, TopicId};

use super::{ClusterVersion, Topic};

/// What a command has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataOutcome {
    /// Nothing: all is as it asks for already. A command that is proposed again most often comes to this.
    Unchanged,
    /// The cluster is made.
    ClusterFormatted,
    /// The brokers may use this version.
    ClusterVersionSet(ClusterVersion),
    /// The broker is known as it says.
    BrokerRegistered(BrokerId),
    /// The topic is there.
    TopicCreated(Arc<Topic>),
    /// The topic is no longer there; its files are to go.
    TopicDeleted(TopicId),
    /// The topic has these configs.
    TopicConfigsAltered(Arc<Topic>),
    /// The topic has these partitions.
    PartitionsCreated(Arc<Topic>),
    /// The block belongs to the broker that asked.
    ProducerIdsAllocated(ProducerIdBlock),
    /// The broker has confirmed.
    ReplicaDataDeleted {
        /// The topic.
        topic_id: TopicId,
        /// Whether every broker has: its id is forgotten.
        is_forgotten: bool,
    },
}

/// Producer ids that one broker may give out, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first.
    pub first: ProducerId,
    /// How many there are, at least one.
    pub count: u32,
}

impl ProducerIdBlock {
    /// Lists the ids.
    pub fn ids(self) -> impl Iterator<Item = ProducerId> {
        let first = self.first.get();
        (first..first.saturating_add(u64::from(self.count))).map(ProducerId::new)
    }
}
