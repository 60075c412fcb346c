//! Calls that no sane caller makes: each is refused by its own error, and nothing changes, on disk or off.

use tidelog_log::environment::Environment;
use tidelog_log::environment::simulated::Rng;
use tidelog_log::{AppendError, ChainError, LogIdentity, WriteError};
use tidelog_proto::frame::{Frame, FrameStamp};
use tidelog_proto::ids::{PartitionId, RaftIndex, RaftTerm};

use crate::log_fixture::IDENTITY;
use crate::log_fixture::entry_maker::resealed;
use crate::log_fixture::tracked_log::TrackedLog;

/// Makes one such call.
///
/// # Panics
/// If it is not refused as it should be.
pub(super) fn refuse_one(tracked: &mut TrackedLog, rng: &mut Rng) {
    let operations = tracked.machine.operations();
    match rng.below(4) {
        0 => refuse_truncation(tracked, rng),
        1 => refuse_start(tracked, rng),
        _ => refuse_append(tracked, rng),
    }
    assert_eq!(tracked.machine.operations(), operations, "a refused call touched the disk");
    assert!(!tracked.log().writer.is_poisoned());
}

fn refuse_truncation(tracked: &mut TrackedLog, rng: &mut Rng) {
    let committed_end = tracked.model.told_committed_end;
    let below = committed_end.get() - tracked.model.created_at.base_index.get();
    if below == 0 {
        return;
    }
    let from = RaftIndex::new(committed_end.get() - 1 - rng.below(below));
    let error = tracked.log().writer.truncate_suffix(from).expect_err("it is wrong");
    let expected = matches!(
        error,
        WriteError::Committed { from: found, committed_end: end } if (found, end) == (from, committed_end)
    );
    assert!(expected, "{error}");
}

fn refuse_start(tracked: &mut TrackedLog, rng: &mut Rng) {
    let committed_end = tracked.model.told_committed_end;
    let committed_offset = tracked.model.offset_at(committed_end);
    let past_offset = committed_offset + 1 + rng.below(5);
    let past_index = committed_end + 1 + rng.below(5);
    let (offset, index) = match rng.below(3) {
        0 => (past_offset, committed_end),
        1 => (committed_offset, past_index),
        _ => (past_offset, past_index),
    };
    let error = tracked.log().writer.advance_start(offset, index).expect_err("it is wrong");
    assert!(matches!(error, WriteError::StartOutOfRange { .. }), "{error}");
}

/// What may be wrong with an entry that is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    IndexAhead,
    IndexBehind,
    Offset,
    Term,
    AppendTime,
    CommitLag,
    Partition,
}

const WRONGS: [Wrong; 7] = [
    Wrong::IndexAhead,
    Wrong::IndexBehind,
    Wrong::Offset,
    Wrong::Term,
    Wrong::AppendTime,
    Wrong::CommitLag,
    Wrong::Partition,
];

fn refuse_append(tracked: &mut TrackedLog, rng: &mut Rng) {
    let count = 1 + rng.index(4);
    let mut frames = tracked.maker.frames(&tracked.model, count, tracked.machine.now_ms());
    let number = rng.index(frames.len());
    // Before the first entry any term and time may come, and so it is where all entries that the log knew are deleted.
    let last_known = tracked.log().writer.last_append_time_ms().and(tracked.model.entries.last());
    let last = match number.checked_sub(1) {
        Some(before) => Some(frames[before].stamp()),
        None => last_known.map(|entry| entry.frame.stamp()),
    };
    let wrong = WRONGS[rng.index(WRONGS.len())];
    let Some(frame) = made_wrong(&frames[number], wrong, last, rng) else { return };
    frames[number] = frame;
    let error = tracked.log().writer.append(&frames).expect_err("it is wrong");
    let (found, is_expected) = match (&error, wrong) {
        (AppendError::ForeignFrame { frame }, Wrong::Partition) => (*frame, true),
        (AppendError::Chain { frame, error }, _) => (*frame, is_about(error, wrong)),
        _ => (number, false),
    };
    assert!(is_expected && found == number, "{wrong:?} in entry {number} is refused by: {error}");
}

fn is_about(error: &ChainError, wrong: Wrong) -> bool {
    match error {
        ChainError::Index { .. } => matches!(wrong, Wrong::IndexAhead | Wrong::IndexBehind),
        ChainError::Offset { .. } => wrong == Wrong::Offset,
        ChainError::Term { .. } => wrong == Wrong::Term,
        ChainError::AppendTime { .. } => wrong == Wrong::AppendTime,
        ChainError::CommitLag { .. } => wrong == Wrong::CommitLag,
    }
}

/// Makes an entry wrong in one way; `None` where it cannot be.
fn made_wrong(frame: &Frame, wrong: Wrong, last: Option<FrameStamp>, rng: &mut Rng) -> Option<Frame> {
    let (mut stamp, mut offset, mut seed) = (frame.stamp(), frame.base_offset(), IDENTITY.seed());
    match wrong {
        Wrong::IndexAhead => stamp.index = stamp.index + 1 + rng.below(3),
        Wrong::IndexBehind => stamp.index = RaftIndex::new(stamp.index.get().checked_sub(1)?),
        Wrong::Offset => offset = offset.next(),
        Wrong::Term => stamp.term = RaftTerm::new(last?.term.get().checked_sub(1)?),
        Wrong::AppendTime => stamp.append_time_ms = last?.append_time_ms.checked_sub(1)?,
        Wrong::CommitLag => stamp.commit_lag = 0,
        Wrong::Partition => {
            let partition = PartitionId::new(IDENTITY.partition.get() + 1);
            seed = LogIdentity { partition, ..IDENTITY }.seed();
        }
    }
    Some(resealed(frame, seed, stamp, offset))
}
