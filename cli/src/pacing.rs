//! When each record of a replay may go on, by its time and by bytes. Pure: knows no clock.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How fast time passes in a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speed {
    /// So many times as fast as it was.
    Times(u32),
    /// As fast as it goes.
    Max,
}

/// Bytes a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(u64);

/// A speed or rate that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PacingError {
    Speed { text: String },
    Rate { text: String },
}

/// Decides when records are due, in order.
#[derive(Debug)]
pub(crate) struct Pacer {
    speed: Speed,
    rate: Option<Rate>,
    first_timestamp_ms: Option<i64>,
    /// All that was let through.
    bytes: u64,
}

impl Pacer {
    pub(crate) const fn new(speed: Speed, rate: Option<Rate>) -> Self {
        Self { speed, rate, first_timestamp_ms: None, bytes: 0 }
    }

    /// Counts a record, and tells how long after the start of the replay it is due; zero: at once. Records of times before
    /// the first one's are due at once.
    pub(crate) fn due(&mut self, timestamp_ms: i64, record_bytes: u64) -> Duration {
        let first_ms = *self.first_timestamp_ms.get_or_insert(timestamp_ms);
        let by_time = match self.speed {
            Speed::Max => Duration::ZERO,
            Speed::Times(times) => {
                let since_ms = timestamp_ms.saturating_sub(first_ms);
                Duration::from_millis(u64::try_from(since_ms).unwrap_or(0)) / times
            }
        };
        let by_rate = self.rate.map_or(Duration::ZERO, |Rate(rate)| {
            let micros = u128::from(self.bytes) * 1_000_000 / u128::from(rate);
            Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
        });
        self.bytes = self.bytes.saturating_add(record_bytes);
        by_time.max(by_rate)
    }
}

impl FromStr for Speed {
    type Err = PacingError;

    fn from_str(text: &str) -> Result<Self, PacingError> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.strip_suffix('x').filter(|times| times.bytes().all(|byte| byte.is_ascii_digit()));
        let times = times.and_then(|times| times.parse().ok()).filter(|times| (1..=1_000_000).contains(times));
        times.map(Self::Times).ok_or_else(|| PacingError::Speed { text: text.to_owned() })
    }
}

impl FromStr for Rate {
    type Err = PacingError;

    fn from_str(text: &str) -> Result<Self, PacingError> {
        const UNITS: [(&str, u64); 8] = [
            ("", 1),
            ("B", 1),
            ("KB", 1000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("KiB", 1024),
            ("MiB", 1024 * 1024),
            ("GiB", 1024 * 1024 * 1024),
        ];
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = UNITS.iter().find(|(name, _)| *name == unit);
        let rate = number.parse::<u64>().ok().zip(unit).and_then(|(number, (_, bytes))| number.checked_mul(*bytes));
        rate.filter(|rate| *rate > 0).map(Self).ok_or_else(|| PacingError::Rate { text: text.to_owned() })
    }
}

impl fmt::Display for PacingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Speed { text } => write!(f, "{text:?} is no speed; 1x, 10x, any whole number of times, or max is"),
            Self::Rate { text } => write!(f, "{text:?} is no rate; bytes a second such as 500KB, 5MB or 64KiB are"),
        }
    }
}

impl std::error::Error for PacingError {}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep_until};

    use super::*;

    #[test]
    fn speeds_and_rates_are_read() {
        assert_eq!(
            ("1x".parse(), "10x".parse(), "max".parse()),
            (Ok(Speed::Times(1)), Ok(Speed::Times(10)), Ok(Speed::Max))
        );
        for text in ["", "x", "0x", "1", "-1x", "1.5x", "fast", "1000001x"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
        for (text, rate) in
            [("5MB", 5_000_000), ("500KB", 500_000), ("64KiB", 65_536), ("7", 7), ("7B", 7), ("1GB", 1_000_000_000)]
        {
            assert_eq!(text.parse(), Ok(Rate(rate)));
        }
        for text in ["", "0", "MB", "5mb", "-5MB", "5 MB", "99999999999GB", "1.5MB"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn records_keep_their_distance_in_time() {
        let mut pacer = Pacer::new(Speed::Times(10), None);
        let due: Vec<u128> = [5000, 5100, 4000, 15_000].map(|ms| pacer.due(ms, 1).as_millis()).into();
        assert_eq!(due, [0, 10, 0, 1000]);
        let mut pacer = Pacer::new(Speed::Max, None);
        assert_eq!([0, i64::MAX, i64::MIN].map(|ms| pacer.due(ms, 1)), [Duration::ZERO; 3]);
        let mut pacer = Pacer::new(Speed::Times(1), None);
        assert_eq!([i64::MIN, 0].map(|ms| pacer.due(ms, 1).is_zero()), [true, false]);
    }

    #[test]
    fn the_slower_of_speed_and_rate_counts() {
        let mut pacer = Pacer::new(Speed::Times(1), Some(Rate(1000)));
        let due: Vec<u128> =
            [(0, 500), (100, 500), (2000, 1), (2000, 1)].map(|(ms, bytes)| pacer.due(ms, bytes).as_millis()).into();
        assert_eq!(due, [0, 500, 2000, 2000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_capped_replay_takes_as_long_as_its_bytes() {
        let (start, mut pacer) = (Instant::now(), Pacer::new(Speed::Max, Some(Rate(1_000_000))));
        for _ in 0..101 {
            sleep_until(start + pacer.due(0, 100_000)).await;
        }
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}
