//! Walking the frames of a segment file from its header to its end, past whatever is damaged.

use std::io;

use tidelog_proto::frame::{FRAME_HEADER_BYTES, Frame, FrameError, FrameHeader, FrameSeed};
use tidelog_proto::ids::RaftIndex;
use tidelog_proto::segment_header::SegmentHeader;

use super::file_window::FileWindow;
use crate::damage::Fault;
use crate::frame_chain::{ChainError, Density, FrameChain, FrameMeta};
use crate::open::later_frames::{LaterFrames, SegmentBytes, committed_end_behind, is_about_body, is_of_newer_release};
use crate::segment_tail::SegmentTail;

/// Stands before a frame of a segment file, or before something that is none.
#[derive(Debug)]
pub(crate) struct SegmentWalk {
    seed: FrameSeed,
    window: FileWindow,
    density: Density,
    /// Everything before this place. Its checksum is that of the file as long as nothing was damaged.
    tail: SegmentTail,
    /// Entries were lost just before: the next frame need not follow closely.
    is_behind_damage: bool,
}

/// What stands at a place.
#[derive(Debug)]
pub(crate) enum Found {
    /// A frame, all its checksums true.
    Frame(FoundFrame),
    /// Something that is not a frame.
    Damage(Fault),
    /// Zeros up to the end of the file.
    Unwritten,
    /// The end of the file.
    End,
}

/// A frame, all its checksums true.
#[derive(Debug)]
pub(crate) struct FoundFrame {
    pub(crate) frame: Frame,
    pub(crate) meta: FrameMeta,
    /// The rule by which it does not follow its predecessor, if there is one.
    pub(crate) broken_link: Option<ChainError>,
}

impl SegmentWalk {
    /// Stands behind the header of a segment file; `previous` is the end of the segment before it.
    pub(crate) fn new(window: FileWindow, header: SegmentHeader, density: Density, previous: FrameChain) -> Self {
        let seed = FrameSeed::new(header.topic_id, header.partition);
        let mut tail = SegmentTail::new(header, previous);
        tail.is_compacted = density == Density::Rising;
        Self { seed, window, density, tail, is_behind_damage: false }
    }

    /// Gives everything that is known of the segment before this place.
    pub(crate) fn tail(&self) -> &SegmentTail {
        &self.tail
    }

    /// Gives the length of the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.window.len_bytes()
    }

    /// Sets how much of the file to read at once, within bounds.
    pub(crate) fn read_at_once(&mut self, bytes: u64) {
        self.window.read_at_once(bytes);
    }

    /// Looks at what stands here, without moving.
    ///
    /// # Errors
    /// The file could not be read.
    pub(crate) fn look(&mut self) -> io::Result<Found> {
        let position_bytes = self.tail.position_bytes;
        if position_bytes >= self.window.len_bytes() {
            return Ok(Found::End);
        }
        let error = match self.decode()? {
            Ok(frame) => {
                let meta = FrameMeta::of_frame(&frame);
                let expected = self.tail.chain.next_index;
                let found = meta.stamp.index;
                if found.checked_add(1).is_none() {
                    return Ok(Found::Damage(Fault::Chain(ChainError::Index { expected, found })));
                }
                let density = if self.is_behind_damage { Density::Rising } else { self.density };
                let broken_link = self.tail.chain.check(&meta, density).err();
                return Ok(Found::Frame(FoundFrame { frame, meta, broken_link }));
            }
            Err(error) => error,
        };
        if self.window.rest_is_unwritten(position_bytes)? {
            return Ok(Found::Unwritten);
        }
        Ok(Found::Damage(Fault::Frame(error)))
    }

    /// Moves behind the frame that was looked at.
    pub(crate) fn pass(&mut self, found: &FoundFrame) {
        let header = found.frame.header().encode();
        self.tail.advance(&found.meta, &[&header, found.frame.body()]);
        self.is_behind_damage = false;
    }

    /// Moves to the next place where a frame starts, or to the end of the file.
    ///
    /// # Errors
    /// The file could not be read.
    pub(crate) fn pass_damage(&mut self) -> io::Result<()> {
        let position_bytes = self.tail.position_bytes;
        let end_bytes = self.window.len_bytes();
        let decoded = self.decode()?;
        let next_bytes = match decoded.err() {
            None => self.declared_end()?,
            Some(error) if is_about_body(&error) => self.declared_end()?,
            Some(_) => {
                let next_index = self.tail.chain.next_index;
                LaterFrames::new(self.seed, &mut self.window, position_bytes, next_index, self.density)
                    .next()?
                    .map(|frame| frame.position_bytes)
            }
        };
        self.tail.position_bytes = next_bytes.map_or(end_bytes, |next| next.min(end_bytes));
        self.is_behind_damage = true;
        Ok(())
    }

    /// Gives the first index that was not known to be committed, by the sound frames behind the damage at this place.
    ///
    /// # Errors
    /// The file could not be read.
    pub(crate) fn committed_end_behind(&mut self) -> io::Result<Option<RaftIndex>> {
        let (position_bytes, next_index) = (self.tail.position_bytes, self.tail.chain.next_index);
        committed_end_behind(self.seed, &mut self.window, position_bytes, next_index)
    }

    /// Tells whether a newer release wrote what stands here, and is taken for `fault`.
    ///
    /// # Errors
    /// The file could not be read.
    pub(crate) fn is_of_newer_release(&mut self, fault: &Fault) -> io::Result<bool> {
        is_of_newer_release(self.seed, &mut self.window, self.tail.position_bytes, fault)
    }

    fn decode(&mut self) -> io::Result<Result<Frame, FrameError>> {
        let mut needed = FRAME_HEADER_BYTES as u64;
        loop {
            let rest = self.window.at(self.tail.position_bytes, needed)?;
            match Frame::decode(self.seed, &rest) {
                Err(FrameError::Truncated { needed: more, available }) if self.has_more(available) => needed = more,
                outcome => return Ok(outcome),
            }
        }
    }

    /// Tells whether the file goes on behind `available` bytes from here.
    fn has_more(&self, available: u64) -> bool {
        self.tail.position_bytes + available < self.window.len_bytes()
    }

    /// Gives the end of the frame here, whose header is sound.
    fn declared_end(&mut self) -> io::Result<Option<u64>> {
        let start = self.window.at(self.tail.position_bytes, FRAME_HEADER_BYTES as u64)?;
        let header = FrameHeader::decode(&start).ok();
        let frame_bytes = |header: FrameHeader| FRAME_HEADER_BYTES as u64 + u64::from(header.body_bytes);
        Ok(header.map(|header| self.tail.position_bytes + frame_bytes(header)))
    }
}
