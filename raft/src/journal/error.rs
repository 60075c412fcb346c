//! Why a journal was not opened, and why something was not saved.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A journal that was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// There is none in the directory.
    Missing {
        /// The data directory.
        dir: PathBuf,
    },
    /// What is there cannot be believed.
    Refused {
        /// The file, or the data directory.
        path: PathBuf,
        /// What is wrong.
        fault: JournalFault,
    },
    /// The machine failed, or its disk is full.
    Io {
        /// The file, or the data directory.
        path: PathBuf,
        /// What it answered.
        error: Arc<io::Error>,
    },
}

impl OpenError {
    /// Tells whether votes are lost that others may count on: the directory counts as wiped, and nothing in it may vote
    /// again under its old identity. Otherwise the same opening may succeed when its cause is gone.
    #[must_use]
    pub fn counts_as_wiped(&self) -> bool {
        match self {
            Self::Missing { .. } => true,
            Self::Refused { fault, .. } => fault.is_damage(),
            Self::Io { .. } => false,
        }
    }
}

/// What is wrong with a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalFault {
    /// Neither file is live: the one that was has lost its header, or is gone.
    NotLive,
    /// A file is longer than a journal gets.
    Length {
        /// Length of the file.
        len_bytes: u64,
    },
    /// The state that the file began with is not whole.
    Base {
        /// Position of the first record that is not sound.
        position_bytes: u64,
    },
    /// A record is not sound, but a later one says that it was durable.
    Record {
        /// Position of the record.
        position_bytes: u64,
        /// Its number.
        sequence: u64,
        /// Every record below this number was durable.
        durable_end: u64,
    },
    /// A checksum holds over a field that is out of bounds.
    Content {
        /// Position of the record, or 0 for the header.
        position_bytes: u64,
    },
    /// A later release wrote the file.
    UnknownVersion {
        /// Version of the file.
        version: u16,
    },
    /// A later release wrote a record.
    UnknownKind {
        /// Number of the kind.
        kind: u16,
        /// Position of the record.
        position_bytes: u64,
    },
}

impl JournalFault {
    fn is_damage(self) -> bool {
        match self {
            Self::NotLive | Self::Length { .. } | Self::Base { .. } | Self::Record { .. } | Self::Content { .. } => {
                true
            }
            Self::UnknownVersion { .. } | Self::UnknownKind { .. } => false,
        }
    }
}

/// Something that was not saved. It may, or may not, be there after a restart.
#[derive(Clone, Debug)]
pub enum SaveError {
    /// The disk has no room for a larger state. Nothing has changed, and the journal goes on working.
    NoSpace {
        /// How large the file would have to be.
        needed_bytes: u64,
    },
    /// A write or sync of the journal failed, this one or an earlier one. Nothing will be saved any more: the process
    /// must end, since nobody knows which votes are durable.
    Failed {
        /// The file.
        path: PathBuf,
        /// What the machine answered; shared, since everyone who waits is told.
        error: Arc<io::Error>,
    },
}

impl SaveError {
    /// Tells whether the same request may be saved later.
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Failed { .. } => false,
        }
    }
}

/// A request that was not taken. Its completion is dropped without having run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// As much is waiting as is allowed.
    Full,
    /// An earlier write or sync failed: the process must end.
    Poisoned,
    /// The journal was shut down.
    Closed,
}

impl SubmitError {
    /// Tells whether the same request may be taken later.
    #[must_use]
    pub fn retriable(self) -> bool {
        match self {
            Self::Full => true,
            Self::Poisoned | Self::Closed => false,
        }
    }
}

/// A journal that did not end in order. The next opening finds it as after a crash.
#[derive(Clone, Debug)]
pub enum ShutdownError {
    /// Its end could not be written.
    Save(SaveError),
    /// Its task had panicked.
    Panicked,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { dir } => write!(f, "{}: there is no journal", dir.display()),
            Self::Refused { path, fault } => write!(f, "{}: {fault}", path.display()),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl fmt::Display for JournalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLive => f.write_str("neither file of the journal is live; the one that was is damaged or gone"),
            Self::Length { len_bytes } => write!(f, "a length of {len_bytes} bytes is more than a journal has"),
            Self::Base { position_bytes } => write!(f, "the state at its start is damaged at byte {position_bytes}"),
            Self::Record { position_bytes, sequence, durable_end } => write!(
                f,
                "record {sequence} at byte {position_bytes} is damaged, although all below {durable_end} were durable"
            ),
            Self::Content { position_bytes } => write!(f, "a field is out of bounds at byte {position_bytes}"),
            Self::UnknownVersion { version } => write!(f, "version {version} is not known here"),
            Self::UnknownKind { kind, position_bytes } => {
                write!(f, "a record of kind {kind} at byte {position_bytes} is not known here")
            }
        }
    }
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace { needed_bytes } => write!(f, "the disk has no room for a journal of {needed_bytes} bytes"),
            Self::Failed { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "too much is waiting for the journal",
            Self::Poisoned => "an earlier write or sync of the journal failed",
            Self::Closed => "the journal was shut down",
        })
    }
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Save(error) => error.fmt(f),
            Self::Panicked => f.write_str("the task of the journal has panicked"),
        }
    }
}

impl std::error::Error for OpenError {}
impl std::error::Error for SaveError {}
impl std::error::Error for SubmitError {}
impl std::error::Error for ShutdownError {}
