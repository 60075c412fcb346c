//! Sequential read of cached data through the mapping, every checksum verified.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use tidelog_benches::batches::{Frames, identity};
use tidelog_log::{Log, LogReader};
use tidelog_proto::frame::Frame;
use tidelog_proto::ids::Offset;

use super::sample_log;
use super::scale::Scale;
use tidelog_benches::Outcome;
use tidelog_benches::raw::Pages;
use tidelog_benches::report::{Bound, Section, Target};
use tidelog_benches::rounds::{Contestant, Rounds};

/// Bytes in a gigabyte.
const GB: f64 = 1e9;

/// Bytes of one read, and of one copy.
const FETCH_BYTES: usize = 1024 * 1024;

/// Share of a copy's speed to be reached.
const SHARE_WANTED: f64 = 0.6;

pub(crate) fn measure(dir: &Path, scale: &Scale) -> Outcome<Section> {
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for batch_bytes in scale.batch_bytes {
        let log_dir = dir.join(format!("read-{batch_bytes}"));
        let log = sample_log::write_batches(&log_dir, scale.read_bytes, batch_bytes)?;
        let gigabytes = log.log_bytes as f64 / GB;
        let count = usize::try_from(log.log_bytes)? / batch_bytes;
        let frames: Vec<Frame> = Frames::new(identity(0), batch_bytes).take(count).collect();
        let source = Pages::of(frames.iter().map(|frame| frame.body().as_ref()));
        drop(frames);

        let mut target = Pages::of([&source.bytes()[..FETCH_BYTES]].into_iter());
        let copy = || Ok(gigabytes / copy_seconds(source.bytes(), target.bytes_mut()));
        let mut large_target = Pages::of([source.bytes()].into_iter());
        let copy_far = || Ok(gigabytes / copy_seconds(source.bytes(), large_target.bytes_mut()));
        let checksum = || Ok(gigabytes / checksum_seconds(source.bytes(), batch_bytes));
        let fresh = || {
            let opened = open_committed(&log_dir)?;
            Ok(gigabytes / read_seconds(&opened.reader)?)
        };
        let warm_log = open_committed(&log_dir)?;
        read_seconds(&warm_log.reader)?;
        let warm = || Ok(gigabytes / read_seconds(&warm_log.reader)?);
        let contestants = vec![
            Contestant::new(copy),
            Contestant::new(copy_far),
            Contestant::new(checksum),
            Contestant::new(fresh),
            Contestant::new(warm),
        ];
        let rounds = Rounds::run(scale.rounds, contestants)?;
        let name = format!("{} KiB batches", batch_bytes / 1024);
        let found = rounds.ratio(4, 0).median;
        targets.push(Target { name: name.clone(), bound: Bound::AtLeast(SHARE_WANTED), found });
        rows.push(rounds.row(name, 4, 0));
        std::fs::remove_dir_all(&log_dir)?;
    }
    Ok(Section {
        title: "Sequential read of cached data, every checksum verified, GB/s",
        columns: vec![
            "memcpy to a buffer",
            "memcpy to memory",
            "CRC-32C",
            "Tidelog, fresh",
            "Tidelog",
            "Tidelog / memcpy",
        ],
        rows,
        targets,
    })
}

/// Opens a closed log, with everything in it committed.
pub(crate) fn open_committed(dir: &Path) -> Outcome<Log> {
    let log = sample_log::open(dir, 0)?;
    log.reader.advance_committed(log.reader.end_index())?;
    Ok(log)
}

/// Reads the whole log.
pub(crate) fn read_seconds(reader: &LogReader) -> Outcome<f64> {
    let start = Instant::now();
    let (mut next, end) = (reader.log_start_offset(), reader.log_end_offset());
    while next < end {
        let read = reader.read(next, Offset::MAX, FETCH_BYTES as u64)?;
        next = black_box(read).next_offset;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Copies `source` piece by piece, to the start of `target` over again where that is smaller.
fn copy_seconds(source: &[u8], target: &mut [u8]) -> f64 {
    let start = Instant::now();
    let pieces = target.len() / FETCH_BYTES;
    for (number, piece) in source.chunks(FETCH_BYTES).enumerate() {
        let at = number % pieces.max(1) * FETCH_BYTES;
        black_box(&mut target[at..at + piece.len()]).copy_from_slice(piece);
    }
    start.elapsed().as_secs_f64()
}

fn checksum_seconds(source: &[u8], batch_bytes: usize) -> f64 {
    let start = Instant::now();
    for batch in source.chunks(batch_bytes) {
        black_box(crc32c::crc32c(batch));
    }
    start.elapsed().as_secs_f64()
}
