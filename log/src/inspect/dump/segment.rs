//! Showing the frames of a segment.

use std::io;
use std::path::{Path, PathBuf};

use tidelog_proto::frame::Frame;
use tidelog_proto::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader, SegmentHeaderError};

use super::DumpError;
use crate::damage::Fault;
use crate::frame_chain::{Density, FrameChain};
use crate::identity::{LOG_ENDING, LogIdentity, SegmentName};
use crate::inspect::file_window::FileWindow;
use crate::inspect::finding::{Finding, Reason};
use crate::inspect::segment_walk::{Found, FoundFrame, SegmentWalk};
use crate::open::later_frames::SegmentBytes;

/// The frames of one segment file, in order.
///
/// Frames of which any checksum is wrong are reported, not shown; the next one is found behind them. Whether entries are
/// missing between two frames, a single file cannot tell: offsets and indexes must rise, no more.
#[derive(Debug)]
pub struct SegmentDump {
    path: PathBuf,
    header: SegmentHeader,
    walk: SegmentWalk,
    /// What comes before the next look.
    pending: Option<Pending>,
    is_done: bool,
}

#[derive(Debug)]
enum Pending {
    /// The header is damaged; the file's path says what it should say.
    Header(SegmentHeaderError),
    /// A frame that does not follow its predecessor, which has just been reported.
    Frame(FoundFrame),
}

/// What a segment file consists of.
#[derive(Debug)]
pub enum SegmentItem {
    /// A frame, all its checksums true.
    Frame {
        /// Where it starts.
        position_bytes: u64,
        /// The frame.
        frame: Frame,
    },
    /// Something wrong.
    Finding(Finding),
    /// Zeros up to the end of the file: allocated, never written.
    Unwritten {
        /// Where they start.
        position_bytes: u64,
        /// How many there are.
        bytes: u64,
    },
}

impl SegmentDump {
    pub(super) fn new(mut window: FileWindow, path: &Path) -> Result<Self, DumpError> {
        let io_error = |error| DumpError::Io { path: path.to_owned(), error };
        let start = window.at(0, SEGMENT_HEADER_BYTES as u64).map_err(io_error)?;
        let (header, pending) = match SegmentHeader::decode(&start) {
            Ok(header) => (header, None),
            Err(error) => {
                let nameless = || DumpError::SegmentHeader { path: path.to_owned(), error };
                (header_by_path(path).ok_or_else(nameless)?, Some(Pending::Header(error)))
            }
        };
        let previous = FrameChain::starting_at(header.base_offset, header.base_index);
        let walk = SegmentWalk::new(window, header, Density::Rising, previous);
        Ok(Self { path: path.to_owned(), header, walk, pending, is_done: false })
    }

    /// Gives the segment's header; where it is damaged, what the path of the file says instead.
    #[must_use]
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Gives the length of the file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.walk.file_bytes()
    }

    fn next_item(&mut self) -> io::Result<Option<SegmentItem>> {
        match self.pending.take() {
            Some(Pending::Header(error)) => return Ok(Some(self.finding(0, Fault::SegmentHeader(error)))),
            Some(Pending::Frame(found)) => return Ok(Some(self.pass(found))),
            None => {}
        }
        let position_bytes = self.walk.tail().position_bytes;
        Ok(match self.walk.look()? {
            Found::Frame(found) => Some(match found.broken_link {
                Some(error) => {
                    self.pending = Some(Pending::Frame(found));
                    self.finding(position_bytes, Fault::Chain(error))
                }
                None => self.pass(found),
            }),
            Found::Damage(fault) => {
                let finding = self.finding(position_bytes, fault);
                self.walk.pass_damage()?;
                Some(finding)
            }
            Found::Unwritten => {
                self.is_done = true;
                Some(SegmentItem::Unwritten { position_bytes, bytes: self.walk.file_bytes() - position_bytes })
            }
            Found::End => None,
        })
    }

    fn pass(&mut self, found: FoundFrame) -> SegmentItem {
        let position_bytes = self.walk.tail().position_bytes;
        self.walk.pass(&found);
        SegmentItem::Frame { position_bytes, frame: found.frame }
    }

    fn finding(&self, position_bytes: u64, fault: Fault) -> SegmentItem {
        let chain = self.walk.tail().chain;
        SegmentItem::Finding(Finding {
            path: self.path.clone(),
            position_bytes,
            index: Some(chain.next_index),
            offset: Some(chain.next_offset),
            reason: Reason::Segment(fault),
        })
    }
}

impl Iterator for SegmentDump {
    type Item = Result<SegmentItem, DumpError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        match self.next_item() {
            Ok(item) => item.map(Ok),
            Err(error) => {
                self.is_done = true;
                Some(Err(DumpError::Io { path: self.path.clone(), error }))
            }
        }
    }
}

/// Makes the header that a segment at this path should have.
fn header_by_path(path: &Path) -> Option<SegmentHeader> {
    let stem = path.file_stem()?.to_str()?;
    let name = SegmentName::parse_log(&format!("{stem}.{LOG_ENDING}"))?;
    Some(LogIdentity::of_dir(path.parent()?)?.segment_header(name))
}
