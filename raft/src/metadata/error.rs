//! Why a command was refused.

use std::fmt;

use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{BrokerId, PartitionId, TopicId, TopicName};

use super::{ClusterId, ClusterVersion, DirectoryId, LimitPassed, TopicConfigError};

/// A command that was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataError {
    /// The cluster was not made yet.
    NotFormatted,
    /// The cluster has another id.
    FormattedOtherwise {
        /// The id that it has.
        cluster_id: ClusterId,
    },
    /// A cluster version is below the one that is set, or is none.
    ClusterVersion {
        /// The one that is set; `None` before the cluster was made.
        current: Option<ClusterVersion>,
        /// The one asked for.
        found: ClusterVersion,
    },
    /// A broker does not know the cluster version.
    BrokerTooOld {
        /// The broker.
        broker_id: BrokerId,
        /// The newest that it knows.
        knows: ClusterVersion,
        /// The one that it would have to know.
        needs: ClusterVersion,
    },
    /// The broker is not registered.
    UnknownBroker {
        /// The broker.
        broker_id: BrokerId,
    },
    /// The broker comes with another data directory than it was registered with: what it had promised is gone.
    OtherDirectory {
        /// The broker.
        broker_id: BrokerId,
        /// The directory that it was registered with.
        registered: DirectoryId,
    },
    /// The data directory is another broker's: it was copied, or the broker's number was changed.
    DirectoryTaken {
        /// The broker that has it.
        broker_id: BrokerId,
    },
    /// The data directory was started before as often as it says now: it is an older copy of itself.
    RolledBack {
        /// The broker.
        broker_id: BrokerId,
        /// How often it was started, as the cluster knows.
        registered: u64,
        /// How often it was started, as it says itself.
        found: u64,
    },
    /// There is a topic of this name. If it has the id that was to be created, an earlier try has created it.
    TopicExists {
        /// The name.
        name: TopicName,
        /// The id of the topic that has it.
        topic_id: TopicId,
    },
    /// The id is another topic's, a deleted one's or the metadata group's own.
    TopicIdTaken {
        /// The id.
        topic_id: TopicId,
    },
    /// There is no topic of this id.
    UnknownTopic {
        /// The id.
        topic_id: TopicId,
    },
    /// Names that begin with `__` are for internal topics, which have no others.
    ReservedName {
        /// The name.
        name: TopicName,
    },
    /// The topic belongs to the brokers.
    InternalTopic {
        /// Its name.
        name: TopicName,
    },
    /// The topic was not deleted, so its files cannot be gone.
    NotDeleted {
        /// The topic.
        topic_id: TopicId,
    },
    /// No partition is asked for.
    NoPartitions,
    /// The topic has more partitions than when the command was made, or fewer than it says. Whoever made it may look again
    /// and make another.
    PartitionsChanged {
        /// The topic.
        name: TopicName,
        /// How many there were to be.
        expected: u32,
        /// How many there are.
        found: u32,
    },
    /// The brokers of a new partition are not as they must be.
    Assignment {
        /// The partition.
        partition: PartitionId,
        /// What is wrong.
        error: AssignmentError,
    },
    /// A config is not allowed.
    Config(TopicConfigError),
    /// No config is to be changed.
    NoChanges,
    /// No producer id is asked for.
    NoProducerIds,
    /// All producer ids were given out.
    ProducerIdsUsedUp,
    /// All incarnations of the broker's replicas were issued.
    IncarnationsUsedUp {
        /// The broker.
        broker_id: BrokerId,
    },
    /// Something would be more than a limit allows.
    Limit(LimitPassed),
}

/// What is wrong with the brokers of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignmentError {
    /// There are none.
    Empty,
    /// They are not as many as those of the topic's other partitions.
    ReplicationFactor {
        /// How many there must be.
        expected: u32,
        /// How many there are.
        found: usize,
    },
    /// One is named twice.
    Twice {
        /// The broker.
        broker_id: BrokerId,
    },
    /// One is not registered.
    UnknownBroker {
        /// The broker.
        broker_id: BrokerId,
    },
}

impl AssignmentError {
    const fn code(&self) -> ErrorCode {
        match self {
            Self::Empty => ErrorCode::InvalidReplicationFactor,
            Self::ReplicationFactor { .. } | Self::Twice { .. } | Self::UnknownBroker { .. } => {
                ErrorCode::InvalidReplicaAssignment
            }
        }
    }
}

impl MetadataError {
    /// Returns the code for the reply.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            // There is no metadata to be in charge of yet.
            Self::NotFormatted => ErrorCode::NotController,
            Self::FormattedOtherwise { .. }
            | Self::ClusterVersion { .. }
            | Self::UnknownBroker { .. }
            | Self::OtherDirectory { .. }
            | Self::DirectoryTaken { .. }
            | Self::RolledBack { .. }
            | Self::TopicIdTaken { .. }
            | Self::NotDeleted { .. }
            | Self::NoChanges
            | Self::NoProducerIds
            | Self::ProducerIdsUsedUp
            | Self::IncarnationsUsedUp { .. } => ErrorCode::InvalidRequest,
            Self::BrokerTooOld { .. } => ErrorCode::UnsupportedVersion,
            Self::TopicExists { .. } => ErrorCode::TopicAlreadyExists,
            Self::UnknownTopic { .. } => ErrorCode::UnknownTopicId,
            Self::ReservedName { .. } | Self::InternalTopic { .. } => ErrorCode::InvalidTopic,
            Self::NoPartitions | Self::PartitionsChanged { .. } => ErrorCode::InvalidPartitions,
            Self::Assignment { error, .. } => error.code(),
            Self::Config(error) => error.code(),
            Self::Limit(passed) => passed.code(),
        }
    }

    /// Tells whether the same command may be taken later.
    #[must_use]
    pub const fn retriable(&self) -> bool {
        self.code().retriable()
    }
}

impl From<LimitPassed> for MetadataError {
    fn from(passed: LimitPassed) -> Self {
        Self::Limit(passed)
    }
}

impl From<TopicConfigError> for MetadataError {
    fn from(error: TopicConfigError) -> Self {
        Self::Config(error)
    }
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFormatted => f.write_str("the cluster was not made yet"),
            Self::FormattedOtherwise { cluster_id } => write!(f, "the cluster has the id {cluster_id}"),
            Self::ClusterVersion { current: None, found } => write!(f, "there is no cluster version {found}"),
            Self::ClusterVersion { current: Some(current), found } => {
                write!(f, "cluster version {found} is below {current}, which is set")
            }
            Self::BrokerTooOld { broker_id, knows, needs } => {
                write!(f, "broker {broker_id} knows cluster versions up to {knows}, not {needs}")
            }
            Self::UnknownBroker { broker_id } => write!(f, "broker {broker_id} is not registered"),
            Self::OtherDirectory { broker_id, registered } => {
                write!(f, "broker {broker_id} was registered with the data directory {registered}, this is another one")
            }
            Self::DirectoryTaken { broker_id } => write!(f, "the data directory belongs to broker {broker_id}"),
            Self::RolledBack { broker_id, registered, found } => write!(
                f,
                "the data directory of broker {broker_id} counts {found} starts, {registered} were seen: it is an older copy"
            ),
            Self::TopicExists { name, .. } => write!(f, "topic {name} exists"),
            Self::TopicIdTaken { topic_id } => write!(f, "topic id {topic_id} is taken"),
            Self::UnknownTopic { topic_id } => write!(f, "there is no topic {topic_id}"),
            Self::ReservedName { name } => write!(f, "{name}: internal topics, and no others, begin with __"),
            Self::InternalTopic { name } => write!(f, "topic {name} belongs to the brokers"),
            Self::NotDeleted { topic_id } => write!(f, "topic {topic_id} was not deleted"),
            Self::NoPartitions => f.write_str("at least one partition is needed"),
            Self::PartitionsChanged { name, expected, found } => {
                write!(f, "topic {name} has {found} partitions, not {expected}")
            }
            Self::Assignment { partition, error } => write!(f, "partition {partition}: {error}"),
            Self::Config(error) => error.fmt(f),
            Self::NoChanges => f.write_str("no config is to be changed"),
            Self::NoProducerIds => f.write_str("at least one producer id is needed"),
            Self::ProducerIdsUsedUp => f.write_str("all producer ids were given out"),
            Self::IncarnationsUsedUp { broker_id } => {
                write!(f, "all incarnations of replicas on broker {broker_id} were issued")
            }
            Self::Limit(passed) => passed.fmt(f),
        }
    }
}

impl fmt::Display for AssignmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("at least one replica is needed"),
            Self::ReplicationFactor { expected, found } => write!(f, "{found} replicas where there must be {expected}"),
            Self::Twice { broker_id } => write!(f, "broker {broker_id} is named twice"),
            Self::UnknownBroker { broker_id } => write!(f, "broker {broker_id} is not registered"),
        }
    }
}

impl std::error::Error for MetadataError {}
impl std::error::Error for AssignmentError {}
