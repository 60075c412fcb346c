//! Why bytes are not a record batch.

use std::fmt;

use super::DecompressError;

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
    /// The records cannot be decompressed.
    Decompress(DecompressError),
    /// The bytes cannot hold as many records as the header counts.
    CountAboveBytes {
        /// As found.
        record_count: u32,
        /// The length of all encoded records.
        records_bytes: u64,
    },
    /// Bytes follow the last record.
    TrailingRecordBytes(u64),
    /// A record is not well-formed.
    Record {
        /// Which one, counted from 0.
        record: u32,
        /// What is wrong with it.
        fault: RecordFault,
    },
}

/// What is wrong with an encoded record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// It ends too soon, or a part of it reaches past its end.
    Truncated,
    /// An integer has more bits than its type.
    Varint,
    /// A length is negative where that does not stand for null.
    Length(i32),
    /// An attribute bit is set; none has a meaning.
    Attributes(u8),
    /// The timestamp passes the range of 64 bits.
    TimestampDelta(i64),
    /// The offset does not rise, or passes the batch's last offset.
    OffsetDelta(i32),
    /// The header count is negative or more than the bytes can hold.
    HeaderCount(i32),
    /// A header key is not UTF-8.
    HeaderKey,
    /// Bytes follow the last header.
    TrailingBytes,
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
            Self::Decompress(error) => error.fmt(f),
            Self::CountAboveBytes { record_count, records_bytes } => {
                write!(f, "{records_bytes} bytes cannot hold {record_count} records")
            }
            Self::TrailingRecordBytes(bytes) => write!(f, "{bytes} bytes follow the last record"),
            Self::Record { record, fault } => write!(f, "record {record} of the batch {fault}"),
        }
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("ends too soon"),
            Self::Varint => f.write_str("holds an integer that is too long"),
            Self::Length(length) => write!(f, "holds the length {length}"),
            Self::Attributes(bits) => write!(f, "has the unknown attributes {bits:#04x}"),
            Self::TimestampDelta(delta) => write!(f, "has the timestamp delta {delta}, which overflows"),
            Self::OffsetDelta(delta) => write!(f, "has the offset delta {delta}, which is out of order or range"),
            Self::HeaderCount(count) => write!(f, "counts {count} headers"),
            Self::HeaderKey => f.write_str("has a header key that is not UTF-8"),
            Self::TrailingBytes => f.write_str("goes on after its last header"),
        }
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Decompress(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DecompressError> for BatchError {
    fn from(error: DecompressError) -> Self {
        Self::Decompress(error)
    }
}
