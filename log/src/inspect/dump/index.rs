//! Showing the entries of an index.

use std::io;
use std::path::{Path, PathBuf};

use super::DumpError;
use crate::environment::Environment;
use crate::index_header::{IndexHeader, IndexKind};
use crate::inspect::finding::{Finding, Reason};
use crate::inspect::index_fault::{IndexFault, IndexFileEntry};
use crate::inspect::index_file::{IndexFile, entry_position};
use crate::sparse_index::{IndexEntry, OffsetEntry, TimeEntry};

/// The entries of one index file, in order, and what is wrong with it.
#[derive(Debug)]
pub struct IndexDump {
    path: PathBuf,
    kind: IndexKind,
    file: IndexFile,
    next: NextIndexItem,
}

#[derive(Clone, Copy, Debug)]
enum NextIndexItem {
    Header,
    Entry(u64),
    Checksum,
    Nothing,
}

/// What an index file consists of.
#[derive(Debug)]
pub enum IndexItem {
    /// An entry.
    Entry {
        /// Its number, from 0.
        number: u64,
        /// Where it stands.
        position_bytes: u64,
        /// What it says.
        entry: IndexFileEntry,
    },
    /// Something wrong, or worth knowing.
    Finding(Finding),
}

impl IndexDump {
    pub(super) fn open(environment: &dyn Environment, path: &Path, kind: IndexKind) -> io::Result<Self> {
        let file = IndexFile::open(environment, path, kind)?;
        Ok(Self { path: path.to_owned(), kind, file, next: NextIndexItem::Header })
    }

    /// Tells which of the two indexes it is.
    #[must_use]
    pub fn kind(&self) -> IndexKind {
        self.kind
    }

    /// Gives the header; `None` where it is damaged or not written yet.
    #[must_use]
    pub fn header(&self) -> Option<&IndexHeader> {
        self.file.header.as_ref().ok()
    }

    /// Gives the length of the file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.file.file_bytes()
    }

    fn next_item(&mut self) -> io::Result<Option<IndexItem>> {
        loop {
            match self.next {
                NextIndexItem::Header => {
                    self.next = NextIndexItem::Entry(0);
                    if let Err(fault) = &self.file.header {
                        return Ok(Some(self.finding(0, fault.clone())));
                    }
                }
                NextIndexItem::Entry(number) => {
                    if let Some(bytes) = self.file.entry(number)? {
                        self.next = NextIndexItem::Entry(number + 1);
                        let entry = match self.kind {
                            IndexKind::Offset => OffsetEntry::decode(bytes).into(),
                            IndexKind::Time => TimeEntry::decode(bytes).into(),
                        };
                        return Ok(Some(IndexItem::Entry { number, position_bytes: entry_position(number), entry }));
                    }
                    self.next = NextIndexItem::Checksum;
                }
                NextIndexItem::Checksum => {
                    self.next = NextIndexItem::Nothing;
                    if let Err(fault) = self.file.check_entries()? {
                        return Ok(Some(self.finding(entry_position(0), fault)));
                    }
                }
                NextIndexItem::Nothing => return Ok(None),
            }
        }
    }

    fn finding(&self, position_bytes: u64, fault: IndexFault) -> IndexItem {
        let (path, reason) = (self.path.clone(), Reason::Index(fault));
        IndexItem::Finding(Finding { path, position_bytes, index: None, offset: None, reason })
    }
}

impl Iterator for IndexDump {
    type Item = Result<IndexItem, DumpError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_item() {
            Ok(item) => item.map(Ok),
            Err(error) => {
                self.next = NextIndexItem::Nothing;
                Some(Err(DumpError::Io { path: self.path.clone(), error }))
            }
        }
    }
}
