//! What stored commands and snapshots have in common.
//!
//! What is read must be exactly what this release would write for the same meaning. A state machine that skipped a field
//! which it does not know would differ from that of a later release and nobody would notice; one that refuses stops.

use std::fmt;

use bytes::Bytes;
use prost::Message;
use tidelog_proto::ids::{TopicId, TopicName};

use super::command::ConfigChange;
use super::{Address, Rack};

/// A config. Field numbers are never reused.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredConfig {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    /// Absent: back to the default.
    #[prost(string, optional, tag = "2")]
    pub(super) value: Option<String>,
}

impl From<&ConfigChange> for StoredConfig {
    fn from(change: &ConfigChange) -> Self {
        Self { key: change.key.clone(), value: change.value.clone() }
    }
}

impl From<StoredConfig> for ConfigChange {
    fn from(stored: StoredConfig) -> Self {
        Self { key: stored.key, value: stored.value }
    }
}

/// Decodes a message of at most `bytes_max`.
pub(super) fn decode<M: Message + Default>(bytes: Bytes, bytes_max: usize) -> Result<M, StoredError> {
    if bytes.len() > bytes_max {
        return Err(StoredError::TooLarge { bytes: bytes.len(), bytes_max });
    }
    M::decode(bytes).map_err(|_| StoredError::Encoding)
}

/// Reads the 16 bytes of an id.
pub(super) fn id(field: &'static str, bytes: &[u8]) -> Result<[u8; 16], StoredError> {
    bytes.try_into().map_err(|_| StoredError::Field { field })
}

pub(super) fn topic_id(bytes: &[u8]) -> Result<TopicId, StoredError> {
    id("topic_id", bytes).map(TopicId::new)
}

pub(super) fn topic_name(name: String) -> Result<TopicName, StoredError> {
    TopicName::new(name).map_err(|_| StoredError::Field { field: "name" })
}

pub(super) fn address(address: String) -> Result<Address, StoredError> {
    Address::new(address).map_err(|_| StoredError::Field { field: "address" })
}

pub(super) fn rack(rack: Option<String>) -> Result<Option<Rack>, StoredError> {
    rack.map(Rack::new).transpose().map_err(|_| StoredError::Field { field: "rack" })
}

/// A command or snapshot that cannot be read, or not be written. Trying again is no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredError {
    /// It is too long.
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The largest allowed.
        bytes_max: usize,
    },
    /// The bytes are no message.
    Encoding,
    /// A field is not what it must be.
    Field {
        /// The field.
        field: &'static str,
    },
    /// This release would write other bytes for it: there is something in it that only a later one knows, or it was not
    /// written by any.
    NotOurs,
}

impl fmt::Display for StoredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, bytes_max } => {
                write!(f, "{bytes} bytes of metadata, at most {bytes_max} are allowed")
            }
            Self::Encoding => f.write_str("the metadata cannot be decoded"),
            Self::Field { field } => write!(f, "the field {field} of the metadata is not what it must be"),
            Self::NotOurs => {
                f.write_str("the metadata holds what this release does not write; it may be of a later one")
            }
        }
    }
}

impl std::error::Error for StoredError {}
