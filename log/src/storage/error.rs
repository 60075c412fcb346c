//! Why a storage thread did not start, take a log, or end in order.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::identity::LogIdentity;
use crate::writer::{LogWriter, WriteError};

/// A storage thread that did not start.
#[derive(Debug)]
pub enum StartError {
    /// A configuration value out of bounds.
    Config(ConfigError),
    /// The data directory could not be opened, or a thread could not be started.
    Io {
        /// The data directory.
        dir: PathBuf,
        /// What the machine answered.
        error: io::Error,
    },
}

/// A log that was not taken, because the storage thread has come to its end.
#[derive(Debug)]
pub struct AddError {
    /// The log's writer, untouched.
    pub writer: Box<LogWriter>,
}

/// A storage thread that did not end in order.
#[derive(Debug)]
pub enum ShutdownError {
    /// Some logs could not be closed. They are recovered at their next opening as after a crash.
    Logs(Vec<(LogIdentity, WriteError)>),
    /// The storage thread had panicked, so no log was closed.
    Panicked,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Io { dir, error } => write!(f, "{}: {error}", dir.display()),
        }
    }
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log {} was not taken: the storage thread has ended", self.writer.identity())
    }
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Logs(failures) => {
                write!(f, "{} logs could not be closed", failures.len())?;
                let Some((identity, error)) = failures.first() else { return Ok(()) };
                write!(f, ", the first of them {identity}: {error}")
            }
            Self::Panicked => f.write_str("the storage thread has panicked; no log was closed"),
        }
    }
}

impl std::error::Error for StartError {}
impl std::error::Error for AddError {}
impl std::error::Error for ShutdownError {}
