//! Everything that is known of a segment from its start to a position: enough to go on appending, or to seal it.

use crc32fast::Hasher;
use tidelog_proto::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};

use crate::frame_chain::{FrameChain, FrameMeta};
use crate::index_header::SegmentSummary;
use crate::sparse_index::{OffsetEntry, TimeEntry};

/// The running end of a segment. The append path, recovery and compaction all move it by one frame at a time, so what
/// they derive (indexes, summary, checksum) is the same.
#[derive(Clone, Debug)]
pub(crate) struct SegmentTail {
    header: SegmentHeader,
    pub(crate) chain: FrameChain,
    pub(crate) position_bytes: u64,
    /// crc32fast of the file below `position_bytes`.
    log_crc: u32,
    pub(crate) first_append_time_ms: Option<i64>,
    max_timestamp: Option<i64>,
    pub(crate) is_compacted: bool,
    pub(crate) tombstones_since_ms: Option<i64>,
    /// Where the last index entry points, or the first frame.
    last_entry_position_bytes: u64,
}

impl SegmentTail {
    /// Starts behind the header of an empty segment; `previous` is the end of the segment before it.
    pub(crate) fn new(header: SegmentHeader, previous: FrameChain) -> Self {
        let chain = FrameChain { next_offset: header.base_offset, next_index: header.base_index, ..previous };
        let position_bytes = SEGMENT_HEADER_BYTES as u64;
        Self {
            header,
            chain,
            position_bytes,
            log_crc: crc32fast::hash(&header.encode()),
            first_append_time_ms: None,
            max_timestamp: None,
            is_compacted: false,
            tombstones_since_ms: None,
            last_entry_position_bytes: position_bytes,
        }
    }

    /// Stands at the end that a summary tells of; `last_entry` is the newest entry of its offset index.
    pub(crate) fn at_end(header: SegmentHeader, summary: &SegmentSummary, last_entry: Option<OffsetEntry>) -> Self {
        let is_empty = summary.end_index == header.base_index;
        Self {
            header,
            chain: summary.end(),
            position_bytes: summary.log_bytes,
            log_crc: summary.log_crc,
            first_append_time_ms: (!is_empty).then_some(summary.first_append_time_ms),
            max_timestamp: summary.max_timestamp,
            is_compacted: summary.is_compacted,
            tombstones_since_ms: summary.tombstones_since_ms,
            last_entry_position_bytes: last_entry
                .map_or(SEGMENT_HEADER_BYTES as u64, |entry| u64::from(entry.position_bytes)),
        }
    }

    /// Stands at the frame that an index entry points to. The chain's term and append time are those of any earlier
    /// frame or lower; they are exact again after one [`SegmentTail::advance`]. The checksum is not known before
    /// [`SegmentTail::cut_from`].
    pub(crate) fn at_entry(&self, entry: OffsetEntry, time: Option<TimeEntry>, before: FrameChain) -> Self {
        Self {
            chain: FrameChain {
                next_offset: self.header.base_offset + u64::from(entry.relative_offset),
                next_index: self.header.base_index + u64::from(entry.relative_index),
                ..before
            },
            position_bytes: u64::from(entry.position_bytes),
            max_timestamp: time.map(|time| time.max_timestamp).filter(|timestamp| *timestamp != i64::MIN),
            last_entry_position_bytes: u64::from(entry.position_bytes),
            ..self.clone()
        }
    }

    /// Notes that the segment ended at `whole`, and what follows this tail there has the checksum `rest_crc`.
    pub(crate) fn cut_from(&mut self, whole: &Self, rest_crc: u32) {
        self.log_crc = crc_before(whole.log_crc, rest_crc, whole.position_bytes - self.position_bytes);
    }

    /// Gives the index entries that are due before a frame is added here: one pair per `interval_bytes`.
    pub(crate) fn due_entries(&self, frame: &FrameMeta, interval_bytes: u32) -> Option<(OffsetEntry, TimeEntry)> {
        if self.position_bytes.saturating_sub(self.last_entry_position_bytes) < u64::from(interval_bytes) {
            return None;
        }
        let relative_offset = relative(frame.base_offset.get(), self.header.base_offset.get())?;
        let offset_entry = OffsetEntry {
            relative_offset,
            relative_index: relative(frame.stamp.index.get(), self.header.base_index.get())?,
            position_bytes: u32::try_from(self.position_bytes).ok()?,
        };
        let max_timestamp = self.max_timestamp.unwrap_or(i64::MIN);
        Some((offset_entry, TimeEntry { max_timestamp, relative_offset }))
    }

    /// Notes that the entries of [`SegmentTail::due_entries`] were added here.
    pub(crate) fn entries_added(&mut self) {
        self.last_entry_position_bytes = self.position_bytes;
    }

    /// Moves the end past a frame, given as the pieces that it consists of.
    pub(crate) fn advance(&mut self, frame: &FrameMeta, pieces: &[&[u8]]) {
        let mut crc = Hasher::new_with_initial(self.log_crc);
        for piece in pieces {
            crc.update(piece);
        }
        self.log_crc = crc.finalize();
        self.position_bytes += frame.frame_bytes;
        self.first_append_time_ms.get_or_insert(frame.stamp.append_time_ms);
        self.max_timestamp = self.max_timestamp.max(frame.max_timestamp);
        self.chain.advance(frame);
    }

    /// Tells whether no frame was added yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.position_bytes == SEGMENT_HEADER_BYTES as u64
    }

    /// Tells whether `frame` can be indexed in this segment: its distance from the base fits an index entry.
    pub(crate) fn can_hold(&self, frame: &FrameMeta) -> bool {
        relative(frame.next_offset.get(), self.header.base_offset.get()).is_some()
            && relative(frame.stamp.index.get(), self.header.base_index.get()).is_some()
            && u32::try_from(self.position_bytes + frame.frame_bytes).is_ok()
    }

    /// Sums the segment up.
    pub(crate) fn summary(&self) -> SegmentSummary {
        SegmentSummary {
            end_offset: self.chain.next_offset,
            end_index: self.chain.next_index,
            last_term: self.chain.last_term,
            first_append_time_ms: self.first_append_time_ms.unwrap_or(self.chain.last_append_time_ms),
            last_append_time_ms: self.chain.last_append_time_ms,
            max_timestamp: self.max_timestamp,
            is_compacted: self.is_compacted,
            tombstones_since_ms: self.tombstones_since_ms,
            log_bytes: self.position_bytes,
            log_crc: self.log_crc,
        }
    }
}

/// Computes the crc32 of bytes from that of the same bytes with `rest_bytes` more behind them, and that of those alone.
///
/// Appending bytes multiplies a checksum by a power of x, modulo a polynomial by which x has the order 2^32 - 1: to undo it,
/// the other part of that order is appended.
fn crc_before(whole_crc: u32, rest_crc: u32, rest_bytes: u64) -> u32 {
    const ORDER: u64 = u32::MAX as u64;
    let inverse_bytes = ORDER - rest_bytes % ORDER;
    let mut crc = Hasher::new_with_initial(whole_crc ^ rest_crc);
    crc.combine(&Hasher::new_with_initial_len(0, inverse_bytes));
    crc.finalize()
}

/// Gives `value` less `base`, if it fits an index entry.
fn relative(value: u64, base: u64) -> Option<u32> {
    value.checked_sub(base).and_then(|distance| u32::try_from(distance).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_beginning_follows_from_the_whole_and_the_rest() {
        let bytes: Vec<u8> =
            (0..70_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        let whole_crc = crc32fast::hash(&bytes);
        for cut in [0, 1, 63, 64, 1000, 65_536, 69_999, 70_000] {
            let (start, rest) = bytes.split_at(cut);
            let found = crc_before(whole_crc, crc32fast::hash(rest), rest.len() as u64);
            assert_eq!(found, crc32fast::hash(start), "cut at {cut}");
        }
    }
}
