//! Kafka's RecordBatch v2, byte for byte: the unit of storage, replication and both APIs.
//!
//! - reading: [`RecordBatch`] owns the bytes, [`BatchHeader`] is its checked header in place,
//!   [`RecordBatch::records`] goes through the [`Record`]s
//! - writing: [`BatchBuilder`] takes [`NewRecord`]s
//! - on a leader: [`validate_produced`], [`assign()`], [`stamp_log_append_time`]
//! - compaction: [`retain_records`], [`emptied`]

mod assign;
mod attributes;
mod builder;
mod compress;
mod compression;
mod decompress;
mod error;
mod header;
mod header_fields;
mod lz4;
mod produce;
mod record;
mod record_batch;
mod records;
mod restamp;
mod retain;
mod varint;

#[cfg(test)]
mod builder_tests;
#[cfg(test)]
mod decompress_tests;
#[cfg(test)]
mod header_tests;
#[cfg(test)]
mod produce_tests;
#[cfg(test)]
mod records_tests;
#[cfg(test)]
mod retain_tests;
#[cfg(test)]
mod samples;

pub use assign::{AssignError, assign, stamp_log_append_time};
pub use attributes::{Attributes, TimestampType};
pub use builder::{BatchBuilder, BuildError, PushError};
pub use compression::Compression;
pub use decompress::{DecodeLimits, DecompressError, Lz4Fault};
pub use error::{BatchError, RecordFault};
pub use header::{
    BATCH_BYTES_MAX, BATCH_BYTES_MIN, BATCH_HEADER_BYTES, BATCH_PREFIX_BYTES, BatchHeader, ProducerStamp,
};
pub use produce::{ProduceError, ProduceLimits, validate_produced};
pub use record::{Headers, HeadersIter, NewRecord, Record, RecordHeader};
pub use record_batch::RecordBatch;
pub(crate) use record_batch::verify_crc;
pub use records::Records;
pub use retain::{Retained, emptied, retain_records};
