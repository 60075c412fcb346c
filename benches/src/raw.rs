//! The machine without Tidelog: the least that could be done to get the same bytes into files or memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, syncfs};

const PAGE_BYTES: usize = 4096;

/// Bytes that start at a page boundary, where copies are fastest.
#[derive(Debug)]
pub struct Pages {
    buffer: Vec<u8>,
    start: usize,
}

impl Pages {
    /// Takes a copy of the pieces, one behind the other.
    #[must_use]
    pub fn of<'a>(pieces: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let len: usize = pieces.clone().map(<[u8]>::len).sum();
        let mut buffer: Vec<u8> = Vec::with_capacity(len + PAGE_BYTES);
        let start = buffer.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        buffer.resize(start, 0);
        pieces.for_each(|piece| buffer.extend_from_slice(piece));
        Self { buffer, start }
    }

    /// Returns them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Returns them, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..]
    }
}

/// Makes everything on the file system of `dir` durable, so that no measurement pays for what was written before it.
///
/// # Errors
/// If the file system refuses.
pub fn settle(dir: &Path) -> io::Result<()> {
    Ok(syncfs(File::open(dir)?)?)
}

/// A file that is removed in the end.
#[derive(Debug)]
pub struct RawFile {
    file: File,
    path: PathBuf,
}

impl RawFile {
    /// Creates an empty file.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(Self { file, path })
    }

    /// Creates a file with real blocks, durably.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn allocated(path: PathBuf, bytes: u64) -> io::Result<Self> {
        let raw = Self::create(path)?;
        fallocate(&raw.file, FallocateFlags::empty(), 0, bytes)?;
        raw.file.sync_all()?;
        Ok(raw)
    }

    /// Writes all bytes by positioned writes of `piece_bytes`, the first of them at `position_bytes`.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write_at(&self, bytes: &[u8], piece_bytes: usize, position_bytes: u64) -> io::Result<Duration> {
        let start = Instant::now();
        for (number, piece) in bytes.chunks(piece_bytes).enumerate() {
            self.file.write_all_at(piece, position_bytes + (number * piece_bytes) as u64)?;
        }
        Ok(start.elapsed())
    }

    /// Writes all bytes at a position and makes them durable.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write_and_sync(&self, bytes: &[u8], position_bytes: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, position_bytes)?;
        self.file.sync_data()
    }

    /// Appends all bytes by plain writes of `piece_bytes`.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write(&self, bytes: &[u8], piece_bytes: usize) -> io::Result<Duration> {
        let start = Instant::now();
        for piece in bytes.chunks(piece_bytes) {
            (&self.file).write_all(piece)?;
        }
        Ok(start.elapsed())
    }
}

impl Drop for RawFile {
    fn drop(&mut self) {
        // Left behind, it goes with the folder around it.
        let _ = fs::remove_file(&self.path);
    }
}

/// How the files of a round are made durable.
#[derive(Clone, Copy, Debug)]
pub enum SyncMethod {
    /// Every file that was written, one after the other.
    EachFile,
    /// All that is on the file system, at once.
    Filesystem,
}

/// Two threads that make bytes durable: one writes, one syncs what was written meanwhile. The first never waits.
#[derive(Debug)]
pub struct GroupCommit<'a> {
    /// What is written, in turns.
    pub files: &'a [RawFile],
    /// Any directory on their file system.
    pub dir: &'a File,
    /// How they are synced.
    pub method: SyncMethod,
    /// Bytes of one write.
    pub piece_bytes: usize,
}

impl GroupCommit<'_> {
    /// Writes all bytes, each piece to the next file, and tells when the last was durable.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn run(&self, bytes: &[u8]) -> io::Result<Duration> {
        let pieces = bytes.len().div_ceil(self.piece_bytes) as u64;
        // All of them as well when no more will come, because a write has failed.
        let written = AtomicU64::new(0);
        let start = Instant::now();
        thread::scope(|scope| {
            let syncer = scope.spawn(|| self.sync_until(pieces, &written));
            let outcome = self.write(bytes, |count| {
                written.store(count, Ordering::Release);
                syncer.thread().unpark();
            });
            written.store(pieces, Ordering::Release);
            syncer.thread().unpark();
            outcome.and(syncer.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
        })?;
        Ok(start.elapsed())
    }

    /// Tells `note` after each piece how many were written.
    fn write(&self, bytes: &[u8], note: impl Fn(u64)) -> io::Result<()> {
        for (number, piece) in bytes.chunks(self.piece_bytes).enumerate() {
            let (round, file) = (number / self.files.len(), number % self.files.len());
            self.files[file].file.write_all_at(piece, (round * self.piece_bytes) as u64)?;
            note(number as u64 + 1);
        }
        Ok(())
    }

    fn sync_until(&self, pieces: u64, written: &AtomicU64) -> io::Result<()> {
        let mut synced = 0;
        while synced < pieces {
            let target = written.load(Ordering::Acquire);
            if target == synced {
                thread::park();
                continue;
            }
            match self.method {
                SyncMethod::Filesystem => syncfs(self.dir)?,
                SyncMethod::EachFile => {
                    let files = self.files.len() as u64;
                    for number in synced..target.min(synced + files) {
                        let file = usize::try_from(number % files).unwrap_or(0);
                        self.files[file].file.sync_data()?;
                    }
                }
            }
            synced = target;
        }
        Ok(())
    }
}
