//! Why a consumer was not started, or a partition stopped.

use std::fmt;

use tidelog_proto::batch::BatchError;
use tidelog_proto::ids::{Offset, PartitionId, TopicName, TopicNameError};

use crate::{BrokerError, CallError, OffsetRange};

/// A consumer was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerConfigError {
    /// Nothing is assigned.
    NothingAssigned,
    /// A partition is assigned twice.
    AssignedTwice {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
    },
    /// A setting is out of its range.
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The smallest allowed value.
        min: u64,
        /// The largest allowed value.
        max: u64,
    },
    /// A topic's name breaks the rule.
    TopicName {
        /// As given.
        topic: String,
        /// What is wrong with it.
        error: TopicNameError,
    },
    /// The brokers know nothing of a topic.
    Topic {
        /// The topic.
        topic: TopicName,
        /// What they say.
        error: BrokerError,
    },
    /// No broker could be asked about a topic.
    Metadata {
        /// The topic.
        topic: TopicName,
        /// Why.
        error: CallError,
    },
    /// A topic has no partition of this number.
    Partition {
        /// The topic.
        topic: TopicName,
        /// The number.
        partition: PartitionId,
        /// How many partitions there are.
        partition_count: usize,
    },
}

impl ConsumerConfigError {
    /// Tells whether the same consumer may start later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Topic { error, .. } => error.is_retriable(),
            Self::Metadata { error, .. } => error.is_retriable(),
            Self::NothingAssigned
            | Self::AssignedTwice { .. }
            | Self::OutOfRange { .. }
            | Self::TopicName { .. }
            | Self::Partition { .. } => false,
        }
    }
}

impl fmt::Display for ConsumerConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingAssigned => f.write_str("the consumer is assigned no partition"),
            Self::AssignedTwice { topic, partition } => write!(f, "{topic}/{partition} is assigned twice"),
            Self::OutOfRange { name, value, min, max } => write!(f, "{name} is {value}, allowed are {min} to {max}"),
            Self::TopicName { topic, error } => write!(f, "topic {topic:?}: {error}"),
            Self::Topic { topic, error } => write!(f, "topic {topic}: {error}"),
            Self::Metadata { topic, error } => write!(f, "topic {topic} cannot be looked up: {error}"),
            Self::Partition { topic, partition, partition_count } => {
                write!(f, "topic {topic} has no partition {partition}, it has {partition_count}")
            }
        }
    }
}

impl std::error::Error for ConsumerConfigError {}

/// A partition stopped: no more of its records come until the application seeks. The other partitions go on.
///
/// What passes by itself (a broker that dies, a leader that moves) is not told; the stream goes on where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumeError {
    /// The position is not in the log (any more), and the consumer was told not to choose another.
    OffsetOutOfRange {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
        /// The position, if it was an offset.
        position: Option<Offset>,
        /// Which offsets there are, if the broker says so.
        range: Option<OffsetRange>,
    },
    /// The broker refused to read the partition, and will again.
    Refused {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
        /// Why.
        error: BrokerError,
    },
    /// A batch is damaged or passes the limits of decoding.
    Corrupt {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
        /// Where the next record was expected, if that is known.
        position: Option<Offset>,
        /// What is wrong.
        error: BatchError,
    },
    /// The topic was deleted and created again: offsets of the old one mean nothing in the new one.
    TopicRecreated {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
    },
}

impl ConsumeError {
    /// Returns the partition that stopped.
    #[must_use]
    pub const fn partition(&self) -> (&TopicName, PartitionId) {
        match self {
            Self::OffsetOutOfRange { topic, partition, .. }
            | Self::Refused { topic, partition, .. }
            | Self::Corrupt { topic, partition, .. }
            | Self::TopicRecreated { topic, partition } => (topic, *partition),
        }
    }

    /// Tells whether seeking to the same position may succeed.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Refused { error, .. } => error.is_retriable(),
            Self::OffsetOutOfRange { .. } | Self::Corrupt { .. } | Self::TopicRecreated { .. } => false,
        }
    }
}

impl fmt::Display for ConsumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at =
            |position: &Option<Offset>| position.map_or_else(|| "its start".to_owned(), |at| format!("offset {at}"));
        match self {
            Self::OffsetOutOfRange { topic, partition, position, range } => {
                write!(f, "{topic}/{partition}: {} is out of range", at(position))?;
                range.map_or(Ok(()), |range| {
                    write!(f, ", there are {} to {} (exclusive)", range.log_start_offset, range.high_watermark)
                })
            }
            Self::Refused { topic, partition, error } => write!(f, "{topic}/{partition}: {error}"),
            Self::Corrupt { topic, partition, position, error } => {
                write!(f, "{topic}/{partition}: damaged batch at {}: {error}", at(position))
            }
            Self::TopicRecreated { topic, partition } => {
                write!(f, "{topic}/{partition}: the topic was deleted and created again")
            }
        }
    }
}

impl std::error::Error for ConsumeError {}

/// The consumer is not assigned this partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAssigned {
    /// The topic, as given.
    pub topic: String,
    /// The partition.
    pub partition: u32,
}

impl fmt::Display for NotAssigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} is not assigned to this consumer", self.topic, self.partition)
    }
}

impl std::error::Error for NotAssigned {}
