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
        let base_index = RaftIndex::new(u64::from_le_bytes(array_at(header, 40)));
        if base_index > RaftIndex::MAX {
            return Err(SegmentHeaderError::BaseIndex(base_index));
        }
        Ok(Self {
            topic_id: TopicId::new(array_at(header, 16)),
            partition: PartitionId::new(u32::from_le_bytes(array_at(header, 12))),
            base_offset,
            base_index,
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
    /// The base index is beyond [`RaftIndex::MAX`].
    BaseIndex(RaftIndex),
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
            Self::BaseIndex(index) => write!(f, "segment base raft index {index} is above {}", RaftIndex::MAX),
        }
    }
}

impl std::error::Error for SegmentHeaderError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            topic_id: TopicId::new(*b"0123456789abcdef"),
            partition: PartitionId::new(7),
            base_offset: Offset::new(0x0102),
            base_index: RaftIndex::new(0x0304),
        }
    }

    /// Decodes the header after a change of one field, under a true checksum.
    fn decode_with(at: usize, field: &[u8]) -> Result<SegmentHeader, SegmentHeaderError> {
        let mut bytes = header().encode();
        bytes[at..at + field.len()].copy_from_slice(field);
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        SegmentHeader::decode(&bytes)
    }

    #[test]
    fn golden_bytes() {
        let mut expected = b"TIDELOG1\x01\0\0\0\x07\0\0\x000123456789abcdef\x02\x01\0\0\0\0\0\0\x04\x03".to_vec();
        expected.resize(CRC_AT, 0);
        expected.extend(0xc08b_8150_u32.to_le_bytes());
        assert_eq!(header().encode()[..], expected);
    }

    #[test]
    fn every_bit_flip_and_truncation_is_refused() {
        let bytes = header().encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged).is_err(), "bit {bit}");
        }
        for available in 0..bytes.len() {
            let truncated = SegmentHeaderError::Truncated { available };
            assert_eq!(SegmentHeader::decode(&bytes[..available]), Err(truncated));
        }
    }

    #[test]
    fn what_this_version_does_not_know_is_refused() {
        assert_eq!(SegmentHeader::decode(&[0; 64]), Err(SegmentHeaderError::Magic([0; 8])));
        assert_eq!(decode_with(8, &[2]), Err(SegmentHeaderError::UnknownVersion(2)));
        assert_eq!(decode_with(10, &[1]), Err(SegmentHeaderError::Reserved));
        assert_eq!(decode_with(59, &[1]), Err(SegmentHeaderError::Reserved));
        let far = Offset::new(1 << 63);
        assert_eq!(decode_with(32, &far.get().to_le_bytes()), Err(SegmentHeaderError::BaseOffset(far)));
    }

    proptest! {
        #[test]
        fn headers_round_trip(
            topic_id: [u8; 16],
            partition: u32,
            base_offset in 0..=i64::MAX.unsigned_abs(),
            base_index in 0..=i64::MAX.unsigned_abs(),
        ) {
            let header = SegmentHeader {
                topic_id: TopicId::new(topic_id),
                partition: PartitionId::new(partition),
                base_offset: Offset::new(base_offset),
                base_index: RaftIndex::new(base_index),
            };
            prop_assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        }

        #[test]
        fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(SegmentHeader::decode(&bytes).is_err());
        }
    }
}
