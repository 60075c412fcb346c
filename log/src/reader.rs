//! Reading a log: by offset, by Raft index, by time. Any number of readers, none of which ever waits for the writer.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use tidelog_proto::batch::{DecodeLimits, RecordBatch};
use tidelog_proto::frame::Frame;
use tidelog_proto::ids::{Offset, RaftIndex};

use crate::damage::Damage;
use crate::frame_chain::FrameMeta;
use crate::frame_cursor::FrameCursor;
use crate::identity::{LogIdentity, SegmentName};
use crate::index_header::SegmentSummary;
use crate::locate::{cursor_at_index, cursor_at_offset, cursor_at_timestamp};
use crate::segment_scan::ScanError;
use crate::view::{LogView, SharedLog, StableEnd};

/// Reads one partition's log. Clones share everything.
///
/// A read works on the log as it was when the read began. Bytes below the committed mark are slices of the mapped
/// segment, without a copy, and stay valid as long as they are held, whatever retention, compaction or truncation do.
/// Every checksum of every frame that is returned was verified.
#[derive(Clone, Debug)]
pub struct LogReader {
    pub(crate) shared: Arc<SharedLog>,
}

/// What [`LogReader::read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBatches {
    /// Whole batches in order. The first may start before the offset that was asked for.
    pub batches: Vec<RecordBatch>,
    /// Where to read on.
    pub next_offset: Offset,
}

/// A record's place in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Offset of the record.
    pub offset: Offset,
    /// Its timestamp, in milliseconds since the epoch.
    pub timestamp: i64,
}

/// A segment as retention and compaction see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its base offset and base index.
    pub name: SegmentName,
    /// What it holds; `None` for the active segment.
    pub summary: Option<SegmentSummary>,
    /// Length of its header and frames.
    pub log_bytes: u64,
}

impl LogReader {
    pub(crate) fn new(shared: Arc<SharedLog>) -> Self {
        Self { shared }
    }

    /// Tells whose log it is.
    #[must_use]
    pub fn identity(&self) -> LogIdentity {
        self.shared.context.identity
    }

    /// Gives the first offset that is served.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.shared.view.load().log_start_offset
    }

    /// Gives the offset of the next record to be written. What is below it is written, not necessarily durable.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.shared.view.load().end.offset
    }

    /// Gives the first index from which on every entry is there; below it they may be gone or compacted.
    #[must_use]
    pub fn raft_start(&self) -> RaftIndex {
        self.shared.view.load().raft_start
    }

    /// Gives the index of the next entry to be written.
    #[must_use]
    pub fn end_index(&self) -> RaftIndex {
        self.shared.view.load().end.index
    }

    /// Gives the first index that is not known to be committed.
    #[must_use]
    pub fn committed_end(&self) -> RaftIndex {
        self.shared.stable.load().index
    }

    /// Lists the segments, oldest first. The last is the active one.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let view = self.shared.view.load();
        let info = |(number, segment): (usize, &Arc<crate::segment::Segment>)| SegmentInfo {
            name: segment.name,
            summary: segment.summary,
            log_bytes: view.segment_bytes(number),
        };
        view.segments.iter().enumerate().map(info).collect()
    }

    /// Gives the base index of the first segment that starts behind entry `index`; `None` where none does.
    #[must_use]
    pub fn segment_start_after(&self, index: RaftIndex) -> Option<RaftIndex> {
        let view = self.shared.view.load();
        let number = view.segments.partition_point(|segment| segment.base_index() <= index);
        view.segments.get(number).map(|segment| segment.base_index())
    }

    /// Notes that every entry below `end` is committed: no truncation will ever reach it. A lower mark than the one
    /// already known, and what lies past the written end, change nothing.
    ///
    /// # Errors
    /// The place of the entry could not be read.
    pub fn advance_committed(&self, end: RaftIndex) -> Result<(), ReadError> {
        let _moving = self.shared.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.shared.view.load_full();
        let end = end.min(view.end.index);
        if end <= self.shared.stable.load().index {
            return Ok(());
        }
        let stable = if end == view.end.index {
            let active = view.segments.len() - 1;
            StableEnd {
                index: end,
                segment_base_index: view.segments[active].base_index(),
                position_bytes: view.end.active_bytes,
            }
        } else {
            self.stable_end_before(&view, end)?
        };
        self.shared.stable.store(Arc::new(stable));
        Ok(())
    }

    /// Reads whole batches from the one that holds `from` on, up to `max_bytes` of them but at least one, and none that
    /// starts at or after `limit` (the high watermark, say). Internal entries are passed over.
    ///
    /// # Errors
    /// [`ReadError::OffsetOutOfRange`] where `from` is below the log start or above the log end; damage and I/O errors
    /// with their place, if there is nothing sound before it.
    pub fn read(&self, from: Offset, limit: Offset, max_bytes: u64) -> Result<ReadBatches, ReadError> {
        self.with_view(|view, stable| {
            if from < view.log_start_offset || from > view.end.offset {
                return Err(ReadError::OffsetOutOfRange {
                    offset: from,
                    log_start_offset: view.log_start_offset,
                    log_end_offset: view.end.offset,
                });
            }
            let limit = limit.min(view.end.offset);
            let mut found = ReadBatches { batches: Vec::new(), next_offset: from };
            let mut read_bytes = 0;
            let mut read = || {
                for number in view.segment_of_offset(from)..view.segments.len() {
                    if found.next_offset >= limit {
                        break;
                    }
                    let Some(mut cursor) = cursor_at_offset(view, stable, number, found.next_offset)? else { break };
                    cursor.step(max_bytes.saturating_sub(read_bytes));
                    let full = read_segment(&mut cursor, limit, max_bytes, &mut read_bytes, &mut found);
                    if full? {
                        break;
                    }
                    found.next_offset = found.next_offset.max(view.segment_end_offset(number).min(limit));
                }
                Ok(())
            };
            match read() {
                Err(error) if found.batches.is_empty() => Err(error),
                // What lies before damage is served; the read that begins at the damage tells of it.
                Ok(()) | Err(_) => Ok(found),
            }
        })
    }

    /// Reads the entries from index `from` on and below `to`, up to `max_bytes` of frames but at least one.
    ///
    /// # Errors
    /// [`ReadError::IndexOutOfRange`] where `from` is below [`LogReader::raft_start`] or `to` above the end; damage and
    /// I/O errors with their place, if there is nothing sound before it.
    pub fn read_entries(&self, from: RaftIndex, to: RaftIndex, max_bytes: u64) -> Result<Vec<Frame>, ReadError> {
        self.with_view(|view, stable| {
            if from < view.raft_start || to > view.end.index {
                return Err(ReadError::IndexOutOfRange {
                    from,
                    to,
                    raft_start: view.raft_start,
                    end_index: view.end.index,
                });
            }
            let mut frames = Vec::new();
            let mut read_bytes = 0;
            let mut read = || {
                for number in view.segment_of_index(from)..view.segments.len() {
                    let next = frames.last().map_or(from, |last: &Frame| last.stamp().index.next());
                    if next >= to {
                        break;
                    }
                    let Some(mut cursor) = cursor_at_index(view, stable, number, next)? else { break };
                    cursor.step(max_bytes.saturating_sub(read_bytes));
                    let full = read_segment_entries(&mut cursor, to, max_bytes, &mut read_bytes, &mut frames);
                    if full? {
                        break;
                    }
                }
                Ok(())
            };
            match read() {
                Err(error) if frames.is_empty() => Err(error),
                // As in `read`.
                Ok(()) | Err(_) => Ok(frames),
            }
        })
    }

    /// Finds the first record below `limit` whose timestamp is `timestamp` or later; `None` where there is none.
    ///
    /// # Errors
    /// Damage and I/O errors with their place.
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
        limit: Offset,
        decode_limits: DecodeLimits,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        self.with_view(|view, stable| {
            for number in view.segment_of_offset(view.log_start_offset)..view.segments.len() {
                let max_timestamp = view.segments[number].summary.map(|summary| summary.max_timestamp);
                if max_timestamp.is_some_and(|max| max.is_none_or(|max| max < timestamp)) {
                    continue;
                }
                let Some(mut cursor) = cursor_at_timestamp(view, stable, number, timestamp)? else { break };
                let range = view.log_start_offset..limit.min(view.end.offset);
                let found = first_record_since(&mut cursor, timestamp, range, decode_limits)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        })
    }

    /// Runs `read` on the current view, and again if what it saw was cut or removed meanwhile.
    pub(crate) fn with_view<T>(
        &self,
        read: impl Fn(&LogView, StableEnd) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        loop {
            // The stable end first: what it covers stays covered in every later view.
            let stable = **self.shared.stable.load();
            let view = self.shared.view.load_full();
            let outcome = read(&view, stable);
            let now = self.shared.view.load();
            let (truncated, replaced) =
                (now.truncations != view.truncations, !Arc::ptr_eq(&now.segments, &view.segments));
            match outcome {
                // A cut changes bytes that are being copied, and the index that is searched. Nothing else changes anything.
                Ok(found) if !truncated => return Ok(found),
                Err(error) if !(truncated || (replaced && error.is_about_files())) => return Err(error),
                _ => {}
            }
        }
    }

    fn stable_end_before(&self, view: &LogView, end: RaftIndex) -> Result<StableEnd, ReadError> {
        let number = view.segment_of_index(RaftIndex::new(end.get().saturating_sub(1)));
        let stable = **self.shared.stable.load();
        let mut position_bytes = 0;
        if let Some(mut cursor) = cursor_at_index(view, stable, number, end)? {
            cursor.peek()?;
            position_bytes = cursor.place().0;
        }
        Ok(StableEnd { index: end, segment_base_index: view.segments[number].base_index(), position_bytes })
    }
}

/// Reads batches of one segment into `found`; `true` when no more fit or the limit is reached.
fn read_segment(
    cursor: &mut FrameCursor<'_>,
    limit: Offset,
    max_bytes: u64,
    read_bytes: &mut u64,
    found: &mut ReadBatches,
) -> Result<bool, ReadError> {
    while let Some(meta) = cursor.peek()? {
        if meta.base_offset >= limit {
            // The limit may lie within the batch before.
            found.next_offset = found.next_offset.max(limit);
            return Ok(true);
        }
        if meta.next_offset == meta.base_offset {
            cursor.skip(&meta);
            continue;
        }
        if !found.batches.is_empty() && *read_bytes + meta.frame_bytes > max_bytes {
            return Ok(true);
        }
        found.batches.extend(cursor.take(&meta)?.batch());
        *read_bytes += meta.frame_bytes;
        found.next_offset = meta.next_offset;
    }
    Ok(false)
}

/// Reads entries of one segment into `frames`; `true` when no more fit or `to` is reached.
fn read_segment_entries(
    cursor: &mut FrameCursor<'_>,
    to: RaftIndex,
    max_bytes: u64,
    read_bytes: &mut u64,
    frames: &mut Vec<Frame>,
) -> Result<bool, ReadError> {
    while let Some(meta) = cursor.peek()? {
        let full = !frames.is_empty() && *read_bytes + meta.frame_bytes > max_bytes;
        if meta.stamp.index >= to || full {
            return Ok(true);
        }
        frames.push(cursor.take(&meta)?);
        *read_bytes += meta.frame_bytes;
    }
    Ok(false)
}

/// Finds the first record from the cursor on that lies in `range` and is not older than `timestamp`.
fn first_record_since(
    cursor: &mut FrameCursor<'_>,
    timestamp: i64,
    range: std::ops::Range<Offset>,
    decode_limits: DecodeLimits,
) -> Result<Option<TimestampOffset>, ReadError> {
    let passed =
        |frame: &FrameMeta| frame.next_offset <= range.start || frame.max_timestamp.is_none_or(|max| max < timestamp);
    while let Some(meta) = cursor.seek(passed)? {
        if meta.base_offset >= range.end {
            return Ok(None);
        }
        let (position_bytes, _) = cursor.place();
        let frame = cursor.take(&meta)?;
        let Some(batch) = frame.batch() else { continue };
        let unreadable = |error| ReadError::Batch { position_bytes, base_offset: meta.base_offset, error };
        for record in batch.records(decode_limits).map_err(unreadable)? {
            let record = record.map_err(unreadable)?;
            if record.timestamp >= timestamp && range.contains(&record.offset) {
                return Ok(Some(TimestampOffset { offset: record.offset, timestamp: record.timestamp }));
            }
        }
    }
    Ok(None)
}

/// A read that failed.
#[derive(Debug)]
pub enum ReadError {
    /// The offset is not kept, or not written yet.
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// First offset that is kept.
        log_start_offset: Offset,
        /// Offset of the next record to be written.
        log_end_offset: Offset,
    },
    /// The entries are not all kept, or not written yet.
    IndexOutOfRange {
        /// First index asked for.
        from: RaftIndex,
        /// First index not asked for.
        to: RaftIndex,
        /// First index that is kept.
        raft_start: RaftIndex,
        /// Index of the next entry to be written.
        end_index: RaftIndex,
    },
    /// The bytes on disk are not what was written.
    Damaged(Box<Damage>),
    /// A batch is what was written, but its records cannot be read.
    Batch {
        /// Where its frame stands in its segment.
        position_bytes: u64,
        /// Its base offset.
        base_offset: Offset,
        /// What is wrong.
        error: tidelog_proto::batch::BatchError,
    },
    /// The machine did not give us the bytes.
    Io {
        /// The file.
        path: PathBuf,
        /// What it answered.
        error: io::Error,
    },
}

impl ReadError {
    /// Tells whether reading again may help.
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::OffsetOutOfRange { .. } | Self::IndexOutOfRange { .. } | Self::Damaged(_) | Self::Batch { .. } => {
                false
            }
            Self::Io { .. } => true,
        }
    }

    /// Tells whether it may come from a file that was replaced or removed under the reader.
    fn is_about_files(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Damaged(_))
    }
}

impl From<ScanError> for ReadError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Io { path, error } => Self::Io { path, error },
            ScanError::Damaged(damage) => Self::Damaged(damage),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OffsetOutOfRange { offset, log_start_offset, log_end_offset } => {
                write!(f, "offset {offset} is not within {log_start_offset} to {log_end_offset}")
            }
            Self::IndexOutOfRange { from, to, raft_start, end_index } => {
                write!(f, "raft indexes {from} to {to} are not within {raft_start} to {end_index}")
            }
            Self::Damaged(damage) => damage.fmt(f),
            Self::Batch { position_bytes, base_offset, error } => {
                write!(f, "batch with base offset {base_offset} at byte {position_bytes}: {error}")
            }
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ReadError {}
