//! A log of a given size, written once and then looked at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidelog_benches::batches::{Frames, identity};
use tidelog_log::environment::RealEnvironment;
use tidelog_log::{Log, LogConfig};

use tidelog_benches::Outcome;

/// Batches of most logs: what a producer with a short linger makes.
const BATCH_BYTES: usize = 16 * 1024;

/// Frames that are made and appended at once.
const FRAMES_AT_ONCE: usize = 256;

/// A closed log on disk.
pub(crate) struct SampleLog {
    pub(crate) dir: PathBuf,
    pub(crate) log_bytes: u64,
}

/// Opens a log, or creates it.
pub(crate) fn open(dir: &Path, partition: u32) -> Outcome<Log> {
    let environment = Arc::new(RealEnvironment::new());
    Ok(Log::open(environment, dir, identity(partition), LogConfig::default())?)
}

/// Writes and closes a log of almost `log_bytes`. They are a multiple of the segment size or less than it, so that the
/// last segment is almost full.
pub(crate) fn write(dir: &Path, log_bytes: u64) -> Outcome<SampleLog> {
    write_batches(dir, log_bytes, BATCH_BYTES)
}

/// As [`write()`], with batches of a size.
pub(crate) fn write_batches(dir: &Path, log_bytes: u64, batch_bytes: usize) -> Outcome<SampleLog> {
    let mut log = open(dir, 0)?;
    let segments = log_bytes.div_ceil(log.writer.config().segment_bytes);
    let mut frames = Frames::new(identity(0), batch_bytes);
    let frame_bytes = frames.clone().next().map_or(1, |frame| frame.frame_bytes() as u64);
    // Each segment ends with a remainder in which no frame fits.
    let mut left = segments * ((log_bytes / segments - 64) / frame_bytes);
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(FRAMES_AT_ONCE);
        log.writer.append(&frames.by_ref().take(count).collect::<Vec<_>>())?;
        left -= count as u64;
    }
    let log_bytes = log.reader.segments().iter().map(|segment| segment.log_bytes).sum();
    log.writer.close()?;
    Ok(SampleLog { dir: dir.to_owned(), log_bytes })
}
