//! Where the log meets the machine: time, randomness, threads and files behind one trait.
//!
//! Nothing else in this crate reads a clock, draws a random number, starts a thread or opens a file. [`RealEnvironment`]
//! is the machine itself; [`simulated`] is a disk with a live and a durable image and a seeded scheduler, so that every
//! crash, tear and fault can be replayed from one number.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

mod real;
pub mod simulated;

pub use real::RealEnvironment;

/// Zeros written in one write.
const ZEROS_BYTES: usize = 256 * 1024;

/// Gives time, randomness, threads and files to everything in this crate.
pub trait Environment: fmt::Debug + Send + Sync + 'static {
    /// Reads the wall clock, in milliseconds since the Unix epoch. It may step either way.
    fn now_ms(&self) -> i64;

    /// Reads a clock that never goes back, from an arbitrary start.
    fn monotonic(&self) -> Duration;

    /// Draws 64 random bits.
    fn random_u64(&self) -> u64;

    /// Starts a thread that steps `task` until it is [`Step::Done`].
    ///
    /// # Errors
    /// The thread could not be started.
    fn spawn(&self, name: &str, task: Box<dyn Task>) -> io::Result<Arc<dyn TaskHandle>>;

    /// Opens the file at `path`.
    ///
    /// A created name is durable only after [`Environment::sync_dir`] of its directory.
    ///
    /// # Errors
    /// As [`OpenMode`] says, and whatever the file system answers.
    fn open_file(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>>;

    /// Moves a file over whatever has the name `to` in the same directory, in one step. Durable after
    /// [`Environment::sync_dir`].
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name. Open files and mappings of it stay valid. Durable after [`Environment::sync_dir`].
    ///
    /// # Errors
    /// `NotFound` where there is no such name, and whatever the file system answers.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory and its parents, each made durable in its parent. Existing ones are left alone.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory. After a crash it may be back, empty.
    ///
    /// # Errors
    /// `NotFound` where there is none, `DirectoryNotEmpty`, and whatever the file system answers.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Lists the plain file names in a directory, sorted; subdirectories are left out.
    ///
    /// # Errors
    /// `NotFound` where there is no such directory, `InvalidData` for a name that is not UTF-8.
    fn list_files(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes created, renamed and removed names of a directory durable.
    ///
    /// # Errors
    /// A failed sync is never repeated: the caller gives up on the directory.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock file at `path`, creating it if need be, until the returned value is dropped or the process dies.
    ///
    /// # Errors
    /// `WouldBlock` while someone else holds it.
    fn lock_file(&self, path: &Path) -> io::Result<Box<dyn FileLock>>;

    /// Reads how many bytes an unprivileged process may still allocate on the file system of `path`.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Reads how large the file system of `path` is.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn total_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Opens the file system of `dir` for [`Filesystem::sync_all`]. It must be opened before the first write whose
    /// failure it is to report.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn open_filesystem(&self, dir: &Path) -> io::Result<Arc<dyn Filesystem>>;
}

/// Removes a name if there is one.
pub(crate) fn remove_if_there(environment: &dyn Environment, path: &Path) -> io::Result<()> {
    match environment.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes zeros as any other bytes.
fn write_zeros(file: &dyn StorageFile, range: Range<u64>) -> io::Result<()> {
    let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let zeros = vec![0; len.min(ZEROS_BYTES)];
    let mut at = range.start;
    while at < range.end {
        let part = zeros.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        file.write_all_at(&zeros[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

/// How [`Environment::open_file`] treats an existing or a missing file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Read only; `NotFound` if it is missing.
    Read,
    /// Read and write; `NotFound` if it is missing.
    ReadWrite,
    /// Read and write a new file; `AlreadyExists` if there is one.
    CreateNew,
    /// Read and write a file made empty, created if it is missing. Never used on a file that may be mapped.
    CreateEmpty,
}

/// An open file with positioned access only.
pub trait StorageFile: fmt::Debug + Send + Sync {
    /// Reads the length in bytes, allocated space included.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn len_bytes(&self) -> io::Result<u64>;

    /// Fills `buffer` from `position_bytes` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file ends first.
    fn read_exact_at(&self, buffer: &mut [u8], position_bytes: u64) -> io::Result<()>;

    /// Writes the whole of `bytes` at `position_bytes`. Durable after [`StorageFile::sync_data`].
    ///
    /// # Errors
    /// After an error any part of `bytes` may have been written.
    fn write_all_at(&self, bytes: &[u8], position_bytes: u64) -> io::Result<()>;

    /// Gives real blocks to `range`, reading as zeros where nothing was written, and extends the file to its end.
    ///
    /// # Errors
    /// `StorageFull` when there is no space; then the length is unchanged.
    fn allocate(&self, range: Range<u64>) -> io::Result<()>;

    /// Cuts or extends the file to a length. A mapped part that a reader may touch is never cut.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn set_len(&self, len_bytes: u64) -> io::Result<()>;

    /// Writes zeros over a range that has real blocks, and leaves it some. The length stays.
    ///
    /// # Errors
    /// As [`StorageFile::write_all_at`].
    fn zero(&self, range: Range<u64>) -> io::Result<()>;

    /// Makes everything written, and the length, durable (`fdatasync`).
    ///
    /// # Errors
    /// A failed sync is never repeated: after one, nothing is known about what was written since the last success. Its
    /// kind is never `StorageFull`.
    fn sync_data(&self) -> io::Result<()>;

    /// Maps the first `len_bytes` for reading. The mapping may reach past the end of the file; only bytes below it may
    /// be touched.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    fn map(&self, len_bytes: u64) -> io::Result<Arc<dyn Mapping>>;
}

/// A file mapped for reading. It stays readable after the name is removed and sees every later positioned write.
pub trait Mapping: fmt::Debug + Send + Sync {
    /// Tells how many bytes are mapped.
    fn len_bytes(&self) -> u64;

    /// Takes a slice that owns its mapping, without copying on the real environment.
    ///
    /// The caller guarantees that the range was published: its bytes are written, lie below the file's end, and never
    /// change again while any slice of them lives.
    ///
    /// # Errors
    /// `UnexpectedEof` where the range ends past the mapping, or past the end of the file, where the simulated
    /// environment panics.
    fn bytes(self: Arc<Self>, range: Range<u64>) -> io::Result<Bytes>;

    /// Copies a few bytes out. While they are being written, each may arrive old or new.
    ///
    /// # Errors
    /// `UnexpectedEof` where the range ends past the mapping, or past the end of the file, where the simulated
    /// environment panics.
    fn read_exact_at(&self, buffer: &mut [u8], position_bytes: u64) -> io::Result<()>;
}

/// A whole file system, to be made durable in one call.
pub trait Filesystem: fmt::Debug + Send + Sync {
    /// Tells whether [`Filesystem::sync_all`] leaves nothing in a cache of the drive, whatever there was to be written.
    fn flushes_drive(&self) -> bool;

    /// Makes every file of the file system durable (`syncfs`).
    ///
    /// # Errors
    /// Any write-back error since the last call or since it was opened; never repeated.
    fn sync_all(&self) -> io::Result<()>;
}

/// A held lock file; dropping it releases the lock.
pub trait FileLock: fmt::Debug + Send + Sync {}

/// Work that a thread does step by step, so that a simulation can run the same code under a seeded scheduler.
pub trait Task: Send {
    /// Does a bounded piece of work.
    fn step(&mut self) -> Step;
}

/// What a [`Task`] wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Step again at once.
    Again,
    /// Step again after [`TaskHandle::wake`]; a wake since the step began counts.
    Wait,
    /// Never step again; the thread ends.
    Done,
}

/// A running [`Task`].
pub trait TaskHandle: fmt::Debug + Send + Sync {
    /// Makes a waiting task step again. Never blocks; remembered if the task is busy.
    fn wake(&self);

    /// Waits until the task is done.
    fn join(&self);
}
