//! Looking for damage that nobody has met yet: sealed segments are read again and compared with their seals.

use std::sync::Arc;

use tidelog_proto::ids::RaftIndex;
use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

use crate::damage::{Damage, Fault};
use crate::frame_chain::FrameChain;
use crate::frame_cursor::FrameCursor;
use crate::index_header::SegmentSummary;
use crate::reader::{LogReader, ReadError};
use crate::segment::Segment;
use crate::segment_scan::{ScanError, check_header};
use crate::segment_tail::SegmentTail;
use crate::view::SharedLog;

/// Reads the sealed segments of an open log over and over, in steps as small as its caller likes, and compares every
/// checksum in them and that of the seal. Appending, reading, retention and compaction go on meanwhile.
///
/// Only segments below the committed mark are read: nothing else is sure to stay as it is. Reading through the page cache
/// finds what rots on the disk once the pages have left the cache.
#[derive(Debug)]
pub struct Scrubber {
    shared: Arc<SharedLog>,
    /// The next segment of this pass is the first one from this index on.
    next_index: RaftIndex,
    current: Option<Current>,
    pass: Scrubbed,
}

/// A segment that is being read.
#[derive(Debug)]
struct Current {
    segment: Arc<Segment>,
    summary: SegmentSummary,
    /// Up to where it was read.
    tail: SegmentTail,
}

/// What a pass of a [`Scrubber`] over all segments has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Segments that were read to their end, or to the first damage in them.
    pub segments: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Segments that are damaged.
    pub damaged: u64,
}

/// What a step of a [`Scrubber`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScrubStep {
    /// So many bytes were read; there is more to read.
    Read {
        /// How many.
        bytes: u64,
    },
    /// A segment is damaged. The next step goes on with the one after it.
    Damaged {
        /// How many bytes were read.
        bytes: u64,
        /// The first damaged place of the segment.
        damage: Box<Damage>,
    },
    /// Every segment there is was read since the pass began. The next step begins another pass.
    Finished(Scrubbed),
}

impl LogReader {
    /// Makes a scrubber of this log, at the start of a pass.
    #[must_use]
    pub fn scrubber(&self) -> Scrubber {
        let shared = Arc::clone(&self.shared);
        Scrubber { shared, next_index: RaftIndex::ZERO, current: None, pass: Scrubbed::default() }
    }
}

impl Scrubber {
    /// Reads frames of up to `max_bytes`, but at least one.
    ///
    /// # Errors
    /// The machine did not give us the bytes of a segment. The next step goes on with the one after it.
    pub fn step(&mut self, max_bytes: u64) -> Result<ScrubStep, ReadError> {
        let Some(mut current) = self.current.take().or_else(|| self.next_segment()) else {
            self.next_index = RaftIndex::ZERO;
            return Ok(ScrubStep::Finished(std::mem::take(&mut self.pass)));
        };
        let start_bytes = current.tail.position_bytes;
        let outcome = current.read(&self.shared, max_bytes);
        let bytes = current.tail.position_bytes - start_bytes;
        self.pass.bytes += bytes;
        match outcome {
            Ok(false) => {
                self.current = Some(current);
                Ok(ScrubStep::Read { bytes })
            }
            Ok(true) => {
                self.pass.segments += 1;
                Ok(ScrubStep::Read { bytes })
            }
            // Retention or compaction was faster: the segment is no part of the log any more.
            Err(_) if !self.is_in_log(&current.segment) => Ok(ScrubStep::Read { bytes }),
            Err(ScanError::Damaged(damage)) => {
                self.pass.segments += 1;
                self.pass.damaged += 1;
                Ok(ScrubStep::Damaged { bytes, damage })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the next sealed segment that lies below the committed mark.
    fn next_segment(&mut self) -> Option<Current> {
        // The committed mark first: what it covers stays covered in every later view.
        let stable = **self.shared.stable.load();
        let view = self.shared.view.load();
        let is_next = |segment: &&Arc<Segment>| segment.base_index() >= self.next_index;
        let segment = view.segments.iter().find(is_next)?;
        let summary = segment.summary.filter(|summary| stable.covers(segment, summary.log_bytes))?;
        self.next_index = segment.base_index().next();
        let header = segment.context.header(segment.name);
        let mut tail = SegmentTail::new(header, FrameChain::starting_at(segment.base_offset(), segment.base_index()));
        tail.is_compacted = summary.is_compacted;
        Some(Current { segment: Arc::clone(segment), summary, tail })
    }

    fn is_in_log(&self, segment: &Arc<Segment>) -> bool {
        self.shared.view.load().segments.iter().any(|kept| Arc::ptr_eq(kept, segment))
    }
}

impl Current {
    /// Reads on; `true` at the end of the segment.
    fn read(&mut self, shared: &SharedLog, max_bytes: u64) -> Result<bool, ScanError> {
        let stable = **shared.stable.load();
        let place = (self.tail.position_bytes, self.tail.chain);
        let mut cursor = FrameCursor::new(&self.segment, stable, self.summary.log_bytes, place, max_bytes);
        if self.tail.is_empty() {
            self.check_header()?;
        }
        let mut read_bytes = 0;
        while let Some(meta) = cursor.peek()? {
            if read_bytes > 0 && read_bytes + meta.frame_bytes > max_bytes {
                return Ok(false);
            }
            let frame = cursor.take(&meta)?;
            self.tail.advance(&meta, &[&frame.header().encode(), frame.body()]);
            read_bytes += meta.frame_bytes;
        }
        let (stored, computed) = (self.summary.log_crc, self.tail.summary().log_crc);
        if stored != computed {
            return Err(self.damaged(Fault::SealedChecksum { stored, computed }));
        }
        Ok(true)
    }

    fn check_header(&self) -> Result<(), ScanError> {
        let segment = &self.segment;
        let io_error = |error| ScanError::io(segment.log_path(), error);
        let header = segment.slice(0..SEGMENT_HEADER_BYTES as u64).map_err(io_error)?;
        check_header(&segment.context, segment.name, &header).map(drop).map_err(|fault| self.damaged(fault))
    }

    /// Makes damage to the segment as a whole.
    fn damaged(&self, fault: Fault) -> ScanError {
        ScanError::Damaged(Box::new(Damage {
            path: self.segment.log_path(),
            position_bytes: 0,
            index: self.segment.base_index(),
            offset: self.segment.base_offset(),
            fault,
        }))
    }
}
