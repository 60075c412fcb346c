//! The machine itself: the standard library's files, clocks and threads, and a few Linux calls through rustix.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{Environment, FileLock, Filesystem, OpenMode, StorageFile, Task, TaskHandle};

mod file;
mod thread;

#[cfg(test)]
mod real_tests;

use file::RealFile;
use thread::TaskThread;

/// Time, randomness, threads and files of this machine. Clones share the start of the monotonic clock.
#[derive(Clone, Debug)]
pub struct RealEnvironment {
    /// Where [`Environment::monotonic`] counts from.
    start: Instant,
}

impl RealEnvironment {
    /// Starts the monotonic clock.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for RealEnvironment {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for RealEnvironment {
    fn now_ms(&self) -> i64 {
        let whole_ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => whole_ms(since),
            Err(before) => -whole_ms(before.duration()),
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn random_u64(&self) -> u64 {
        // Each state is keyed from the operating system's randomness, and the hash of anything under a secret key is
        // random to whoever does not know it.
        RandomState::new().hash_one(0)
    }

    fn spawn(&self, name: &str, task: Box<dyn Task>) -> io::Result<Arc<dyn TaskHandle>> {
        Ok(Arc::new(TaskThread::spawn(name, task)?))
    }

    fn open_file(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::ReadWrite => options.write(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
            OpenMode::CreateEmpty => options.write(true).create(true).truncate(true),
        };
        let file = options.open(path).map_err(file::no_space_as_storage_full)?;
        Ok(Arc::new(RealFile::new(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).map_err(file::no_space_as_storage_full)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        match create_directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let Some(parent) = path.parent() else { return Err(error) };
                self.create_dir_all(parent)?;
                create_directory(path)
            }
            outcome => outcome,
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn list_files(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().into_string().map_err(|_| io::ErrorKind::InvalidData)?);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all().map_err(file::failed_sync)
    }

    fn lock_file(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let statistics = rustix::fs::statvfs(path)?;
        Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let statistics = rustix::fs::statvfs(path)?;
        Ok(statistics.f_blocks.saturating_mul(statistics.f_frsize))
    }

    fn open_filesystem(&self, dir: &Path) -> io::Result<Arc<dyn Filesystem>> {
        Ok(Arc::new(RealFilesystem { dir: File::open(dir)? }))
    }
}

/// Creates one directory and makes its name durable.
///
/// An empty directory may be one whose creator died before it could sync the name, so that is done again. One that holds
/// anything was durable before its first entry was made.
fn create_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            if fs::read_dir(path)?.next().is_some() {
                return Ok(());
            }
        }
        outcome => outcome?,
    }
    match path.parent() {
        // The root directory has no name to sync.
        None => Ok(()),
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
    }
}

/// Kinds of file systems, as Linux numbers them.
const EXT4_SUPER_MAGIC: i64 = 0xef53;
const BTRFS_SUPER_MAGIC: i64 = 0x9123_683e;

/// A file system, by a descriptor of one of its directories. The kernel reports to a descriptor each write-back error
/// since it was opened, once.
#[derive(Debug)]
struct RealFilesystem {
    dir: File,
}

impl Filesystem for RealFilesystem {
    fn flushes_drive(&self) -> bool {
        // Others need not: XFS flushes with its log only, and has nothing to log where blocks are written over.
        const FLUSHING: [i64; 2] = [EXT4_SUPER_MAGIC, BTRFS_SUPER_MAGIC];
        rustix::fs::fstatfs(&self.dir).is_ok_and(|found| FLUSHING.contains(&found.f_type))
    }

    fn sync_all(&self) -> io::Result<()> {
        rustix::fs::syncfs(&self.dir).map_err(|error| file::failed_sync(error.into()))
    }
}

/// A lock that the kernel releases when the descriptor closes, so at the latest when the process dies.
#[derive(Debug)]
struct RealLock {
    _file: File,
}

impl FileLock for RealLock {}
