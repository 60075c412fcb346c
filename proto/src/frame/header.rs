//! The fixed 40 bytes at the start of a frame.

use super::FrameError;
use crate::batch::{BATCH_BYTES_MAX, BATCH_BYTES_MIN};
use crate::ids::{RaftIndex, RaftTerm};

/// The length of an encoded [`FrameHeader`].
pub const FRAME_HEADER_BYTES: usize = 40;

/// The version that this build writes and reads.
pub const FRAME_VERSION: u8 = 1;

/// The longest body of a frame; a damaged length can claim no more.
pub const MAX_FRAME_BODY_BYTES: u32 = 64 * 1024 * 1024;

const _: () = assert!(BATCH_BYTES_MAX <= MAX_FRAME_BODY_BYTES, "every batch fits a frame");

/// A body without a batch starts with its base offset, u64 little-endian.
pub(super) const BASE_OFFSET_BYTES: u32 = 8;

/// The payload of a log start entry is the log start offset, u64 little-endian.
const LOG_START_PAYLOAD_BYTES: u32 = 8;

/// What a frame's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// A record batch of a producer.
    Data = 1,
    /// A control batch that ends a transaction; takes one offset.
    TransactionMarker = 2,
    /// Nothing: the first entry of a new leader.
    NoOp = 3,
    /// The members of the partition's Raft group.
    Membership = 4,
    /// An advance of the log start offset.
    LogStart = 5,
    /// A command to a coordinator's state machine.
    CoordinatorCommand = 6,
}

impl FrameType {
    /// Every type, by number.
    pub const ALL: [Self; 6] =
        [Self::Data, Self::TransactionMarker, Self::NoOp, Self::Membership, Self::LogStart, Self::CoordinatorCommand];

    /// Returns the type of this number, if there is one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Data),
            2 => Some(Self::TransactionMarker),
            3 => Some(Self::NoOp),
            4 => Some(Self::Membership),
            5 => Some(Self::LogStart),
            6 => Some(Self::CoordinatorCommand),
            _ => None,
        }
    }

    /// Returns the number as stored.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Tells whether the body is a record batch; all others take no offset and are never served.
    #[must_use]
    pub const fn carries_batch(self) -> bool {
        matches!(self, Self::Data | Self::TransactionMarker)
    }

    /// Returns the shortest body of this type.
    const fn body_bytes_min(self) -> u32 {
        match self {
            Self::Data | Self::TransactionMarker => BATCH_BYTES_MIN,
            Self::LogStart => BASE_OFFSET_BYTES + LOG_START_PAYLOAD_BYTES,
            Self::NoOp | Self::Membership | Self::CoordinatorCommand => BASE_OFFSET_BYTES,
        }
    }
}

/// What the leader stamps on an entry beside its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameStamp {
    /// The term under which the entry was proposed.
    pub term: RaftTerm,
    /// The entry's place in the Raft log.
    pub index: RaftIndex,
    /// `index` minus the last index known to be committed, and durable in this copy of the log, when the frame was
    /// finished; `u32::MAX` where none was, or it was further away.
    pub commit_lag: u32,
    /// When the leader appended the entry, in milliseconds since 1970; never below its predecessor.
    pub append_time_ms: i64,
}

impl FrameStamp {
    /// Returns the last index that was committed and durable, for certain, when the frame was finished, if any was.
    #[must_use]
    pub fn committed_index(&self) -> Option<RaftIndex> {
        if self.commit_lag == u32::MAX {
            return None;
        }
        self.index.get().checked_sub(self.commit_lag.into()).map(RaftIndex::new)
    }
}

/// The header of a frame.
///
/// Little-endian, 40 bytes:
/// ```text
///  0  header crc u32     8  body length u32    24  raft index u64
///  4  type u8           12  commit lag u32     32  append time i64, ms
///  5  version u8        16  raft term u64      40  body
///  6  flags u16 = 0
/// ```
/// The header crc is crc32fast, seeded with topic id and partition. It covers bytes 4..40 and then
/// the batch's first 21 bytes, which the batch's own CRC leaves out, or the whole body if that is
/// no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the body is.
    pub frame_type: FrameType,
    /// The length of the body.
    pub body_bytes: u32,
    /// What the leader stamped.
    pub stamp: FrameStamp,
    /// The checksum as stored.
    pub header_crc: u32,
}

impl FrameHeader {
    /// Encodes the header.
    #[must_use]
    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.header_crc.to_le_bytes());
        bytes[4] = self.frame_type.number();
        bytes[5] = FRAME_VERSION;
        bytes[8..12].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.stamp.commit_lag.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.stamp.term.get().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.stamp.index.get().to_le_bytes());
        bytes[32..40].copy_from_slice(&self.stamp.append_time_ms.to_le_bytes());
        bytes
    }

    /// Decodes the header at the start of `bytes`; what follows it is not looked at.
    ///
    /// Checks type, version, flags and the bounds of the body's length, but not the checksum, which
    /// needs the body's start.
    ///
    /// # Errors
    /// If the bytes are too few, all zero, or a field is out of its range.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let Some(header) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else {
            return Err(FrameError::Truncated { needed: FRAME_HEADER_BYTES as u64, available: bytes.len() as u64 });
        };
        if *header == [0; FRAME_HEADER_BYTES] {
            return Err(FrameError::Empty);
        }
        let Some(frame_type) = FrameType::from_number(header[4]) else {
            return Err(FrameError::UnknownType(header[4]));
        };
        if header[5] != FRAME_VERSION {
            return Err(FrameError::UnknownVersion(header[5]));
        }
        let flags = u16::from_le_bytes(array_at(header, 6));
        if flags != 0 {
            return Err(FrameError::UnknownFlags(flags));
        }
        let body_bytes = u32::from_le_bytes(array_at(header, 8));
        if body_bytes > MAX_FRAME_BODY_BYTES {
            return Err(FrameError::BodyTooLarge { body_bytes: body_bytes.into(), limit: MAX_FRAME_BODY_BYTES });
        }
        let needed = frame_type.body_bytes_min();
        if body_bytes < needed {
            return Err(FrameError::BodyTooShort { body_bytes, needed });
        }
        let index = RaftIndex::new(u64::from_le_bytes(array_at(header, 24)));
        if index > RaftIndex::MAX {
            return Err(FrameError::Index(index));
        }
        Ok(Self {
            frame_type,
            body_bytes,
            stamp: FrameStamp {
                term: RaftTerm::new(u64::from_le_bytes(array_at(header, 16))),
                index,
                commit_lag: u32::from_le_bytes(array_at(header, 12)),
                append_time_ms: i64::from_le_bytes(array_at(header, 32)),
            },
            header_crc: u32::from_le_bytes(array_at(header, 0)),
        })
    }
}

/// Copies `N` bytes out of a header; `at` is a constant of the layout above.
fn array_at<const N: usize>(header: &[u8; FRAME_HEADER_BYTES], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&header[at..at + N]);
    array
}
