//! What readers see of a log: an immutable picture, replaced as a whole by the writer.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tidelog_proto::ids::{Offset, RaftIndex};

use crate::segment::{Segment, SegmentContext};

/// One moment of a log. The writer publishes a new one after every change; a reader works on the one that it took.
#[derive(Clone, Debug)]
pub(crate) struct LogView {
    /// All segments, sorted by base index; the last is the active one. Never empty.
    pub(crate) segments: Arc<[Arc<Segment>]>,
    /// First offset that is served.
    pub(crate) log_start_offset: Offset,
    /// First index from which on entries are dense.
    pub(crate) raft_start: RaftIndex,
    /// The end of the log, written but perhaps not yet durable.
    pub(crate) end: LogEnd,
    /// Counts truncations, so that a reader that copied bytes can tell whether they were cut meanwhile.
    pub(crate) truncations: u64,
}

/// Where a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogEnd {
    /// Offset of the next record.
    pub(crate) offset: Offset,
    /// Raft index of the next entry.
    pub(crate) index: RaftIndex,
    /// Length of the active segment's header and frames.
    pub(crate) active_bytes: u64,
}

impl LogView {
    /// Gives the number of the last segment that starts at or before `offset`.
    pub(crate) fn segment_of_offset(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base_offset() <= offset).saturating_sub(1)
    }

    /// Gives the number of the last segment that starts at or before `index`.
    pub(crate) fn segment_of_index(&self, index: RaftIndex) -> usize {
        self.segments.partition_point(|segment| segment.base_index() <= index).saturating_sub(1)
    }

    /// Gives the length of the published part of segment number `number`.
    pub(crate) fn segment_bytes(&self, number: usize) -> u64 {
        self.segments
            .get(number)
            .map_or(0, |segment| segment.summary.map_or(self.end.active_bytes, |summary| summary.log_bytes))
    }

    /// Gives the first offset after segment number `number`.
    pub(crate) fn segment_end_offset(&self, number: usize) -> Offset {
        self.segments.get(number + 1).map_or(self.end.offset, |next| next.base_offset())
    }
}

/// The part of a log that can never be cut: everything below the committed mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StableEnd {
    /// First index that is not known to be committed.
    pub(crate) index: RaftIndex,
    /// The segment that holds the entry before `index`.
    pub(crate) segment_base_index: RaftIndex,
    /// The end of that entry in its segment.
    pub(crate) position_bytes: u64,
}

impl StableEnd {
    /// Tells whether bytes of `segment` that end at `end_bytes` can never be cut.
    pub(crate) fn covers(&self, segment: &Segment, end_bytes: u64) -> bool {
        let base_index = segment.base_index();
        base_index < self.segment_base_index
            || (base_index == self.segment_base_index && end_bytes <= self.position_bytes)
    }
}

/// What the writer and all readers of a log share.
#[derive(Debug)]
pub(crate) struct SharedLog {
    pub(crate) context: Arc<SegmentContext>,
    /// Replaced by the writer only.
    pub(crate) view: ArcSwap<LogView>,
    /// Only rises. Replaced by `LogReader::advance_committed`.
    pub(crate) stable: ArcSwap<StableEnd>,
    /// Held while the stable end rises or a suffix is cut: the one must not overtake the other.
    pub(crate) moving: Mutex<()>,
}
