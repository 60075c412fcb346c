//! From an offset, a Raft index or a timestamp to a position in a segment.

use std::io;

use tidelog_proto::ids::{Offset, RaftIndex};
use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

use crate::frame_chain::FrameChain;
use crate::frame_cursor::{FrameCursor, SEEK_BYTES};
use crate::segment::Segment;
use crate::segment_scan::ScanError;
use crate::sparse_index::OffsetEntry;
use crate::view::{LogView, StableEnd};

/// Stands before the frame that holds `offset` in segment number `number`, or before the first frame after it.
pub(crate) fn cursor_at_offset<'a>(
    view: &'a LogView,
    stable: StableEnd,
    number: usize,
    offset: Offset,
) -> Result<Option<FrameCursor<'a>>, ScanError> {
    let Some(segment) = view.segments.get(number) else { return Ok(None) };
    let found = segment
        .indexes()?
        .offsets
        .last_up_to(index_key(offset.distance_from(segment.base_offset())), |entry| entry.relative_offset.into());
    let entry = sound_entry(segment, found).map_err(|error| ScanError::io(segment.log_path(), error))?;
    let mut cursor = cursor_at_entry(view, stable, number, entry.map(|(_, entry)| entry));
    cursor.seek(|frame| frame.next_offset <= offset)?;
    Ok(Some(cursor))
}

/// Stands before the entry `index` in segment number `number`, or before the first one after it.
pub(crate) fn cursor_at_index<'a>(
    view: &'a LogView,
    stable: StableEnd,
    number: usize,
    index: RaftIndex,
) -> Result<Option<FrameCursor<'a>>, ScanError> {
    let Some(segment) = view.segments.get(number) else { return Ok(None) };
    let found = segment
        .indexes()?
        .offsets
        .last_up_to(index_key(index.distance_from(segment.base_index())), |entry| entry.relative_index.into());
    let entry = sound_entry(segment, found).map_err(|error| ScanError::io(segment.log_path(), error))?;
    let mut cursor = cursor_at_entry(view, stable, number, entry.map(|(_, entry)| entry));
    cursor.seek(|frame| frame.stamp.index < index)?;
    Ok(Some(cursor))
}

/// Stands at or before the first record of segment number `number` whose timestamp is `timestamp` or later.
pub(crate) fn cursor_at_timestamp<'a>(
    view: &'a LogView,
    stable: StableEnd,
    number: usize,
    timestamp: i64,
) -> Result<Option<FrameCursor<'a>>, ScanError> {
    let Some(segment) = view.segments.get(number) else { return Ok(None) };
    let indexes = segment.indexes()?;
    let find = || {
        let Some(earlier) = timestamp.checked_sub(1) else { return Ok(None) };
        let Some((at, time)) = indexes.times.last_up_to(earlier, |entry| entry.max_timestamp)? else {
            return Ok(None);
        };
        let entry = indexes.offsets.get(at)?.filter(|entry| entry.relative_offset == time.relative_offset);
        entry.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the two indexes differ"))
    };
    let entry = sound_entry(segment, find()).map_err(|error| ScanError::io(segment.log_path(), error))?;
    Ok(Some(cursor_at_entry(view, stable, number, entry)))
}

/// Gives a distance from a segment's base as an index is searched for it; what lies before the base is looked for there.
pub(crate) fn index_key(distance: Option<u64>) -> i64 {
    i64::try_from(distance.unwrap_or(0)).unwrap_or(i64::MAX)
}

/// Stands where an index entry points, or before the segment's first frame.
fn cursor_at_entry(view: &LogView, stable: StableEnd, number: usize, entry: Option<OffsetEntry>) -> FrameCursor<'_> {
    let segment = &view.segments[number];
    let (base_offset, base_index) = (segment.base_offset(), segment.base_index());
    let cursor_at = |start| FrameCursor::new(segment, stable, view.segment_bytes(number), start, SEEK_BYTES);
    match entry {
        Some(entry) => {
            let offset = base_offset + u64::from(entry.relative_offset);
            let index = base_index + u64::from(entry.relative_index);
            cursor_at((u64::from(entry.position_bytes), FrameChain::starting_at(offset, index))).at_index_entry()
        }
        None => cursor_at((SEGMENT_HEADER_BYTES as u64, FrameChain::starting_at(base_offset, base_index))),
    }
}

/// Gives what was found in an index of `segment`, and nothing where an entry has changed since it was written: the search
/// then begins at the segment's start. An index may make a search slow, never wrong or impossible.
///
/// # Errors
/// The index could not be read.
pub(crate) fn sound_entry<T>(segment: &Segment, found: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            segment.doubt_indexes();
            Ok(None)
        }
        found => found,
    }
}
