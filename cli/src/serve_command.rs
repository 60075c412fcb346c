//! `tidelog serve`: runs a broker.

use std::env;
use std::fs;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tidelog_server::Broker;
use tidelog_server::config::{BrokerConfig, Settings};
use tracing_subscriber::EnvFilter;

use crate::command_error::CommandError;
use crate::output::Output;
use crate::running::{self, Interrupt};
use crate::{Options, Outcome};

/// What is logged unless somebody says otherwise: the consensus library tells more than anybody wants to know.
const DEFAULT_FILTER: &str = "info,openraft=warn";

#[derive(Clone, Debug, Args)]
pub(crate) struct Serve {
    /// The directory that holds everything that this broker keeps.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    file: ConfigFile,
    /// The broker's number, its own within the cluster and for good [default: 1].
    #[arg(long, value_name = "N")]
    node_id: Option<u32>,
    /// The address of the gRPC port; port 0 takes any [default: 127.0.0.1:7420].
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// The address under which clients reach the gRPC port, if it is not that of --listen.
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// The address of the HTTP port, for metrics and health; port 0 takes any [default: 127.0.0.1:7421].
    #[arg(long, value_name = "IP:PORT")]
    http: Option<SocketAddr>,
}

/// Where a broker's configs stand.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigFile {
    /// A file of configs, as `tidelog config print-default` writes it.
    #[arg(long, env = "TIDELOG_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads the file, and above it the environment.
    pub(crate) fn settings(&self) -> Result<Settings, CommandError> {
        let mut settings = Settings::default();
        if let Some(path) = &self.config {
            let io_error = |error| CommandError::Io { path: path.clone(), error };
            let text = fs::read_to_string(path).map_err(io_error)?;
            settings.read_file(&path.display().to_string(), &text).map_err(CommandError::Config)?;
        }
        let variables =
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        settings.read_environment(variables).map_err(CommandError::Config)?;
        Ok(settings)
    }
}

impl Serve {
    pub(crate) fn run(&self, options: Options) -> Result<Outcome, CommandError> {
        let settings = self.settings()?;
        let config = BrokerConfig::new(&settings).map_err(CommandError::Config)?;
        start_logging()?;
        raise_descriptor_limit();
        running::run_in_order(move |interrupt| serve(settings, config.node_id.get(), interrupt, options))
    }

    fn settings(&self) -> Result<Settings, CommandError> {
        let mut settings = self.file.settings()?;
        let flags = [
            ("data_dir", self.data_dir.as_ref().map(|dir| dir.display().to_string())),
            ("node_id", self.node_id.map(|id| id.to_string())),
            ("listen", self.listen.map(|address| address.to_string())),
            ("advertise", self.advertise.clone()),
            ("http_listen", self.http.map(|address| address.to_string())),
        ];
        for (key, value) in flags {
            if let Some(value) = value {
                settings.set_flag(key, &value).map_err(CommandError::Config)?;
            }
        }
        Ok(settings)
    }
}

async fn serve(
    settings: Settings,
    node_id: u32,
    mut interrupt: Interrupt,
    options: Options,
) -> Result<Outcome, CommandError> {
    let start = Broker::start(&settings);
    let broker = tokio::select! {
        // Everything acknowledged is on disk, so a start may be given up anywhere.
        () = interrupt.asked() => return Ok(Outcome::Done),
        broker = start => broker.map_err(|error| CommandError::Broker(Box::new(error)))?,
    };
    let (address, http_address) = (broker.address(), broker.http_address());
    tracing::info!(node_id, %address, %http_address, "the broker serves");
    let mut output = Output::new(options.output);
    output.line(format_args!("broker {node_id} serves gRPC at {address}, HTTP at http://{http_address}"), || {
        json!({
            "type": "ready",
            "node_id": node_id,
            "address": address.to_string(),
            "http_address": http_address.to_string(),
        })
    })?;
    output.finish()?;
    interrupt.asked().await;
    tracing::info!("the broker ends; a second signal ends it at once");
    broker.stop().await.map_err(|error| CommandError::Broker(Box::new(error)))?;
    tracing::info!("the broker has ended in order");
    Ok(Outcome::Done)
}

/// Takes as many file descriptors as the machine allows: a partition has three files open, and shells begin with room for
/// some three hundred partitions.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, limit = limit.current, "the limit of open files stays low");
    }
}

/// Writes what happens to the standard error, filtered by TIDELOG_LOG, or by RUST_LOG.
fn start_logging() -> Result<(), CommandError> {
    let set = ["TIDELOG_LOG", "RUST_LOG"].into_iter().find_map(|name| Some((name, env::var(name).ok()?)));
    let filter = match set {
        Some((variable, text)) => {
            EnvFilter::builder().parse(&text).map_err(|_| CommandError::LogFilter { variable, text })?
        }
        None => EnvFilter::new(DEFAULT_FILTER),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .finish();
    // Fails only where logging was started before, which then stays as it is.
    drop(tracing::subscriber::set_global_default(subscriber));
    Ok(())
}
