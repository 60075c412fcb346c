//! Why a log could not be changed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tidelog_proto::frame::FrameError;
use tidelog_proto::ids::{Offset, RaftIndex};

use crate::damage::Damage;
use crate::frame_chain::ChainError;
use crate::segment_scan::ScanError;

/// An append that was refused or failed.
#[derive(Debug)]
pub enum AppendError {
    /// A frame does not follow the one before it. Nothing was written.
    Chain {
        /// Which of the frames, from 0.
        frame: usize,
        /// What it breaks.
        error: ChainError,
    },
    /// A frame was made for another partition. Nothing was written.
    ForeignFrame {
        /// Which of the frames, from 0.
        frame: usize,
    },
    /// A frame is not what its checksum was made of. Nothing was written.
    Frame {
        /// Which of the frames, from 0.
        frame: usize,
        /// What is wrong.
        error: FrameError,
    },
    /// The disk is full. The first `appended` frames are in the log, the others are not; the log goes on working.
    DiskFull {
        /// How many frames were appended.
        appended: usize,
        /// How much space was asked for.
        needed_bytes: u64,
    },
    /// The log could not be written.
    Write(WriteError),
}

/// A change other than an append that was refused or failed.
#[derive(Debug)]
pub enum WriteError {
    /// An earlier write or sync failed. The log must be opened again.
    Poisoned,
    /// The disk is full. Nothing has changed, and the log goes on working.
    DiskFull {
        /// The log's directory.
        dir: PathBuf,
    },
    /// The machine failed. If it was a write or a sync that failed, the log is poisoned from now on.
    Io {
        /// The log's directory.
        dir: PathBuf,
        /// What it answered.
        error: io::Error,
    },
    /// The entries from `from` on cannot be cut: some are committed.
    Committed {
        /// First index to be cut.
        from: RaftIndex,
        /// First index that is not committed.
        committed_end: RaftIndex,
    },
    /// The log cannot start there: it does not reach that far, or the entries below are not committed.
    StartOutOfRange {
        /// The log start offset asked for.
        log_start_offset: Offset,
        /// The first index to be kept.
        raft_start: RaftIndex,
        /// Offset of the next record.
        end_offset: Offset,
        /// First index that is not committed.
        committed_end: RaftIndex,
    },
    /// The log is damaged where it had to be read.
    Damaged(Box<Damage>),
}

impl AppendError {
    /// Tells whether the same append may succeed later.
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Chain { .. } | Self::ForeignFrame { .. } | Self::Frame { .. } => false,
            Self::Write(error) => error.retriable(),
        }
    }
}

impl WriteError {
    /// Tells whether the same call may succeed later.
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::Poisoned | Self::Io { .. } | Self::Damaged(_) | Self::Committed { .. } => false,
            Self::DiskFull { .. } | Self::StartOutOfRange { .. } => true,
        }
    }
}

impl From<WriteError> for AppendError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl From<ScanError> for WriteError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Io { path, error } => Self::Io { dir: path, error },
            ScanError::Damaged(damage) => Self::Damaged(damage),
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain { frame, error } => write!(f, "frame {frame} of the append: {error}"),
            Self::ForeignFrame { frame } => write!(f, "frame {frame} of the append was made for another partition"),
            Self::Frame { frame, error } => write!(f, "frame {frame} of the append: {error}"),
            Self::DiskFull { appended, needed_bytes } => {
                write!(f, "the disk has no {needed_bytes} bytes left; {appended} frames were appended before")
            }
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned => f.write_str("an earlier write or sync of this log failed; it must be opened again"),
            Self::DiskFull { dir } => write!(f, "{}: the disk is full", dir.display()),
            Self::Io { dir, error } => write!(f, "{}: {error}", dir.display()),
            Self::Committed { from, committed_end } => {
                write!(f, "entries from raft index {from} cannot be cut: those below {committed_end} are committed")
            }
            Self::StartOutOfRange { log_start_offset, raft_start, end_offset, committed_end } => write!(
                f,
                "the log cannot start at offset {log_start_offset}, raft index {raft_start}: it ends at offset \
                 {end_offset} and is committed below raft index {committed_end}"
            ),
            Self::Damaged(damage) => damage.fmt(f),
        }
    }
}

impl std::error::Error for AppendError {}
impl std::error::Error for WriteError {}
