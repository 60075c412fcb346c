//! Looking for frames behind damage: they tell whether what is damaged had been committed.

use tidelog_proto::frame::{FRAME_HEADER_BYTES, FrameType, FrameView};
use tidelog_proto::frame::{FRAME_VERSION, FrameSeed};
use tidelog_proto::ids::RaftIndex;

/// Smallest frame: a header and a base offset.
const FRAME_BYTES_MIN: u64 = FRAME_HEADER_BYTES as u64 + 8;

/// Finds the largest committed mark that any sound frame behind `position_bytes` carries: the first index that its
/// leader did not know to be committed when it wrote the frame. `None` where no frame is found, or none that knows.
///
/// `next_index` is the index that the damaged place should hold; a frame must lie a plausible way above it to count.
pub(super) fn committed_end_behind(
    seed: FrameSeed,
    bytes: &[u8],
    position_bytes: u64,
    next_index: RaftIndex,
) -> Option<RaftIndex> {
    let start = usize::try_from(position_bytes).ok()?;
    let mut found = None;
    let mut at = start;
    while let Some(candidate) = next_candidate(bytes, at) {
        at = candidate + 1;
        let Some(rest) = bytes.get(candidate..) else { break };
        let Ok(view) = FrameView::parse(seed, rest) else { continue };
        let stamp = view.header.stamp;
        let frames_between_max = (candidate - start) as u64 / FRAME_BYTES_MIN + 1;
        let plausible = stamp.index.distance_from(next_index).is_some_and(|gap| gap <= frames_between_max);
        if !plausible {
            continue;
        }
        // A sound header vouches for the length, whatever became of the body: nothing is looked for inside, where a
        // record may hold any bytes.
        at = candidate + view.frame_bytes();
        if view.verify_body().is_err() {
            continue;
        }
        let committed = stamp.index.get().checked_sub(u64::from(stamp.commit_lag));
        found = found.max(committed.map(|committed| RaftIndex::new(committed).next()));
    }
    found
}

/// Finds the next place from `at` on whose type, version and flags are a frame's.
fn next_candidate(bytes: &[u8], at: usize) -> Option<usize> {
    // Behind the checksum: `type | version | flags`.
    const SHAPE_AT: usize = 4;
    let shapes = bytes.get(at + SHAPE_AT..)?;
    shapes
        .windows(4)
        .position(|shape| {
            shape[1] == FRAME_VERSION && shape[2] == 0 && shape[3] == 0 && FrameType::from_number(shape[0]).is_some()
        })
        .map(|found| at + found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use tidelog_proto::frame::{Frame, FrameStamp};
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

    #[test]
    fn largest_mark_behind_damage_is_found() {
        let mut bytes = vec![0xff; 100];
        bytes.extend(no_op(6, 1));
        bytes.extend([7; 13]);
        bytes.extend(no_op(7, 5));
        assert_eq!(committed_end_behind(seed(), &bytes, 0, RaftIndex::new(5)), Some(RaftIndex::new(6)));
    }

    #[test]
    fn frames_of_another_partition_or_of_an_impossible_index_do_not_count() {
        let mut bytes = vec![0xff; 100];
        bytes.extend(no_op(600, 1));
        assert_eq!(committed_end_behind(seed(), &bytes, 0, RaftIndex::new(5)), None);
        let other = FrameSeed::new(TopicId::new([2; 16]), PartitionId::new(0));
        let mut bytes = vec![0xff; 100];
        bytes.extend(no_op(6, 1));
        assert_eq!(committed_end_behind(other, &bytes, 0, RaftIndex::new(5)), None);
    }

    #[test]
    fn a_lag_larger_than_the_index_knows_of_no_commit() {
        assert_eq!(committed_end_behind(seed(), &no_op(6, u32::MAX), 0, RaftIndex::new(6)), None);
    }
}
