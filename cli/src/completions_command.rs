//! `tidelog completions`: what shells need to complete command lines.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::command_error::CommandError;
use crate::output::Output;
use crate::{Cli, Options, Outcome};

#[derive(Clone, Debug, Args)]
pub(crate) struct Completions {
    /// The shell that reads them.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, options: Options) -> Result<Outcome, CommandError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tidelog", &mut script);
        let script = String::from_utf8_lossy(&script);
        let mut output = Output::new(options.output);
        output.line(script.trim_end(), || json!({ "type": "completions", "script": script }))?;
        output.finish()?;
        Ok(Outcome::Done)
    }
}
