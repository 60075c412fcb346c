//! The 16 attribute bits of a batch.

use super::{BatchError, Compression};

const CODEC_MASK: u16 = 0b111;
const LOG_APPEND_TIME: u16 = 1 << 3;
const TRANSACTIONAL: u16 = 1 << 4;
const CONTROL: u16 = 1 << 5;
const DELETE_HORIZON: u16 = 1 << 6;
const UNUSED: u16 = !0b111_1111;

/// What the timestamps of a batch's records mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer set them, one per record.
    CreateTime,
    /// The broker set one for the whole batch: the batch's max timestamp.
    LogAppendTime,
}

/// The attributes of a batch: bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control,
/// 6 delete horizon; the rest is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    bits: u16,
    /// What the codec bits of `bits` stand for.
    compression: Compression,
}

impl Attributes {
    /// Attributes with this codec and nothing else set.
    #[must_use]
    pub const fn new(compression: Compression) -> Self {
        Self { bits: compression.number() as u16, compression }
    }

    /// Reads the bits as found in a batch.
    ///
    /// # Errors
    /// If the codec is unknown or a bit is set that has no meaning yet.
    pub const fn from_bits(bits: u16) -> Result<Self, BatchError> {
        if bits & UNUSED != 0 {
            return Err(BatchError::UnknownAttributes(bits));
        }
        let [codec, _] = (bits & CODEC_MASK).to_le_bytes();
        match Compression::from_number(codec) {
            Some(compression) => Ok(Self { bits, compression }),
            None => Err(BatchError::UnknownCodec(codec)),
        }
    }

    /// Returns the bits as stored.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.bits
    }

    /// Returns the codec of the records.
    #[must_use]
    pub const fn compression(self) -> Compression {
        self.compression
    }

    /// Returns what the timestamps mean.
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.bits & LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Tells whether the records belong to a transaction.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.bits & TRANSACTIONAL != 0
    }

    /// Tells whether the batch holds a control record, which applications never see.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.bits & CONTROL != 0
    }

    /// Tells whether the base timestamp is reused as the time from which tombstones may go.
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.bits & DELETE_HORIZON != 0
    }

    /// Returns these attributes with another codec.
    #[must_use]
    pub const fn with_compression(self, compression: Compression) -> Self {
        Self { bits: self.bits & !CODEC_MASK | compression.number() as u16, compression }
    }

    /// Returns these attributes with the timestamp type set to the broker's append time.
    #[must_use]
    pub const fn with_log_append_time(self) -> Self {
        Self { bits: self.bits | LOG_APPEND_TIME, compression: self.compression }
    }

    /// Returns these attributes with the transactional bit set.
    #[must_use]
    pub const fn with_transactional(self) -> Self {
        Self { bits: self.bits | TRANSACTIONAL, compression: self.compression }
    }

    /// Returns these attributes with the control bit set.
    #[must_use]
    pub const fn with_control(self) -> Self {
        Self { bits: self.bits | CONTROL, compression: self.compression }
    }
}
