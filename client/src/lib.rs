//! The Tidelog client: producer, consumer and administration over gRPC.
#![forbid(unsafe_code)]

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

pub use backoff::Backoff;
pub use broker_error::{BrokerError, ExceededLimit, Leader, OffsetRange};
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
pub use tidelog_proto::batch::Compression;
