//! Kafka's RecordBatch v2, byte for byte: the unit of storage, replication and both APIs.

mod attributes;
mod compression;
mod error;
mod header;
mod record_batch;

pub use attributes::{Attributes, TimestampType};
pub use compression::Compression;
pub use error::BatchError;
pub use header::{
    BATCH_BYTES_MAX, BATCH_BYTES_MIN, BATCH_HEADER_BYTES, BATCH_PREFIX_BYTES, BatchHeader, ProducerStamp,
};
pub use record_batch::RecordBatch;
pub(crate) use record_batch::verify_crc;
