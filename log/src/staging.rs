//! The buffer between frames and the file: many small pieces become one aligned write.

use std::io;

use crate::environment::StorageFile;

/// Most bytes in one write.
const WRITE_BYTES_MAX: usize = 256 * 1024;

/// Copies whose source and destination differ by a little more than a multiple of this are many times slower on common
/// processors, in user space and in the kernel alike.
const PAGE_BYTES: usize = 4096;

/// Gathers pieces and writes them from memory that lies at the same place within a page as the bytes will lie within
/// the file's, which is where copying into the page cache is fastest.
#[derive(Debug)]
pub(crate) struct Staging {
    buffer: Vec<u8>,
}

impl Staging {
    /// Nothing is allocated before the first write: most partitions are idle.
    pub(crate) fn new() -> Self {
        Self { buffer: Vec::new() }
    }

    /// Writes the pieces back to back from `position_bytes` on; gives the position behind them.
    ///
    /// # Errors
    /// A write failed; any part may have been written.
    pub(crate) fn write<'a>(
        &mut self,
        file: &dyn StorageFile,
        position_bytes: u64,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<u64> {
        self.buffer.clear();
        self.buffer.reserve(WRITE_BYTES_MAX + PAGE_BYTES);
        let mut position = position_bytes;
        let mut start = self.align(position);
        for mut piece in pieces {
            while !piece.is_empty() {
                let room = start + WRITE_BYTES_MAX - self.buffer.len();
                let (now, rest) = piece.split_at(room.min(piece.len()));
                self.buffer.extend_from_slice(now);
                piece = rest;
                if self.buffer.len() == start + WRITE_BYTES_MAX {
                    position = self.flush(file, position, start)?;
                    start = self.align(position);
                }
            }
        }
        self.flush(file, position, start)
    }

    /// Gives back the memory, when a partition has gone idle.
    pub(crate) fn release(&mut self) {
        self.buffer = Vec::new();
    }

    /// Empties the buffer up to the first place that lies in a page where `position_bytes` lies in its.
    fn align(&mut self, position_bytes: u64) -> usize {
        let within_page = usize::try_from(position_bytes % PAGE_BYTES as u64).unwrap_or(0);
        let to_page = self.buffer.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        let start = (to_page + within_page) % PAGE_BYTES;
        self.buffer.clear();
        self.buffer.resize(start, 0);
        start
    }

    fn flush(&mut self, file: &dyn StorageFile, position_bytes: u64, start: usize) -> io::Result<u64> {
        let staged = self.buffer.get(start..).unwrap_or(&[]);
        if !staged.is_empty() {
            file.write_all_at(staged, position_bytes)?;
        }
        Ok(position_bytes + staged.len() as u64)
    }
}
