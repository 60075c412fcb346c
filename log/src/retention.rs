//! What may be deleted, by age and by size. A decision only: nothing here touches a file.

use tidelog_proto::ids::{Offset, RaftIndex};

use crate::config::LogConfig;
use crate::reader::SegmentInfo;

/// A new start for a log, to be replicated as a log-start entry and then handed to
/// [`LogWriter::advance_start`](crate::LogWriter::advance_start).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewStart {
    /// First offset to be kept.
    pub log_start_offset: Offset,
    /// First Raft index to be kept.
    pub raft_start: RaftIndex,
}

/// Decides which of the oldest segments may go: those whose last entry is older than `retention_ms`, and those without
/// which the rest still holds `retention_bytes`. `None` where nothing may.
///
/// Segments go whole, from the oldest on, only sealed ones, and only below `committed_end`. Age is by append time, so
/// that old records that were just written are not deleted at once.
#[must_use]
pub fn new_start(
    segments: &[SegmentInfo],
    config: &LogConfig,
    now_ms: i64,
    committed_end: RaftIndex,
) -> Option<NewStart> {
    if !config.cleanup_policy.deletes() {
        return None;
    }
    let mut kept_bytes: u64 = segments.iter().map(|segment| segment.log_bytes).sum();
    let mut start = None;
    for segment in segments {
        let Some(summary) = segment.summary.filter(|summary| summary.end_index <= committed_end) else { break };
        let age_ms = u64::try_from(now_ms.saturating_sub(summary.last_append_time_ms)).unwrap_or(0);
        let is_old = config.retention_ms.is_some_and(|retention_ms| age_ms > retention_ms);
        let rest_bytes = kept_bytes - segment.log_bytes;
        let is_surplus = config.retention_bytes.is_some_and(|retention_bytes| rest_bytes >= retention_bytes);
        if !is_old && !is_surplus {
            break;
        }
        kept_bytes = rest_bytes;
        start = Some(NewStart { log_start_offset: summary.end_offset, raft_start: summary.end_index });
    }
    start
}

#[cfg(test)]
mod tests {
    use tidelog_proto::ids::RaftTerm;

    use super::*;
    use crate::config::CleanupPolicy;
    use crate::identity::SegmentName;
    use crate::index_header::SegmentSummary;

    /// Four segments of 100 bytes and 10 entries, appended at 10, 20, 30 and 40 ms, the last one active.
    fn segments() -> Vec<SegmentInfo> {
        let segment = |number: u64| SegmentInfo {
            name: SegmentName { base_offset: Offset::new(number * 10), base_index: RaftIndex::new(number * 10) },
            summary: (number < 3).then(|| SegmentSummary {
                end_offset: Offset::new(number * 10 + 10),
                end_index: RaftIndex::new(number * 10 + 10),
                last_term: RaftTerm::new(1),
                first_append_time_ms: 0,
                last_append_time_ms: i64::try_from(number * 10 + 10).unwrap_or(0),
                max_timestamp: None,
                is_compacted: false,
                tombstones_since_ms: None,
                log_bytes: 100,
                log_crc: 0,
            }),
            log_bytes: 100,
        };
        (0..4).map(segment).collect()
    }

    fn start_at(number: u64) -> Option<NewStart> {
        Some(NewStart { log_start_offset: Offset::new(number), raft_start: RaftIndex::new(number) })
    }

    fn config(retention_ms: Option<u64>, retention_bytes: Option<u64>) -> LogConfig {
        LogConfig { retention_ms, retention_bytes, ..LogConfig::default() }
    }

    const ALL: RaftIndex = RaftIndex::new(40);

    #[test]
    fn old_segments_go_and_the_active_one_never_does() {
        assert_eq!(new_start(&segments(), &config(Some(10), None), 31, ALL), start_at(20));
        assert_eq!(new_start(&segments(), &config(Some(10), None), 20, ALL), None);
        assert_eq!(new_start(&segments(), &config(Some(10), None), i64::MAX, ALL), start_at(30));
    }

    #[test]
    fn surplus_segments_go_while_the_rest_holds_enough() {
        assert_eq!(new_start(&segments(), &config(None, Some(250)), 0, ALL), start_at(10));
        assert_eq!(new_start(&segments(), &config(None, Some(400)), 0, ALL), None);
        assert_eq!(new_start(&segments(), &config(None, Some(0)), 0, ALL), start_at(30));
    }

    #[test]
    fn nothing_goes_without_a_limit_under_another_policy_or_uncommitted() {
        assert_eq!(new_start(&segments(), &config(None, None), i64::MAX, ALL), None);
        let compacted = LogConfig { cleanup_policy: CleanupPolicy::Compact, ..config(Some(0), Some(0)) };
        assert_eq!(new_start(&segments(), &compacted, i64::MAX, ALL), None);
        assert_eq!(new_start(&segments(), &config(None, Some(0)), 0, RaftIndex::new(19)), start_at(10));
    }

    #[test]
    fn a_clock_that_went_back_deletes_nothing() {
        assert_eq!(new_start(&segments(), &config(Some(10), None), i64::MIN, ALL), None);
    }
}
