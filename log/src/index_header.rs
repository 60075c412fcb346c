//! The first 128 bytes of both index files: whose index it is, and the summary of the segment that it closes.
//!
//! The header is written last, when a segment is sealed or a log is closed, so a valid one vouches for the entries
//! behind it. Layout: `docs/FORMAT.md`, "Index files".

use crc32fast::hash as crc32;
use tidelog_proto::ids::{Offset, PartitionId, RaftIndex, RaftTerm, TopicId};

use crate::frame_chain::FrameChain;
use crate::identity::{LogIdentity, SegmentName};

/// Length of the header of an index file.
pub(crate) const INDEX_HEADER_BYTES: usize = 128;

/// Version of the index files.
const VERSION: u16 = 1;

const HAS_MAX_TIMESTAMP: u16 = 1;
const HAS_TOMBSTONES_SINCE: u16 = 1 << 1;
const IS_COMPACTED: u16 = 1 << 2;
const KNOWN_FLAGS: u16 = HAS_MAX_TIMESTAMP | HAS_TOMBSTONES_SINCE | IS_COMPACTED;

/// What must be known of a whole segment to open a log without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Offset after the last record.
    pub end_offset: Offset,
    /// Raft index after the last entry.
    pub end_index: RaftIndex,
    /// Term of the last entry; of no meaning in an empty segment.
    pub last_term: RaftTerm,
    /// Append time of the first entry; of no meaning in an empty segment.
    pub first_append_time_ms: i64,
    /// Append time of the last entry; of no meaning in an empty segment.
    pub last_append_time_ms: i64,
    /// Largest record timestamp; `None` where there is no record.
    pub max_timestamp: Option<i64>,
    /// Compaction has rewritten it: entries and records may be missing.
    pub is_compacted: bool,
    /// When all of it had been compacted for the first time, by the wall clock: its tombstones may go
    /// `delete_retention_ms` later.
    pub tombstones_since_ms: Option<i64>,
    /// Length of the header and all frames.
    pub log_bytes: u64,
    /// crc32fast of those bytes.
    pub log_crc: u32,
}

impl SegmentSummary {
    /// Gives what the first frame of the next segment must follow.
    pub(crate) fn end(&self) -> FrameChain {
        FrameChain {
            next_offset: self.end_offset,
            next_index: self.end_index,
            last_term: self.last_term,
            last_append_time_ms: self.last_append_time_ms,
        }
    }
}

/// Which of the two index files it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// Offsets and Raft indexes to positions.
    Offset,
    /// Timestamps to offsets.
    Time,
}

impl IndexKind {
    fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Offset => b"TLINDEX1",
            Self::Time => b"TLTIMEX1",
        }
    }
}

/// Header of an index file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexHeader {
    /// The partition.
    pub identity: LogIdentity,
    /// The segment.
    pub name: SegmentName,
    /// What the segment holds.
    pub summary: SegmentSummary,
    /// How many entries follow the header.
    pub entry_count: u32,
    /// crc32fast of the entries.
    pub entries_crc: u32,
}

impl IndexHeader {
    pub(crate) fn encode(&self, kind: IndexKind) -> [u8; INDEX_HEADER_BYTES] {
        let summary = &self.summary;
        let mut flags = 0;
        if summary.max_timestamp.is_some() {
            flags |= HAS_MAX_TIMESTAMP;
        }
        if summary.tombstones_since_ms.is_some() {
            flags |= HAS_TOMBSTONES_SINCE;
        }
        if summary.is_compacted {
            flags |= IS_COMPACTED;
        }
        let mut bytes = [0; INDEX_HEADER_BYTES];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(kind.magic());
        put(&VERSION.to_le_bytes());
        put(&flags.to_le_bytes());
        put(&self.identity.partition.get().to_le_bytes());
        put(&self.identity.topic_id.as_bytes()[..]);
        put(&self.name.base_offset.get().to_le_bytes());
        put(&self.name.base_index.get().to_le_bytes());
        put(&summary.end_offset.get().to_le_bytes());
        put(&summary.end_index.get().to_le_bytes());
        put(&summary.last_term.get().to_le_bytes());
        put(&summary.first_append_time_ms.to_le_bytes());
        put(&summary.last_append_time_ms.to_le_bytes());
        put(&summary.max_timestamp.unwrap_or(0).to_le_bytes());
        put(&summary.tombstones_since_ms.unwrap_or(0).to_le_bytes());
        put(&summary.log_bytes.to_le_bytes());
        put(&summary.log_crc.to_le_bytes());
        put(&self.entry_count.to_le_bytes());
        put(&self.entries_crc.to_le_bytes());
        let crc = crc32(&bytes[..INDEX_HEADER_BYTES - 4]);
        bytes[INDEX_HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` for anything but one written by [`IndexHeader::encode`]: indexes are caches, so there is
    /// nothing to report, only something to rebuild.
    pub(crate) fn decode(kind: IndexKind, bytes: &[u8; INDEX_HEADER_BYTES]) -> Option<Self> {
        let mut fields = Fields { bytes, at: 0 };
        let magic: [u8; 8] = fields.take();
        let version = u16::from_le_bytes(fields.take());
        let flags = u16::from_le_bytes(fields.take());
        let crc = u32::from_le_bytes([bytes[124], bytes[125], bytes[126], bytes[127]]);
        let known = &magic == kind.magic() && version == VERSION && flags & !KNOWN_FLAGS == 0;
        if !known || crc != crc32(&bytes[..INDEX_HEADER_BYTES - 4]) {
            return None;
        }
        let partition = PartitionId::new(u32::from_le_bytes(fields.take()));
        let topic_id = TopicId::new(fields.take());
        let name = SegmentName {
            base_offset: Offset::new(u64::from_le_bytes(fields.take())),
            base_index: RaftIndex::new(u64::from_le_bytes(fields.take())),
        };
        let summary = SegmentSummary {
            end_offset: Offset::new(u64::from_le_bytes(fields.take())),
            end_index: RaftIndex::new(u64::from_le_bytes(fields.take())),
            last_term: RaftTerm::new(u64::from_le_bytes(fields.take())),
            first_append_time_ms: i64::from_le_bytes(fields.take()),
            last_append_time_ms: i64::from_le_bytes(fields.take()),
            max_timestamp: fields.take_if(flags & HAS_MAX_TIMESTAMP != 0),
            is_compacted: flags & IS_COMPACTED != 0,
            tombstones_since_ms: fields.take_if(flags & HAS_TOMBSTONES_SINCE != 0),
            log_bytes: u64::from_le_bytes(fields.take()),
            log_crc: u32::from_le_bytes(fields.take()),
        };
        let entry_count = u32::from_le_bytes(fields.take());
        let entries_crc = u32::from_le_bytes(fields.take());
        Some(Self { identity: LogIdentity { topic_id, partition }, name, summary, entry_count, entries_crc })
    }
}

/// Cuts fixed-size fields off the front of a header.
struct Fields<'a> {
    bytes: &'a [u8; INDEX_HEADER_BYTES],
    at: usize,
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        field
    }

    fn take_if(&mut self, present: bool) -> Option<i64> {
        let value = i64::from_le_bytes(self.take());
        present.then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> IndexHeader {
        IndexHeader {
            identity: LogIdentity { topic_id: TopicId::new([7; 16]), partition: PartitionId::new(3) },
            name: SegmentName { base_offset: Offset::new(100), base_index: RaftIndex::new(50) },
            summary: SegmentSummary {
                end_offset: Offset::new(200),
                end_index: RaftIndex::new(60),
                last_term: RaftTerm::new(5),
                first_append_time_ms: 1_000,
                last_append_time_ms: 2_000,
                max_timestamp: Some(-1),
                is_compacted: true,
                tombstones_since_ms: None,
                log_bytes: 4096,
                log_crc: 0xdead_beef,
            },
            entry_count: 9,
            entries_crc: 0x0bad_cafe,
        }
    }

    #[test]
    fn header_reads_back() {
        let bytes = header().encode(IndexKind::Offset);
        assert_eq!(IndexHeader::decode(IndexKind::Offset, &bytes), Some(header()));
        assert_eq!(IndexHeader::decode(IndexKind::Time, &bytes), None, "the other index file");
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let bytes = header().encode(IndexKind::Time);
        for bit in 0..INDEX_HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(IndexHeader::decode(IndexKind::Time, &flipped), None, "bit {bit}");
        }
    }
}
