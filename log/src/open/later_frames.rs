//! Looking for frames behind damage: they tell whether what is damaged had been committed.

use std::io;

use bytes::Bytes;
use tidelog_proto::batch::BATCH_PREFIX_BYTES;
use tidelog_proto::frame::{FRAME_HEADER_BYTES, FRAME_VERSION, MAX_FRAME_BODY_BYTES};
use tidelog_proto::frame::{FrameError, FrameHeader, FrameSeed, FrameStamp, FrameType, FrameView};
use tidelog_proto::ids::RaftIndex;

use crate::damage::Fault;
use crate::frame_chain::Density;

/// Smallest frame: a header and a base offset.
const FRAME_BYTES_MIN: u64 = FRAME_HEADER_BYTES as u64 + 8;

/// A frame without a batch is always tried if its body is no larger.
const CHEAP_BODY_BYTES: u32 = 4096;

/// Bytes of larger bodies that are tried for every byte that was passed.
const CHECKED_PER_BYTE: u64 = 16;

/// Where `type | version | flags` stand in a frame's header: behind the checksum.
const SHAPE_AT: usize = 4;
const SHAPE_BYTES: usize = 4;

/// The bytes of a segment file, mapped or read through a window.
pub(crate) trait SegmentBytes {
    /// Gives the bytes from `position_bytes` on: at least `needed_bytes` of them, or all there are.
    ///
    /// # Errors
    /// The file could not be read.
    fn at(&mut self, position_bytes: u64, needed_bytes: u64) -> io::Result<Bytes>;
}

/// A whole file, from its first byte.
impl SegmentBytes for Bytes {
    fn at(&mut self, position_bytes: u64, _needed_bytes: u64) -> io::Result<Bytes> {
        let position = usize::try_from(position_bytes).unwrap_or(usize::MAX).min(self.len());
        Ok(self.slice(position..))
    }
}

/// Goes through the frames behind a damaged place, wherever they start.
#[derive(Debug)]
pub(crate) struct LaterFrames<'a, B> {
    seed: FrameSeed,
    bytes: &'a mut B,
    /// The damaged place.
    start_bytes: u64,
    /// The index that it should hold.
    next_index: RaftIndex,
    density: Density,
    /// Where to look on.
    at_bytes: u64,
    /// Bodies without a batch that were tried, in bytes.
    checked_bytes: u64,
}

/// A frame behind damage. Its header is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaterFrame {
    pub(crate) position_bytes: u64,
    pub(crate) stamp: FrameStamp,
    /// Its body is sound as well.
    pub(crate) is_sound: bool,
}

impl<'a, B: SegmentBytes> LaterFrames<'a, B> {
    /// Starts at a damaged place that should hold the entry `next_index`. A frame must lie a plausible way above it to
    /// count.
    pub(crate) fn new(
        seed: FrameSeed,
        bytes: &'a mut B,
        start_bytes: u64,
        next_index: RaftIndex,
        density: Density,
    ) -> Self {
        Self { seed, bytes, start_bytes, next_index, density, at_bytes: start_bytes, checked_bytes: 0 }
    }

    /// Finds the next frame; `None` where there is none up to the end.
    ///
    /// # Errors
    /// The file could not be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<LaterFrame>> {
        while let Some(candidate) = self.next_candidate()? {
            self.at_bytes = candidate + 1;
            let start = self.bytes.at(candidate, FRAME_HEADER_BYTES as u64)?;
            let Ok(header) = FrameHeader::decode(&start) else { continue };
            if !self.is_plausible(candidate, header.stamp.index) || !self.is_affordable(candidate, &header) {
                continue;
            }
            let parsed = self.parse(candidate)?;
            if parsed.is_err_and(|error| !is_about_body(&error)) {
                continue;
            }
            // A sound header vouches for the length, whatever became of the body: nothing is looked for inside, where a
            // record may hold any bytes.
            self.at_bytes = candidate + FRAME_HEADER_BYTES as u64 + u64::from(header.body_bytes);
            let (stamp, is_sound) = (header.stamp, parsed.is_ok());
            return Ok(Some(LaterFrame { position_bytes: candidate, stamp, is_sound }));
        }
        Ok(None)
    }

    /// Reads as much of a frame as its checksums need, if they are true as far as they go.
    fn parse(&mut self, position_bytes: u64) -> io::Result<Result<(), FrameError>> {
        let mut needed = (FRAME_HEADER_BYTES + BATCH_PREFIX_BYTES) as u64;
        loop {
            let rest = self.bytes.at(position_bytes, needed)?;
            match FrameView::parse(self.seed, &rest).and_then(|view| view.verify_body()) {
                Err(FrameError::Truncated { needed: more, .. }) if more > needed && rest.len() as u64 >= needed => {
                    needed = more;
                }
                outcome => return Ok(outcome),
            }
        }
    }

    /// Tells whether the checksum of a frame without a batch, which covers all of its body, may be computed to find out
    /// that it is none. Records may be full of what looks like headers of large frames.
    fn is_affordable(&mut self, candidate: u64, header: &FrameHeader) -> bool {
        if header.frame_type.carries_batch() || header.body_bytes <= CHEAP_BODY_BYTES {
            return true;
        }
        let allowance = u64::from(MAX_FRAME_BODY_BYTES) + CHECKED_PER_BYTE * (candidate - self.start_bytes);
        let checked = self.checked_bytes + u64::from(header.body_bytes);
        let is_affordable = checked <= allowance;
        if is_affordable {
            self.checked_bytes = checked;
        }
        is_affordable
    }

    fn is_plausible(&self, candidate: u64, index: RaftIndex) -> bool {
        let frames_between_max = (candidate - self.start_bytes) / FRAME_BYTES_MIN + 1;
        index.distance_from(self.next_index).is_some_and(|gap| match self.density {
            Density::Dense => gap <= frames_between_max,
            Density::Rising => true,
        })
    }

    /// Finds the next place whose type, version and flags are a frame's.
    fn next_candidate(&mut self) -> io::Result<Option<u64>> {
        const NEEDED_BYTES: usize = SHAPE_AT + SHAPE_BYTES;
        loop {
            let window = self.bytes.at(self.at_bytes, NEEDED_BYTES as u64)?;
            let Some(shapes) = window.get(SHAPE_AT..).filter(|shapes| shapes.len() >= SHAPE_BYTES) else {
                return Ok(None);
            };
            if let Some(found) = shapes.windows(SHAPE_BYTES).position(is_shape) {
                return Ok(Some(self.at_bytes + found as u64));
            }
            // The last places of the window may go on behind it.
            self.at_bytes += (window.len() - NEEDED_BYTES + 1) as u64;
        }
    }
}

fn is_shape(shape: &[u8]) -> bool {
    matches!(shape, [number, FRAME_VERSION, 0, 0] if FrameType::from_number(*number).is_some())
}

/// Tells whether a frame's header passed its checksum, so that its length can be believed although its body is not sound.
pub(crate) fn is_about_body(error: &FrameError) -> bool {
    matches!(error, FrameError::Batch(_) | FrameError::LengthMismatch { .. } | FrameError::BaseOffset(_))
}

/// Finds the largest committed mark that any sound frame behind `position_bytes` carries: the first index that its
/// leader did not know to be committed when it wrote the frame. `None` where no frame is found, or none that knows.
///
/// `next_index` is the index that the damaged place should hold.
///
/// # Errors
/// The file could not be read.
pub(crate) fn committed_end_behind(
    seed: FrameSeed,
    bytes: &mut impl SegmentBytes,
    position_bytes: u64,
    next_index: RaftIndex,
) -> io::Result<Option<RaftIndex>> {
    let mut found = None;
    let mut frames = LaterFrames::new(seed, bytes, position_bytes, next_index, Density::Dense);
    while let Some(frame) = frames.next()? {
        if frame.is_sound {
            found = found.max(frame.stamp.committed_index().and_then(|committed| committed.checked_add(1)));
        }
    }
    Ok(found)
}

/// Tells whether a sound frame stands at `position_bytes` whose type, version or flags this release does not know: that
/// is no torn tail, and cutting it would lose what a newer release acknowledged. `fault` is what this release takes it for.
///
/// # Errors
/// The file could not be read.
pub(crate) fn is_of_newer_release(
    seed: FrameSeed,
    bytes: &mut impl SegmentBytes,
    position_bytes: u64,
    fault: &Fault,
) -> io::Result<bool> {
    let is_unknown = |error: &FrameError| {
        matches!(error, FrameError::UnknownVersion(_) | FrameError::UnknownType(_) | FrameError::UnknownFlags(_))
    };
    if !matches!(fault, Fault::Frame(error) if is_unknown(error)) {
        return Ok(false);
    }
    // Where every version has the length of the body.
    let start = bytes.at(position_bytes, FRAME_HEADER_BYTES as u64)?;
    let Some([l0, l1, l2, l3]) = start.get(8..12) else { return Ok(false) };
    let body_bytes = u32::from_le_bytes([*l0, *l1, *l2, *l3]).min(MAX_FRAME_BODY_BYTES);
    let rest = bytes.at(position_bytes, FRAME_HEADER_BYTES as u64 + u64::from(body_bytes))?;
    Ok(seed.vouches_for(&rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use tidelog_proto::frame::Frame;
    use tidelog_proto::ids::{Offset, PartitionId, RaftTerm, TopicId};

    use super::*;

    fn seed() -> FrameSeed {
        FrameSeed::new(TopicId::new([1; 16]), PartitionId::new(0))
    }

    fn no_op(index: u64, commit_lag: u32) -> Vec<u8> {
        let stamp = FrameStamp { term: RaftTerm::new(1), index: RaftIndex::new(index), commit_lag, append_time_ms: 0 };
        let frame = Frame::internal(seed(), FrameType::NoOp, stamp, Offset::new(0), &[]).unwrap();
        let mut bytes = frame.header().encode().to_vec();
        bytes.extend_from_slice(frame.body());
        bytes
    }

    fn committed_end(seed: FrameSeed, bytes: Vec<u8>, next_index: u64) -> Option<u64> {
        let found = committed_end_behind(seed, &mut Bytes::from(bytes), 0, RaftIndex::new(next_index));
        found.unwrap().map(RaftIndex::get)
    }

    /// Gives no byte more than it is asked for.
    struct Grudging(Bytes);

    impl SegmentBytes for Grudging {
        fn at(&mut self, position_bytes: u64, needed_bytes: u64) -> io::Result<Bytes> {
            let rest = self.0.at(position_bytes, needed_bytes)?;
            Ok(rest.slice(..rest.len().min(usize::try_from(needed_bytes).unwrap())))
        }
    }

    #[test]
    fn largest_mark_behind_damage_is_found() {
        let mut bytes = vec![0xff; 100];
        bytes.extend(no_op(6, 1));
        bytes.extend([7; 13]);
        bytes.extend(no_op(7, 5));
        assert_eq!(committed_end(seed(), bytes.clone(), 5), Some(6));
        let mut grudging = Grudging(bytes.into());
        let found = committed_end_behind(seed(), &mut grudging, 0, RaftIndex::new(5)).unwrap();
        assert_eq!(found, Some(RaftIndex::new(6)), "through a small window");
    }

    #[test]
    fn records_full_of_headers_of_large_frames_cost_bounded_time() {
        let stamp = FrameStamp { term: RaftTerm::new(1), index: RaftIndex::new(5), commit_lag: 1, append_time_ms: 0 };
        let body_bytes = 8 * 1024 * 1024;
        let claim = FrameHeader { frame_type: FrameType::Membership, body_bytes, stamp, header_crc: 0 }.encode();
        let mut bytes = claim.repeat(400_000);
        bytes.extend(no_op(6, 1));
        let end = bytes.len();
        // The rest lies past what any of the claims may cover.
        bytes.resize(end + 1024, 0);
        assert_eq!(committed_end(seed(), bytes, 5), Some(6));
    }

    #[test]
    fn frames_of_another_partition_or_of_an_impossible_index_do_not_count() {
        let mut bytes = vec![0xff; 100];
        bytes.extend(no_op(600, 1));
        assert_eq!(committed_end(seed(), bytes, 5), None);
        let other = FrameSeed::new(TopicId::new([2; 16]), PartitionId::new(0));
        let mut bytes = vec![0xff; 100];
        bytes.extend(no_op(6, 1));
        assert_eq!(committed_end(other, bytes, 5), None);
    }

    #[test]
    fn a_lag_larger_than_the_index_knows_of_no_commit() {
        assert_eq!(committed_end(seed(), no_op(6, u32::MAX), 6), None);
        assert_eq!(committed_end(seed(), no_op(6_000_000_000, u32::MAX), 6_000_000_000), None, "nor does the largest");
    }
}
