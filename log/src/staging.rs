//! The buffer between frames and the file: many small pieces become one aligned write.

use std::io;

use crate::environment::StorageFile;

/// Most bytes staged at once, up to the end of a page.
const WRITE_BYTES_MAX: usize = 256 * 1024;

/// Copies whose source and destination differ by a little more than a multiple of this are many times slower on common
/// processors, in user space and in the kernel alike.
const PAGE_BYTES: usize = 4096;

/// How much more than such a multiple is enough.
const DISTANCE_BYTES_MIN: usize = 64;

/// Whole pages that are written from where they are. Below this one more call costs more than the copy that it saves.
const DIRECT_BYTES_MIN: usize = 64 * 1024;

/// Gathers pieces and writes them from memory that lies at the same place within a page as the bytes will lie within
/// the file's, which is where copying into the page cache is fastest. Of large pieces only the ends are gathered.
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
        self.buffer.reserve(WRITE_BYTES_MAX + 2 * PAGE_BYTES);
        let mut position = position_bytes;
        let mut start = self.align(position);
        for mut piece in pieces {
            let (head, whole_pages) = direct_part(position + (self.buffer.len() - start) as u64, piece);
            if whole_pages > 0 {
                self.buffer.extend_from_slice(&piece[..head]);
                position = self.flush(file, position, start)?;
                file.write_all_at(&piece[head..head + whole_pages], position)?;
                position += whole_pages as u64;
                start = self.align(position);
                piece = &piece[head + whole_pages..];
            }
            while !piece.is_empty() {
                let room = WRITE_BYTES_MAX - (self.buffer.len() - start);
                let (now, rest) = piece.split_at(room.min(piece.len()));
                self.buffer.extend_from_slice(now);
                piece = rest;
                if now.len() == room {
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

/// Tells where in a piece that goes to `position_bytes` the pages begin that are written from where they are, and how
/// many bytes these are: none if they are few, or lie where copying them is slow.
fn direct_part(position_bytes: u64, piece: &[u8]) -> (usize, usize) {
    let within_page = usize::try_from(position_bytes % PAGE_BYTES as u64).unwrap_or(0);
    let head = (PAGE_BYTES - within_page) % PAGE_BYTES;
    let whole_pages = piece.len().saturating_sub(head) / PAGE_BYTES * PAGE_BYTES;
    let Some(pages) = piece.get(head..head + whole_pages).filter(|pages| pages.len() >= DIRECT_BYTES_MIN) else {
        return (0, 0);
    };
    // How far the file's page lies behind a page of memory, as far as it matters.
    let distance = pages.as_ptr().align_offset(PAGE_BYTES);
    if distance > 0 && distance < DISTANCE_BYTES_MIN { (0, 0) } else { (head, whole_pages) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::environment::{Environment, OpenMode, RealEnvironment};

    #[test]
    fn pieces_of_every_size_stand_back_to_back_in_the_file() {
        const LENS: [usize; 10] = [40, 70_000, 1, 0, 65_536, 40, 300_000, 4096, 131_071, 600_000];
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0_u32..1_400_000).map(|number| (number % 251) as u8).collect();
        // Places within a page of memory and of the file, near and far apart.
        for (number, (skip, position_bytes)) in
            [(0, 0), (1, 0), (17, 64), (100, 4095), (16, 300_001)].iter().enumerate()
        {
            let file =
                RealEnvironment::new().open_file(&dir.path().join(number.to_string()), OpenMode::CreateNew).unwrap();
            let mut rest = &bytes[*skip..];
            let mut pieces = Vec::new();
            for len in LENS {
                let (piece, others) = rest.split_at(len);
                pieces.push(piece);
                rest = others;
            }
            let end_bytes = Staging::new().write(file.as_ref(), *position_bytes, pieces.into_iter()).unwrap();
            let written: usize = LENS.iter().sum();
            assert_eq!(end_bytes, position_bytes + written as u64);
            assert_eq!(file.len_bytes().unwrap(), end_bytes);
            let mut content = vec![0; written];
            file.read_exact_at(&mut content, *position_bytes).unwrap();
            assert!(content == bytes[*skip..*skip + written], "case {number}");
        }
    }

    #[test]
    fn large_pieces_are_written_from_where_they_are_unless_copying_is_slow_there() {
        let bytes = vec![0; 300_000];
        let to_page = bytes.as_ptr().align_offset(PAGE_BYTES);
        assert_eq!(direct_part(0, &bytes[to_page..][..DIRECT_BYTES_MIN]), (0, DIRECT_BYTES_MIN));
        assert_eq!(direct_part(0, &bytes[to_page..][..DIRECT_BYTES_MIN - 1]), (0, 0));
        assert_eq!(direct_part(4000, &bytes[to_page + 4000..][..200_000]), (96, 196_608));
        // One byte before a page of memory goes to the start of a page of the file.
        assert_eq!(direct_part(0, &bytes[to_page + PAGE_BYTES - 1..][..200_000]), (0, 0));
        assert_eq!(direct_part(0, &bytes[to_page + 1..][..200_000]), (0, 196_608));
    }
}
