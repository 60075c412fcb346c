//! `tidelog log`: looking into the files of a log, without a broker.

mod dump;
mod export;
mod finding;
mod frame;
mod index;
mod log_dirs;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use tidelog_log::data_dir::DataDir;
use tidelog_log::environment::{Environment, RealEnvironment};

use crate::command_error::CommandError;
use crate::{Options, Outcome};

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Show what a file of a log holds: the frames and batches of a segment, the entries of an index, a checkpoint.
    ///
    /// Frames of which any checksum is wrong are reported with their place, and the next one is looked for behind them;
    /// then the exit code is 1.
    #[command(after_help = "Examples:
  tidelog log dump data/7d444840-9dc0-11d1-b245-5ffdce74fad2/0/00000000000000000000-0.log
  tidelog log dump --records --output json 00000000000000000000-0.log | jq .value")]
    Dump(dump::Dump),

    /// Check a log, or all logs of a data directory, to the last byte, and say where damage is.
    ///
    /// Checked are headers, frames and batches with their checksums, records, the links within and between segments,
    /// seals, indexes, the checkpoint, the start and the end. Nothing is changed. The exit code is 1 if anything is
    /// damaged; notes are no damage: a torn tail after a crash is cut when the log is opened.
    #[command(after_help = "Examples:
  tidelog log verify data
  tidelog log verify data/7d444840-9dc0-11d1-b245-5ffdce74fad2/0 --output json")]
    Verify(verify::Verify),

    /// Write a log as a plain Kafka log: its batches byte for byte, nothing else.
    ///
    /// The log is verified on the way; nothing is exported from a damaged one. What is not committed yet, which nobody can
    /// tell offline, is exported too.
    #[command(after_help = "Example:
  tidelog log export data/7d444840-9dc0-11d1-b245-5ffdce74fad2/0 00000000000000000000.log")]
    Export(export::Export),
}

impl LogCommand {
    pub(crate) fn run(&self, options: Options) -> Result<Outcome, CommandError> {
        let environment: Arc<dyn Environment> = Arc::new(RealEnvironment::new());
        match self {
            Self::Dump(dump) => dump.run(&environment, options),
            Self::Verify(verify) => verify.run(&environment, options),
            Self::Export(export) => export.run(&environment, options),
        }
    }
}

/// Makes a path absolute, so that it says whose log it leads to.
fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    fs::canonicalize(path).map_err(|error| CommandError::Io { path: path.to_owned(), error })
}

/// Tells whether somebody uses a data directory; `None` where that cannot be told.
fn is_in_use(environment: &dyn Environment, data_dir: Option<&Path>) -> Option<bool> {
    DataDir::is_in_use(environment, data_dir?).ok()
}
