//! `tidelog config`: a broker's configs, without a broker.

use clap::{Args, Subcommand};
use serde_json::json;
use tidelog_server::config::{BrokerConfig, print_default};

use crate::command_error::CommandError;
use crate::output::Output;
use crate::serve_command::ConfigFile;
use crate::{Options, Outcome};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a broker's file and environment as `serve` would, and start nothing.
    #[command(after_help = "Example:
  tidelog config check --config tidelog.toml")]
    Check(Check),
    /// Write a file with every config, what it does, and its default.
    #[command(after_help = "Example:
  tidelog config print-default > tidelog.toml")]
    PrintDefault,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    file: ConfigFile,
}

impl ConfigCommand {
    pub(crate) fn run(&self, options: Options) -> Result<Outcome, CommandError> {
        let mut output = Output::new(options.output);
        match self {
            Self::Check(check) => {
                let settings = check.file.settings()?;
                let config = BrokerConfig::new(&settings).map_err(CommandError::Config)?;
                let dir = config.data_dir.display();
                let text = format!("the configs are allowed; broker {} keeps its data in {dir}", config.node_id);
                output.line(text, || {
                    let configs = settings.described().into_iter().map(|config| (config.key, json!(config.value)));
                    json!({ "type": "configs", "configs": configs.collect::<serde_json::Map<_, _>>() })
                })?;
            }
            Self::PrintDefault => {
                let text = print_default();
                output.line(text.trim_end(), || json!({ "type": "default_config", "text": text }))?;
            }
        }
        output.finish()?;
        Ok(Outcome::Done)
    }
}
