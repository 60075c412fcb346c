//! The Tidelog client: producer, consumer and administration over gRPC, in Rust alone.
//!
//! - [`Client`]: a cluster; finds brokers and leaders, and holds one connection to each broker
//! - [`Producer`]: sends [`Record`]s in batches, once and in order, with back-pressure; [`Delivery`] tells where they are
//! - [`partitioner`]: which partition a record goes to
//! - [`Consumer`]: reads partitions as a stream that goes on by itself when brokers die and leaders move
//! - [`Admin`]: topics, configs, records, brokers
//! - [`BrokerError`], [`CallError`]: what a broker refused, and why a call failed as a whole. Every error tells whether it
//!   may be tried again
//!
//! ```no_run
//! use tidelog_client::{Client, Compression, NewTopic, Position, Record};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("127.0.0.1:7420").await?;
//! client.admin().create_topic(NewTopic::new("orders").partitions(6)).await?;
//!
//! let producer = client.producer().compression(Compression::Lz4).build().await?;
//! let delivery = producer.send(Record::to("orders").key("k1").value("...").header("a", "b")).await?; // has room
//! let stored = delivery.await?; // is acked
//! producer.close().await?;
//!
//! let partition = stored.partition.get();
//! let mut consumer = client.consumer().assign([("orders", partition, Position::Start)]).build().await?;
//! while let Some(record) = consumer.next().await.transpose()? {
//!     println!("{}: {:?}", record.offset, record.value);
//! }
//! consumer.close().await?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod admin;
#[cfg(test)]
mod admin_tests;
mod backoff;
mod bootstrap;
mod broker_error;
mod call_error;
mod client;
mod connections;
mod consumer;
mod metadata;
mod metadata_cache;
#[cfg(test)]
mod metadata_tests;
pub mod partitioner;
mod producer;
mod record;
#[cfg(test)]
mod scripted_broker_tests;

pub use admin::{
    Admin, AdminError, BrokerDescription, BrokerStatus, ClusterDescription, ConfigChange, ConfigEntry, ConfigSource,
    CreatedTopic, DataDirStatus, ListedOffset, NewTopic, OffsetSpec, PartitionDescription, ReplicaDescription, Subject,
    TopicDescription, TopicListing,
};
pub use backoff::Backoff;
pub use broker_error::{BrokerError, ExceededLimit, InvalidConfig, Leader, OffsetRange};
pub use call_error::CallError;
pub use client::{Client, ClientBuilder};
pub use consumer::{
    ConsumeError, ConsumedBatch, ConsumedRecord, ConsumedRecords, Consumer, ConsumerBatches, ConsumerBuilder,
    ConsumerConfigError, NotAssigned, OutOfRange, Position,
};
pub use producer::{
    Delivery, Partitioning, ProduceError, Producer, ProducerBuilder, ProducerConfigError, RecordMetadata, SendError,
};
pub use record::Record;
pub use tidelog_proto::api::{Acks, IsolationLevel};
pub use tidelog_proto::batch::{Compression, DecodeLimits, Headers, RecordHeader, TimestampType};
pub use tidelog_proto::error_code::ErrorCode;
pub use tidelog_proto::ids::{BrokerId, LeaderEpoch, Offset, PartitionId, TopicId, TopicName};

/// The example of the README, compiled as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
