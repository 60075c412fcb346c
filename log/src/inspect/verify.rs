//! Checking everything of a log, without opening it and without changing a byte.

mod directory;
mod seals;
mod verification;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidelog_proto::frame::Frame;
use tidelog_proto::ids::{Offset, RaftIndex};

use super::file_window::FileWindow;
use super::finding::Finding;
use super::log_files::LogFiles;
use crate::environment::Environment;
use crate::identity::{LOG_ENDING, LogIdentity, SegmentName};
use verification::Verification;

/// Follows a verification.
pub trait Observer {
    /// Takes what was found, in the order of the log.
    fn found(&mut self, finding: Finding);

    /// Sees a frame whose checksums are true.
    fn passed(&mut self, _frame: &Frame) {}

    /// Learns that so many more bytes of segments were gone through.
    fn read_bytes(&mut self, _bytes: u64) {}

    /// Tells that nothing more needs to be looked at.
    fn is_done(&self) -> bool {
        false
    }
}

/// What a verification went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whose log it is.
    pub identity: LogIdentity,
    /// Segments.
    pub segments: u64,
    /// Frames whose checksums are true.
    pub frames: u64,
    /// Frames among them that carry a batch.
    pub batches: u64,
    /// Records in those batches.
    pub records: u64,
    /// Bytes of those frames.
    pub frame_bytes: u64,
    /// First offset that is kept; `None` where the checkpoint does not tell.
    pub log_start_offset: Option<Offset>,
    /// Offset after the last record.
    pub end_offset: Offset,
    /// Raft index after the last entry.
    pub end_index: RaftIndex,
    /// Findings that are damage.
    pub damages: u64,
    /// Findings that are not.
    pub notes: u64,
}

/// Checks the log in `dir`: headers, frames and batches with their checksums, records with caps on what decompression may
/// yield, the links within and between segments, seals, index entries, the checkpoint, the start and the end. What is
/// wrong goes to `observer`, with its place, and the rest is checked all the same.
///
/// Files are only read. The log may be in use; then what is written, compacted or deleted meanwhile may show as damage.
/// Memory is bounded by two frames and the records of one batch.
///
/// # Errors
/// The directory could not be listed, or holds no log.
pub fn verify(
    environment: &Arc<dyn Environment>,
    dir: &Path,
    observer: &mut dyn Observer,
) -> Result<Verified, VerifyError> {
    Ok(verify_files(&LogFiles::find(environment, dir)?, observer))
}

pub(super) fn verify_files(files: &LogFiles, observer: &mut dyn Observer) -> Verified {
    Verification::new(files, observer).run()
}

/// Adds up the length of the segment files in `dir`, to tell how long a verification takes.
///
/// # Errors
/// The directory could not be listed, or holds no log.
pub fn segment_file_bytes(environment: &Arc<dyn Environment>, dir: &Path) -> Result<u64, VerifyError> {
    let files = LogFiles::find(environment, dir)?;
    let file_bytes = |name: &SegmentName| {
        FileWindow::open(environment.as_ref(), &files.path(*name, LOG_ENDING)).map_or(0, |file| file.len_bytes())
    };
    Ok(files.segments.iter().map(file_bytes).sum())
}

/// A directory that could not be verified.
#[derive(Debug)]
pub enum VerifyError {
    /// There is neither a segment nor a checkpoint.
    NotALog {
        /// The directory.
        dir: PathBuf,
    },
    /// Neither the path, nor the checkpoint, nor any segment says whose log it is.
    UnknownIdentity {
        /// The directory.
        dir: PathBuf,
    },
    /// The machine failed.
    Io {
        /// The directory.
        path: PathBuf,
        /// What it answered.
        error: io::Error,
    },
}

impl VerifyError {
    /// Tells whether trying again may help.
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::NotALog { .. } | Self::UnknownIdentity { .. } => false,
            Self::Io { .. } => true,
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALog { dir } => write!(f, "{}: there is neither a segment nor a checkpoint", dir.display()),
            Self::UnknownIdentity { dir } => {
                write!(f, "{}: neither path nor checkpoint nor any segment says whose log it is", dir.display())
            }
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for VerifyError {}
