//! What must hold between the parts of a state, whatever commands have led to it.

use std::collections::BTreeSet;
use std::fmt;

use tidelog_proto::ids::{BrokerId, RaftIndex, TopicId, TopicName};

use crate::metadata::apply::PRODUCER_IDS_END;
use crate::metadata::{
    FIRST_INCARNATION, INTERNAL_PREFIX, LimitPassed, METADATA_TOPIC_ID, MetadataLimit, MetadataState, Topic,
};
use crate::replica_id::ReplicaId;

/// Something that no commands lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// There is something, but no cluster.
    NoCluster,
    /// There is a cluster, but no entry that made it, or one that no log holds.
    Version,
    /// Two brokers have the same data directory.
    DirectoryTwice {
        /// One of the brokers.
        broker_id: BrokerId,
    },
    /// A broker does not know the cluster version, or its incarnations begin below the first.
    Broker {
        /// The broker.
        broker_id: BrokerId,
    },
    /// Two topics have the same name.
    NameTwice {
        /// The name.
        name: TopicName,
    },
    /// A topic that is not internal has an internal name, or the other way round.
    ReservedName {
        /// The name.
        name: TopicName,
    },
    /// A topic has the metadata group's own id, or a deleted one's.
    TopicId {
        /// The id.
        topic_id: TopicId,
    },
    /// A topic has no partitions, or one of them no replicas or two on the same broker.
    Partitions {
        /// The topic.
        topic_id: TopicId,
    },
    /// A replica was never issued, or is on a broker that is not registered.
    NotIssued {
        /// The replica.
        replica: ReplicaId,
    },
    /// Two partitions have the same replica.
    ReplicaTwice {
        /// The replica.
        replica: ReplicaId,
    },
    /// A deleted topic waits for nobody, or for a broker that is not registered.
    Pending {
        /// The topic.
        topic_id: TopicId,
    },
    /// More producer ids were given out than there are.
    ProducerIds,
    /// Something is more than a limit allows.
    Limit(LimitPassed),
}

impl MetadataState {
    /// Checks everything that every command keeps true.
    pub(in crate::metadata) fn check(&self) -> Result<(), Contradiction> {
        let has_anything = !self.brokers.is_empty()
            || !self.topics.is_empty()
            || !self.deleted.is_empty()
            || self.next_producer_id.get() > 0
            || self.metadata_version > RaftIndex::ZERO;
        if self.cluster.is_none() && has_anything {
            return Err(Contradiction::NoCluster);
        }
        if self.metadata_version > RaftIndex::MAX
            || (self.cluster.is_some() && self.metadata_version == RaftIndex::ZERO)
        {
            return Err(Contradiction::Version);
        }
        self.check_brokers()?;
        MetadataLimit::Partitions.check(self.partition_count).map_err(Contradiction::Limit)?;
        let mut replicas = BTreeSet::new();
        for topic in self.topics.values() {
            self.check_topic(topic)?;
            for replica in topic.partitions.iter().flat_map(|partition| &partition.replicas) {
                self.check_replica(*replica)?;
                if !replicas.insert(*replica) {
                    return Err(Contradiction::ReplicaTwice { replica: *replica });
                }
            }
        }
        for (topic_id, topic) in self.deleted_topics() {
            let is_known = topic.pending.iter().all(|broker_id| self.brokers.contains_key(broker_id));
            if topic.pending.is_empty() || !is_known {
                return Err(Contradiction::Pending { topic_id });
            }
        }
        if self.next_producer_id.get() > PRODUCER_IDS_END { Err(Contradiction::ProducerIds) } else { Ok(()) }
    }

    fn check_brokers(&self) -> Result<(), Contradiction> {
        let mut directories = BTreeSet::new();
        for (broker_id, broker) in self.brokers() {
            if !directories.insert(broker.directory_id) {
                return Err(Contradiction::DirectoryTwice { broker_id });
            }
            let knows_version = Some(broker.cluster_version_max) >= self.cluster_version();
            if !knows_version || broker.next_incarnation < FIRST_INCARNATION {
                return Err(Contradiction::Broker { broker_id });
            }
        }
        Ok(())
    }

    fn check_topic(&self, topic: &Topic) -> Result<(), Contradiction> {
        let topic_id = topic.id;
        if topic_id == METADATA_TOPIC_ID || self.deleted.contains_key(&topic_id) {
            return Err(Contradiction::TopicId { topic_id });
        }
        if self.names.get(&topic.name) != Some(&topic_id) {
            return Err(Contradiction::NameTwice { name: topic.name.clone() });
        }
        if topic.name.as_str().starts_with(INTERNAL_PREFIX) != topic.internal {
            return Err(Contradiction::ReservedName { name: topic.name.clone() });
        }
        MetadataLimit::PartitionsPerTopic.check(topic.partitions.len()).map_err(Contradiction::Limit)?;
        let factor = usize::try_from(topic.replication_factor).unwrap_or(usize::MAX);
        MetadataLimit::ReplicasPerPartition.check(factor).map_err(Contradiction::Limit)?;
        if topic.partitions.is_empty() || factor == 0 {
            return Err(Contradiction::Partitions { topic_id });
        }
        for partition in &topic.partitions {
            MetadataLimit::ReplicasPerPartition.check(partition.replicas.len()).map_err(Contradiction::Limit)?;
            let brokers: BTreeSet<_> = partition.replicas.iter().map(|replica| replica.broker()).collect();
            if brokers.is_empty() || brokers.len() != partition.replicas.len() {
                return Err(Contradiction::Partitions { topic_id });
            }
        }
        Ok(())
    }

    fn check_replica(&self, replica: ReplicaId) -> Result<(), Contradiction> {
        let is_issued = self
            .broker(replica.broker())
            .is_some_and(|broker| (FIRST_INCARNATION..broker.next_incarnation).contains(&replica.incarnation()));
        if is_issued { Ok(()) } else { Err(Contradiction::NotIssued { replica }) }
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCluster => f.write_str("there is something, but no cluster"),
            Self::Version => f.write_str("no entry can have made it"),
            Self::DirectoryTwice { broker_id } => write!(f, "broker {broker_id} has another one's data directory"),
            Self::Broker { broker_id } => {
                write!(f, "broker {broker_id} does not know the cluster version, or has no incarnations")
            }
            Self::NameTwice { name } => write!(f, "two topics are called {name}"),
            Self::ReservedName { name } => write!(f, "{name}: internal topics, and no others, begin with __"),
            Self::TopicId { topic_id } => write!(f, "topic id {topic_id} is taken"),
            Self::Partitions { topic_id } => write!(f, "the partitions of topic {topic_id} lack replicas"),
            Self::NotIssued { replica } => write!(f, "replica {replica} was never issued"),
            Self::ReplicaTwice { replica } => write!(f, "two partitions have the replica {replica}"),
            Self::Pending { topic_id } => write!(f, "deleted topic {topic_id} waits for nobody, or for nobody known"),
            Self::ProducerIds => f.write_str("more producer ids were given out than there are"),
            Self::Limit(passed) => passed.fmt(f),
        }
    }
}

impl std::error::Error for Contradiction {}
