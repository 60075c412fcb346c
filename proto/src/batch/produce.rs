//! What a broker checks of a batch before it takes it.

use std::fmt;

use super::records::{RecordLayout, RecordWalk};
use super::{BatchError, BatchHeader, Compression, DecodeLimits, RecordBatch, TimestampType};
use crate::error_code::ErrorCode;
use crate::ids::Offset;

/// What a topic and its broker demand of a produced batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProduceLimits {
    /// The largest batch as sent, header included.
    pub batch_bytes_max: u32,
    /// The most headers of one record.
    pub headers_max: u32,
    /// The largest timestamp, in milliseconds; `i64::MAX` where the broker stamps its own.
    pub timestamp_ms_max: i64,
    /// Whether every record must have a key, as on a compacted topic.
    pub keys_required: bool,
    /// Whether the records of compressed batches are looked at too; those of others always are.
    pub walk_compressed: bool,
    /// The caps on decompression.
    pub decode: DecodeLimits,
}

impl Default for ProduceLimits {
    /// Batches of 1 MiB, 64 headers, any time, keys not required, compressed batches not walked.
    fn default() -> Self {
        Self {
            batch_bytes_max: 1024 * 1024,
            headers_max: 64,
            timestamp_ms_max: i64::MAX,
            keys_required: false,
            walk_compressed: false,
            decode: DecodeLimits::DEFAULT,
        }
    }
}

/// Checks a batch as a producer sent it: size, CRC and counts, and the records where they are walked. Gives it back as
/// verified.
///
/// # Errors
/// The first thing found wrong; nothing of the batch is to be stored then.
pub fn validate_produced(batch: RecordBatch, limits: &ProduceLimits) -> Result<RecordBatch, ProduceError> {
    let header = batch.header();
    if header.total_bytes() > limits.batch_bytes_max {
        return Err(ProduceError::TooLarge {
            batch_bytes: header.total_bytes(),
            batch_bytes_max: limits.batch_bytes_max,
        });
    }
    let batch = batch.verified()?;
    let header = batch.header();
    check_header(header, limits)?;
    if header.compression() == Compression::None || limits.walk_compressed {
        check_records(&batch, limits)?;
    }
    Ok(batch)
}

fn check_header(header: BatchHeader<'_>, limits: &ProduceLimits) -> Result<(), ProduceError> {
    let attributes = header.attributes();
    if attributes.is_control()
        || attributes.has_delete_horizon()
        || attributes.timestamp_type() == TimestampType::LogAppendTime
    {
        return Err(ProduceError::BrokerAttributes(attributes.bits()));
    }
    if matches!(attributes.compression(), Compression::Snappy | Compression::Zstd) {
        return Err(ProduceError::UnsupportedCodec(attributes.compression()));
    }
    if header.base_offset() != Offset::ZERO {
        return Err(ProduceError::BaseOffset(header.base_offset()));
    }
    let (record_count, last_offset_delta) = (header.record_count(), header.last_offset_delta());
    // The sum is at most 2^31: no overflow, and never equal to a count of 0.
    if record_count != last_offset_delta + 1 {
        return Err(ProduceError::RecordCount { record_count, last_offset_delta });
    }
    match header.producer() {
        Some(producer) if producer.base_sequence.is_none() => return Err(ProduceError::NoSequence),
        None if attributes.is_transactional() => return Err(ProduceError::NoProducer),
        _ => {}
    }
    check_timestamp(header.max_timestamp(), limits)
}

fn check_records(batch: &RecordBatch, limits: &ProduceLimits) -> Result<(), ProduceError> {
    let header = batch.header();
    let records = batch.decompressed_records(limits.decode)?;
    let mut walk = RecordWalk::new(header, records.len())?;
    let mut max_timestamp = i64::MIN;
    let mut record = 0;
    while let Some(layout) = walk.next(&records) {
        let layout = layout?;
        check_record(record, &layout, limits)?;
        max_timestamp = max_timestamp.max(layout.timestamp);
        record += 1;
    }
    if header.max_timestamp() != max_timestamp {
        return Err(ProduceError::MaxTimestamp { stored: header.max_timestamp(), computed: max_timestamp });
    }
    Ok(())
}

fn check_record(record: u32, layout: &RecordLayout, limits: &ProduceLimits) -> Result<(), ProduceError> {
    if layout.key.is_none() && limits.keys_required {
        return Err(ProduceError::NoKey { record });
    }
    if layout.header_count > limits.headers_max {
        return Err(ProduceError::TooManyHeaders {
            record,
            headers: layout.header_count,
            headers_max: limits.headers_max,
        });
    }
    check_timestamp(layout.timestamp, limits)
}

const fn check_timestamp(timestamp: i64, limits: &ProduceLimits) -> Result<(), ProduceError> {
    let timestamp_ms_max = limits.timestamp_ms_max;
    if timestamp > timestamp_ms_max {
        return Err(ProduceError::TimestampAhead { timestamp, timestamp_ms_max });
    }
    Ok(())
}

/// A produced batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProduceError {
    /// The batch is not well-formed or damaged.
    Batch(BatchError),
    /// The batch is larger than its topic allows.
    TooLarge {
        /// As found.
        batch_bytes: u32,
        /// The limit, `max_message_bytes` of the topic.
        batch_bytes_max: u32,
    },
    /// An attribute is set that is the broker's: control, append time or delete horizon.
    BrokerAttributes(u16),
    /// The codec is one that we do not read.
    UnsupportedCodec(Compression),
    /// The base offset is not 0.
    BaseOffset(Offset),
    /// There is not one record for every offset.
    RecordCount {
        /// As found.
        record_count: u32,
        /// One less than it should be.
        last_offset_delta: u32,
    },
    /// There is a producer id but no sequence.
    NoSequence,
    /// The batch is transactional but has no producer id.
    NoProducer,
    /// A timestamp is too far ahead of the broker's clock.
    TimestampAhead {
        /// As found.
        timestamp: i64,
        /// The largest allowed now.
        timestamp_ms_max: i64,
    },
    /// The header's max timestamp is not the largest of the records'.
    MaxTimestamp {
        /// As found.
        stored: i64,
        /// As it should be.
        computed: i64,
    },
    /// A record has no key.
    NoKey {
        /// Which one, counted from 0.
        record: u32,
    },
    /// A record has too many headers.
    TooManyHeaders {
        /// Which one, counted from 0.
        record: u32,
        /// As found.
        headers: u32,
        /// The limit.
        headers_max: u32,
    },
}

impl ProduceError {
    /// Returns the code that the producer is told; it says whether to try again.
    #[must_use]
    pub const fn error_code(&self) -> ErrorCode {
        match self {
            // Bytes that fail their CRC may have been damaged on the way.
            Self::Batch(BatchError::Checksum { .. }) => ErrorCode::CorruptBatch,
            Self::TooLarge { .. } => ErrorCode::BatchTooLarge,
            Self::UnsupportedCodec(_) => ErrorCode::UnsupportedCompressionType,
            Self::TimestampAhead { .. } => ErrorCode::InvalidTimestamp,
            Self::Batch(_)
            | Self::BrokerAttributes(_)
            | Self::BaseOffset(_)
            | Self::RecordCount { .. }
            | Self::NoSequence
            | Self::NoProducer
            | Self::MaxTimestamp { .. }
            | Self::NoKey { .. }
            | Self::TooManyHeaders { .. } => ErrorCode::InvalidRecord,
        }
    }
}

impl fmt::Display for ProduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(error) => error.fmt(f),
            Self::TooLarge { batch_bytes, batch_bytes_max } => {
                write!(f, "batch of {batch_bytes} bytes is above the limit of {batch_bytes_max}")
            }
            Self::BrokerAttributes(bits) => {
                write!(f, "batch attributes {bits:#06x} hold bits that only a broker sets")
            }
            Self::UnsupportedCodec(codec) => write!(f, "codec {codec} is not supported"),
            Self::BaseOffset(offset) => write!(f, "base offset of a produced batch is {offset}, not 0"),
            Self::RecordCount { record_count, last_offset_delta } => {
                write!(f, "produced batch has {record_count} records with last offset delta {last_offset_delta}")
            }
            Self::NoSequence => f.write_str("batch has a producer id but no sequence"),
            Self::NoProducer => f.write_str("transactional batch has no producer id"),
            Self::TimestampAhead { timestamp, timestamp_ms_max } => {
                write!(f, "timestamp {timestamp} is ahead of the latest allowed, {timestamp_ms_max}")
            }
            Self::MaxTimestamp { stored, computed } => {
                write!(f, "max timestamp is {stored}, the largest of the records' is {computed}")
            }
            Self::NoKey { record } => write!(f, "record {record} of the batch has no key"),
            Self::TooManyHeaders { record, headers, headers_max } => {
                write!(f, "record {record} of the batch has {headers} headers, above the limit of {headers_max}")
            }
        }
    }
}

impl std::error::Error for ProduceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Batch(error) => Some(error),
            _ => None,
        }
    }
}

impl From<BatchError> for ProduceError {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}
