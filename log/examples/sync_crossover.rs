//! Finds out from how many dirty files on one `syncfs` is cheaper than an `fdatasync` of each: the default of
//! `syncfs_files_min` comes from its table.
//!
//! ```text
//! cargo run --release -p tidelog-log --example sync_crossover -- DIRECTORY [ROUNDS]
//! ```
//!
//! The directory must lie on the file system in question, on a machine that does nothing else: `syncfs` also writes what
//! other processes have dirty there. Each round writes 16 KiB into each of K preallocated files and makes them durable,
//! by every method in turn; the table shows the median time of a round with its smallest and largest, in microseconds.

#![forbid(unsafe_code)]

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tidelog_log::environment::{Environment, Filesystem, OpenMode, RealEnvironment, StorageFile};

const WRITE_BYTES: u64 = 16 * 1024;
const FILE_COUNTS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const ROUNDS_DEFAULT: u64 = 21;
/// A median of fewer says little.
const ROUNDS_MIN: u64 = 15;

/// How the files of a round are made durable.
#[derive(Clone, Copy)]
enum Method {
    /// `fdatasync` of each, by this many threads.
    EachFile { threads: usize },
    /// One `syncfs`.
    Filesystem,
}

const METHODS: [(&str, Method); 4] = [
    ("fdatasync each", Method::EachFile { threads: 1 }),
    ("by 2 threads", Method::EachFile { threads: 2 }),
    ("by 4 threads", Method::EachFile { threads: 4 }),
    ("one syncfs", Method::Filesystem),
];

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, "usage: sync_crossover DIRECTORY [ROUNDS]");
    let dir = PathBuf::from(arguments.next().ok_or_else(usage)?);
    let rounds = match arguments.next() {
        Some(rounds) => rounds.parse::<u64>().map_err(|_| usage())?.max(ROUNDS_MIN),
        None => ROUNDS_DEFAULT,
    };
    let environment = RealEnvironment::new();
    let filesystem = environment.open_filesystem(&dir)?;
    println!("{rounds} rounds; median [smallest to largest] in us");
    println!("files  {}", METHODS.map(|(name, _)| format!("{name:<26}")).concat());
    for count in FILE_COUNTS {
        let files = create_files(&environment, &dir, count, rounds)?;
        let columns = measure(&files, filesystem.as_ref(), rounds)?;
        println!("{count:<7}{}", columns.map(|column| format!("{:<26}", describe(column))).concat());
        for number in 0..count {
            environment.remove_file(&file_path(&dir, number))?;
        }
    }
    Ok(())
}

fn file_path(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("sync_crossover-{number}"))
}

/// Creates files with room for every round, durably, so that a round syncs nothing but what it wrote.
fn create_files(
    environment: &RealEnvironment,
    dir: &Path,
    count: usize,
    rounds: u64,
) -> io::Result<Vec<Arc<dyn StorageFile>>> {
    let files = (0..count)
        .map(|number| {
            let file = environment.open_file(&file_path(dir, number), OpenMode::CreateEmpty)?;
            file.allocate(0..(rounds + 1) * METHODS.len() as u64 * WRITE_BYTES)?;
            file.sync_data()?;
            Ok(file)
        })
        .collect::<io::Result<Vec<_>>>()?;
    environment.sync_dir(dir)?;
    Ok(files)
}

/// Takes the times of all methods in turn, so that whatever else goes on hits all of them.
fn measure(
    files: &[Arc<dyn StorageFile>],
    filesystem: &dyn Filesystem,
    rounds: u64,
) -> io::Result<[Vec<Duration>; METHODS.len()]> {
    let mut times = METHODS.map(|_| Vec::new());
    let content = vec![0x5a; usize::try_from(WRITE_BYTES).unwrap_or(usize::MAX)];
    let mut positions = Range { start: 0, end: u64::MAX }.step_by(content.len());
    // The first round warms up.
    for round in 0..=rounds {
        for ((_, method), times) in METHODS.iter().zip(&mut times) {
            let position_bytes = positions.next().unwrap_or_default();
            let start = Instant::now();
            for file in files {
                file.write_all_at(&content, position_bytes)?;
            }
            sync(files, filesystem, *method)?;
            if round > 0 {
                times.push(start.elapsed());
            }
        }
    }
    Ok(times)
}

fn sync(files: &[Arc<dyn StorageFile>], filesystem: &dyn Filesystem, method: Method) -> io::Result<()> {
    let each = |files: &[Arc<dyn StorageFile>]| files.iter().try_for_each(|file| file.sync_data());
    match method {
        Method::Filesystem => filesystem.sync_all(),
        Method::EachFile { threads } if threads.min(files.len()) < 2 => each(files),
        Method::EachFile { threads } => thread::scope(|scope| {
            let parts = files.chunks(files.len().div_ceil(threads));
            let running: Vec<_> = parts.map(|part| scope.spawn(move || each(part))).collect();
            running.into_iter().try_for_each(|part| part.join().unwrap_or(Err(io::ErrorKind::Other.into())))
        }),
    }
}

fn describe(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let micros = |time: Option<&Duration>| time.map_or(0, Duration::as_micros);
    let (median, smallest, largest) = (micros(times.get(times.len() / 2)), micros(times.first()), micros(times.last()));
    format!("{median} [{smallest} to {largest}]")
}
