//! Which cluster a command speaks to, and how.

use std::env;

use clap::Args;
use tidelog_client::{Client, ClientBuilder};

use crate::command_error::CommandError;
use crate::contexts::{Contexts, contexts_path};

/// Where a broker is if nobody says otherwise.
const DEFAULT_BOOTSTRAP: &str = "127.0.0.1:7420";

/// How often a request is tried again: enough for an election, and soon told where there is no broker at all.
const RETRIES_MAX: u32 = 5;

/// Which cluster to connect to: what a flag says, else TIDELOG_BOOTSTRAP, else TIDELOG_CONTEXT, else the context in use,
/// else 127.0.0.1:7420.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connection {
    /// Some brokers of the cluster; else the variable TIDELOG_BOOTSTRAP.
    #[arg(long, value_name = "HOST:PORT,...", conflicts_with = "context", help_heading = "Connection")]
    bootstrap: Option<String>,
    /// A context made by `tidelog context add`; else the variable TIDELOG_CONTEXT.
    #[arg(long, value_name = "NAME", help_heading = "Connection")]
    context: Option<String>,
}

impl Connection {
    /// Says where the cluster is.
    pub(crate) fn addresses(&self) -> Result<String, CommandError> {
        let variable = |name| env::var(name).ok().filter(|text| !text.is_empty());
        if let Some(bootstrap) = &self.bootstrap {
            return Ok(bootstrap.clone());
        }
        let named = |name: &str| Contexts::load(&contexts_path()?)?.addresses(name).map(str::to_owned);
        if let Some(context) = &self.context {
            return named(context);
        }
        if let Some(bootstrap) = variable("TIDELOG_BOOTSTRAP") {
            return Ok(bootstrap);
        }
        if let Some(context) = variable("TIDELOG_CONTEXT") {
            return named(&context);
        }
        // Without a home directory there are no contexts.
        let Ok(path) = contexts_path() else { return Ok(DEFAULT_BOOTSTRAP.to_owned()) };
        let contexts = Contexts::load(&path)?;
        match &contexts.current {
            Some(current) => contexts.addresses(current).map(str::to_owned),
            None => Ok(DEFAULT_BOOTSTRAP.to_owned()),
        }
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Client, CommandError> {
        self.connect_with(|builder| builder).await
    }

    /// As [`Connection::connect`], with other deadlines.
    pub(crate) async fn connect_with(
        &self,
        set: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Client, CommandError> {
        let addresses = self.addresses()?;
        let builder = set(Client::builder(addresses.clone()).retries_max(RETRIES_MAX));
        builder.connect().await.map_err(|error| CommandError::Connect { addresses, error })
    }
}
