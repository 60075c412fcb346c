//! All that a cluster knows, and how it is looked up.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_log::LogIdentity;
use tidelog_proto::api::TopicSelector;
use tidelog_proto::ids::{BrokerId, ProducerId, RaftIndex, TopicId, TopicName};

use super::{Broker, ClusterId, ClusterVersion, DeletedTopic, Topic};
use crate::replica_id::ReplicaId;

/// The metadata of a cluster, as of the last command that was applied.
///
/// Cloning shares everything; a later change copies the list that it touches, not what stands in it. So a clone is a
/// picture of one moment that others may keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataState {
    /// The entry of the last change; 0 before the first.
    pub(super) metadata_version: RaftIndex,
    /// `None` before the cluster was made; there is nothing else then.
    pub(super) cluster: Option<Cluster>,
    pub(super) brokers: Arc<BTreeMap<BrokerId, Broker>>,
    pub(super) topics: Arc<BTreeMap<TopicId, Arc<Topic>>>,
    /// The same topics by name.
    pub(super) names: Arc<BTreeMap<TopicName, TopicId>>,
    pub(super) deleted: Arc<BTreeMap<TopicId, DeletedTopic>>,
    /// Partitions of all topics together.
    pub(super) partition_count: usize,
    /// No producer id from this one on was given out.
    pub(super) next_producer_id: ProducerId,
}

/// What is fixed for all brokers of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) id: ClusterId,
    pub(super) version: ClusterVersion,
}

impl Default for MetadataState {
    fn default() -> Self {
        Self::new()
    }
}

impl MetadataState {
    /// Starts with nothing: the cluster was not made yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            metadata_version: RaftIndex::ZERO,
            cluster: None,
            brokers: Arc::default(),
            topics: Arc::default(),
            names: Arc::default(),
            deleted: Arc::default(),
            partition_count: 0,
            next_producer_id: ProducerId::new(0),
        }
    }

    /// Tells how new it is: the index of the entry that made the last change. Higher is newer, on every broker; 0 before
    /// the first change.
    #[must_use]
    pub fn metadata_version(&self) -> RaftIndex {
        self.metadata_version
    }

    /// Gives the cluster's id; `None` before the cluster was made.
    #[must_use]
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.cluster.map(|cluster| cluster.id)
    }

    /// Gives the version that all brokers may use; `None` before the cluster was made.
    #[must_use]
    pub fn cluster_version(&self) -> Option<ClusterVersion> {
        self.cluster.map(|cluster| cluster.version)
    }

    /// Gives a broker; `None` if it is not registered.
    #[must_use]
    pub fn broker(&self, broker_id: BrokerId) -> Option<&Broker> {
        self.brokers.get(&broker_id)
    }

    /// Lists the registered brokers by rising number.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = (BrokerId, &Broker)> {
        self.brokers.iter().map(|(id, broker)| (*id, broker))
    }

    /// Gives a topic; `None` if there is none of this id, or no longer.
    #[must_use]
    pub fn topic(&self, topic_id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&topic_id)
    }

    /// Gives the topic that has this name now.
    #[must_use]
    pub fn topic_by_name(&self, name: &TopicName) -> Option<&Arc<Topic>> {
        self.names.get(name).and_then(|topic_id| self.topic(*topic_id))
    }

    /// Gives the topic that a request names.
    #[must_use]
    pub fn select(&self, topic: &TopicSelector) -> Option<&Arc<Topic>> {
        match topic {
            TopicSelector::Id(topic_id) => self.topic(*topic_id),
            TopicSelector::Name(name) => self.topic_by_name(name),
        }
    }

    /// Lists all topics by name, internal ones included.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.names.values().filter_map(|topic_id| self.topic(*topic_id))
    }

    /// Counts the topics.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Counts the partitions of all topics.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// Lists what a broker is to hold, by topic id and partition. Looks at every partition there is.
    pub fn replicas_on(&self, broker_id: BrokerId) -> impl Iterator<Item = (LogIdentity, ReplicaId)> {
        let partitions = self.topics.values().flat_map(|topic| topic.partitions());
        partitions.filter_map(move |(log, partition)| partition.replica_on(broker_id).map(|replica| (log, replica)))
    }

    /// Lists the deleted topics of which some broker may still hold files, by id.
    pub fn deleted_topics(&self) -> impl ExactSizeIterator<Item = (TopicId, &DeletedTopic)> {
        self.deleted.iter().map(|(id, topic)| (*id, topic))
    }

    /// Lists the deleted topics of which this broker may still hold files, by id: it deletes them, then confirms.
    pub fn deletions_pending_on(&self, broker_id: BrokerId) -> impl Iterator<Item = TopicId> {
        let pending = self.deleted.iter().filter(move |(_, topic)| topic.pending.contains(&broker_id));
        pending.map(|(id, _)| *id)
    }

    /// Gives the first producer id that was not given out.
    #[must_use]
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }
}
