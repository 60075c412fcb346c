//! Durable append: how fast bytes become durable when one thread writes and another syncs.
//!
//! The raw writer never waits. Tidelog's callers do, for there is a bound to what may be on its way.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use tidelog_benches::batches::{Frames, identity};
use tidelog_log::environment::RealEnvironment;
use tidelog_log::storage::{Durability, LogHandle, Storage, StorageConfig};
use tidelog_proto::frame::Frame;

use super::sample_log;
use super::scale::Scale;
use tidelog_benches::Outcome;
use tidelog_benches::raw::{GroupCommit, Pages, RawFile, SyncMethod, settle};
use tidelog_benches::report::{Bound, Section, Target};
use tidelog_benches::rounds::{Contestant, Rounds};

/// Bytes in a gigabyte.
const GB: f64 = 1e9;

/// Share of raw group commit to be reached with large batches.
const SHARE_WANTED: f64 = 0.8;

pub(crate) fn measure(dir: &Path, scale: &Scale) -> Outcome<Section> {
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for batch_bytes in scale.batch_bytes {
        for partitions in scale.partitions {
            let name = format!("{} KiB batches, {partitions} partitions", batch_bytes / 1024);
            let row = Durable::new(dir, scale, batch_bytes, partitions)?;
            let rounds = row.run(scale.rounds)?;
            let ratio = rounds.ratio(2, 0).median;
            if batch_bytes >= 256 * 1024 {
                targets.push(Target { name: name.clone(), bound: Bound::AtLeast(SHARE_WANTED), found: ratio });
            }
            let mut row = rounds.row(name, 2, 0);
            row.cells.push(rounds.ratio(2, 1));
            rows.push(row);
        }
    }
    Ok(Section {
        title: "Durable append by group commit, GB/s",
        columns: vec!["pwrite + fdatasync", "pwrite + syncfs", "Tidelog", "Tidelog / fdatasync", "Tidelog / syncfs"],
        rows,
        targets,
    })
}

/// One row.
struct Durable<'a> {
    dir: &'a Path,
    scale: &'a Scale,
    batch_bytes: usize,
    /// Those of one partition each.
    frames: Vec<Vec<Frame>>,
    /// The same bytes in the order in which they are written.
    pages: Pages,
}

impl<'a> Durable<'a> {
    fn new(dir: &'a Path, scale: &'a Scale, batch_bytes: usize, partitions: u32) -> Outcome<Self> {
        let count = usize::try_from(scale.durable_bytes / u64::from(partitions))? / batch_bytes;
        let frames_of = |partition| Frames::new(identity(partition), batch_bytes).take(count).collect();
        let frames: Vec<Vec<Frame>> = (0..partitions).map(frames_of).collect();
        let in_turn = (0..count).flat_map(|number| frames.iter().map(move |frames| frames[number].body().as_ref()));
        let pages = Pages::of(in_turn);
        Ok(Self { dir, scale, batch_bytes, frames, pages })
    }

    fn run(&self, rounds: usize) -> Outcome<Rounds> {
        let contestants = vec![
            Contestant::new(|| self.raw(SyncMethod::EachFile)),
            Contestant::new(|| self.raw(SyncMethod::Filesystem)),
            Contestant::new(|| self.tidelog()),
        ];
        Rounds::run(rounds, contestants)
    }

    fn gigabytes(&self) -> f64 {
        self.pages.bytes().len() as f64 / GB
    }

    fn raw(&self, method: SyncMethod) -> Outcome<f64> {
        let file_bytes = (self.pages.bytes().len() / self.frames.len()) as u64;
        let files = (0..self.frames.len())
            .map(|number| RawFile::allocated(self.dir.join(format!("raw-{number}")), file_bytes))
            .collect::<Result<Vec<_>, _>>()?;
        settle(self.dir)?;
        let commit = GroupCommit { files: &files, dir: &File::open(self.dir)?, method, piece_bytes: self.batch_bytes };
        Ok(self.gigabytes() / commit.run(self.pages.bytes())?.as_secs_f64())
    }

    fn tidelog(&self) -> Outcome<f64> {
        let dir = self.dir.join("durable");
        fs::create_dir(&dir)?;
        let storage = Storage::start(Arc::new(RealEnvironment::new()), &dir, StorageConfig::default())?;
        let handles = (0..self.frames.len())
            .map(|number| {
                let partition = u32::try_from(number)?;
                Ok(storage.add(sample_log::open(&dir.join(number.to_string()), partition)?.writer)?)
            })
            .collect::<Outcome<Vec<_>>>()?;
        settle(self.dir)?;
        let start = Instant::now();
        self.append_all(&handles)?;
        let seconds = start.elapsed().as_secs_f64();
        storage.shutdown()?;
        fs::remove_dir_all(&dir)?;
        Ok(self.gigabytes() / seconds)
    }

    /// Submits every batch to the next log in turn, and waits until the last is durable.
    fn append_all(&self, handles: &[LogHandle]) -> Outcome<()> {
        let in_flight_max = self.scale.in_flight_bytes / self.batch_bytes as u64;
        let progress = Arc::new(Progress { completed: AtomicU64::new(0), failed: AtomicU64::new(0) });
        let mut submitted = 0;
        for number in 0..self.frames[0].len() {
            for (handle, frames) in handles.iter().zip(&self.frames) {
                progress.wait_for((submitted + 1_u64).saturating_sub(in_flight_max));
                submit(handle, frames[number].clone(), &progress)?;
                submitted += 1;
            }
        }
        progress.wait_for(submitted);
        match progress.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            failed => Err(format!("{failed} appends failed").into()),
        }
    }
}

/// What became of the appends. The thread that submits them is the one that waits.
struct Progress {
    completed: AtomicU64,
    failed: AtomicU64,
}

impl Progress {
    fn wait_for(&self, count: u64) {
        while self.completed.load(Ordering::Acquire) < count {
            thread::park();
        }
    }
}

/// Submits one batch, as soon as there is room for it.
fn submit(handle: &LogHandle, frame: Frame, progress: &Arc<Progress>) -> Outcome<()> {
    let (submitter, noted) = (thread::current(), Arc::clone(progress));
    let completion = move |outcome: Result<_, _>| {
        noted.failed.fetch_add(u64::from(outcome.is_err()), Ordering::Relaxed);
        noted.completed.fetch_add(1, Ordering::Release);
        submitter.unpark();
    };
    let mut submission = handle.append(vec![frame], Durability::Synced, completion);
    loop {
        match submission {
            Ok(()) => return Ok(()),
            Err(error) if error.retriable() => {
                // Whoever is in the queue is completed some time, and this thread is told.
                thread::park();
                submission = handle.submit(error.into_request());
            }
            Err(error) => return Err(error.to_string().into()),
        }
    }
}
