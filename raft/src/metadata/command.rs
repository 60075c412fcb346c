//! What may be asked of the metadata group.

use tidelog_proto::ids::{BrokerId, PartitionId, TopicId, TopicName};

use super::{Address, BootId, ClusterId, ClusterVersion, DirectoryId, Rack};

/// A change of the metadata. All that is random or taken from a clock is in it, so every replica comes to the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataCommand {
    /// Makes the cluster. Once in its life, before anything else; again with the same id it does nothing.
    FormatCluster {
        /// The cluster's id.
        cluster_id: ClusterId,
        /// What its brokers may use.
        cluster_version: ClusterVersion,
    },
    /// Lets the brokers use what a later cluster version brought. There is no way back.
    SetClusterVersion {
        /// The version, above the one that is set, and known to every registered broker.
        cluster_version: ClusterVersion,
    },
    /// Makes a broker known, or tells what has changed about it. Every start of a broker proposes one.
    RegisterBroker(RegisterBroker),
    /// Creates a topic.
    CreateTopic(CreateTopic),
    /// Deletes a topic. Its id is kept until every registered broker has confirmed that its files are gone.
    DeleteTopic {
        /// The topic.
        topic_id: TopicId,
    },
    /// Changes configs of a topic: all of them, or none.
    AlterTopicConfigs {
        /// The topic.
        topic_id: TopicId,
        /// The changes, at least one, each key at most once.
        changes: Vec<ConfigChange>,
    },
    /// Adds partitions to a topic.
    CreatePartitions {
        /// The topic.
        topic_id: TopicId,
        /// The number of the first new one: how many there were when it was proposed. If there are more by now, it is
        /// refused.
        first_partition: PartitionId,
        /// The brokers of each new partition, at least one.
        assignments: Vec<Assignment>,
    },
    /// Gives a broker a block of producer ids that nobody else is given.
    AllocateProducerIds {
        /// The broker.
        broker_id: BrokerId,
        /// How many ids, at least one.
        count: u32,
    },
    /// Confirms that a broker holds nothing of a deleted topic any more.
    ReplicaDataDeleted {
        /// The broker.
        broker_id: BrokerId,
        /// The topic.
        topic_id: TopicId,
    },
}

/// A broker at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBroker {
    /// Its number.
    pub broker_id: BrokerId,
    /// Where it is reached.
    pub address: Address,
    /// Where it stands; `None` where this is not configured.
    pub rack: Option<Rack>,
    /// Its data directory.
    pub directory_id: DirectoryId,
    /// How often the directory was started, this time included. Durable in the directory before this is proposed.
    pub boot_counter: u64,
    /// This run of its process: tells a repeat of the proposal from a second start with the same counter.
    pub boot_id: BootId,
    /// The newest cluster version that it knows.
    pub cluster_version_max: ClusterVersion,
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopic {
    /// Its id: new and random.
    pub topic_id: TopicId,
    /// Its name. Begins with `__` if and only if it is internal.
    pub name: TopicName,
    /// Whether it belongs to the brokers.
    pub internal: bool,
    /// The brokers of each partition, at least one partition, all with as many replicas.
    pub assignments: Vec<Assignment>,
    /// Configs that differ from the defaults, each key at most once.
    pub configs: Vec<ConfigChange>,
}

/// The brokers that are to hold a partition, the preferred leader first; at least one, each once. Which incarnation each
/// replica gets is decided when the command is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The brokers.
    pub brokers: Vec<BrokerId>,
}

/// A change of one config, in the words of the request: keys and values are judged when the command is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// Its key.
    pub key: String,
    /// The new value; `None` sets it back to the default.
    pub value: Option<String>,
}
