//! What a log should hold: its entries in a plain vector, and which of them were promised to whom.

use std::ops::RangeInclusive;

use tidelog_log::{LogConfig, SegmentInfo, SegmentName, TimestampOffset};
use tidelog_proto::batch::{DecodeLimits, Record, RecordBatch};
use tidelog_proto::frame::Frame;
use tidelog_proto::ids::{Offset, RaftIndex};
use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// As it was appended.
    pub(crate) frame: Frame,
    /// When that was, by the wall clock.
    pub(crate) appended_at_ms: i64,
    /// Largest timestamp of its records then.
    pub(crate) max_timestamp: Option<i64>,
    /// What a read by offset gives of it: `None` for an internal entry, or for one that compaction removed.
    pub(crate) batch: Option<RecordBatch>,
    /// The records of that batch; none of a control batch, which applications never see.
    pub(crate) records: Vec<Record>,
}

impl Entry {
    pub(crate) fn new(frame: Frame, appended_at_ms: i64) -> Self {
        let batch = frame.batch();
        let records = batch.as_ref().map(records_of).unwrap_or_default();
        let max_timestamp = records.iter().map(|record| record.timestamp).max();
        Self { frame, appended_at_ms, max_timestamp, batch, records }
    }
}

/// Reads what applications see of a batch.
pub(crate) fn records_of(batch: &RecordBatch) -> Vec<Record> {
    if batch.header().is_control() {
        return Vec::new();
    }
    let records = batch.records(DecodeLimits::DEFAULT).expect("a batch that was written here");
    records.map(|record| record.expect("a record that was written here")).collect()
}

/// A log as it should be.
///
/// While an operation is under way, or has failed half-way, it holds all that *may* be in the log; the ends say how much
/// of it must be.
#[derive(Clone, Debug)]
pub(crate) struct LogModel {
    pub(crate) config: LogConfig,
    /// Where the log was created.
    pub(crate) created_at: SegmentName,
    /// Every entry from there on, deleted ones included: the first has the index `created_at.base_index`.
    pub(crate) entries: Vec<Entry>,
    /// First offset that is served.
    pub(crate) log_start_offset: Offset,
    /// First index that is served.
    pub(crate) raft_start: RaftIndex,
    /// A start that an unfinished operation may have moved to.
    pub(crate) coming_start: Option<(Offset, RaftIndex)>,
    /// Where an unfinished operation may have begun the log anew.
    pub(crate) coming_anew: Option<SegmentName>,
    /// Everything below was appended, and survives the death of the process.
    pub(crate) written_end: RaftIndex,
    /// Everything below was said to be durable, and survives a loss of power.
    pub(crate) durable_end: RaftIndex,
    /// Everything below is committed in the cluster: never above `durable_end`, never cut.
    pub(crate) committed_end: RaftIndex,
    /// As much of that as the log was told since it was opened.
    pub(crate) told_committed_end: RaftIndex,
    /// Where the segments begin; `None` while an operation is under way that may or may not have moved that.
    pub(crate) segments: Option<Vec<SegmentName>>,
    /// An unfinished compaction may have removed records.
    pub(crate) is_compacting: bool,
}

impl LogModel {
    /// The model of a log that was just created.
    pub(crate) fn new(config: LogConfig, start: SegmentName) -> Self {
        Self {
            config,
            created_at: start,
            entries: Vec::new(),
            log_start_offset: start.base_offset,
            raft_start: start.base_index,
            coming_start: None,
            coming_anew: None,
            written_end: start.base_index,
            durable_end: start.base_index,
            committed_end: start.base_index,
            told_committed_end: start.base_index,
            segments: Some(vec![start]),
            is_compacting: false,
        }
    }

    pub(crate) fn end_index(&self) -> RaftIndex {
        self.created_at.base_index + self.entries.len() as u64
    }

    pub(crate) fn end_offset(&self) -> Offset {
        self.entries.last().map_or(self.created_at.base_offset, |entry| entry.frame.next_offset())
    }

    /// Gives the number in `entries` of the entry `index`, or where it would come.
    pub(crate) fn number_of(&self, index: RaftIndex) -> usize {
        let distance = index.distance_from(self.created_at.base_index).unwrap_or(0);
        usize::try_from(distance).unwrap_or(usize::MAX).min(self.entries.len())
    }

    /// Gives the offset where the entry `index` begins, or the end offset.
    pub(crate) fn offset_at(&self, index: RaftIndex) -> Offset {
        self.entries.get(self.number_of(index)).map_or(self.end_offset(), |entry| entry.frame.base_offset())
    }

    // What an operation changes once it has succeeded.

    /// Appends entries, each into the segment where it belongs.
    pub(crate) fn append(&mut self, entries: impl Iterator<Item = Entry>) {
        for entry in entries {
            if self.must_roll(&entry.frame) {
                self.roll();
            }
            self.entries.push(entry);
        }
        self.written_end = self.end_index();
    }

    /// Starts a segment, unless the last is empty. Everything before it is durable.
    pub(crate) fn roll(&mut self) {
        let name = SegmentName { base_offset: self.end_offset(), base_index: self.end_index() };
        if let Some(segments) = &mut self.segments
            && segments.last() != Some(&name)
        {
            segments.push(name);
            self.durable_end = name.base_index;
        }
    }

    /// Tells whether the next entry belongs into a new segment. It depends on the entries of the last one only.
    fn must_roll(&self, next: &Frame) -> bool {
        let Some(base_index) = self.segments.as_ref().and_then(|segments| segments.last()).map(|last| last.base_index)
        else {
            return false;
        };
        let in_segment = &self.entries[self.number_of(base_index)..];
        let Some(first) = in_segment.first() else { return false };
        let bytes = in_segment.iter().map(|entry| frame_bytes(&entry.frame)).sum::<u64>() + SEGMENT_HEADER_BYTES as u64;
        let age_ms = next.stamp().append_time_ms.abs_diff(first.frame.stamp().append_time_ms);
        bytes + frame_bytes(next) > self.config.segment_bytes || age_ms >= self.config.segment_ms
    }

    /// Forgets the entries from `from` on, and the segments that begin behind it.
    pub(crate) fn cut(&mut self, from: RaftIndex) {
        self.entries.truncate(self.number_of(from));
        let end_index = self.end_index();
        self.written_end = self.written_end.min(end_index);
        self.durable_end = self.durable_end.min(end_index);
        if let Some(segments) = &mut self.segments {
            segments.retain(|segment| segment.base_index <= end_index);
        }
    }

    /// Moves the start up, and forgets the segments that end before it.
    pub(crate) fn move_start(&mut self, log_start_offset: Offset, raft_start: RaftIndex) {
        self.log_start_offset = self.log_start_offset.max(log_start_offset);
        self.raft_start = self.raft_start.max(raft_start);
        let (offset, index) = (self.log_start_offset, self.raft_start);
        if let Some(segments) = &mut self.segments {
            let lies_before = |next: &SegmentName| next.base_offset <= offset && next.base_index <= index;
            let kept = segments.iter().skip(1).take_while(|next| lies_before(next)).count();
            segments.drain(..kept);
        }
    }

    /// Begins anew, empty.
    pub(crate) fn start_anew(&mut self, start: SegmentName) {
        *self = Self::new(self.config.clone(), start);
    }

    // What reads should give.

    /// Gives the entries from `from` on and below `to`, up to `max_bytes` but at least one.
    pub(crate) fn entries_between(&self, from: RaftIndex, to: RaftIndex, max_bytes: u64) -> Vec<Frame> {
        let between = self.number_of(from)..self.number_of(to);
        let frames = self.entries.get(between).unwrap_or(&[]).iter().map(|entry| entry.frame.clone());
        up_to(frames, max_bytes, frame_bytes)
    }

    /// Gives the batches from the one that holds `from` on that begin below `limit`, up to `max_bytes` but at least one.
    pub(crate) fn batches_from(&self, from: Offset, limit: Offset, max_bytes: u64) -> Vec<RecordBatch> {
        up_to(self.batches_between(from, limit), max_bytes, batch_frame_bytes)
    }

    /// Gives the offsets that one may read on from after the first `read` of these batches: more than one only where
    /// compaction left a gap.
    pub(crate) fn next_offsets(&self, from: Offset, limit: Offset, read: usize) -> RangeInclusive<Offset> {
        let limit = limit.min(self.end_offset()).max(from);
        let all: Vec<RecordBatch> = self.batches_between(from, limit).collect();
        let next_unread = all.get(read).map_or(limit, |batch| batch.header().base_offset());
        match read.checked_sub(1) {
            Some(last) => {
                let read_to = all[last].header().next_offset();
                read_to..=next_unread.max(read_to)
            }
            None => next_unread..=next_unread,
        }
    }

    fn batches_between(&self, from: Offset, limit: Offset) -> impl Iterator<Item = RecordBatch> {
        let is_between = move |batch: &&RecordBatch| {
            from < limit && batch.header().next_offset() > from && batch.header().base_offset() < limit
        };
        self.entries.iter().filter_map(|entry| entry.batch.as_ref()).filter(is_between).cloned()
    }

    /// Gives the first record at or above the log start and below `limit` whose timestamp is `timestamp` or later.
    pub(crate) fn first_since(&self, timestamp: i64, limit: Offset) -> Option<TimestampOffset> {
        let mut records = self.entries.iter().flat_map(|entry| &entry.records);
        let served = self.log_start_offset..limit;
        records
            .find(|record| record.timestamp >= timestamp && served.contains(&record.offset))
            .map(|record| TimestampOffset { offset: record.offset, timestamp: record.timestamp })
    }

    /// Checks what a log says of its segments, and that they lie where they should.
    ///
    /// # Panics
    /// At the first thing that is wrong.
    pub(crate) fn check_segments(&self, found: &[SegmentInfo]) {
        let names: Vec<SegmentName> = found.iter().map(|segment| segment.name).collect();
        if let Some(segments) = &self.segments {
            assert_eq!(&names, segments, "segments");
        }
        assert!(names[0].base_index <= self.raft_start && names[0].base_offset <= self.log_start_offset, "{names:?}");
        for (number, segment) in found.iter().enumerate() {
            let next = names.get(number + 1).copied();
            let end_index = next.map_or(self.end_index(), |next| next.base_index);
            let entries = &self.entries[self.number_of(segment.name.base_index)..self.number_of(end_index)];
            assert_eq!(segment.name.base_offset, self.offset_at(segment.name.base_index), "{}", segment.name);
            assert_eq!(segment.summary.is_some(), next.is_some(), "only the last segment is open: {}", segment.name);
            if segment.summary.is_some_and(|summary| summary.is_compacted) {
                assert!(end_index <= self.raft_start, "{} is compacted too early", segment.name);
                continue;
            }
            let bytes = entries.iter().map(|entry| frame_bytes(&entry.frame)).sum::<u64>();
            assert_eq!(segment.log_bytes, SEGMENT_HEADER_BYTES as u64 + bytes, "{}", segment.name);
            let is_small = segment.log_bytes <= self.config.segment_bytes || entries.len() == 1;
            assert!(is_small, "{} has {} bytes", segment.name, segment.log_bytes);
            if let Some(summary) = segment.summary {
                let (first, last) = (entries.first().expect("not empty"), entries.last().expect("not empty"));
                assert_eq!((summary.end_offset, summary.end_index), (last.frame.next_offset(), end_index));
                assert_eq!(summary.last_term, last.frame.stamp().term);
                assert_eq!(summary.first_append_time_ms, first.frame.stamp().append_time_ms);
                assert_eq!(summary.last_append_time_ms, last.frame.stamp().append_time_ms);
                let max_timestamp = entries.iter().filter_map(|entry| entry.max_timestamp).max();
                assert_eq!(summary.max_timestamp, max_timestamp, "{}", segment.name);
            }
        }
    }
}

/// Takes items while their bytes fit, but at least one.
fn up_to<T>(items: impl Iterator<Item = T>, max_bytes: u64, bytes_of: impl Fn(&T) -> u64) -> Vec<T> {
    let mut taken = Vec::new();
    let mut bytes = 0;
    for item in items {
        bytes += bytes_of(&item);
        if !taken.is_empty() && bytes > max_bytes {
            break;
        }
        taken.push(item);
    }
    taken
}

fn frame_bytes(frame: &Frame) -> u64 {
    frame.frame_bytes() as u64
}

fn batch_frame_bytes(batch: &RecordBatch) -> u64 {
    (tidelog_proto::frame::FRAME_HEADER_BYTES + batch.bytes().len()) as u64
}
