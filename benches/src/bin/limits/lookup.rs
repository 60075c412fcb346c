//! Random lookup in a large log: one batch by an offset in it, one record by its timestamp.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use tidelog_benches::batches::FIRST_TIMESTAMP_MS;
use tidelog_benches::json_lines::JsonLines;
use tidelog_benches::spread::{Spread, percentile};
use tidelog_log::LogReader;
use tidelog_proto::batch::DecodeLimits;
use tidelog_proto::ids::Offset;

use super::read::{open_committed, read_seconds};
use super::sample_log::{self, SampleLog};
use super::scale::Scale;
use tidelog_benches::Outcome;
use tidelog_benches::report::{Bound, Row, Section, Target};

/// Microseconds that all but one in a hundred lookups must stay below.
const MICROS_WANTED: f64 = 5.0;

pub(crate) fn measure(dir: &Path, scale: &Scale) -> Outcome<Section> {
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for batch_bytes in scale.lookup_batch_bytes {
        let log_dir = dir.join(format!("lookup-{batch_bytes}"));
        let log = sample_log::write_batches(&log_dir, scale.large_log_bytes, batch_bytes)?;
        let size = format!("{} KiB batches", batch_bytes / 1024);
        let names =
            [format!("{size}, CRC-32C of as much memory"), format!("{size}, by offset"), format!("{size}, by time")];
        for (number, (name, percentiles)) in names.into_iter().zip(look_up(&log, batch_bytes, scale)?).enumerate() {
            let spread = |of: fn(&Percentiles) -> f64| Spread::of(percentiles.iter().map(of));
            let p99 = spread(|percentiles| percentiles.p99);
            // The first is no lookup.
            if number > 0 {
                let name = format!("{name}, p99");
                targets.push(Target { name, bound: Bound::Below(MICROS_WANTED), found: p99.median });
            }
            let cells = vec![spread(|percentiles| percentiles.p50), p99, spread(|percentiles| percentiles.max)];
            rows.push(Row { name, cells });
        }
        fs::remove_dir_all(&log_dir)?;
    }
    Ok(Section { title: "Random lookup, warm, us", columns: vec!["p50", "p99", "largest"], rows, targets })
}

/// Measures a checksum, lookups by offset and lookups by time in turns.
fn look_up(log: &SampleLog, batch_bytes: usize, scale: &Scale) -> Outcome<[Vec<Percentiles>; 3]> {
    let opened = open_committed(&log.dir)?;
    let reader = &opened.reader;
    // Every page is mapped and every index is checked once.
    read_seconds(reader)?;
    let last = reader.read(Offset::new(reader.log_end_offset().get() - 1), Offset::MAX, 1)?;
    let last_ms = last.batches.first().map_or(0, |batch| batch.header().max_timestamp());
    let span_ms = u64::try_from(last_ms - FIRST_TIMESTAMP_MS)?;

    let memory = memory(scale.read_bytes);
    let mut numbers = JsonLines::new(1);
    let mut samples = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..scale.rounds {
        let [checksum, by_offset, by_time] = &mut samples;
        checksum.push(Percentiles::of(scale.lookups, || Ok(checksum_time(&memory, batch_bytes, &mut numbers)))?);
        by_offset.push(Percentiles::of(scale.lookups, || look_up_offset(reader, &mut numbers))?);
        by_time.push(Percentiles::of(scale.lookups, || look_up_time(reader, &mut numbers, span_ms))?);
    }
    Ok(samples)
}

/// Makes memory that is in no cache when it is touched at random.
fn memory(bytes: u64) -> Vec<u8> {
    let mut numbers = JsonLines::new(2);
    (0..bytes / 8).flat_map(|_| numbers.below(u64::MAX).to_le_bytes()).collect()
}

/// Times what a lookup cannot do without: touching and checking a whole batch.
fn checksum_time(memory: &[u8], batch_bytes: usize, numbers: &mut JsonLines) -> Duration {
    let end = memory.len() - batch_bytes;
    let at = usize::try_from(numbers.below(end as u64)).unwrap_or(0);
    let start = Instant::now();
    black_box(crc32c::crc32c(&memory[at..at + batch_bytes]));
    start.elapsed()
}

fn look_up_offset(reader: &LogReader, numbers: &mut JsonLines) -> Outcome<Duration> {
    let offset = Offset::new(numbers.below(reader.log_end_offset().get()));
    let start = Instant::now();
    let read = black_box(reader.read(offset, Offset::MAX, 1)?);
    let time = start.elapsed();
    let found = read.batches.first().is_some_and(|batch| {
        let header = batch.header();
        header.base_offset() <= offset && offset < header.next_offset()
    });
    if found { Ok(time) } else { Err(format!("offset {offset} was not found").into()) }
}

fn look_up_time(reader: &LogReader, numbers: &mut JsonLines, span_ms: u64) -> Outcome<Duration> {
    let timestamp = FIRST_TIMESTAMP_MS + i64::try_from(numbers.below(span_ms))?;
    let start = Instant::now();
    let found = black_box(reader.offset_for_timestamp(timestamp, Offset::MAX, DecodeLimits::DEFAULT)?);
    let time = start.elapsed();
    let is_right = found.is_some_and(|found| found.timestamp >= timestamp);
    if is_right { Ok(time) } else { Err(format!("time {timestamp} was not found").into()) }
}

/// What came out of many lookups, in microseconds.
struct Percentiles {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Percentiles {
    fn of(count: u64, mut look_up: impl FnMut() -> Outcome<Duration>) -> Outcome<Self> {
        let mut nanos = (0..count).map(|_| Ok(u64::try_from(look_up()?.as_nanos())?)).collect::<Outcome<Vec<u64>>>()?;
        nanos.sort_unstable();
        let micros = |percent| percentile(&nanos, percent) as f64 / 1000.0;
        Ok(Self { p50: micros(50), p99: micros(99), max: micros(100) })
    }
}
