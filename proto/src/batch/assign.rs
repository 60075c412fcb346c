//! What a leader writes into a batch in place.

use std::fmt;

use bytes::BytesMut;

use super::header::at;
use super::header_fields::HeaderFields;
use super::{BatchError, BatchHeader, RecordBatch};
use crate::ids::{LeaderEpoch, Offset};

/// Stamps base offset and leader epoch on the batch `bytes`. Its CRC covers neither and stays.
///
/// # Errors
/// If the bytes do not start with a sane header, or the numbers do not fit it; then nothing is
/// written.
pub fn assign(bytes: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) -> Result<(), AssignError> {
    let header = BatchHeader::parse(bytes)?;
    let last_offset_delta = header.last_offset_delta();
    let last_offset = base_offset.checked_add(last_offset_delta.into());
    if last_offset.is_none_or(|last_offset| last_offset > Offset::MAX) {
        return Err(AssignError::Offset { base_offset, last_offset_delta });
    }
    let Ok(epoch) = i32::try_from(leader_epoch.get()) else {
        return Err(AssignError::LeaderEpoch(leader_epoch));
    };
    let mut fields = HeaderFields::new(bytes);
    fields.put(at::BASE_OFFSET, base_offset.get().to_be_bytes());
    fields.put(at::LEADER_EPOCH, epoch.to_be_bytes());
    Ok(())
}

/// Sets the broker's append time as the time of every record of the batch `bytes`.
///
/// Rewrites attributes, max timestamp and CRC: the only change to bytes that the CRC covers.
///
/// # Errors
/// If the bytes do not start with a sane header; then nothing is written.
pub fn stamp_log_append_time(bytes: &mut [u8], append_time_ms: i64) -> Result<(), BatchError> {
    let attributes = BatchHeader::parse(bytes)?.attributes().with_log_append_time();
    let mut fields = HeaderFields::new(bytes);
    fields.set_attributes(attributes);
    fields.put(at::MAX_TIMESTAMP, append_time_ms.to_be_bytes());
    fields.seal();
    Ok(())
}

impl RecordBatch {
    /// Returns this batch with base offset and leader epoch stamped.
    ///
    /// The bytes are changed in place if nobody else holds them, otherwise copied once.
    ///
    /// # Errors
    /// If the numbers do not fit the batch.
    pub fn assigned(self, base_offset: Offset, leader_epoch: LeaderEpoch) -> Result<Self, AssignError> {
        // The CRC covers neither of the two.
        let is_verified = self.is_verified();
        let mut bytes = self.into_bytes().try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        assign(&mut bytes, base_offset, leader_epoch)?;
        let bytes = bytes.freeze();
        Ok(if is_verified { Self::parse_verified(bytes)? } else { Self::parse(bytes)? })
    }
}

/// Base offset and leader epoch cannot be stamped on a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignError {
    /// The batch's last offset would pass the largest.
    Offset {
        /// As asked for.
        base_offset: Offset,
        /// The batch's span, less one.
        last_offset_delta: u32,
    },
    /// The leader epoch is above the largest that a batch can hold, 2^31 - 1.
    LeaderEpoch(LeaderEpoch),
    /// The bytes are not a batch.
    Batch(BatchError),
}

impl fmt::Display for AssignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset { base_offset, last_offset_delta } => {
                write!(f, "base offset {base_offset} with last offset delta {last_offset_delta} is out of range")
            }
            Self::LeaderEpoch(epoch) => write!(f, "leader epoch {epoch} is out of range"),
            Self::Batch(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AssignError {}

impl From<BatchError> for AssignError {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}
