//! Why bytes are not a frame.

use std::fmt;

use crate::batch::BatchError;
use crate::ids::{Offset, RaftIndex};

/// Bytes are not a well-formed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The bytes end before the frame does.
    Truncated {
        /// How many the frame needs, as far as can be told.
        needed: u64,
        /// How many there are.
        available: u64,
    },
    /// All bytes of the header are zero: nothing was ever written here.
    Empty,
    /// The type number stands for nothing.
    UnknownType(u8),
    /// The frame is of a version that this build does not know.
    UnknownVersion(u8),
    /// A flag is set; this version has none.
    UnknownFlags(u16),
    /// The body is longer than any frame's.
    BodyTooLarge {
        /// As found or asked for.
        body_bytes: u64,
        /// The longest there can be.
        limit: u32,
    },
    /// The body is shorter than its type needs.
    BodyTooShort {
        /// As found.
        body_bytes: u32,
        /// The shortest there can be.
        needed: u32,
    },
    /// The header checksum does not fit: damage, or a frame of another partition.
    HeaderChecksum {
        /// As found.
        stored: u32,
        /// As it should be.
        computed: u32,
    },
    /// The batch in the body is not as long as the body.
    LengthMismatch {
        /// The body length that the frame declares.
        frame: u32,
        /// The length that the batch declares.
        batch: u32,
    },
    /// The base offset of a body without a batch is beyond what a batch can name.
    BaseOffset(Offset),
    /// The Raft index is beyond [`RaftIndex::MAX`].
    Index(RaftIndex),
    /// The batch in the body is not well-formed.
    Batch(BatchError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, available } => {
                write!(f, "frame needs {needed} bytes, found {available}")
            }
            Self::Empty => f.write_str("frame header is all zero"),
            Self::UnknownType(number) => write!(f, "frame type {number} is unknown"),
            Self::UnknownVersion(version) => write!(f, "frame version {version} is unknown"),
            Self::UnknownFlags(flags) => write!(f, "frame flags {flags:#06x} are unknown"),
            Self::BodyTooLarge { body_bytes, limit } => {
                write!(f, "frame body of {body_bytes} bytes is above the limit of {limit}")
            }
            Self::BodyTooShort { body_bytes, needed } => {
                write!(f, "frame body of {body_bytes} bytes is below the {needed} of its type")
            }
            Self::HeaderChecksum { stored, computed } => {
                write!(f, "frame header checksum is {stored:#010x}, computed {computed:#010x}")
            }
            Self::LengthMismatch { frame, batch } => {
                write!(f, "frame body has {frame} bytes, its batch declares {batch}")
            }
            Self::BaseOffset(offset) => write!(f, "frame base offset {offset} is out of range"),
            Self::Index(index) => write!(f, "frame raft index {index} is above {}", RaftIndex::MAX),
            Self::Batch(error) => write!(f, "frame body is not a batch: {error}"),
        }
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Batch(error) => Some(error),
            _ => None,
        }
    }
}

impl From<BatchError> for FrameError {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}
