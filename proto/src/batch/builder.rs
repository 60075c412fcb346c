//! Records in, one batch out.

use std::fmt;

use super::compress::{UnsupportedCodec, compress};
use super::header::{MAGIC, at};
use super::header_fields::{HeaderFields, seal_batch};
use super::varint::{put_varint, put_varlong, varlong_bytes};
use super::{
    Attributes, BATCH_BYTES_MAX, BATCH_HEADER_BYTES, BatchError, Compression, NewRecord, ProducerStamp, RecordBatch,
};

/// Collects records and encodes them as one batch with base offset 0 and no leader epoch.
///
/// Offset deltas are 0, 1, 2, ..., the base timestamp is the first record's.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    batch_bytes_max: u32,
    attributes: Attributes,
    producer: Option<ProducerStamp>,
    /// Room for the header, then the encoded records.
    bytes: Vec<u8>,
    record_count: u32,
    /// Of the first record and of the largest; meaningless while there is none.
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// Starts an empty batch.
    ///
    /// The codec is used where it makes the batch smaller (and not smaller than 1000:1, where
    /// decoders would refuse it); a batch is never larger than [`BatchBuilder::encoded_bytes`].
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            batch_bytes_max: BATCH_BYTES_MAX,
            attributes: Attributes::new(Compression::None),
            producer: None,
            bytes: vec![0; BATCH_HEADER_BYTES],
            record_count: 0,
            base_timestamp: 0,
            max_timestamp: 0,
        }
    }

    /// Sets the largest size of the batch before compression; [`BATCH_BYTES_MAX`] if never called.
    #[must_use]
    pub fn batch_bytes_max(mut self, batch_bytes_max: u32) -> Self {
        self.batch_bytes_max = batch_bytes_max.min(BATCH_BYTES_MAX);
        self
    }

    /// Makes room at once for a batch of so many bytes before compression, at most of its limit; a larger one still grows.
    #[must_use]
    pub fn reserve(mut self, batch_bytes: u32) -> Self {
        let wanted = batch_bytes.min(self.batch_bytes_max) as usize;
        self.bytes.reserve_exact(wanted.saturating_sub(self.bytes.len()));
        self
    }

    /// Sets who produces the batch and the sequence of its first record.
    #[must_use]
    pub const fn producer(mut self, producer: ProducerStamp) -> Self {
        self.producer = Some(producer);
        self
    }

    /// Makes the records part of the producer's transaction.
    #[must_use]
    pub const fn transactional(mut self) -> Self {
        self.attributes = self.attributes.with_transactional();
        self
    }

    /// Makes the batch a control batch, which applications never see.
    #[must_use]
    pub const fn control(mut self) -> Self {
        self.attributes = self.attributes.with_control();
        self
    }

    /// Returns the number of records.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.record_count as usize
    }

    /// Tells whether there are no records.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Returns the size of the batch before compression, header included.
    #[must_use]
    pub const fn encoded_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a record. After an error the batch is as it was before.
    ///
    /// # Errors
    /// If the record does not fit into this batch, or into any.
    pub fn push(&mut self, record: &NewRecord<'_>) -> Result<(), PushError> {
        let base_timestamp = if self.is_empty() { record.timestamp } else { self.base_timestamp };
        let timestamp_delta = record
            .timestamp
            .checked_sub(base_timestamp)
            .ok_or(PushError::TimestampDelta { base_timestamp, timestamp: record.timestamp })?;
        let body_bytes = body_bytes(record, timestamp_delta, self.record_count);
        let record_bytes = length_bytes(body_bytes).saturating_add(body_bytes);
        self.check_room(record_bytes)?;

        let offset_delta = self.record_count.cast_signed();
        put_length(&mut self.bytes, body_bytes);
        self.bytes.push(0);
        put_varlong(&mut self.bytes, timestamp_delta);
        put_varint(&mut self.bytes, offset_delta);
        put_nullable(&mut self.bytes, record.key);
        put_nullable(&mut self.bytes, record.value);
        put_length(&mut self.bytes, record.headers.len() as u64);
        for header in record.headers {
            put_nullable(&mut self.bytes, Some(header.key.as_bytes()));
            put_nullable(&mut self.bytes, header.value);
        }

        self.max_timestamp = if self.is_empty() { record.timestamp } else { self.max_timestamp.max(record.timestamp) };
        self.base_timestamp = base_timestamp;
        self.record_count += 1;
        Ok(())
    }

    fn check_room(&self, record_bytes: u64) -> Result<(), PushError> {
        let batch_bytes_max = self.batch_bytes_max;
        let alone = record_bytes.saturating_add(BATCH_HEADER_BYTES as u64);
        if alone > u64::from(batch_bytes_max) {
            return Err(PushError::RecordTooLarge { batch_bytes: alone, batch_bytes_max });
        }
        let batch_bytes = record_bytes.saturating_add(self.bytes.len() as u64);
        if batch_bytes > u64::from(batch_bytes_max) {
            return Err(PushError::Full { batch_bytes, batch_bytes_max });
        }
        Ok(())
    }

    /// Compresses the records and fills in the header.
    ///
    /// # Errors
    /// If there are no records, the codec is not supported, or the producer's numbers are out of
    /// the ranges that a batch can hold.
    pub fn finish(self) -> Result<RecordBatch, BuildError> {
        let Some(last_offset_delta) = self.record_count.checked_sub(1) else {
            return Err(BuildError::Empty);
        };
        let (producer_id, producer_epoch, base_sequence) = match self.producer {
            None => (-1, -1, -1),
            Some(producer) => producer_fields(producer).ok_or(BuildError::Producer(producer))?,
        };
        let (mut bytes, compression) = compress(self.compression, self.bytes)?;
        if bytes.capacity() / 2 > bytes.len() {
            // The batch lives on; room that it did not need does not.
            bytes.shrink_to_fit();
        }
        let mut fields = HeaderFields::new(&mut bytes);
        fields.put(at::LEADER_EPOCH, (-1_i32).to_be_bytes());
        fields.put(at::MAGIC, MAGIC.to_be_bytes());
        fields.set_attributes(self.attributes.with_compression(compression));
        fields.put(at::LAST_OFFSET_DELTA, last_offset_delta.to_be_bytes());
        fields.put(at::BASE_TIMESTAMP, self.base_timestamp.to_be_bytes());
        fields.put(at::MAX_TIMESTAMP, self.max_timestamp.to_be_bytes());
        fields.put(at::PRODUCER_ID, producer_id.to_be_bytes());
        fields.put(at::PRODUCER_EPOCH, producer_epoch.to_be_bytes());
        fields.put(at::BASE_SEQUENCE, base_sequence.to_be_bytes());
        fields.put(at::RECORD_COUNT, self.record_count.to_be_bytes());
        Ok(seal_batch(bytes)?)
    }
}

/// Returns the producer's numbers in the types of the wire, if they fit.
pub(super) fn producer_fields(producer: ProducerStamp) -> Option<(i64, i16, i32)> {
    let id = i64::try_from(producer.id.get()).ok()?;
    let epoch = i16::try_from(producer.epoch.get()).ok()?;
    let base_sequence = match producer.base_sequence {
        None => -1,
        Some(sequence) => i32::try_from(sequence.get()).ok()?,
    };
    Some((id, epoch, base_sequence))
}

/// Returns the length of a record after its length field.
fn body_bytes(record: &NewRecord<'_>, timestamp_delta: i64, offset_delta: u32) -> u64 {
    let headers = record.headers.iter().fold(length_bytes(record.headers.len() as u64), |sum, header| {
        sum.saturating_add(nullable_bytes(Some(header.key.as_bytes()))).saturating_add(nullable_bytes(header.value))
    });
    (1 + varlong_bytes(timestamp_delta) + length_bytes(offset_delta.into()))
        .saturating_add(nullable_bytes(record.key))
        .saturating_add(nullable_bytes(record.value))
        .saturating_add(headers)
}

fn nullable_bytes(field: Option<&[u8]>) -> u64 {
    match field {
        None => varlong_bytes(-1),
        Some(bytes) => length_bytes(bytes.len() as u64).saturating_add(bytes.len() as u64),
    }
}

/// Returns the size of a length field; a length beyond 63 bits exists nowhere.
const fn length_bytes(length: u64) -> u64 {
    varlong_bytes(length.cast_signed())
}

/// Appends a length that was checked to be in bounds with its record.
fn put_length(buffer: &mut Vec<u8>, length: u64) {
    put_varlong(buffer, length.cast_signed());
}

fn put_nullable(buffer: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => put_varint(buffer, -1),
        Some(bytes) => {
            put_length(buffer, bytes.len() as u64);
            buffer.extend_from_slice(bytes);
        }
    }
}

/// A record was not added; the batch is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// The batch has no room for the record; the next one has.
    Full {
        /// The size of the batch with the record.
        batch_bytes: u64,
        /// The limit.
        batch_bytes_max: u32,
    },
    /// The record does not fit even alone.
    RecordTooLarge {
        /// The size of a batch of this record.
        batch_bytes: u64,
        /// The limit.
        batch_bytes_max: u32,
    },
    /// The record's time is too far from the first one's to be written as a difference; in a batch
    /// of its own it fits.
    TimestampDelta {
        /// The first record's time.
        base_timestamp: i64,
        /// This record's time.
        timestamp: i64,
    },
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { batch_bytes, batch_bytes_max } => {
                write!(f, "batch would have {batch_bytes} bytes, above its limit of {batch_bytes_max}")
            }
            Self::RecordTooLarge { batch_bytes, batch_bytes_max } => {
                write!(f, "record alone needs a batch of {batch_bytes} bytes, above the limit of {batch_bytes_max}")
            }
            Self::TimestampDelta { base_timestamp, timestamp } => {
                write!(f, "timestamp {timestamp} is too far from the batch's first, {base_timestamp}")
            }
        }
    }
}

impl std::error::Error for PushError {}

/// A batch could not be made of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// There are no records.
    Empty,
    /// The codec is known by number only.
    UnsupportedCodec(Compression),
    /// The producer's numbers are out of the ranges that a batch can hold.
    Producer(ProducerStamp),
    /// The batch is larger than any decoder takes.
    Batch(BatchError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("batch has no records"),
            Self::UnsupportedCodec(codec) => write!(f, "codec {codec} is not supported"),
            Self::Producer(producer) => {
                write!(f, "producer id {} or epoch {} is out of range", producer.id, producer.epoch)
            }
            Self::Batch(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}

impl From<UnsupportedCodec> for BuildError {
    fn from(UnsupportedCodec(codec): UnsupportedCodec) -> Self {
        Self::UnsupportedCodec(codec)
    }
}

impl From<BatchError> for BuildError {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}
