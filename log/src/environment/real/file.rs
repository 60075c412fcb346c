//! A file of this machine: positioned reads and writes, real blocks, `fdatasync`.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

use crate::environment::{Mapping, StorageFile, write_zeros};
use crate::mapped_file::MappedFile;

/// Bytes written at once where blocks can only be had by writing.
const ALLOCATE_CHUNK_BYTES: usize = 64 * 1024;

/// An open file.
#[derive(Debug)]
pub(super) struct RealFile {
    /// Shared with mappings that reach past the end of the file.
    file: Arc<File>,
}

impl RealFile {
    pub(super) fn new(file: File) -> Self {
        Self { file: Arc::new(file) }
    }

    /// Gives blocks to `range` on a file system that cannot allocate: what is there is written again, the rest as zeros.
    fn allocate_by_writing(&self, range: &Range<u64>) -> io::Result<()> {
        let mut chunk = vec![0; ALLOCATE_CHUNK_BYTES];
        let mut position_bytes = range.start;
        while position_bytes < range.end {
            let left = usize::try_from(range.end - position_bytes).unwrap_or(usize::MAX);
            let chunk = &mut chunk[..left.min(ALLOCATE_CHUNK_BYTES)];
            chunk.fill(0);
            read_what_is_there(&self.file, chunk, position_bytes)?;
            self.file.write_all_at(chunk, position_bytes)?;
            position_bytes += chunk.len() as u64;
        }
        Ok(())
    }
}

impl StorageFile for RealFile {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], position_bytes: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, position_bytes)
    }

    fn write_all_at(&self, bytes: &[u8], position_bytes: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, position_bytes).map_err(no_space_as_storage_full)
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        let len = range.end.checked_sub(range.start).ok_or(io::ErrorKind::InvalidInput)?;
        if len == 0 {
            return Ok(());
        }
        let len_before = self.len_bytes()?;
        let outcome = match retry_on_intr(|| fallocate(&self.file, FallocateFlags::empty(), range.start, len)) {
            Err(Errno::OPNOTSUPP) => self.allocate_by_writing(&range),
            outcome => outcome.map_err(io::Error::from),
        };
        outcome.map_err(|error| {
            // A file system may extend the file block by block until it is full. Nobody has touched that part.
            match self.file.set_len(len_before) {
                Ok(()) => no_space_as_storage_full(error),
                Err(unrestored) => unrestored,
            }
        })
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes).map_err(no_space_as_storage_full)
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        let Some(len) = range.end.checked_sub(range.start).filter(|len| *len > 0) else { return Ok(()) };
        let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
        match retry_on_intr(|| fallocate(&self.file, flags, range.start, len)) {
            Err(Errno::OPNOTSUPP) => write_zeros(self, range),
            outcome => outcome.map_err(|error| no_space_as_storage_full(error.into())),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data().map_err(failed_sync)
    }

    fn map(&self, len_bytes: u64) -> io::Result<Arc<dyn Mapping>> {
        Ok(Arc::new(MappedFile::new(&self.file, len_bytes)?))
    }
}

/// Gives one kind to the three ways to run out of space: the file system, a quota, a limit on file size.
pub(super) fn no_space_as_storage_full(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => io::Error::new(io::ErrorKind::StorageFull, error),
        _ => error,
    }
}

/// Reads from `position_bytes` until `buffer` is full or the file ends; the rest of `buffer` is left alone.
fn read_what_is_there(file: &File, mut buffer: &mut [u8], mut position_bytes: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, position_bytes) {
            Ok(0) => break,
            Ok(read) => {
                buffer = &mut buffer[read..];
                position_bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Keeps a full disk that a sync met from looking like one that a write met: the first is final, the second is not.
pub(super) fn failed_sync(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::StorageFull { io::Error::other(error) } else { error }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn allocating_by_writing_keeps_what_is_there() {
        let file = RealFile::new(tempfile::tempfile().unwrap());
        file.write_all_at(&[7; 100_000], 0).unwrap();
        file.allocate_by_writing(&(10..300_000)).unwrap();
        assert_eq!(file.len_bytes().unwrap(), 300_000);
        let mut content = vec![1; 300_000];
        file.read_exact_at(&mut content, 0).unwrap();
        assert!(content[..100_000].iter().all(|&byte| byte == 7));
        assert!(content[100_000..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn every_way_to_run_out_of_space_has_one_kind() {
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
            assert_eq!(no_space_as_storage_full(errno.into()).kind(), io::ErrorKind::StorageFull);
        }
        assert_eq!(no_space_as_storage_full(Errno::IO.into()).raw_os_error(), Some(Errno::IO.raw_os_error()));
    }
}
