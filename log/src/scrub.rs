//! Looking for damage that nobody has met yet: sealed segments are read again and compared with their seals.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tidelog_proto::ids::{Offset, RaftIndex};
use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

use crate::damage::{Damage, Fault};
use crate::frame_chain::FrameChain;
use crate::index_header::SegmentSummary;
use crate::inspect::file_window::FileWindow;
use crate::inspect::segment_walk::{Found, SegmentWalk};
use crate::open::later_frames::SegmentBytes;
use crate::reader::LogReader;
use crate::segment::Segment;
use crate::segment_scan::{check_header, density_of};
use crate::view::SharedLog;

/// Reads the sealed segments of an open log over and over, in steps as small as its caller likes, and compares every
/// checksum in them and that of the seal. Appending, reading, retention and compaction go on meanwhile.
///
/// Only segments below the committed mark are read: nothing else is sure to stay as it is. They are read by calls, not
/// through a mapping, so that a bad sector is an error here before it is a signal elsewhere. What the page cache holds comes
/// from there: what rots on the disk is found once its pages have left the cache.
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
    /// Up to where it was read; `None` before the first step.
    walk: Option<SegmentWalk>,
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
    /// Reads frames of up to `max_bytes`, but at least one. The file is read ahead by up to a mebibyte.
    ///
    /// # Errors
    /// The machine did not give us the bytes of a segment. The next step goes on with the one after it.
    pub fn step(&mut self, max_bytes: u64) -> Result<ScrubStep, ScrubError> {
        let Some(mut current) = self.current.take().or_else(|| self.next_segment()) else {
            self.next_index = RaftIndex::ZERO;
            return Ok(ScrubStep::Finished(std::mem::take(&mut self.pass)));
        };
        let start_bytes = current.position_bytes();
        let outcome = current.read(max_bytes);
        let bytes = current.position_bytes() - start_bytes;
        self.pass.bytes += bytes;
        match outcome {
            Ok(Progress::More) => self.current = Some(current),
            Ok(Progress::End) => self.pass.segments += 1,
            // Retention or compaction was faster: the segment is no part of the log any more.
            Ok(Progress::Damaged(_)) | Err(_) if !self.is_in_log(&current.segment) => {}
            Ok(Progress::Damaged(fault)) => {
                self.pass.segments += 1;
                self.pass.damaged += 1;
                return Ok(ScrubStep::Damaged { bytes, damage: Box::new(current.damage(fault)) });
            }
            Err(error) => return Err(current.unreadable(error)),
        }
        Ok(ScrubStep::Read { bytes })
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
        Some(Current { segment: Arc::clone(segment), summary, walk: None })
    }

    fn is_in_log(&self, segment: &Arc<Segment>) -> bool {
        self.shared.view.load().segments.iter().any(|kept| Arc::ptr_eq(kept, segment))
    }
}

/// What reading on came to.
enum Progress {
    More,
    /// The end of the segment; it is sound.
    End,
    /// Something wrong at the place that was reached.
    Damaged(Fault),
}

impl Current {
    fn read(&mut self, max_bytes: u64) -> io::Result<Progress> {
        let log_bytes = self.summary.log_bytes;
        let walk = match &mut self.walk {
            Some(walk) => walk,
            None => match open(&self.segment, &self.summary)? {
                Ok(walk) => self.walk.insert(walk),
                Err(fault) => return Ok(Progress::Damaged(fault)),
            },
        };
        walk.read_at_once(max_bytes);
        let start_bytes = walk.tail().position_bytes;
        loop {
            let read_bytes = walk.tail().position_bytes - start_bytes;
            match walk.look()? {
                Found::Frame(found) => {
                    if read_bytes > 0 && read_bytes + found.meta.frame_bytes > max_bytes {
                        return Ok(Progress::More);
                    }
                    if let Some(error) = found.broken_link {
                        return Ok(Progress::Damaged(Fault::Chain(error)));
                    }
                    walk.pass(&found);
                }
                Found::Damage(fault) => return Ok(Progress::Damaged(fault)),
                Found::End if walk.tail().position_bytes == log_bytes => break,
                Found::Unwritten | Found::End => {
                    let durable = RaftIndex::new(self.summary.end_index.get().saturating_sub(1));
                    return Ok(Progress::Damaged(Fault::EndsEarly { durable }));
                }
            }
        }
        let (stored, computed) = (self.summary.log_crc, walk.tail().summary().log_crc);
        if stored == computed {
            return Ok(Progress::End);
        }
        Ok(Progress::Damaged(Fault::SealedChecksum { stored, computed }))
    }

    fn position_bytes(&self) -> u64 {
        self.walk.as_ref().map_or(SEGMENT_HEADER_BYTES as u64, |walk| walk.tail().position_bytes)
    }

    /// Gives the place that was reached: its position, and what should stand there.
    fn place(&self) -> (u64, RaftIndex, Offset) {
        match &self.walk {
            Some(walk) => {
                let chain = walk.tail().chain;
                (walk.tail().position_bytes, chain.next_index, chain.next_offset)
            }
            None => (0, self.segment.base_index(), self.segment.base_offset()),
        }
    }

    fn damage(&self, fault: Fault) -> Damage {
        let (position_bytes, index, offset) = match fault {
            // Every frame is sound: it is the segment as a whole that is another.
            Fault::SealedChecksum { .. } => (0, self.segment.base_index(), self.segment.base_offset()),
            _ => self.place(),
        };
        Damage { path: self.segment.log_path(), position_bytes, index, offset, fault }
    }

    fn unreadable(&self, error: io::Error) -> ScrubError {
        let (position_bytes, index, offset) = self.place();
        ScrubError { path: self.segment.log_path(), position_bytes, index, offset, error }
    }
}

/// Opens a segment behind its header, which is checked.
fn open(segment: &Segment, summary: &SegmentSummary) -> io::Result<Result<SegmentWalk, Fault>> {
    let mut window = FileWindow::of_file(segment.open_file()?, summary.log_bytes)?;
    let start = window.at(0, SEGMENT_HEADER_BYTES as u64)?;
    let previous = FrameChain::starting_at(segment.base_offset(), segment.base_index());
    Ok(check_header(&segment.context, segment.name, &start)
        .map(|header| SegmentWalk::new(window, header, density_of(Some(summary)), previous)))
}

/// A segment that could not be read.
#[derive(Debug)]
pub struct ScrubError {
    /// The file.
    pub path: PathBuf,
    /// The byte from which on it could not be read.
    pub position_bytes: u64,
    /// The first Raft index that could not be read.
    pub index: RaftIndex,
    /// The first offset that could not be read.
    pub offset: Offset,
    /// What the machine answered.
    pub error: io::Error,
}

impl ScrubError {
    /// Tells whether reading again may help.
    #[must_use]
    pub fn retriable(&self) -> bool {
        true
    }
}

impl fmt::Display for ScrubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, position_bytes, index, offset, error } = self;
        write!(f, "{} from byte {position_bytes} on (raft index {index}, offset {offset}): {error}", path.display())
    }
}

impl std::error::Error for ScrubError {}
