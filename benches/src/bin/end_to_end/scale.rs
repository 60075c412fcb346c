//! How much of everything is measured.

use std::time::Duration;

const MIB: u64 = 1024 * 1024;

/// Sizes and counts of one run of the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// How often each contestant has its turn.
    pub(crate) rounds: usize,
    /// Values produced in each turn, in bytes, where they are of 1 KiB.
    large_record_bytes: u64,
    /// The same where they are of 100 B: less, since they take longer.
    small_record_bytes: u64,
    /// Bytes of batches that each turn of a ceiling or a consumer moves at least, all over again where a topic holds less:
    /// a shorter one tells little, and the system tells processor times in steps of 10 ms only.
    pub(crate) moved_bytes_min: u64,
    /// Text from which values are taken, over and over: more than caches hold.
    pub(crate) text_bytes: u64,
    /// How long latency is measured in each turn.
    pub(crate) latency_time: Duration,
    /// How long before that records are sent whose latency does not count.
    pub(crate) latency_warm_up: Duration,
    /// Records a second while latency is measured.
    pub(crate) latency_rate: u32,
}

impl Scale {
    /// What figures are to come from.
    pub(crate) const fn full(rounds: usize) -> Self {
        Self {
            rounds,
            large_record_bytes: 512 * MIB,
            small_record_bytes: 128 * MIB,
            moved_bytes_min: 256 * MIB,
            text_bytes: 64 * MIB,
            latency_time: Duration::from_secs(20),
            latency_warm_up: Duration::from_secs(3),
            latency_rate: 2000,
        }
    }

    /// Enough to see that everything works.
    pub(crate) const fn quick() -> Self {
        Self {
            large_record_bytes: 16 * MIB,
            small_record_bytes: 4 * MIB,
            moved_bytes_min: 8 * MIB,
            text_bytes: 4 * MIB,
            latency_time: Duration::from_secs(1),
            latency_warm_up: Duration::from_millis(300),
            ..Self::full(1)
        }
    }

    /// Returns how many records of a size are produced or consumed in a turn.
    pub(crate) fn records(&self, record_bytes: usize) -> u64 {
        let bytes = if record_bytes < 1000 { self.small_record_bytes } else { self.large_record_bytes };
        bytes / record_bytes as u64
    }
}
