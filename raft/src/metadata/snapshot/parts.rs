//! Brokers, topics and deleted topics, each as bytes of its own.

use bytes::Bytes;
use prost::Message;
use tidelog_proto::ids::{BrokerId, TopicId};

use super::SNAPSHOT_BYTES_MAX;
use crate::metadata::command::ConfigChange;
use crate::metadata::stored::{self, StoredConfig, StoredError};
use crate::metadata::{BootId, Broker, ClusterVersion, DeletedTopic, DirectoryId, Partition, Topic, TopicConfigs};
use crate::replica_id::ReplicaId;

/// A broker. Here and below, field numbers are never reused.
#[derive(Clone, PartialEq, Message)]
struct StoredBroker {
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
    #[prost(uint32, tag = "8")]
    next_incarnation: u32,
}

#[derive(Clone, PartialEq, Message)]
struct StoredTopic {
    #[prost(bytes = "bytes", tag = "1")]
    topic_id: Bytes,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bool, tag = "3")]
    internal: bool,
    #[prost(uint32, tag = "4")]
    replication_factor: u32,
    #[prost(message, repeated, tag = "5")]
    partitions: Vec<StoredPartition>,
    #[prost(message, repeated, tag = "6")]
    configs: Vec<StoredConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredPartition {
    /// As `ReplicaId::get` gives them, the preferred leader first.
    #[prost(fixed64, repeated, tag = "1")]
    replicas: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredDeletedTopic {
    #[prost(bytes = "bytes", tag = "1")]
    topic_id: Bytes,
    /// By rising number.
    #[prost(uint32, repeated, tag = "2")]
    pending: Vec<u32>,
}

pub(super) fn encode_broker(broker_id: BrokerId, broker: &Broker) -> Bytes {
    let stored = StoredBroker {
        broker_id: broker_id.get(),
        address: broker.address.to_string(),
        rack: broker.rack.as_ref().map(ToString::to_string),
        directory_id: Bytes::copy_from_slice(&broker.directory_id.get()),
        boot_counter: broker.boot_counter,
        boot_id: Bytes::copy_from_slice(&broker.boot_id.get()),
        cluster_version_max: broker.cluster_version_max.get(),
        next_incarnation: broker.next_incarnation,
    };
    stored.encode_to_vec().into()
}

pub(super) fn decode_broker(bytes: Bytes) -> Result<(BrokerId, Broker), StoredError> {
    let stored: StoredBroker = stored::decode(bytes, SNAPSHOT_BYTES_MAX)?;
    let broker = Broker {
        address: stored::address(stored.address)?,
        rack: stored::rack(stored.rack)?,
        directory_id: DirectoryId::new(stored::id("directory_id", &stored.directory_id)?),
        boot_counter: stored.boot_counter,
        boot_id: BootId::new(stored::id("boot_id", &stored.boot_id)?),
        cluster_version_max: ClusterVersion::new(stored.cluster_version_max),
        next_incarnation: stored.next_incarnation,
    };
    Ok((BrokerId::new(stored.broker_id), broker))
}

pub(super) fn encode_topic(topic: &Topic) -> Bytes {
    let partition = |partition: &Partition| StoredPartition {
        replicas: partition.replicas.iter().map(|replica| replica.get()).collect(),
    };
    let configs = topic.configs.iter();
    let stored = StoredTopic {
        topic_id: Bytes::copy_from_slice(topic.id.as_bytes()),
        name: topic.name.to_string(),
        internal: topic.internal,
        replication_factor: topic.replication_factor,
        partitions: topic.partitions.iter().map(partition).collect(),
        configs: configs
            .map(|(key, value)| StoredConfig { key: key.to_string(), value: Some(value.to_string()) })
            .collect(),
    };
    stored.encode_to_vec().into()
}

pub(super) fn decode_topic(bytes: Bytes) -> Result<Topic, StoredError> {
    let stored: StoredTopic = stored::decode(bytes, SNAPSHOT_BYTES_MAX)?;
    let partition = |stored: StoredPartition| Partition {
        replicas: stored.replicas.into_iter().map(ReplicaId::from_number).collect(),
    };
    let configs: Vec<_> = stored.configs.into_iter().map(ConfigChange::from).collect();
    Ok(Topic {
        id: stored::topic_id(&stored.topic_id)?,
        name: stored::topic_name(stored.name)?,
        internal: stored.internal,
        replication_factor: stored.replication_factor,
        partitions: stored.partitions.into_iter().map(partition).collect(),
        configs: TopicConfigs::default().altered(&configs).map_err(|_| StoredError::Field { field: "configs" })?,
    })
}

pub(super) fn encode_deleted(topic_id: TopicId, topic: &DeletedTopic) -> Bytes {
    let stored = StoredDeletedTopic {
        topic_id: Bytes::copy_from_slice(topic_id.as_bytes()),
        pending: topic.pending.iter().map(|broker_id| broker_id.get()).collect(),
    };
    stored.encode_to_vec().into()
}

pub(super) fn decode_deleted(bytes: Bytes) -> Result<(TopicId, DeletedTopic), StoredError> {
    let stored: StoredDeletedTopic = stored::decode(bytes, SNAPSHOT_BYTES_MAX)?;
    let pending = stored.pending.into_iter().map(BrokerId::new).collect();
    Ok((stored::topic_id(&stored.topic_id)?, DeletedTopic { pending }))
}
