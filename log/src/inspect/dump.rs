//! Showing one file of a log, whatever state it is in.

mod index;
mod segment;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidelog_proto::segment_header::SegmentHeaderError;

pub use index::{IndexDump, IndexItem};
pub use segment::{SegmentDump, SegmentItem};

use super::file_window::FileWindow;
use crate::checkpoint::{CHECKPOINT_FILE, Checkpoint};
use crate::compaction::waiting_ending;
use crate::environment::Environment;
use crate::identity::{LOG_ENDING, OFFSET_INDEX_ENDING, TIME_INDEX_ENDING};
use crate::index_header::IndexKind;
use crate::open::later_frames::SegmentBytes;
use crate::small_file::SmallFileError;

/// What kind of file it is, by its first bytes, or by its name where they are none of ours.
#[derive(Clone, Copy)]
enum FileKind {
    Segment,
    Index(IndexKind),
    Checkpoint,
}

/// An open file of a log.
#[derive(Debug)]
pub enum Dump {
    /// A segment: its frames.
    Segment(Box<SegmentDump>),
    /// An index: its entries.
    Index(Box<IndexDump>),
    /// A checkpoint, all of it.
    Checkpoint(Box<Checkpoint>),
}

/// Opens the file at `path` to be shown: a segment, one of its two indexes, or a checkpoint.
///
/// # Errors
/// The file could not be read or is none of these; a segment does not say whose it is; a checkpoint is damaged.
pub fn dump(environment: &Arc<dyn Environment>, path: &Path) -> Result<Dump, DumpError> {
    let environment = environment.as_ref();
    let io_error = |error| DumpError::Io { path: path.to_owned(), error };
    let mut window = FileWindow::open(environment, path).map_err(io_error)?;
    let start = window.at(0, 8).map_err(io_error)?;
    let magic = start.first_chunk::<8>().copied();
    match FileKind::by_magic(magic).or_else(|| FileKind::by_name(path)) {
        Some(FileKind::Segment) => Ok(Dump::Segment(Box::new(SegmentDump::new(window, path)?))),
        Some(FileKind::Index(kind)) => {
            IndexDump::open(environment, path, kind).map(|index| Dump::Index(Box::new(index))).map_err(io_error)
        }
        Some(FileKind::Checkpoint) => match Checkpoint::read_any(environment, path) {
            Ok(Some(checkpoint)) => Ok(Dump::Checkpoint(Box::new(checkpoint))),
            Ok(None) => Err(io_error(io::ErrorKind::NotFound.into())),
            Err(error) => Err(DumpError::SmallFile(error)),
        },
        None => Err(DumpError::UnknownFile { path: path.to_owned() }),
    }
}

impl FileKind {
    fn by_magic(magic: Option<[u8; 8]>) -> Option<Self> {
        match &magic? {
            b"TIDELOG1" => Some(Self::Segment),
            b"TLINDEX1" => Some(Self::Index(IndexKind::Offset)),
            b"TLTIMEX1" => Some(Self::Index(IndexKind::Time)),
            b"TLSMALL1" => Some(Self::Checkpoint),
            _ => None,
        }
    }

    fn by_name(path: &Path) -> Option<Self> {
        let file_name = path.file_name()?.to_str()?;
        if file_name == CHECKPOINT_FILE {
            return Some(Self::Checkpoint);
        }
        let ending = path.extension()?.to_str()?;
        let is = |known| ending == known || waiting_ending(known) == Some(ending);
        match () {
            () if is(LOG_ENDING) => Some(Self::Segment),
            () if is(OFFSET_INDEX_ENDING) => Some(Self::Index(IndexKind::Offset)),
            () if is(TIME_INDEX_ENDING) => Some(Self::Index(IndexKind::Time)),
            () => None,
        }
    }
}

/// A file that could not be shown.
#[derive(Debug)]
pub enum DumpError {
    /// It is neither a segment, nor an index, nor a checkpoint.
    UnknownFile {
        /// The file.
        path: PathBuf,
    },
    /// The header of a segment is damaged, and its path does not say whose it is either.
    SegmentHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: SegmentHeaderError,
    },
    /// A checkpoint could not be read, or is damaged.
    SmallFile(SmallFileError),
    /// The machine failed.
    Io {
        /// The file.
        path: PathBuf,
        /// What it answered.
        error: io::Error,
    },
}

impl DumpError {
    /// Tells whether trying again may help.
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::UnknownFile { .. } | Self::SegmentHeader { .. } | Self::SmallFile(SmallFileError::Damaged { .. }) => {
                false
            }
            Self::SmallFile(SmallFileError::Io { .. }) | Self::Io { .. } => true,
        }
    }
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFile { path } => {
                write!(f, "{}: neither a segment, nor an index, nor a checkpoint", path.display())
            }
            Self::SegmentHeader { path, error } => write!(f, "{} at byte 0: {error}", path.display()),
            Self::SmallFile(error) => error.fmt(f),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for DumpError {}
