//! The whole state as bytes, and back.

mod contradiction;
mod parts;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tidelog_proto::ids::{ProducerId, RaftIndex};

pub use self::contradiction::Contradiction;
use self::parts::{decode_broker, decode_deleted, decode_topic, encode_broker, encode_deleted, encode_topic};
use super::state::Cluster;
use super::stored::{self, StoredError};
use super::{ClusterId, ClusterVersion, MetadataLimit, MetadataState};

/// Most bytes of a snapshot. More than a cluster at all of its limits takes.
pub const SNAPSHOT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The layout that this release writes, and the only one that it reads.
const FORMAT: u32 = 1;

/// The stored form. Field numbers are never reused.
///
/// All fields are there, so a snapshot that was cut is none.
#[derive(Clone, PartialEq, Message)]
struct StoredSnapshot {
    #[prost(uint32, tag = "1")]
    format: u32,
    /// The crc32 of `content`.
    #[prost(fixed32, optional, tag = "2")]
    checksum: Option<u32>,
    /// A `StoredContent`.
    #[prost(bytes = "bytes", optional, tag = "3")]
    content: Option<Bytes>,
}

/// What there may be many of is kept as encoded messages, so that they are counted before they are decoded.
#[derive(Clone, PartialEq, Message)]
struct StoredContent {
    #[prost(uint64, tag = "1")]
    metadata_version: u64,
    /// Absent: the cluster was not made yet.
    #[prost(message, optional, tag = "2")]
    cluster: Option<StoredCluster>,
    /// By rising number.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    brokers: Vec<Bytes>,
    /// By rising id.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    topics: Vec<Bytes>,
    /// By rising id.
    #[prost(bytes = "bytes", repeated, tag = "5")]
    deleted_topics: Vec<Bytes>,
    #[prost(uint64, tag = "6")]
    next_producer_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct StoredCluster {
    #[prost(bytes = "bytes", tag = "1")]
    cluster_id: Bytes,
    #[prost(uint32, tag = "2")]
    cluster_version: u32,
}

impl MetadataState {
    /// Encodes everything. Equal states have equal bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let cluster = self.cluster.map(|cluster| StoredCluster {
            cluster_id: Bytes::copy_from_slice(&cluster.id.get()),
            cluster_version: cluster.version.get(),
        });
        let content = StoredContent {
            metadata_version: self.metadata_version.get(),
            cluster,
            brokers: self.brokers.iter().map(|(id, broker)| encode_broker(*id, broker)).collect(),
            topics: self.topics.values().map(|topic| encode_topic(topic)).collect(),
            deleted_topics: self.deleted.iter().map(|(id, topic)| encode_deleted(*id, topic)).collect(),
            next_producer_id: self.next_producer_id.get(),
        };
        seal(content.encode_to_vec().into())
    }

    /// Decodes what [`MetadataState::encode`] made. Any bytes are a state or refused, in memory bounded by
    /// [`SNAPSHOT_BYTES_MAX`].
    ///
    /// # Errors
    /// The bytes are not exactly what this release writes of a state, or no commands lead to that state.
    pub fn decode(bytes: Bytes) -> Result<Self, SnapshotError> {
        let content = unseal(bytes.clone())?;
        let stored: StoredContent = stored::decode(content, SNAPSHOT_BYTES_MAX)?;
        let cluster = stored.cluster.as_ref().map(decode_cluster).transpose()?;
        let check = |limit: MetadataLimit, list: &[Bytes]| limit.check(list.len()).map_err(Contradiction::Limit);
        check(MetadataLimit::Brokers, &stored.brokers)?;
        check(MetadataLimit::Topics, &stored.topics)?;
        check(MetadataLimit::DeletedTopics, &stored.deleted_topics)?;
        let brokers: BTreeMap<_, _> = stored.brokers.into_iter().map(decode_broker).collect::<Result<_, _>>()?;
        let topics: Vec<_> = stored.topics.into_iter().map(decode_topic).collect::<Result<_, _>>()?;
        let deleted: BTreeMap<_, _> =
            stored.deleted_topics.into_iter().map(decode_deleted).collect::<Result<_, _>>()?;
        let state = Self {
            metadata_version: RaftIndex::new(stored.metadata_version),
            cluster,
            brokers: Arc::new(brokers),
            partition_count: topics.iter().map(|topic| topic.partitions.len()).sum(),
            names: Arc::new(topics.iter().map(|topic| (topic.name.clone(), topic.id)).collect()),
            topics: Arc::new(topics.into_iter().map(|topic| (topic.id, Arc::new(topic))).collect()),
            deleted: Arc::new(deleted),
            next_producer_id: ProducerId::new(stored.next_producer_id),
        };
        state.check()?;
        // Also finds what stands twice, or not in its order.
        if state.encode() == bytes { Ok(state) } else { Err(SnapshotError::Stored(StoredError::NotOurs)) }
    }
}

/// Puts the format and a checksum around encoded content.
pub(super) fn seal(content: Bytes) -> Bytes {
    let checksum = Some(crc32fast::hash(&content));
    StoredSnapshot { format: FORMAT, checksum, content: Some(content) }.encode_to_vec().into()
}

/// Gives the content if it is whole and of a known format.
fn unseal(bytes: Bytes) -> Result<Bytes, SnapshotError> {
    let stored: StoredSnapshot = stored::decode(bytes, SNAPSHOT_BYTES_MAX)?;
    if stored.format != FORMAT {
        return Err(SnapshotError::Format { format: stored.format });
    }
    let content = stored.content.ok_or(SnapshotError::Checksum)?;
    if stored.checksum == Some(crc32fast::hash(&content)) { Ok(content) } else { Err(SnapshotError::Checksum) }
}

fn decode_cluster(stored: &StoredCluster) -> Result<Cluster, SnapshotError> {
    let cluster_version = ClusterVersion::new(stored.cluster_version);
    if !(ClusterVersion::FIRST..=ClusterVersion::NEWEST).contains(&cluster_version) {
        return Err(SnapshotError::ClusterVersion { cluster_version });
    }
    Ok(Cluster { id: ClusterId::new(stored::id("cluster_id", &stored.cluster_id)?), version: cluster_version })
}

/// A snapshot that cannot be read. Trying again is no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// The bytes are not what this release writes.
    Stored(StoredError),
    /// The layout is of a later release.
    Format {
        /// Its number.
        format: u32,
    },
    /// The checksum does not fit, or there is none.
    Checksum,
    /// The cluster uses what only a later release knows, or the number is none.
    ClusterVersion {
        /// What its brokers use.
        cluster_version: ClusterVersion,
    },
    /// No commands lead to such a state.
    Contradiction(Contradiction),
}

impl From<StoredError> for SnapshotError {
    fn from(error: StoredError) -> Self {
        Self::Stored(error)
    }
}

impl From<Contradiction> for SnapshotError {
    fn from(contradiction: Contradiction) -> Self {
        Self::Contradiction(contradiction)
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(error) => error.fmt(f),
            Self::Format { format } => write!(f, "a snapshot in format {format} is not known here, {FORMAT} is"),
            Self::Checksum => f.write_str("the snapshot does not fit its checksum"),
            Self::ClusterVersion { cluster_version } => {
                let newest = ClusterVersion::NEWEST;
                write!(f, "cluster version {cluster_version} is not known here, up to {newest} are")
            }
            Self::Contradiction(contradiction) => write!(f, "the snapshot contradicts itself: {contradiction}"),
        }
    }
}

impl std::error::Error for SnapshotError {}
