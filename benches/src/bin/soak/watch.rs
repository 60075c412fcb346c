//! Looking at the broker's process again and again.

use std::thread;
use std::time::{Duration, Instant};

use tidelog_benches::broker_process::BrokerProcess;
use tidelog_benches::process_usage::ProcessUsage;
use tidelog_benches::spread::Spread;
use tidelog_benches::{Outcome, interrupt};

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Bytes in a mebibyte.
const MIB: f64 = 1024.0 * 1024.0;

/// What was seen, one after the other.
#[derive(Debug)]
pub(crate) struct Samples {
    taken: Vec<(Instant, ProcessUsage)>,
}

impl Samples {
    /// Looks for as long as given, and once at both ends.
    pub(crate) fn take(broker: &mut BrokerProcess, time: Duration) -> Outcome<Self> {
        let start = Instant::now();
        let mut taken = Vec::new();
        loop {
            interrupt::check()?;
            if let Some(status) = broker.ended()? {
                return Err(format!("the broker has ended by itself: {status}").into());
            }
            taken.push((Instant::now(), broker.usage()?));
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(Self { taken });
            }
            thread::park_timeout(left.min(INTERVAL));
        }
    }

    /// Share of one processor that was used in between, in percent.
    pub(crate) fn cpu_percent(&self) -> f64 {
        let (Some((start, first)), Some((end, last))) = (self.taken.first(), self.taken.last()) else { return 0.0 };
        100.0 * (last.cpu_seconds - first.cpu_seconds) / end.duration_since(*start).as_secs_f64()
    }

    /// Memory that belongs to no file, in MiB.
    pub(crate) fn anonymous_mib(&self) -> Spread {
        Spread::of(self.taken.iter().map(|(_, usage)| usage.resident_anonymous_bytes as f64 / MIB))
    }

    /// All memory that is resident, in MiB.
    pub(crate) fn resident_mib(&self) -> Spread {
        Spread::of(self.taken.iter().map(|(_, usage)| usage.resident_bytes as f64 / MIB))
    }

    pub(crate) fn descriptors(&self) -> Spread {
        Spread::of(self.taken.iter().map(|(_, usage)| usage.open_descriptors as f64))
    }
}
