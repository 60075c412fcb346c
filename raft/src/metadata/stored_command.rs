//! Commands as bytes, in the log of the metadata group.

use bytes::Bytes;
use prost::{Message, Oneof};
use tidelog_proto::ids::{BrokerId, PartitionId};

use super::command::{Assignment, ConfigChange, CreateTopic, MetadataCommand, RegisterBroker};
use super::stored::{self, StoredConfig, StoredError};
use super::{BootId, ClusterId, ClusterVersion, DirectoryId};

/// Most bytes of a stored command. Three times what the largest topic takes.
pub const COMMAND_BYTES_MAX: usize = 1024 * 1024;

/// The stored form. Field numbers are never reused.
#[derive(Clone, PartialEq, Message)]
struct StoredCommand {
    #[prost(oneof = "StoredVerb", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    verb: Option<StoredVerb>,
}

#[derive(Clone, PartialEq, Oneof)]
enum StoredVerb {
    #[prost(message, tag = "1")]
    FormatCluster(StoredFormatCluster),
    #[prost(message, tag = "2")]
    SetClusterVersion(StoredSetClusterVersion),
    #[prost(message, tag = "3")]
    RegisterBroker(StoredRegisterBroker),
    #[prost(message, tag = "4")]
    CreateTopic(StoredCreateTopic),
    #[prost(message, tag = "5")]
    DeleteTopic(StoredDeleteTopic),
    #[prost(message, tag = "6")]
    AlterTopicConfigs(StoredAlterTopicConfigs),
    #[prost(message, tag = "7")]
    CreatePartitions(StoredCreatePartitions),
    #[prost(message, tag = "8")]
    AllocateProducerIds(StoredAllocateProducerIds),
    #[prost(message, tag = "9")]
    ReplicaDataDeleted(StoredReplicaDataDeleted),
}

#[derive(Clone, PartialEq, Message)]
struct StoredFormatCluster {
    #[prost(bytes = "bytes", tag = "1")]
    cluster_id: Bytes,
    #[prost(uint32, tag = "2")]
    cluster_version: u32,
}

#[derive(Clone, PartialEq, Message)]
struct StoredSetClusterVersion {
    #[prost(uint32, tag = "1")]
    cluster_version: u32,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRegisterBroker {
    #[prost(uint32, tag = "1")]
    broker_id: u32,
    #[prost(string, tag = "2")]
    address: String,
    #[prost(string, optional, tag = "3")]
    rack: Option<String>,
    #[prost(bytes = "bytes", tag = "4")]
    directory_id: Bytes,
    #[prost(uint64, tag = "5")]
    boot_counter: u64,
    #[prost(bytes = "bytes", tag = "6")]
    boot_id: Bytes,
    #[prost(uint32, tag = "7")]
    cluster_version_max: u32,
}

#[derive(Clone, PartialEq, Message)]
struct StoredCreateTopic {
    #[prost(bytes = "bytes", tag = "1")]
    topic_id: Bytes,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bool, tag = "3")]
    internal: bool,
    #[prost(message, repeated, tag = "4")]
    assignments: Vec<StoredAssignment>,
    #[prost(message, repeated, tag = "5")]
    configs: Vec<StoredConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredAssignment {
    #[prost(uint32, repeated, tag = "1")]
    broker_ids: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredDeleteTopic {
    #[prost(bytes = "bytes", tag = "1")]
    topic_id: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct StoredAlterTopicConfigs {
    #[prost(bytes = "bytes", tag = "1")]
    topic_id: Bytes,
    #[prost(message, repeated, tag = "2")]
    changes: Vec<StoredConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredCreatePartitions {
    #[prost(bytes = "bytes", tag = "1")]
    topic_id: Bytes,
    #[prost(uint32, tag = "2")]
    first_partition: u32,
    #[prost(message, repeated, tag = "3")]
    assignments: Vec<StoredAssignment>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredAllocateProducerIds {
    #[prost(uint32, tag = "1")]
    broker_id: u32,
    #[prost(uint32, tag = "2")]
    count: u32,
}

#[derive(Clone, PartialEq, Message)]
struct StoredReplicaDataDeleted {
    #[prost(uint32, tag = "1")]
    broker_id: u32,
    #[prost(bytes = "bytes", tag = "2")]
    topic_id: Bytes,
}

impl MetadataCommand {
    /// Encodes the command. Equal commands have equal bytes.
    ///
    /// # Errors
    /// [`StoredError::TooLarge`]: applying it would pass a limit.
    pub fn encode(&self) -> Result<Bytes, StoredError> {
        let stored = StoredCommand { verb: Some(StoredVerb::from(self)) };
        let bytes = stored.encoded_len();
        if bytes > COMMAND_BYTES_MAX {
            return Err(StoredError::TooLarge { bytes, bytes_max: COMMAND_BYTES_MAX });
        }
        Ok(stored.encode_to_vec().into())
    }

    /// Decodes a command. Any bytes are a command or refused, in memory bounded by [`COMMAND_BYTES_MAX`].
    ///
    /// # Errors
    /// The bytes are not exactly what [`MetadataCommand::encode`] makes of a command. In a committed entry this means that
    /// a later release has proposed it; whoever skipped it would come to another state than the others.
    pub fn decode(bytes: &Bytes) -> Result<Self, StoredError> {
        let stored: StoredCommand = stored::decode(bytes.clone(), COMMAND_BYTES_MAX)?;
        let command = Self::try_from(stored.verb.ok_or(StoredError::NotOurs)?)?;
        if command.encode()? == *bytes { Ok(command) } else { Err(StoredError::NotOurs) }
    }
}

impl From<&MetadataCommand> for StoredVerb {
    fn from(command: &MetadataCommand) -> Self {
        match command {
            MetadataCommand::FormatCluster { cluster_id, cluster_version } => {
                Self::FormatCluster(StoredFormatCluster {
                    cluster_id: id_bytes(cluster_id.get()),
                    cluster_version: cluster_version.get(),
                })
            }
            MetadataCommand::SetClusterVersion { cluster_version } => {
                Self::SetClusterVersion(StoredSetClusterVersion { cluster_version: cluster_version.get() })
            }
            MetadataCommand::RegisterBroker(command) => Self::RegisterBroker(StoredRegisterBroker {
                broker_id: command.broker_id.get(),
                address: command.address.to_string(),
                rack: command.rack.as_ref().map(ToString::to_string),
                directory_id: id_bytes(command.directory_id.get()),
                boot_counter: command.boot_counter,
                boot_id: id_bytes(command.boot_id.get()),
                cluster_version_max: command.cluster_version_max.get(),
            }),
            MetadataCommand::CreateTopic(command) => Self::CreateTopic(StoredCreateTopic {
                topic_id: id_bytes(command.topic_id.get()),
                name: command.name.to_string(),
                internal: command.internal,
                assignments: command.assignments.iter().map(StoredAssignment::from).collect(),
                configs: command.configs.iter().map(StoredConfig::from).collect(),
            }),
            MetadataCommand::DeleteTopic { topic_id } => {
                Self::DeleteTopic(StoredDeleteTopic { topic_id: id_bytes(topic_id.get()) })
            }
            MetadataCommand::AlterTopicConfigs { topic_id, changes } => {
                Self::AlterTopicConfigs(StoredAlterTopicConfigs {
                    topic_id: id_bytes(topic_id.get()),
                    changes: changes.iter().map(StoredConfig::from).collect(),
                })
            }
            MetadataCommand::CreatePartitions { topic_id, first_partition, assignments } => {
                Self::CreatePartitions(StoredCreatePartitions {
                    topic_id: id_bytes(topic_id.get()),
                    first_partition: first_partition.get(),
                    assignments: assignments.iter().map(StoredAssignment::from).collect(),
                })
            }
            MetadataCommand::AllocateProducerIds { broker_id, count } => {
                Self::AllocateProducerIds(StoredAllocateProducerIds { broker_id: broker_id.get(), count: *count })
            }
            MetadataCommand::ReplicaDataDeleted { broker_id, topic_id } => {
                Self::ReplicaDataDeleted(StoredReplicaDataDeleted {
                    broker_id: broker_id.get(),
                    topic_id: id_bytes(topic_id.get()),
                })
            }
        }
    }
}

impl TryFrom<StoredVerb> for MetadataCommand {
    type Error = StoredError;

    fn try_from(verb: StoredVerb) -> Result<Self, StoredError> {
        Ok(match verb {
            StoredVerb::FormatCluster(stored) => Self::FormatCluster {
                cluster_id: ClusterId::new(stored::id("cluster_id", &stored.cluster_id)?),
                cluster_version: ClusterVersion::new(stored.cluster_version),
            },
            StoredVerb::SetClusterVersion(stored) => {
                Self::SetClusterVersion { cluster_version: ClusterVersion::new(stored.cluster_version) }
            }
            StoredVerb::RegisterBroker(stored) => Self::RegisterBroker(RegisterBroker {
                broker_id: BrokerId::new(stored.broker_id),
                address: stored::address(stored.address)?,
                rack: stored::rack(stored.rack)?,
                directory_id: DirectoryId::new(stored::id("directory_id", &stored.directory_id)?),
                boot_counter: stored.boot_counter,
                boot_id: BootId::new(stored::id("boot_id", &stored.boot_id)?),
                cluster_version_max: ClusterVersion::new(stored.cluster_version_max),
            }),
            StoredVerb::CreateTopic(stored) => Self::CreateTopic(CreateTopic {
                topic_id: stored::topic_id(&stored.topic_id)?,
                name: stored::topic_name(stored.name)?,
                internal: stored.internal,
                assignments: stored.assignments.into_iter().map(Assignment::from).collect(),
                configs: stored.configs.into_iter().map(ConfigChange::from).collect(),
            }),
            StoredVerb::DeleteTopic(stored) => Self::DeleteTopic { topic_id: stored::topic_id(&stored.topic_id)? },
            StoredVerb::AlterTopicConfigs(stored) => Self::AlterTopicConfigs {
                topic_id: stored::topic_id(&stored.topic_id)?,
                changes: stored.changes.into_iter().map(ConfigChange::from).collect(),
            },
            StoredVerb::CreatePartitions(stored) => Self::CreatePartitions {
                topic_id: stored::topic_id(&stored.topic_id)?,
                first_partition: PartitionId::new(stored.first_partition),
                assignments: stored.assignments.into_iter().map(Assignment::from).collect(),
            },
            StoredVerb::AllocateProducerIds(stored) => {
                Self::AllocateProducerIds { broker_id: BrokerId::new(stored.broker_id), count: stored.count }
            }
            StoredVerb::ReplicaDataDeleted(stored) => Self::ReplicaDataDeleted {
                broker_id: BrokerId::new(stored.broker_id),
                topic_id: stored::topic_id(&stored.topic_id)?,
            },
        })
    }
}

impl From<&Assignment> for StoredAssignment {
    fn from(assignment: &Assignment) -> Self {
        Self { broker_ids: assignment.brokers.iter().map(|broker_id| broker_id.get()).collect() }
    }
}

impl From<StoredAssignment> for Assignment {
    fn from(stored: StoredAssignment) -> Self {
        Self { brokers: stored.broker_ids.into_iter().map(BrokerId::new).collect() }
    }
}

fn id_bytes(id: [u8; 16]) -> Bytes {
    Bytes::copy_from_slice(&id)
}
