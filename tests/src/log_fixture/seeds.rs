//! Which seeds a randomised test runs, and the command that repeats a failing one.

use std::env;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// A variable that names one seed, or a range `from..to` of them.
const SEED_VARIABLE: &str = "TIDELOG_SEED";

/// A randomised test: what it is called and how many seeds it runs, from 0 on.
pub(crate) struct SeededTest {
    /// The end of the test's path, enough to find it by.
    pub(crate) name: &'static str,
    /// How many seeds run unless somebody asks for others.
    pub(crate) seeds: u64,
    /// The variable that asks for another number of seeds; `None` where the seeds number all the cases there are.
    pub(crate) count_variable: Option<&'static str>,
}

impl SeededTest {
    /// Runs `case` with each seed, on all cores.
    ///
    /// # Panics
    /// If a case does; the command that repeats its seed is printed. Or if a variable holds no number.
    pub(crate) fn run(&self, case: impl Fn(u64) + Sync) {
        let seeds = self.chosen();
        let next = AtomicU64::new(seeds.start);
        let failed = AtomicBool::new(false);
        let run_some = || {
            while !failed.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    break;
                }
                let _told = ToldOnPanic { test: self.name, seed, failed: &failed };
                case(seed);
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(run_some);
            }
        });
    }

    fn chosen(&self) -> Range<u64> {
        if let Ok(text) = env::var(SEED_VARIABLE) {
            return parse_seeds(&text).unwrap_or_else(|| panic!("{SEED_VARIABLE}={text} is no seed and no range a..b"));
        }
        let asked_for = self.count_variable.and_then(|variable| Some((variable, env::var(variable).ok()?)));
        let Some((variable, count)) = asked_for else { return 0..self.seeds };
        0..count.parse().unwrap_or_else(|error| panic!("{variable}={count}: {error}"))
    }
}

fn parse_seeds(text: &str) -> Option<Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => text.parse().ok().map(|seed| seed..seed + 1),
    }
}

/// Prints how to repeat a case, if it panics.
struct ToldOnPanic<'a> {
    test: &'static str,
    seed: u64,
    failed: &'a AtomicBool,
}

impl Drop for ToldOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.failed.store(true, Ordering::Relaxed);
            let Self { test, seed, .. } = self;
            eprintln!("seed {seed} fails; repeat it with: {SEED_VARIABLE}={seed} cargo test -p tidelog-tests {test}");
        }
    }
}

#[test]
fn a_seed_and_a_range_of_seeds_are_understood() {
    assert_eq!(parse_seeds("7"), Some(7..8));
    assert_eq!(parse_seeds("5000..20000"), Some(5_000..20_000));
    assert_eq!(parse_seeds("7..x"), None);
    assert_eq!(parse_seeds(""), None);
}
