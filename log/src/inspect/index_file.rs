//! An index file as it stands on disk, whether or not it is to be believed.

use std::io;
use std::path::Path;

use crc32fast::Hasher;

use super::file_window::FileWindow;
use super::index_fault::IndexFault;
use crate::environment::Environment;
use crate::index_header::{INDEX_HEADER_BYTES, IndexHeader, IndexKind};
use crate::open::later_frames::SegmentBytes;
use crate::sparse_index::ENTRY_BYTES;

/// An open index file.
#[derive(Debug)]
pub(super) struct IndexFile {
    window: FileWindow,
    /// What the header says, or why it cannot be believed.
    pub(super) header: Result<IndexHeader, IndexFault>,
}

impl IndexFile {
    /// Opens the index file at `path` and reads its header.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub(super) fn open(environment: &dyn Environment, path: &Path, kind: IndexKind) -> io::Result<Self> {
        let mut window = FileWindow::open(environment, path)?;
        let start = window.at(0, INDEX_HEADER_BYTES as u64)?;
        let header = match start.first_chunk::<INDEX_HEADER_BYTES>() {
            None if start.is_empty() => Err(IndexFault::NotSealed),
            None => Err(IndexFault::Truncated { available: start.len() as u64 }),
            Some(bytes) if *bytes == [0; INDEX_HEADER_BYTES] => Err(IndexFault::NotSealed),
            Some(bytes) => IndexHeader::decode(kind, bytes).ok_or(IndexFault::Header),
        };
        Ok(Self { window, header })
    }

    /// Gives the length of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.window.len_bytes()
    }

    /// Counts the entries: those that the header vouches for, or as many as the file holds.
    pub(super) fn entry_count(&self) -> u64 {
        let held = self.window.len_bytes().saturating_sub(INDEX_HEADER_BYTES as u64) / ENTRY_BYTES as u64;
        self.header.as_ref().map_or(held, |header| held.min(u64::from(header.entry_count)))
    }

    /// Gives the bytes of entry number `number`; `None` past the last.
    ///
    /// # Errors
    /// The file could not be read.
    pub(super) fn entry(&mut self, number: u64) -> io::Result<Option<[u8; ENTRY_BYTES]>> {
        if number >= self.entry_count() {
            return Ok(None);
        }
        let bytes = self.window.at(entry_position(number), ENTRY_BYTES as u64)?;
        Ok(bytes.first_chunk().copied())
    }

    /// Checks that the file is as long as its header says and its entries have their checksum.
    ///
    /// # Errors
    /// The file could not be read.
    pub(super) fn check_entries(&mut self) -> io::Result<Result<(), IndexFault>> {
        let Ok(header) = &self.header else { return Ok(Ok(())) };
        let (entry_count, stored) = (u64::from(header.entry_count), header.entries_crc);
        let (end_bytes, file_bytes) = (entry_position(entry_count), self.window.len_bytes());
        if file_bytes != end_bytes {
            return Ok(Err(IndexFault::Length { file_bytes, expected_bytes: end_bytes }));
        }
        let mut crc = Hasher::new();
        let mut at = INDEX_HEADER_BYTES as u64;
        while at < end_bytes {
            let bytes = self.window.at(at, 1)?;
            if bytes.is_empty() {
                break;
            }
            crc.update(&bytes);
            at += bytes.len() as u64;
        }
        let computed = crc.finalize();
        Ok(if stored == computed { Ok(()) } else { Err(IndexFault::EntriesChecksum { stored, computed }) })
    }
}

/// Gives the place of entry number `number` in an index file.
pub(super) fn entry_position(number: u64) -> u64 {
    (INDEX_HEADER_BYTES as u64).saturating_add(number.saturating_mul(ENTRY_BYTES as u64))
}
