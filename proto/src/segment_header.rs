//! The 64 bytes at the start of every segment file.

use std::fmt;

use crate::ids::{Offset, PartitionId, RaftIndex, TopicId};

/// The length of an encoded [`SegmentHeader`].
pub const SEGMENT_HEADER_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"TIDELOG1";
const VERSION: u16 = 1;
/// The checksum covers every byte before it.
const CRC_AT: usize = SEGMENT_HEADER_BYTES - size_of::<u32>();

/// Says which part of which partition a segment file holds; identical on all replicas.
///
/// Little-endian, 64 bytes:
/// ```text
///  0  magic "TIDELOG1"    8
///  8  version u16 = 1     2
/// 10  flags u16 = 0       2
/// 12  partition u32       4
/// 16  topic id           16
/// 32  base offset u64     8
/// 40  base index u64      8
/// 48  reserved, zero     12
/// 60  crc32fast of 0..60  4
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition within the topic.
    pub partition: PartitionId,
    /// The log end offset when the segment was started.
    pub base_offset: Offset,
    /// The Raft index of the segment's first entry.
    pub base_index: RaftIndex,
}

impl SegmentHeader {
    /// Encodes the header.
    #[must_use]
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.partition.get().to_le_bytes());
        bytes[16..32].copy_from_slice(self.topic_id.as_bytes());
        bytes[32..40].copy_from_slice(&self.base_offset.get().to_le_bytes());
        bytes[40..48].copy_from_slice(&self.base_index.get().to_le_bytes());
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Decodes the header at the start of `bytes`; what follows it is not looked at.
    ///
    /// # Errors
    /// If the bytes are too few, or are not a header of this version with a true checksum.
    pub fn decode(bytes: &[u8]) -> Result<Self, SegmentHeaderError> {
        let Some(header) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else {
            return Err(SegmentHeaderError::Truncated { available: bytes.len() });
        };
        if header[0..8] != MAGIC {
            return Err(SegmentHeaderError::Magic(array_at(header, 0)));
        }
        let stored = u32::from_le_bytes(array_at(header, CRC_AT));
        let computed = crc32fast::hash(&header[..CRC_AT]);
        if stored != computed {
            return Err(SegmentHeaderError::Checksum { stored, computed });
        }
        let version = u16::from_le_bytes(array_at(header, 8));
        if version != VERSION {
            return Err(SegmentHeaderError::UnknownVersion(version));
        }
        let flags = u16::from_le_bytes(array_at(header, 10));
        if flags != 0 || header[48..CRC_AT] != [0; 12] {
            return Err(SegmentHeaderError::Reserved);
        }
        let base_offset = Offset::new(u64::from_le_bytes(array_at(header, 32)));
        if base_offset > Offset::MAX {
            return Err(SegmentHeaderError::BaseOffset(base_offset));
        }
        Ok(Self {
            topic_id: TopicId::new(array_at(header, 16)),
            partition: PartitionId::new(u32::from_le_bytes(array_at(header, 12))),
            base_offset,
            base_index: RaftIndex::new(u64::from_le_bytes(array_at(header, 40))),
        })
    }
}

/// Copies `N` bytes out of a header; `at` is a constant of the layout above.
fn array_at<const N: usize>(header: &[u8; SEGMENT_HEADER_BYTES], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&header[at..at + N]);
    array
}

/// The start of a file is not a segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentHeaderError {
    /// There are fewer than [`SEGMENT_HEADER_BYTES`] bytes.
    Truncated {
        /// How many there are.
        available: usize,
    },
    /// The magic is another; all zero in a file whose header was never written.
    Magic([u8; 8]),
    /// The checksum does not fit the bytes.
    Checksum {
        /// As found.
        stored: u32,
        /// As it should be.
        computed: u32,
    },
    /// The header is of a version that this build does not know.
    UnknownVersion(u16),
    /// Flags or reserved bytes, zero in this version, are set.
    Reserved,
    /// The base offset is beyond what a batch can name.
    BaseOffset(Offset),
}

impl fmt::Display for SegmentHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { available } => {
                write!(f, "segment header needs {SEGMENT_HEADER_BYTES} bytes, found {available}")
            }
            Self::Magic(magic) => {
                write!(f, "segment magic is \"{}\"", magic.escape_ascii())
            }
            Self::Checksum { stored, computed } => {
                write!(f, "segment header checksum is {stored:#010x}, computed {computed:#010x}")
            }
            Self::UnknownVersion(version) => write!(f, "segment version {version} is unknown"),
            Self::Reserved => f.write_str("reserved bytes of the segment header are set"),
            Self::BaseOffset(offset) => write!(f, "segment base offset {offset} is out of range"),
        }
    }
}

impl std::error::Error for SegmentHeaderError {}
