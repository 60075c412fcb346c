//! Why bytes are not a record batch.

use std::fmt;

/// Bytes are not a well-formed record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchError {
    /// The bytes end before the batch does.
    Truncated {
        /// How many the batch needs, as far as can be told.
        needed: u64,
        /// How many there are.
        available: u64,
    },
    /// More bytes follow than the batch declares.
    TrailingBytes {
        /// The length that the batch declares.
        declared: u64,
        /// How many bytes there are.
        available: u64,
    },
    /// The length field is below the header's own length or above the largest batch.
    LengthField(i32),
    /// The leader epoch is negative and not the -1 that says "none".
    LeaderEpoch(i32),
    /// The format is not v2.
    Magic(i8),
    /// An attribute bit is set that has no meaning.
    UnknownAttributes(u16),
    /// The codec number stands for nothing.
    UnknownCodec(u8),
    /// The base offset is negative.
    BaseOffset(i64),
    /// The last offset delta is negative or carries the last offset past the largest.
    LastOffsetDelta {
        /// The base offset.
        base_offset: i64,
        /// As found.
        last_offset_delta: i32,
    },
    /// The record count is negative or above the number of offsets.
    RecordCount {
        /// As found.
        record_count: i32,
        /// The batch spans one offset more than this.
        last_offset_delta: i32,
    },
    /// The producer id, epoch or base sequence is out of its range.
    Producer {
        /// As found; -1 stands for none.
        id: i64,
        /// As found.
        epoch: i16,
        /// As found; -1 stands for none.
        base_sequence: i32,
    },
    /// The CRC-32C does not fit the bytes.
    Checksum {
        /// As found.
        stored: u32,
        /// As it should be.
        computed: u32,
    },
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, available } => {
                write!(f, "batch needs {needed} bytes, found {available}")
            }
            Self::TrailingBytes { declared, available } => {
                write!(f, "batch declares {declared} bytes, found {available}")
            }
            Self::LengthField(length) => write!(f, "batch length field {length} is out of range"),
            Self::LeaderEpoch(epoch) => write!(f, "leader epoch {epoch} is out of range"),
            Self::Magic(magic) => write!(f, "batch magic is {magic}, not 2"),
            Self::UnknownAttributes(bits) => {
                write!(f, "batch attributes {bits:#06x} hold unknown bits")
            }
            Self::UnknownCodec(number) => write!(f, "codec number {number} is unknown"),
            Self::BaseOffset(offset) => write!(f, "base offset {offset} is negative"),
            Self::LastOffsetDelta { base_offset, last_offset_delta } => {
                write!(f, "last offset delta {last_offset_delta} is out of range at base offset {base_offset}")
            }
            Self::RecordCount { record_count, last_offset_delta } => {
                write!(f, "record count {record_count} is out of range with last offset delta {last_offset_delta}")
            }
            Self::Producer { id, epoch, base_sequence } => {
                write!(f, "producer id {id}, epoch {epoch}, base sequence {base_sequence} are out of range")
            }
            Self::Checksum { stored, computed } => {
                write!(f, "batch checksum is {stored:#010x}, computed {computed:#010x}")
            }
        }
    }
}

impl std::error::Error for BatchError {}
