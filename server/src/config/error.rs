//! Why a config was refused.

use std::fmt;

use tidelog_raft::metadata::{TopicConfigError, TopicConfigKey};

use super::key::{BrokerConfigKey, Kind};
use super::settings::Source;

/// A config that was refused. Trying again with the same is no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A file is not TOML.
    Syntax {
        /// The file.
        file: String,
        /// What is wrong, with its place.
        message: String,
    },
    /// There is no such config.
    UnknownKey {
        /// Where it stands.
        source: Source,
        /// As it was written.
        key: String,
        /// What may have been meant.
        nearest: String,
    },
    /// A value is of another form, or out of bounds.
    Value {
        /// Where it stands.
        source: Source,
        /// The config.
        key: BrokerConfigKey,
        /// As it was written.
        value: String,
    },
    /// A value in a file is neither a text, a number, a flag nor the table of the topics.
    ValueType {
        /// The file.
        source: Source,
        /// The key.
        key: String,
    },
    /// A config for topics is wrong.
    Topic {
        /// Where it stands.
        source: Source,
        /// What is wrong.
        error: TopicConfigError,
    },
    /// A config that must be set is not.
    Missing {
        /// The config.
        key: BrokerConfigKey,
    },
    /// A limit lies below another that it must cover.
    Contradiction {
        /// The config that is too low.
        low: BrokerConfigKey,
        /// The one that it must not be below.
        high: BrokerConfigKey,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { file, message } => write!(f, "{file}: {message}"),
            Self::UnknownKey { source, key, nearest } => {
                write!(f, "{source}: there is no config {key}, nearest is {nearest}")
            }
            Self::Value { source, key, value } => {
                write!(f, "{source}: {key} = {value:?} is not allowed, {}", key.kind())?;
                match (key.unit(), key.kind()) {
                    (Some(unit), Kind::Number { .. }) => write!(f, " is, in {unit}"),
                    _ => f.write_str(" is"),
                }
            }
            Self::ValueType { source, key } => write!(f, "{source}: {key} is not a text, a number, true or false"),
            Self::Topic { source, error } => write!(f, "{source}: topic: {error}"),
            Self::Missing { key } => write!(f, "{key} is not set: {}", key.description()),
            Self::Contradiction { low, high } => write!(f, "{low} is below {high}, which it must cover"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Gives the key of a topic's config as it stands in a broker's file.
pub(super) fn topic_key(key: TopicConfigKey) -> String {
    format!("topic.{key}")
}
