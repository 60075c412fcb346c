//! Random lives that end at random operations, and next lives that end while they look at what is left.
//!
//! `TIDELOG_CRASH_SEEDS=100000 cargo test --release -p tidelog-tests crash_seeds` runs as many as wanted.

use tidelog_log::environment::simulated::{CrashPoint, Rng};

use crate::log_fixture::ORIGIN;
use crate::log_fixture::seeds::SeededTest;
use crate::log_fixture::tracked_log::{Ending, Failure, Step, TrackedLog};
use crate::log_model::random_config;

#[test]
fn crash_seeds() {
    let test = SeededTest {
        name: "log_crash::random_crashes::crash_seeds",
        seeds: 5_000,
        count_variable: Some("TIDELOG_CRASH_SEEDS"),
    };
    test.run(|seed| {
        let mut rng = Rng::new(seed);
        let mut tracked = TrackedLog::new(rng.next_u64(), random_config(&mut rng), ORIGIN);
        tracked.maker.step_ms_max = [0, 50, 20_000][rng.index(3)];
        let mut ending = Ending::PowerCut;
        for _ in 0..1 + rng.index(3) {
            let operations = [8, 40, 150, 400][rng.index(4)];
            crash_soon(&tracked, &mut rng, operations);
            if let Err(failure) = live(&mut tracked, &mut rng, ending) {
                assert!(tracked.machine.is_down(), "{failure}");
            }
            ending = end_life(&mut tracked, &mut rng);
        }
        tracked.open_and_go_on(ending).unwrap_or_else(|failure| panic!("{failure}"));
    });
}

/// Lets the power fail in one of the next operations.
fn crash_soon(tracked: &TrackedLog, rng: &mut Rng, operations: u64) {
    let point = [CrashPoint::Before, CrashPoint::Torn, CrashPoint::After][rng.index(3)];
    tracked.machine.crash_at(tracked.machine.operations() + rng.below(operations), point);
}

/// Opens the log and takes random steps, until the crash or for long enough.
fn live(tracked: &mut TrackedLog, rng: &mut Rng, ending: Ending) -> Result<(), Failure> {
    tracked.open(ending)?;
    for _ in 0..60 {
        match Step::random(rng) {
            // They would be another machine's.
            Step::Kill | Step::PowerCut => {}
            step => tracked.take(step)?,
        }
    }
    Ok(())
}

/// Ends the life, and perhaps some more lives that get no further than to open the log.
fn end_life(tracked: &mut TrackedLog, rng: &mut Rng) -> Ending {
    loop {
        let ending = if rng.percent(25) { Ending::Killed } else { Ending::PowerCut };
        tracked.end_life(ending);
        if rng.percent(60) {
            return ending;
        }
        crash_soon(tracked, rng, 12);
        if let Err(failure) = tracked.open(ending) {
            assert!(tracked.machine.is_down(), "{failure}");
        }
    }
}
