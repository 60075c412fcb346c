//! Random lives of a log, held against a plain vector of entries.
//!
//! `TIDELOG_CASES=100000 cargo test --release -p tidelog-tests log_model` runs as many as wanted.

mod regressions;
mod wrong_calls;

use tidelog_log::LogConfig;
use tidelog_log::SegmentName;
use tidelog_log::environment::simulated::Rng;
use tidelog_proto::ids::{Offset, RaftIndex};

use crate::log_fixture::ORIGIN;
use crate::log_fixture::seeds::SeededTest;
use crate::log_fixture::tracked_log::{Ending, Step, TrackedLog};

#[test]
fn a_log_is_a_vector_of_entries_through_any_life() {
    let test = SeededTest {
        name: "log_model::a_log_is_a_vector_of_entries_through_any_life",
        seeds: 2_500,
        count_variable: Some("TIDELOG_CASES"),
    };
    test.run(|seed| {
        let mut rng = Rng::new(seed);
        let mut tracked = TrackedLog::new(rng.next_u64(), random_config(&mut rng), random_start(&mut rng));
        tracked.maker.step_ms_max = [0, 50, 20_000][rng.index(3)];
        tracked.open(Ending::PowerCut).unwrap();
        for _ in 0..20 + rng.index(60) {
            if rng.percent(8) {
                wrong_calls::refuse_one(&mut tracked, &mut rng);
            } else {
                let step = Step::random(&mut rng);
                tracked.take(step).unwrap_or_else(|failure| panic!("{step:?}: {failure}"));
            }
            tracked.check_ends();
        }
        tracked.check_everything().unwrap();
        tracked.restart([Ending::Killed, Ending::PowerCut][rng.index(2)]).unwrap();
        tracked.reopen().unwrap();
    });
}

/// Draws a configuration that rolls often, mostly.
pub(crate) fn random_config(rng: &mut Rng) -> LogConfig {
    LogConfig {
        segment_bytes: [512, 700, 1_024, 2_048, 6_000, 40_000][rng.index(6)],
        segment_ms: [1, 100, 3_600_000][rng.index(3).max(rng.index(3))],
        index_interval_bytes: [1, 100, 700, 4_096][rng.index(4)],
        allocation_bytes_max: [64 << 10, 1 << 20][rng.index(2)],
        retention_ms: rng.percent(50).then_some(500_000),
        retention_bytes: rng.percent(50).then(|| rng.below(4_000)),
        delete_retention_ms: [0, 1_000_000][rng.index(2)],
        min_cleanable_dirty_ratio: [0.0, 0.5][rng.index(2)],
        compaction_buffer_bytes: [1_024, 64 * 1024][rng.index(2)],
        ..LogConfig::default()
    }
}

/// Draws where a log begins: at 0, or somewhere as behind a snapshot.
fn random_start(rng: &mut Rng) -> SegmentName {
    if rng.percent(70) {
        return ORIGIN;
    }
    SegmentName { base_offset: Offset::new(rng.below(1 << 40)), base_index: RaftIndex::new(rng.below(1 << 40)) }
}
