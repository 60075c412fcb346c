//! Every crash point there is.

use tidelog_log::environment::simulated::CrashPoint;

use super::script::{SEGMENT_BYTES, live, unborn};
use crate::log_fixture::seeds::SeededTest;
use crate::log_fixture::tracked_log::Ending;

const POINTS: [CrashPoint; 3] = [CrashPoint::Before, CrashPoint::Torn, CrashPoint::After];

/// Losses of power that each crash is followed by, apart from the death of the process alone.
const POWER_CUTS: u64 = 5;

#[test]
fn a_crash_before_in_and_after_every_operation_loses_nothing_acknowledged() {
    let mut cases = Vec::new();
    for segment_bytes in SEGMENT_BYTES {
        let mut whole = unborn(segment_bytes);
        live(&mut whole).unwrap_or_else(|failure| panic!("nothing fails without a crash: {failure}"));
        let operations = whole.machine.operations();
        assert!(operations > 300, "{operations} operations are too few to be proof");
        let points_of = |operation| POINTS.map(|point| (segment_bytes, operation, point));
        cases.extend((0..operations).flat_map(points_of));
    }
    let test = SeededTest {
        name: "log_crash::points::a_crash_before_in_and_after_every_operation_loses_nothing_acknowledged",
        seeds: cases.len() as u64,
        count_variable: None,
    };
    test.run(|number| {
        let (segment_bytes, operation, point) = cases[usize::try_from(number).expect("it numbers a case")];
        let mut tracked = unborn(segment_bytes);
        tracked.machine.crash_at(operation, point);
        let outcome = live(&mut tracked);
        assert!(outcome.is_err() && tracked.machine.is_down(), "operation {operation} {point:?}: {outcome:?}");
        let endings = (0..=POWER_CUTS).map(|seed| (if seed == 0 { Ending::Killed } else { Ending::PowerCut }, seed));
        for (ending, seed) in endings {
            let mut next = tracked.next_life(ending, seed);
            // Every log opens; to go on afterwards takes three times as long, so not every one does.
            let goes_on = seed < 2 || (seed + number) % POWER_CUTS == 0;
            let outcome = if goes_on { next.open_and_go_on(ending) } else { next.open(ending) };
            if let Err(failure) = outcome {
                panic!("operation {operation} {point:?}, {ending:?} {seed}: {failure}");
            }
        }
    });
}
