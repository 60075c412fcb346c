//! Why a log could not be opened.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::damage::Damage;
use crate::segment_scan::ScanError;
use crate::small_file::SmallFileError;
use crate::writer::WriteError;

/// A log that could not be opened. What is on disk is as it was.
#[derive(Debug)]
pub enum OpenError {
    /// A configuration value is out of bounds.
    Config(ConfigError),
    /// Something that was durable is damaged or missing. Never cut and never passed over: it has to be repaired.
    Damaged(Box<Damage>),
    /// A small file could not be read, or is damaged.
    SmallFile(SmallFileError),
    /// There are segments but no checkpoint, so nobody knows what was durable.
    CheckpointMissing {
        /// The log's directory.
        dir: PathBuf,
    },
    /// What lies before the log's start could not be deleted.
    Write(WriteError),
    /// The machine failed.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it answered.
        error: io::Error,
    },
}

impl OpenError {
    /// Tells whether opening again may help.
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::Config(_) | Self::Damaged(_) | Self::SmallFile(_) | Self::CheckpointMissing { .. } => false,
            Self::Write(_) | Self::Io { .. } => true,
        }
    }
}

impl From<ScanError> for OpenError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Io { path, error } => Self::Io { path, error },
            ScanError::Damaged(damage) => Self::Damaged(damage),
        }
    }
}

impl From<SmallFileError> for OpenError {
    fn from(error: SmallFileError) -> Self {
        match error {
            SmallFileError::Io { path, error } => Self::Io { path, error },
            damaged @ SmallFileError::Damaged { .. } => Self::SmallFile(damaged),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Damaged(damage) => damage.fmt(f),
            Self::SmallFile(error) => error.fmt(f),
            Self::CheckpointMissing { dir } => {
                write!(f, "{}: there are segments but no checkpoint that says what was durable", dir.display())
            }
            Self::Write(error) => error.fmt(f),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}
