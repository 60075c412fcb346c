//! One life in which everything happens that changes a disk.

use tidelog_log::LogConfig;

use crate::log_fixture::ORIGIN;
use crate::log_fixture::tracked_log::{Ending, Failure, Step, TrackedLog};

/// Appends with acknowledgements, rolls, cuts within and across segments, starts that move, retention, compaction,
/// checkpoints, orderly stops.
pub(super) const STEPS: [Step; 65] = [
    Step::Append(3),
    Step::Sync,
    Step::Commit,
    Step::Append(5),
    Step::Sync,
    Step::Append(4),
    Step::Truncate,
    Step::Append(2),
    Step::Sync,
    Step::Checkpoint,
    Step::Commit,
    Step::Append(9),
    Step::Roll,
    Step::Append(1),
    Step::Sync,
    Step::Truncate,
    Step::Append(5),
    Step::SyncBehindAppends(3),
    Step::Commit,
    Step::AdvanceStart,
    Step::Append(4),
    Step::Sync,
    Step::Reopen,
    Step::Append(3),
    Step::Sync,
    Step::Commit,
    Step::Roll,
    Step::AdvanceRaftStart,
    Step::Compact(0),
    Step::Append(4),
    Step::Sync,
    Step::Truncate,
    Step::Append(3),
    Step::Sync,
    Step::Commit,
    Step::Roll,
    Step::AdvanceRaftStart,
    Step::Pass(2_000_000),
    Step::Compact(2),
    Step::Read,
    Step::Sync,
    Step::Reopen,
    Step::Truncate,
    Step::Append(2),
    Step::Reopen,
    Step::Checkpoint,
    Step::Append(7),
    Step::Sync,
    Step::CommitSome,
    Step::Truncate,
    Step::Append(6),
    Step::Sync,
    Step::Commit,
    Step::Retain,
    Step::AdvanceStart,
    Step::Append(2),
    Step::Sync,
    Step::Reopen,
    Step::StartAnew,
    Step::Append(3),
    Step::Sync,
    Step::Roll,
    Step::StartAnew,
    Step::Append(2),
    Step::Sync,
];

/// Segment sizes of the lives: a page holds many segments' frames, or a segment has several pages.
pub(super) const SEGMENT_BYTES: [u64; 2] = [800, 12_000];

/// Prepares the life; the log is not created yet.
pub(super) fn unborn(segment_bytes: u64) -> TrackedLog {
    let config = LogConfig {
        segment_bytes,
        index_interval_bytes: 300,
        retention_bytes: Some(3 * segment_bytes),
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: 1_000_000,
        compaction_buffer_bytes: 64 * 1024,
        ..LogConfig::default()
    };
    TrackedLog::new(segment_bytes, config, ORIGIN)
}

/// Lives it to the end, or to the first failure.
pub(super) fn live(tracked: &mut TrackedLog) -> Result<(), Failure> {
    tracked.open(Ending::PowerCut)?;
    STEPS.iter().try_for_each(|step| tracked.take(*step))
}
