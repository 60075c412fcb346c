//! Why a record was not taken, or not appended.

use std::fmt;
use std::time::Duration;

use tidelog_proto::batch::BuildError;
use tidelog_proto::ids::{PartitionId, TopicName, TopicNameError};

use crate::{BrokerError, CallError};

/// A producer was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerConfigError {
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
    /// The codec is known by number only.
    Compression {
        /// The codec's name.
        codec: &'static str,
    },
}

impl fmt::Display for ProducerConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { name, value, min, max } => write!(f, "{name} is {value}, allowed are {min} to {max}"),
            Self::Compression { codec } => write!(f, "compression {codec} is not supported, use none, gzip or lz4"),
        }
    }
}

impl std::error::Error for ProducerConfigError {}

/// A record was not taken; nothing of it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The topic's name breaks the rule.
    TopicName {
        /// As given.
        topic: String,
        /// What is wrong with it.
        error: TopicNameError,
    },
    /// The brokers know nothing of the topic.
    Topic {
        /// The topic.
        topic: TopicName,
        /// What they say.
        error: BrokerError,
    },
    /// No broker could be asked about the topic.
    Metadata {
        /// The topic.
        topic: TopicName,
        /// Why.
        error: CallError,
    },
    /// The topic has no partition of this number.
    Partition {
        /// The topic.
        topic: TopicName,
        /// The number.
        partition: PartitionId,
        /// How many partitions there are.
        partition_count: u32,
    },
    /// The producer chooses no partitions, and the record names none.
    NoPartition {
        /// The topic.
        topic: TopicName,
    },
    /// The record does not fit into any batch, or not into the buffer.
    RecordTooLarge {
        /// The topic.
        topic: TopicName,
        /// The setting that limits it.
        limit: &'static str,
        /// What the record needs.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// There was no room in the buffer for as long as the producer may wait.
    BufferFull {
        /// The topic.
        topic: TopicName,
        /// How large the buffer is.
        buffer_bytes: usize,
        /// How long it was waited for room.
        waited: Duration,
    },
    /// The producer is closed.
    Closed,
}

impl SendError {
    /// Tells whether the same record may be taken later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Topic { error, .. } => error.is_retriable(),
            Self::Metadata { error, .. } => error.is_retriable(),
            Self::BufferFull { .. } => true,
            Self::TopicName { .. }
            | Self::Partition { .. }
            | Self::NoPartition { .. }
            | Self::RecordTooLarge { .. }
            | Self::Closed => false,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicName { topic, error } => write!(f, "topic {topic:?}: {error}"),
            Self::Topic { topic, error } => write!(f, "topic {topic}: {error}"),
            Self::Metadata { topic, error } => write!(f, "topic {topic} cannot be looked up: {error}"),
            Self::Partition { topic, partition, partition_count } => {
                write!(f, "topic {topic} has no partition {partition}, it has {partition_count}")
            }
            Self::NoPartition { topic } => {
                write!(f, "record for topic {topic} names no partition, and the producer chooses none")
            }
            Self::RecordTooLarge { topic, limit, bytes, bytes_max } => {
                write!(f, "record for topic {topic} needs {bytes} bytes, {limit} is {bytes_max}")
            }
            Self::BufferFull { topic, buffer_bytes, waited } => {
                let waited = waited.as_millis();
                write!(f, "no room for a record for topic {topic} after {waited} ms, buffer_bytes is {buffer_bytes}")
            }
            Self::Closed => f.write_str("the producer is closed"),
        }
    }
}

impl std::error::Error for SendError {}

/// A record was taken and is not, or perhaps not, in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProduceError {
    /// The broker refused its batch.
    Refused {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
        /// Why.
        error: BrokerError,
        /// Whether the answer to an earlier try was lost, so that the record may be in the log all the same.
        may_be_stored: bool,
    },
    /// The broker could not be reached, or the producer got no identity.
    Call {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
        /// Why.
        error: CallError,
    },
    /// There was no ack within the delivery timeout.
    TimedOut {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
        /// The delivery timeout.
        after: Duration,
        /// Whether it was sent and may be in the log all the same.
        may_be_stored: bool,
        /// What went wrong last, if anything did.
        cause: Option<Box<ProduceError>>,
    },
    /// It was sent and may be in the log. It was not sent again, since a batch before it in its partition failed for good
    /// and the broker could no longer have told a repeat from a new batch.
    OutcomeUnknown {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
    },
    /// Its batch could not be encoded.
    Encode {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
        /// Why.
        error: BuildError,
    },
    /// The producer ended before the record was done: its runtime was shut down.
    Abandoned,
}

impl ProduceError {
    /// Tells whether sending the record again may succeed. The producer has tried for as long as it may; where the record
    /// may be stored, another `send` may store it twice.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Refused { error, .. } => error.is_retriable(),
            Self::Call { error, .. } => error.is_retriable(),
            Self::TimedOut { .. } | Self::OutcomeUnknown { .. } => true,
            Self::Encode { .. } | Self::Abandoned => false,
        }
    }

    /// Tells whether the record may be in the log all the same.
    #[must_use]
    pub const fn may_be_stored(&self) -> bool {
        match self {
            Self::TimedOut { may_be_stored, .. } | Self::Refused { may_be_stored, .. } => *may_be_stored,
            Self::OutcomeUnknown { .. } | Self::Abandoned => true,
            Self::Call { .. } | Self::Encode { .. } => false,
        }
    }
}

impl fmt::Display for ProduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { topic, partition, error, may_be_stored } => {
                write!(f, "{topic}/{partition}: {error}")?;
                if *may_be_stored { f.write_str(", an earlier try may be stored") } else { Ok(()) }
            }
            Self::Call { topic, partition, error } => write!(f, "{topic}/{partition}: {error}"),
            Self::TimedOut { topic, partition, after, may_be_stored, cause } => {
                write!(f, "{topic}/{partition}: no ack within {} ms", after.as_millis())?;
                if *may_be_stored {
                    f.write_str(", the record may be stored all the same")?;
                }
                cause.as_ref().map_or(Ok(()), |cause| write!(f, "; last failure: {cause}"))
            }
            Self::OutcomeUnknown { topic, partition } => {
                write!(f, "{topic}/{partition}: a batch before failed, this record may or may not be stored")
            }
            Self::Encode { topic, partition, error } => write!(f, "{topic}/{partition}: {error}"),
            Self::Abandoned => f.write_str("the producer ended before the record was done"),
        }
    }
}

impl std::error::Error for ProduceError {}
