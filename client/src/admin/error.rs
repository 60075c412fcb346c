//! Why looking after something failed.

use std::fmt;

use tidelog_proto::ids::{BrokerId, PartitionId, TopicName, TopicNameError};

use crate::{BrokerError, CallError};

/// What a request was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The cluster as a whole.
    Cluster,
    /// A topic.
    Topic(TopicName),
    /// A partition.
    Partition(TopicName, PartitionId),
    /// A broker.
    Broker(BrokerId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("the cluster"),
            Self::Topic(topic) => write!(f, "topic {topic}"),
            Self::Partition(topic, partition) => write!(f, "{topic}/{partition}"),
            Self::Broker(broker) => write!(f, "broker {broker}"),
        }
    }
}

/// A request to look after something failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminError {
    /// A topic's name breaks the rule.
    TopicName {
        /// As given.
        topic: String,
        /// What is wrong with it.
        error: TopicNameError,
    },
    /// No broker gave an answer. Whether a change was made is not known.
    Call(CallError),
    /// The request was refused; nothing has changed.
    Refused {
        /// What it was about.
        subject: Subject,
        /// Why.
        error: BrokerError,
    },
}

impl AdminError {
    /// Tells whether the same request may succeed later. It was tried for as long as the client may.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::TopicName { .. } => false,
            Self::Call(error) => error.is_retriable(),
            Self::Refused { error, .. } => error.is_retriable(),
        }
    }
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicName { topic, error } => write!(f, "topic {topic:?}: {error}"),
            Self::Call(error) => error.fmt(f),
            Self::Refused { subject, error } => write!(f, "{subject}: {error}"),
        }
    }
}

impl std::error::Error for AdminError {}
