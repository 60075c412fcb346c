//! Latency at a modest rate: a sync of the disk alone, an ack, and the way to a consumer.

use std::path::Path;
use std::time::{Duration, Instant};

use tidelog_benches::Outcome;
use tidelog_benches::raw::{Pages, RawFile, settle};
use tidelog_benches::report::{Bound, Row, Section, Target};
use tidelog_benches::spread::Spread;

use crate::open_loop::{Percentiles, Schedule};
use crate::paced_records::{self, Latencies};
use crate::scale::Scale;
use crate::tidelog::Tidelog;

/// Bytes of each record's value, and of each write to the file.
pub(crate) const RECORD_BYTES: usize = 1024;

/// The producer's linger, in milliseconds; `None` is its default.
const LINGERS: [Option<u64>; 2] = [None, Some(0)];

/// An ack is to come within so many times the 99th percentile of a sync, and so many milliseconds more.
const SYNCS_WANTED: f64 = 2.0;
const MILLIS_WANTED: f64 = 0.5;

pub(crate) fn measure(dir: &Path, tidelog: &Tidelog, scale: &Scale) -> Outcome<Section> {
    let schedule = Schedule { rate: scale.latency_rate, warm_up: scale.latency_warm_up, time: scale.latency_time };
    let mut syncs = Vec::new();
    let mut records = LINGERS.map(|_| Vec::new());
    for _ in 0..scale.rounds {
        syncs.push(Syncs::measure(dir, schedule)?);
        for (linger_ms, turns) in LINGERS.into_iter().zip(&mut records) {
            turns.push(paced_records::measure(tidelog, schedule, linger_ms)?);
        }
    }
    let mut rows = vec![
        row("pwrite + fdatasync, the calls".to_owned(), &syncs, |turn| &turn.calls),
        row("pwrite + fdatasync, from the intended time".to_owned(), &syncs, |turn| &turn.from_intended),
    ];
    let mut targets = Vec::new();
    for (linger_ms, turns) in LINGERS.into_iter().zip(&records) {
        let name = linger_ms.map_or_else(|| "default linger".to_owned(), |linger_ms| format!("linger {linger_ms}"));
        rows.push(row(format!("Tidelog, {name}, taken by the producer"), turns, |turn| &turn.taken));
        rows.push(row(format!("Tidelog, {name}, acked"), turns, |turn| &turn.acked));
        rows.push(row(format!("Tidelog, {name}, consumed"), turns, |turn| &turn.consumed));
        targets.push(target(&name, &syncs, turns));
    }
    Ok(Section {
        title: "Latency at 2,000 records/s of 1 KiB, 6 partitions, acks all, ms",
        columns: vec!["p50", "p99", "p99.9", "largest"],
        rows,
        targets,
    })
}

fn row<T>(name: String, turns: &[T], of: impl Fn(&T) -> &Percentiles) -> Row {
    let spread = |figure: fn(&Percentiles) -> f64| Spread::of(turns.iter().map(|turn| figure(of(turn))));
    let cells =
        vec![spread(|turn| turn.p50), spread(|turn| turn.p99), spread(|turn| turn.p999), spread(|turn| turn.max)];
    Row { name, cells }
}

fn target(name: &str, syncs: &[Syncs], records: &[Latencies]) -> Target {
    let to_bound =
        |(sync, records): (&Syncs, &Latencies)| records.acked.p99 / (SYNCS_WANTED * sync.calls.p99 + MILLIS_WANTED);
    Target {
        name: format!("ack p99, {name}, to {SYNCS_WANTED} x fdatasync p99 + {MILLIS_WANTED} ms"),
        bound: Bound::AtMost(1.0),
        found: Spread::of(syncs.iter().zip(records).map(to_bound)).median,
    }
}

/// One turn of the disk alone.
struct Syncs {
    /// How long writing and syncing took.
    calls: Percentiles,
    /// The same from when it was to begin: one thread does one after the other, which a long one holds up.
    from_intended: Percentiles,
}

impl Syncs {
    /// Writes and syncs a record's bytes at the rate of the records, each behind the last one in an allocated file.
    fn measure(dir: &Path, schedule: Schedule) -> Outcome<Self> {
        let file_bytes = u64::from(schedule.count()) * RECORD_BYTES as u64;
        let file = RawFile::allocated(dir.join("raw"), file_bytes)?;
        let pages = Pages::of([[b'x'; RECORD_BYTES].as_slice()].into_iter());
        settle(dir)?;
        let (mut calls, mut from_intended): (Vec<Duration>, Vec<Duration>) = Default::default();
        let mut position_bytes = 0;
        let start = Instant::now();
        schedule.run(start, |intended| {
            let called = Instant::now();
            file.write_and_sync(pages.bytes(), position_bytes)?;
            position_bytes += RECORD_BYTES as u64;
            if schedule.counts(intended - start) {
                calls.push(called.elapsed());
                from_intended.push(intended.elapsed());
            }
            Ok(())
        })?;
        Ok(Self { calls: Percentiles::of(calls)?, from_intended: Percentiles::of(from_intended)? })
    }
}
