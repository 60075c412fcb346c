//! `tidelog context`: named clusters.

use clap::Subcommand;
use serde_json::json;

use crate::command_error::CommandError;
use crate::contexts::{ContextError, Contexts, contexts_path};
use crate::output::Output;
use crate::table::Table;
use crate::{Options, Outcome};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// Name a cluster. The first one is used from then on.
    #[command(after_help = "Example:
  tidelog context add staging 10.0.0.1:7420,10.0.0.2:7420")]
    Add {
        /// The name.
        name: String,
        /// Some brokers of the cluster.
        #[arg(value_name = "HOST:PORT,...", value_parser = addresses)]
        bootstrap: String,
    },
    /// Use a named cluster from now on.
    #[command(after_help = "Example:
  tidelog context use staging")]
    Use {
        /// The name.
        name: String,
    },
    /// List the named clusters.
    #[command(after_help = "Example:
  tidelog context list")]
    List,
    /// Forget a named cluster. Nothing happens to the cluster itself.
    #[command(after_help = "Example:
  tidelog context remove staging")]
    Remove {
        /// The name.
        name: String,
    },
}

/// Checks a list of addresses by its form.
fn addresses(text: &str) -> Result<String, String> {
    for address in text.split(',').map(str::trim) {
        let is_address = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0));
        if !is_address {
            return Err(format!("{address:?} is not HOST:PORT"));
        }
    }
    Ok(text.to_owned())
}

impl ContextCommand {
    pub(crate) fn run(&self, options: Options) -> Result<Outcome, CommandError> {
        let path = contexts_path()?;
        let mut contexts = Contexts::load(&path)?;
        let mut output = Output::new(options.output);
        match self {
            Self::Add { name, bootstrap } => {
                if contexts.bootstrap.contains_key(name) {
                    return Err(CommandError::Context(ContextError::Exists { name: name.clone() }));
                }
                contexts.bootstrap.insert(name.clone(), bootstrap.clone());
                let is_used = *contexts.current.get_or_insert_with(|| name.clone()) == *name;
                contexts.store(&path)?;
                let rest = if is_used { ", and is used from now on" } else { "" };
                output.line(
                    format_args!("context {name} is {bootstrap}{rest}"),
                    || json!({ "type": "context", "name": name, "bootstrap": bootstrap, "current": is_used }),
                )?;
            }
            Self::Use { name } => {
                let bootstrap = contexts.addresses(name)?.to_owned();
                contexts.current = Some(name.clone());
                contexts.store(&path)?;
                output.line(
                    format_args!("context {name} ({bootstrap}) is used from now on"),
                    || json!({ "type": "context", "name": name, "bootstrap": bootstrap, "current": true }),
                )?;
            }
            Self::List => list(&contexts, &mut output)?,
            Self::Remove { name } => {
                contexts.addresses(name)?;
                contexts.bootstrap.remove(name);
                contexts.current = contexts.current.filter(|current| current != name);
                contexts.store(&path)?;
                output
                    .line(format_args!("context {name} is forgotten"), || json!({ "type": "removed", "name": name }))?;
            }
        }
        output.finish()?;
        Ok(Outcome::Done)
    }
}

fn list(contexts: &Contexts, output: &mut Output) -> Result<(), CommandError> {
    let mut table = Table::new(&["", "NAME", "BOOTSTRAP"]);
    for (name, bootstrap) in &contexts.bootstrap {
        let is_used = contexts.current.as_ref() == Some(name);
        let cells = [if is_used { "*" } else { "" }.to_owned(), name.clone(), bootstrap.clone()];
        table.row(cells, json!({ "type": "context", "name": name, "bootstrap": bootstrap, "current": is_used }));
    }
    table.write(output)
}
