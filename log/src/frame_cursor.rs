//! Walking the frames of a segment from a position on, without reading more than is looked at.

use bytes::Bytes;
use tidelog_proto::frame::{Frame, FrameError, FrameView};

use crate::damage::{Damage, Fault};
use crate::frame_chain::{Density, FrameChain, FrameMeta};
use crate::segment::Segment;
use crate::segment_scan::{ScanError, density_of};
use crate::view::StableEnd;

/// Bytes taken at once while a place is looked for.
pub(crate) const SEEK_BYTES: u64 = 16 * 1024;

/// Bytes taken at once as a slice of the mapping, which costs the same however long it is.
const SLICE_BYTES: u64 = 1024 * 1024;

/// Stands before a frame of a segment.
pub(crate) struct FrameCursor<'a> {
    segment: &'a Segment,
    stable: StableEnd,
    /// The end of the published frames.
    end_bytes: u64,
    position_bytes: u64,
    /// What the next frame must follow.
    chain: FrameChain,
    /// Whether compaction may have left gaps. Where it has not, a frame in the wrong place is found out.
    density: Density,
    /// The place was told by an index, and no frame has borne it out yet.
    is_from_index: bool,
    /// Bytes taken from the segment: `chunk[0]` stands at `chunk_start_bytes`.
    chunk: Bytes,
    chunk_start_bytes: u64,
    /// How much to take at once.
    step_bytes: u64,
}

impl<'a> FrameCursor<'a> {
    pub(crate) fn new(
        segment: &'a Segment,
        stable: StableEnd,
        end_bytes: u64,
        (position_bytes, chain): (u64, FrameChain),
        step_bytes: u64,
    ) -> Self {
        Self {
            segment,
            stable,
            end_bytes,
            position_bytes,
            chain,
            density: density_of(segment.summary.as_ref()),
            is_from_index: false,
            chunk: Bytes::new(),
            chunk_start_bytes: position_bytes,
            step_bytes: step_bytes.max(1),
        }
    }

    /// The same, at a place that an index tells of: exactly the frame that it speaks of must stand there.
    pub(crate) fn at_index_entry(mut self) -> Self {
        self.is_from_index = true;
        self
    }

    /// Takes up to `bytes` at once from here on, now that the place is found.
    pub(crate) fn step(&mut self, bytes: u64) {
        self.step_bytes = bytes.max(SEEK_BYTES);
    }

    /// Gives the place before the next frame: its position and what it must follow.
    pub(crate) fn place(&self) -> (u64, FrameChain) {
        (self.position_bytes, self.chain)
    }

    /// Looks at the next frame; `None` at the end. Its header is checked, the bytes of its batch are not.
    ///
    /// # Errors
    /// The segment could not be read, or is damaged here.
    pub(crate) fn peek(&mut self) -> Result<Option<FrameMeta>, ScanError> {
        if self.position_bytes >= self.end_bytes {
            // The index of an active segment may be ahead of the view; that of a sealed one has nothing to point to here.
            if self.is_from_index && self.segment.summary.is_some() {
                return Err(self.damaged(Fault::IndexPosition { end_bytes: self.end_bytes }));
            }
            return Ok(None);
        }
        let density = if self.is_from_index { Density::Dense } else { self.density };
        loop {
            match FrameView::parse(self.segment.context.seed, self.rest()) {
                Ok(view) => {
                    let meta = FrameMeta::of_view(&view);
                    self.chain.check(&meta, density).map_err(|error| self.damaged(Fault::Chain(error)))?;
                    self.is_from_index = false;
                    return Ok(Some(meta));
                }
                Err(FrameError::Truncated { needed, available })
                    if self.position_bytes + available < self.end_bytes =>
                {
                    self.take_chunk(needed)?;
                }
                Err(error) => return Err(self.damaged(Fault::Frame(error))),
            }
        }
    }

    /// Checks the bytes of the batch, if there is one, in the frame that was peeked at.
    fn verify(&self) -> Result<(), ScanError> {
        let verified = FrameView::parse(self.segment.context.seed, self.rest()).and_then(|view| view.verify_body());
        verified.map_err(|error| self.damaged(Fault::Frame(error)))
    }

    /// Gives what was taken of the segment from the current position on.
    fn rest(&self) -> &[u8] {
        let skip = usize::try_from(self.position_bytes - self.chunk_start_bytes).unwrap_or(usize::MAX);
        self.chunk.get(skip..).unwrap_or(&[])
    }

    /// Takes the frame that was peeked at, every checksum verified, and stands behind it.
    ///
    /// # Errors
    /// The frame is damaged.
    pub(crate) fn take(&mut self, meta: &FrameMeta) -> Result<Frame, ScanError> {
        let skip = usize::try_from(self.position_bytes - self.chunk_start_bytes).unwrap_or(usize::MAX);
        let rest = if skip <= self.chunk.len() { self.chunk.slice(skip..) } else { Bytes::new() };
        let frame =
            Frame::decode(self.segment.context.seed, &rest).map_err(|error| self.damaged(Fault::Frame(error)))?;
        self.skip(meta);
        Ok(frame)
    }

    /// Stands behind the frame that was peeked at.
    pub(crate) fn skip(&mut self, meta: &FrameMeta) {
        self.position_bytes += meta.frame_bytes;
        self.chain.advance(meta);
    }

    /// Skips frames while `passed` holds, and gives the first for which it does not; `None` at the end.
    ///
    /// The last offset and the largest timestamp of a frame are under its batch's own checksum only, so that is checked
    /// before a frame is passed over because of them.
    ///
    /// # Errors
    /// As [`FrameCursor::peek`].
    pub(crate) fn seek(&mut self, passed: impl Fn(&FrameMeta) -> bool) -> Result<Option<FrameMeta>, ScanError> {
        while let Some(meta) = self.peek()? {
            if !passed(&meta) {
                return Ok(Some(meta));
            }
            self.verify()?;
            self.skip(&meta);
        }
        Ok(None)
    }

    /// Takes at least `needed` bytes from the current position, or all there are.
    fn take_chunk(&mut self, needed: u64) -> Result<(), ScanError> {
        let start = self.position_bytes;
        let least = self.end_bytes.min(start.saturating_add(needed));
        let io_error = |error| ScanError::io(self.segment.log_path(), error);
        let is_stable = self.stable.covers(self.segment, least);
        let step_bytes = if is_stable { self.step_bytes.max(SLICE_BYTES) } else { self.step_bytes };
        let mut end = self.end_bytes.min(start.saturating_add(needed.max(step_bytes)));
        if is_stable && !self.stable.covers(self.segment, end) {
            end = self.stable.position_bytes;
        }
        self.chunk = if is_stable {
            self.segment.slice(start..end).map_err(io_error)?
        } else {
            self.segment.copy(start..end).map_err(io_error)?
        };
        self.chunk_start_bytes = start;
        Ok(())
    }

    pub(crate) fn damaged(&self, fault: Fault) -> ScanError {
        ScanError::Damaged(Damage::at(self.segment.log_path(), self.position_bytes, &self.chain, fault))
    }
}
