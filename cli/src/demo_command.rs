//! `tidelog demo`: a tour on real input, from an empty disk to a replay by time, with every record checked.

mod input;
mod ledger;
mod tour;

use std::path::PathBuf;

use clap::Args;

pub(crate) use tour::TourError;

use crate::command_error::CommandError;
use crate::output::Output;
use crate::progress::Progress;
use crate::{Options, Outcome};

/// Bytes of text that are taken when nothing else is said.
const INPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// `tidelog demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Files and directories to read. By default the current directory; where it has little text, the sources of Rust
    /// crates on this machine too.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Read at most this many bytes of input.
    #[arg(long, value_name = "BYTES", default_value_t = INPUT_BYTES_MAX)]
    input_bytes: u64,
    /// Keep the data in this directory, which must be new or empty. By default it is a temporary one, removed at the end.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Demo {
    pub(crate) fn run(self, options: Options) -> Result<Outcome, CommandError> {
        let input = input::read(&self.paths, self.input_bytes)?;
        let mut output = Output::new(options.output);
        let progress = || Progress::new(input.bytes, options.quiet);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CommandError::Demo(TourError::Runtime(error)))?;
        let toured = runtime.block_on(tour::run(&input, self.data_dir, &mut output, &progress));
        toured.map_err(CommandError::Demo)?;
        output.finish()?;
        Ok(Outcome::Done)
    }
}
