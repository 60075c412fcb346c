//! Bytes on disk that are not what was written: where, and what is wrong with them.

use std::fmt;
use std::path::PathBuf;

use tidelog_proto::frame::FrameError;
use tidelog_proto::ids::{Offset, RaftIndex};
use tidelog_proto::segment_header::SegmentHeaderError;

use crate::frame_chain::{ChainError, FrameChain};

/// A damaged place in a segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// The byte where the damaged frame or header starts.
    pub position_bytes: u64,
    /// The first Raft index that is lost to it.
    pub index: RaftIndex,
    /// The first offset that is lost to it.
    pub offset: Offset,
    /// What is wrong.
    pub fault: Fault,
}

impl Damage {
    /// Describes what stands at a position of a file instead of what must follow `chain`.
    pub(crate) fn at(path: PathBuf, position_bytes: u64, chain: &FrameChain, fault: Fault) -> Box<Self> {
        Box::new(Self { path, position_bytes, index: chain.next_index, offset: chain.next_offset, fault })
    }
}

/// What is wrong with a damaged place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The segment's header.
    SegmentHeader(SegmentHeaderError),
    /// The segment's header names another partition or segment.
    ForeignSegment,
    /// A frame, or the batch in it.
    Frame(FrameError),
    /// A frame that is sound by itself but does not follow its predecessor.
    Chain(ChainError),
    /// The entries end before the one that is known to be durable.
    EndsEarly {
        /// Index of the last entry known to be durable.
        durable: RaftIndex,
    },
    /// A whole segment, or its end, is missing before this one.
    MissingBefore {
        /// The first index that this file holds.
        found: RaftIndex,
    },
    /// The file is shorter or longer than was noted when it was finished.
    Length {
        /// As noted.
        expected: u64,
        /// As it is.
        found: u64,
    },
    /// An index points behind the last frame.
    IndexPosition {
        /// The end of the last frame.
        end_bytes: u64,
    },
    /// The file's bytes do not have the checksum that was noted when it was sealed.
    SealedChecksum {
        /// As noted.
        stored: u32,
        /// As read.
        computed: u32,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SegmentHeader(error) => write!(f, "segment header: {error}"),
            Self::ForeignSegment => write!(f, "the segment header is another segment's"),
            Self::Frame(error) => write!(f, "frame: {error}"),
            Self::Chain(error) => write!(f, "chain: {error}"),
            Self::EndsEarly { durable } => write!(f, "the log ends here but entry {durable} was durable"),
            Self::MissingBefore { found } => write!(f, "the entries before raft index {found} are missing"),
            Self::Length { expected, found } => write!(f, "the file has {found} bytes but {expected} were noted"),
            Self::IndexPosition { end_bytes } => {
                write!(f, "the index points behind the last frame, which ends at byte {end_bytes}")
            }
            Self::SealedChecksum { stored, computed } => {
                write!(f, "segment checksum is {computed:#010x} but {stored:#010x} was noted at sealing")
            }
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, position_bytes, index, offset, fault } = self;
        write!(f, "{} at byte {position_bytes} (raft index {index}, offset {offset}): {fault}", path.display())
    }
}

impl std::error::Error for Damage {}
