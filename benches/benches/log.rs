//! A log of a few megabytes on the disk of the target directory: append without sync, read, lookup. The page cache and
//! the processor's hold all of it; `limits` measures logs that are larger than that.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails ends")]

use std::hint::black_box;
use std::path::Path;
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use tempfile::TempDir;
use tidelog_benches::batches::{BATCH_INTERVAL_MS, FIRST_TIMESTAMP_MS, Frames, identity};
use tidelog_benches::json_lines::JsonLines;
use tidelog_log::environment::RealEnvironment;
use tidelog_log::{Log, LogConfig};
use tidelog_proto::batch::DecodeLimits;
use tidelog_proto::frame::Frame;
use tidelog_proto::ids::Offset;

const BATCH_BYTES: [usize; 2] = [16 * 1024, 256 * 1024];

/// Size of the log that is read, and of those that are appended to before the next is begun.
const LOG_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one read.
const FETCH_BYTES: u64 = 1024 * 1024;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    append(&mut criterion);
    read(&mut criterion);
    criterion.final_summary();
}

fn id(name: &str, batch_bytes: usize) -> BenchmarkId {
    BenchmarkId::new(name, format!("{} KiB", batch_bytes / 1024))
}

fn frames(batch_bytes: usize) -> Vec<Frame> {
    Frames::new(identity(0), batch_bytes).take(LOG_BYTES / batch_bytes).collect()
}

fn open(dir: &Path) -> Log {
    Log::open(Arc::new(RealEnvironment::new()), dir, identity(0), LogConfig::default()).unwrap()
}

/// On the disk that the program lies on, not in a temporary folder, which may be memory.
fn scratch() -> TempDir {
    let program = std::env::current_exe().unwrap();
    tempfile::tempdir_in(program.parent().unwrap()).unwrap()
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    for batch_bytes in BATCH_BYTES {
        let frames = frames(batch_bytes);
        group.throughput(Throughput::Bytes(batch_bytes as u64));
        group.bench_function(id("append without sync", batch_bytes), |bencher| {
            bencher.iter_custom(|iterations| append_times(&frames, usize::try_from(iterations).unwrap()));
        });
    }
}

/// Times that many appends, of one frame each, to as many logs as they fill.
fn append_times(frames: &[Frame], mut appends: usize) -> Duration {
    let mut time = Duration::ZERO;
    while appends > 0 {
        let scratch = scratch();
        let mut log = open(scratch.path());
        let now = frames.len().min(appends);
        let start = Instant::now();
        for frame in &frames[..now] {
            log.writer.append(slice::from_ref(frame)).unwrap();
        }
        time += start.elapsed();
        appends -= now;
    }
    time
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    for batch_bytes in BATCH_BYTES {
        let scratch = scratch();
        let mut log = open(scratch.path());
        log.writer.append(&frames(batch_bytes)).unwrap();
        let reader = log.reader;
        reader.advance_committed(reader.end_index()).unwrap();

        let end = reader.log_end_offset();
        group.throughput(Throughput::Bytes(LOG_BYTES as u64));
        group.bench_function(id("read all", batch_bytes), |bencher| {
            bencher.iter(|| {
                let mut next = Offset::ZERO;
                while next < end {
                    next = black_box(reader.read(next, end, FETCH_BYTES).unwrap()).next_offset;
                }
            });
        });

        let mut numbers = JsonLines::new(1);
        group.throughput(Throughput::Elements(1));
        group.bench_function(id("look up offset", batch_bytes), |bencher| {
            bencher.iter(|| reader.read(Offset::new(numbers.below(end.get())), end, 1).unwrap());
        });
        let span_ms = BATCH_INTERVAL_MS.unsigned_abs() * (LOG_BYTES / batch_bytes) as u64;
        group.bench_function(id("look up time", batch_bytes), |bencher| {
            bencher.iter(|| {
                let timestamp = FIRST_TIMESTAMP_MS + i64::try_from(numbers.below(span_ms)).unwrap();
                reader.offset_for_timestamp(timestamp, end, DecodeLimits::DEFAULT).unwrap()
            });
        });
    }
}
