//! Doing something at a fixed rate, whether the last one is done or not, and what the times were.

use std::thread;
use std::time::{Duration, Instant};

use tidelog_benches::spread::per_mille;
use tidelog_benches::{Outcome, interrupt};

/// When each of many things is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) rate: u32,
    pub(crate) warm_up: Duration,
    /// How long after the warm-up.
    pub(crate) time: Duration,
}

impl Schedule {
    /// Returns how many there are.
    pub(crate) fn count(&self) -> u32 {
        let steps = (self.warm_up + self.time).as_nanos() / self.interval().as_nanos();
        u32::try_from(steps).unwrap_or(u32::MAX)
    }

    /// Tells whether what was to be done at that time after the start counts.
    pub(crate) fn counts(&self, after_start: Duration) -> bool {
        after_start >= self.warm_up
    }

    /// Calls `act` with each intended time. Where it comes late because the last one took long, it is called at once,
    /// with the time that was intended: whoever measures from there misses no wait (coordinated omission).
    pub(crate) fn run(&self, start: Instant, mut act: impl FnMut(Instant) -> Outcome<()>) -> Outcome<()> {
        for number in 0..self.count() {
            let intended = start + self.interval() * number;
            interrupt::check()?;
            wait_until(intended);
            act(intended)?;
        }
        Ok(())
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.rate
    }
}

/// Sleeps: a processor that spins would be missing elsewhere. The kernel wakes some 50 us late.
fn wait_until(time: Instant) {
    loop {
        let now = Instant::now();
        if now >= time {
            return;
        }
        thread::park_timeout(time - now);
    }
}

/// Latencies of one turn, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Percentiles {
    /// Sums up some latencies.
    pub(crate) fn of(latencies: impl IntoIterator<Item = Duration>) -> Outcome<Self> {
        let nanos = latencies.into_iter().map(|latency| u64::try_from(latency.as_nanos()));
        let mut nanos = nanos.collect::<Result<Vec<u64>, _>>()?;
        if nanos.is_empty() {
            return Err("nothing was measured".into());
        }
        nanos.sort_unstable();
        let millis = |share| per_mille(&nanos, share) as f64 / 1e6;
        Ok(Self { p50: millis(500), p99: millis(990), p999: millis(999), max: millis(1000) })
    }
}
