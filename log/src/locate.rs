//! From an offset, a Raft index or a timestamp to a position in a segment.

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
    let relative = offset.distance_from(segment.base_offset()).unwrap_or(0);
    let start = start_before(segment, |entry| u64::from(entry.relative_offset) <= relative)?;
    let mut cursor = FrameCursor::new(segment, stable, view.segment_bytes(number), start, SEEK_BYTES);
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
    let relative = index.distance_from(segment.base_index()).unwrap_or(0);
    let start = start_before(segment, |entry| u64::from(entry.relative_index) <= relative)?;
    let mut cursor = FrameCursor::new(segment, stable, view.segment_bytes(number), start, SEEK_BYTES);
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
    let io_error = |error| ScanError::io(segment.log_path(), error);
    let found = indexes.times.last(|entry| entry.max_timestamp < timestamp).map_err(io_error)?;
    let entry = match found {
        Some((at, _)) => indexes.offsets.get(at).map_err(io_error)?,
        None => None,
    };
    let start = place_of(segment, entry);
    Ok(Some(FrameCursor::new(segment, stable, view.segment_bytes(number), start, SEEK_BYTES)))
}

/// Gives the place of the last index entry for which `before` holds, or of the segment's first frame.
fn start_before(segment: &Segment, before: impl Fn(&OffsetEntry) -> bool) -> Result<(u64, FrameChain), ScanError> {
    let indexes = segment.indexes()?;
    let found = indexes.offsets.last(before).map_err(|error| ScanError::io(segment.log_path(), error))?;
    Ok(place_of(segment, found.map(|(_, entry)| entry)))
}

fn place_of(segment: &Segment, entry: Option<OffsetEntry>) -> (u64, FrameChain) {
    let (base_offset, base_index) = (segment.base_offset(), segment.base_index());
    match entry {
        Some(entry) => {
            let offset = base_offset + u64::from(entry.relative_offset);
            let index = base_index + u64::from(entry.relative_index);
            (u64::from(entry.position_bytes), FrameChain::starting_at(offset, index))
        }
        None => (SEGMENT_HEADER_BYTES as u64, FrameChain::starting_at(base_offset, base_index)),
    }
}
