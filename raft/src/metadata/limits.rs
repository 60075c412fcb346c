//! Bounds of the metadata.
//!
//! They are part of the state machine, so they are the same on every broker and no config changes them. A release may raise
//! one only together with the cluster version, and lowers none: a snapshot past a limit is refused.

use std::fmt;

use tidelog_proto::error_code::ErrorCode;

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataLimit {
    /// Topics of the cluster.
    Topics,
    /// Partitions of one topic.
    PartitionsPerTopic,
    /// Partitions of all topics together.
    Partitions,
    /// Replicas of one partition.
    ReplicasPerPartition,
    /// Registered brokers.
    Brokers,
    /// Deleted topics of which some broker may still hold files.
    DeletedTopics,
    /// Producer ids given out at once.
    ProducerIdsPerBlock,
    /// Bytes of keys and values in one request for configs.
    ConfigsBytes,
}

impl MetadataLimit {
    /// Every limit.
    pub const ALL: [Self; 8] = [
        Self::Topics,
        Self::PartitionsPerTopic,
        Self::Partitions,
        Self::ReplicasPerPartition,
        Self::Brokers,
        Self::DeletedTopics,
        Self::ProducerIdsPerBlock,
        Self::ConfigsBytes,
    ];

    /// Returns the name for replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topics => "topics_max",
            Self::PartitionsPerTopic => "partitions_per_topic_max",
            Self::Partitions => "partitions_max",
            Self::ReplicasPerPartition => "replicas_per_partition_max",
            Self::Brokers => "brokers_max",
            Self::DeletedTopics => "deleted_topics_max",
            Self::ProducerIdsPerBlock => "producer_ids_per_block_max",
            Self::ConfigsBytes => "configs_bytes",
        }
    }

    /// Returns the largest allowed number.
    #[must_use]
    pub const fn allowed(self) -> u64 {
        match self {
            // Every broker keeps all of it in memory, and every answer about all topics names each of them.
            Self::Topics => 10_000,
            // One command names the brokers of all of them, and has to stay small.
            Self::PartitionsPerTopic => 4_096,
            Self::Partitions => 100_000,
            // A majority of more is slower and no safer.
            Self::ReplicasPerPartition => 7,
            Self::Brokers => 128,
            // A broker that is gone for long must not make the metadata grow without end.
            Self::DeletedTopics => 10_000,
            Self::ProducerIdsPerBlock => 1_000_000,
            // Many times what all keys with their longest values take.
            Self::ConfigsBytes => 16 * 1024,
        }
    }

    /// Checks a number against the limit.
    ///
    /// # Errors
    /// It is larger than allowed.
    pub const fn check(self, actual: usize) -> Result<(), LimitPassed> {
        let actual = actual as u64;
        if actual <= self.allowed() { Ok(()) } else { Err(LimitPassed { limit: self, actual }) }
    }
}

/// Something is more than a limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitPassed {
    /// The limit.
    pub limit: MetadataLimit,
    /// How much there is, or would be.
    pub actual: u64,
}

impl LimitPassed {
    /// Returns the code for the reply.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self.limit {
            MetadataLimit::PartitionsPerTopic | MetadataLimit::Partitions => ErrorCode::InvalidPartitions,
            MetadataLimit::ReplicasPerPartition => ErrorCode::InvalidReplicationFactor,
            // There is room again when the brokers have confirmed.
            MetadataLimit::DeletedTopics => ErrorCode::ThrottlingQuotaExceeded,
            MetadataLimit::Topics
            | MetadataLimit::Brokers
            | MetadataLimit::ProducerIdsPerBlock
            | MetadataLimit::ConfigsBytes => ErrorCode::InvalidRequest,
        }
    }
}

impl fmt::Display for LimitPassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, this would make {}", self.limit.name(), self.limit.allowed(), self.actual)
    }
}

impl std::error::Error for LimitPassed {}
