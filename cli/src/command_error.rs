//! Why a command could not do what it was asked, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tidelog_log::inspect::{DumpError, ExportError, VerifyError};

use crate::demo_command::TourError;

/// A command that could not do what it was asked.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// A file could not be shown.
    Dump(DumpError),
    /// A log could not be verified.
    Verify(VerifyError),
    /// A log could not be exported.
    Export(ExportError),
    /// There is no log in a directory.
    NoLogs { dir: PathBuf },
    /// The tour was cut short.
    Demo(TourError),
    /// There is no text to take the tour with.
    NoText,
    /// Results could not be written.
    Output(io::Error),
    /// A file or directory could not be found or listed.
    Io { path: PathBuf, error: io::Error },
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dump(error) => {
                error.fmt(f)?;
                f.write_str(match error {
                    DumpError::UnknownFile { .. } => {
                        "; give a .log, .index or .timeindex file of a log, or its checkpoint"
                    }
                    DumpError::SegmentHeader { .. } => {
                        "; if it is a segment all the same, its frames are shown once it lies where segments do, in \
                         DATA_DIR/TOPIC_ID/PARTITION, under its own name"
                    }
                    DumpError::SmallFile(_) | DumpError::Io { .. } => "",
                })
            }
            Self::Verify(error) => error.fmt(f),
            Self::Export(error) => {
                error.fmt(f)?;
                f.write_str(match error {
                    ExportError::TargetExists { .. } => "; choose another name, or replace it with --force",
                    ExportError::TargetInLog { .. } => "; choose a file elsewhere",
                    ExportError::Damaged(_) => "; nothing was exported; tidelog log verify lists all damage",
                    ExportError::Log(VerifyError::NotALog { .. }) => {
                        "; give the directory of one log, DATA_DIR/TOPIC_ID/PARTITION"
                    }
                    ExportError::Log(_) | ExportError::Target { .. } => "",
                })
            }
            Self::NoLogs { dir } => write!(
                f,
                "{}: there is no log; give a data directory, or the directory of one log, DATA_DIR/TOPIC_ID/PARTITION",
                dir.display()
            ),
            Self::Demo(error) => error.fmt(f),
            Self::NoText => f.write_str("there is no text to produce; name a file or a directory with some"),
            Self::Output(error) => write!(f, "results could not be written to the standard output: {error}"),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}
