//! A file mapped for reading: the only file of this project that holds `unsafe`.
//!
//! The mapping is kept as a raw pointer, never as one slice, because most of it is not yet written or not yet published.
//! A slice is formed only over the published range that a reader asks for.
#![allow(unsafe_code, reason = "a mapped range becomes a slice here and nowhere else")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use memmap2::{MmapOptions, MmapRaw};

use crate::environment::Mapping;

/// A read-only, shared mapping of a file's first bytes.
///
/// Invariant: memory is touched only below `file_bytes`, so past neither the mapping nor the end of the file.
#[derive(Debug)]
pub(crate) struct MappedFile {
    map: MmapRaw,
    /// How much of the mapping is known to lie below the end of the file. It only rises, since a file is never shortened
    /// beneath a reader; shared because any reader may be the first to ask past it.
    file_bytes: AtomicU64,
    /// Kept only where the mapping reaches past the end that the file had, to learn how far the file has grown.
    growing: Option<Arc<File>>,
}

impl MappedFile {
    /// Maps the first `len_bytes` of `file`, which may be shorter and grow later.
    ///
    /// # Errors
    /// `InvalidInput` for a length beyond the address space, and whatever the operating system answers.
    pub(crate) fn new(file: &Arc<File>, len_bytes: u64) -> io::Result<Self> {
        let len = usize::try_from(len_bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let file_bytes = file.metadata()?.len().min(len_bytes);
        let map = MmapOptions::new().len(len).map_raw_read_only(&**file)?;
        let growing = (file_bytes < len_bytes).then(|| Arc::clone(file));
        Ok(Self { map, file_bytes: AtomicU64::new(file_bytes), growing })
    }

    /// Checks that `range` may be touched and gives its start and length.
    ///
    /// # Errors
    /// `InvalidInput` for a range that ends before it starts, `UnexpectedEof` for one that ends past the mapping or past
    /// the end of the file.
    fn locate(&self, range: &Range<u64>) -> io::Result<(usize, usize)> {
        let len = range.end.checked_sub(range.start).ok_or(io::ErrorKind::InvalidInput)?;
        if range.end > self.file_bytes.load(Ordering::Relaxed) && range.end > self.refresh_file_bytes()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Both are at most the length of the mapping, which was a usize.
        let start = usize::try_from(range.start).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        Ok((start, len))
    }

    /// Gives the address of a byte that [`MappedFile::locate`] found.
    fn address(&self, start: usize) -> *const u8 {
        self.map.as_ptr().wrapping_add(start)
    }

    /// Asks how far the file has grown into the mapping.
    fn refresh_file_bytes(&self) -> io::Result<u64> {
        let Some(file) = &self.growing else { return Ok(self.len_bytes()) };
        let file_bytes = file.metadata()?.len().min(self.len_bytes());
        Ok(self.file_bytes.fetch_max(file_bytes, Ordering::Relaxed).max(file_bytes))
    }
}

impl Mapping for MappedFile {
    fn len_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    fn bytes(self: Arc<Self>, range: Range<u64>) -> io::Result<Bytes> {
        let (start, len) = self.locate(&range)?;
        Ok(Bytes::from_owner(PublishedSlice { mapping: self, start, len }))
    }

    fn read_exact_at(&self, buffer: &mut [u8], position_bytes: u64) -> io::Result<()> {
        let end = position_bytes.checked_add(buffer.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        let (start, len) = self.locate(&(position_bytes..end))?;
        // SAFETY: `locate` gave `len` mapped bytes that lie below the end of the file, which is never shortened beneath a
        // reader, and the mapping outlives this call: the reads hit real pages. `len` is the length of `buffer`, which is
        // exclusively borrowed and so cannot overlap a mapping that is read-only. No reference to the source is formed:
        // bytes that another thread writes meanwhile, through the same page cache, arrive old or new, never as a
        // broken promise to the compiler.
        unsafe { ptr::copy_nonoverlapping(self.address(start), buffer.as_mut_ptr(), len) };
        Ok(())
    }
}

/// A published range, and the owner behind [`Mapping::bytes`].
struct PublishedSlice {
    /// Shared with every other slice: the pages stay mapped while any of them lives.
    mapping: Arc<MappedFile>,
    start: usize,
    len: usize,
}

impl AsRef<[u8]> for PublishedSlice {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `start` and `len` come from `MappedFile::locate`, so the range lies inside the mapping, which is kept
        // alive for as long as the borrow, and below the end of the file, which is never shortened
        // beneath a reader: no access raises SIGBUS. The blocks are real before the bytes are published, and reading
        // never needs a new one, so a full disk cannot raise it either. Every byte is initialised (the kernel fills
        // pages) and any value is a valid `u8`, whose alignment is one. The bytes do not change while the slice lives:
        // nobody maps the file for writing, its single writer changes it by positioned writes through the same page
        // cache and only above what was published, and `Mapping::bytes` is asked for published ranges only. The
        // simulated environment panics where that rule is broken.
        unsafe { slice::from_raw_parts(self.mapping.address(self.start), self.len) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::fs::FileExt;

    use super::*;

    fn file_with(content: &[u8]) -> Arc<File> {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(content, 0).unwrap();
        Arc::new(file)
    }

    #[test]
    fn a_slice_outlives_every_other_handle_of_the_file() {
        let file = file_with(b"published");
        let mapping = Arc::new(MappedFile::new(&file, 9).unwrap());
        let bytes = mapping.bytes(3..9).unwrap();
        drop(file);
        assert_eq!(bytes, b"lished"[..]);
    }

    #[test]
    fn a_mapping_past_the_end_sees_the_file_grow() {
        let file = file_with(b"12");
        let mapping = Arc::new(MappedFile::new(&file, 1 << 20).unwrap());
        let early = Arc::clone(&mapping).bytes(0..3).unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::UnexpectedEof);
        file.write_all_at(b"34", 2).unwrap();
        assert_eq!(Arc::clone(&mapping).bytes(0..4).unwrap(), b"1234"[..]);
        file.set_len(1 << 21).unwrap();
        let mut last = [1; 3];
        mapping.read_exact_at(&mut last, (1 << 20) - 3).unwrap();
        assert_eq!(last, [0; 3]);
    }

    #[test]
    fn ranges_past_the_mapping_are_errors_of_a_kind() {
        let mapping = Arc::new(MappedFile::new(&file_with(b"12345678"), 4).unwrap());
        assert_eq!(mapping.len_bytes(), 4);
        let kind_of = |range: Range<u64>| Arc::clone(&mapping).bytes(range).unwrap_err().kind();
        assert_eq!(kind_of(0..5), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind_of(5..5), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind_of(0..u64::MAX), io::ErrorKind::UnexpectedEof);
        #[expect(clippy::reversed_empty_ranges, reason = "what a careless caller might pass")]
        let reversed = kind_of(3..2);
        assert_eq!(reversed, io::ErrorKind::InvalidInput);
        let overflowing = mapping.read_exact_at(&mut [0; 2], u64::MAX).unwrap_err();
        assert_eq!(overflowing.kind(), io::ErrorKind::UnexpectedEof);
        assert!(Arc::clone(&mapping).bytes(4..4).unwrap().is_empty());
    }

    #[test]
    fn an_empty_file_and_an_empty_mapping_are_fine() {
        let mapping = Arc::new(MappedFile::new(&file_with(b""), 0).unwrap());
        assert!(Arc::clone(&mapping).bytes(0..0).unwrap().is_empty());
        mapping.read_exact_at(&mut [], 0).unwrap();
        assert!(mapping.read_exact_at(&mut [0], 0).is_err());
    }
}
