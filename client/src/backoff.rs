//! How long to wait before the next try.

use std::time::Duration;

/// A wait that doubles with every try up to a maximum, spread at random so that clients that failed together do not come
/// back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure, before it is spread.
    pub initial: Duration,
    /// The longest wait, before it is spread.
    pub max: Duration,
}

impl Backoff {
    /// 100 ms up to 1 s, as Kafka's clients wait.
    pub const DEFAULT: Self = Self { initial: Duration::from_millis(100), max: Duration::from_secs(1) };

    /// Returns the wait after this many failures in a row, at least 1; `spread` out of `0..1` moves it by up to a fifth
    /// either way.
    #[must_use]
    pub(crate) fn delay(self, failures: u32, spread: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
        let exact = self.initial.saturating_mul(1 << doublings).min(self.max);
        exact.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * spread.clamp(0.0, 1.0))
    }

    /// Returns the wait that a broker asked for, within reason, or else the one after this many failures in a row. A broker
    /// asks everybody for the same: `spread` out of `0..1` adds up to two fifths.
    #[must_use]
    pub(crate) fn delay_as_asked(self, asked: Option<Duration>, failures: u32, spread: f64) -> Duration {
        let spread_out = |asked: Duration| asked.min(ASKED_MAX).mul_f64(1.0 + 2.0 * SPREAD * spread.clamp(0.0, 1.0));
        asked.map_or_else(|| self.delay(failures, spread), spread_out)
    }

    /// Returns the wait after this many failures in a row, spread by this thread's random numbers.
    #[must_use]
    pub(crate) fn random_delay(self, failures: u32) -> Duration {
        self.delay(failures, fastrand::f64())
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How far a wait is moved, as a part of it.
const SPREAD: f64 = 0.2;

/// The longest wait that a broker can ask for: it may be wrong, or gone by then.
const ASKED_MAX: Duration = Duration::from_secs(30);

/// Doublings after which any wait is at its maximum; keeps the factor within its type.
const DOUBLINGS_MAX: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum() {
        let waits: Vec<u128> = (1..7).map(|failures| Backoff::DEFAULT.delay(failures, 0.5).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(Backoff::DEFAULT.delay(u32::MAX, 0.5).as_millis(), 1000);
    }

    #[test]
    fn a_broker_may_ask_for_another_wait_within_reason() {
        let asked =
            |ms, spread| Backoff::DEFAULT.delay_as_asked(Some(Duration::from_millis(ms)), 1, spread).as_millis();
        assert_eq!((asked(7, 0.0), asked(1 << 40, 0.0)), (7, 30_000));
        assert_eq!((asked(100, 0.5), asked(100, 1.0)), (120, 140));
        assert_eq!(Backoff::DEFAULT.delay_as_asked(None, 2, 0.5).as_millis(), 200);
    }

    #[test]
    fn waits_are_spread_by_a_fifth_either_way() {
        assert_eq!(Backoff::DEFAULT.delay(1, 0.0).as_millis(), 80);
        assert_eq!(Backoff::DEFAULT.delay(1, 1.0).as_millis(), 120);
    }
}
