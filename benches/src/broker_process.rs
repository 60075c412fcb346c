//! The real broker, `tidelog serve` of a release build, in a process of its own.

use std::env;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;

use crate::child_process::{ChildProcess, SpawnError, StopError};
use crate::process_usage::ProcessUsage;

/// How long a broker may take until it serves: recovery of what it holds is part of it.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How long a broker may take to end: longer than it waits itself for streams that do not end.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// What builds all that a benchmark runs.
const BUILD_COMMAND: &str = "cargo build --release -p tidelog -p tidelog-benches";

/// A broker that serves, on loopback ports that the machine has chosen.
///
/// Dropping it ends it too, but only [`BrokerProcess::stop`] tells how that went.
#[derive(Debug)]
pub struct BrokerProcess {
    process: ChildProcess,
    address: String,
    http_address: String,
    data_dir: PathBuf,
}

/// A broker did not start.
#[derive(Debug)]
pub enum StartError {
    /// This program cannot tell where it lies, and so not where the broker does.
    Nowhere(io::Error),
    /// There is no broker beside this program.
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// This program was built without optimisation, and what lies beside it too.
    Unoptimised {
        /// The broker there.
        path: PathBuf,
    },
    /// It was started but does not serve.
    Spawn(SpawnError),
    /// What it says about its addresses is not understood.
    Unreadable {
        /// What it says.
        line: String,
    },
}

/// Finds the broker's binary: cargo puts it beside this program, built in the same way.
///
/// # Errors
/// If it is not there, or was built without optimisation; both say what builds it.
pub fn binary() -> Result<PathBuf, StartError> {
    let own = env::current_exe().map_err(StartError::Nowhere)?;
    let path = own.with_file_name("tidelog");
    if cfg!(debug_assertions) {
        return Err(StartError::Unoptimised { path });
    }
    if path.is_file() { Ok(path) } else { Err(StartError::Missing { path }) }
}

impl BrokerProcess {
    /// Starts a broker on a data directory, a new one or one that a broker left, and waits until it serves. Every
    /// config has its default but those given, by key and value; nothing comes from the environment of this program.
    ///
    /// # Errors
    /// If there is no release build of the broker beside this program, or it does not serve in time.
    pub fn start(data_dir: &Path, configs: &[(&str, &str)]) -> Result<Self, StartError> {
        let mut command = Command::new(binary()?);
        for (name, _) in env::vars_os() {
            let is_ours = name.to_str().is_some_and(|name| name.starts_with("TIDELOG_") || name == "RUST_LOG");
            if is_ours {
                command.env_remove(name);
            }
        }
        command.args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--output", "json", "--data-dir"]);
        command.arg(data_dir).env("TIDELOG_LOG", "warn");
        for (key, value) in configs {
            command.env(format!("TIDELOG_{}", key.to_uppercase()), value);
        }
        let (process, line) = ChildProcess::spawn(&mut command, START_PATIENCE).map_err(StartError::Spawn)?;
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        match (ready["address"].as_str(), ready["http_address"].as_str()) {
            (Some(address), Some(http_address)) => Ok(Self {
                process,
                address: address.to_owned(),
                http_address: http_address.to_owned(),
                data_dir: data_dir.to_owned(),
            }),
            _ => Err(StartError::Unreadable { line }),
        }
    }

    /// Returns the address of the gRPC port, as clients take it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the address of the HTTP port.
    #[must_use]
    pub fn http_address(&self) -> &str {
        &self.http_address
    }

    /// Returns the directory that holds everything that the broker keeps.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Returns the number of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Reads what the broker has used since it started.
    ///
    /// # Errors
    /// If it has ended, or the system does not tell.
    pub fn usage(&self) -> io::Result<ProcessUsage> {
        self.process.usage()
    }

    /// Tells whether the broker has ended by itself, and how.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.ended()
    }

    /// Ends the broker in order; returns how long that took.
    ///
    /// # Errors
    /// If it says that something went wrong, or takes so long that it was killed.
    pub fn stop(self) -> Result<Duration, StopError> {
        self.process.stop(STOP_PATIENCE)
    }

    /// Ends the broker as a crash of its process would.
    ///
    /// # Errors
    /// If the system does not let it be killed.
    pub fn kill(self) -> io::Result<()> {
        self.process.kill()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere(error) => write!(f, "this program does not know where it lies: {error}"),
            Self::Missing { path } => write!(f, "there is no broker at {}; build it: {BUILD_COMMAND}", path.display()),
            Self::Unoptimised { path } => {
                let path = path.display();
                write!(f, "{path} is a debug build, as is this program; build both for release: {BUILD_COMMAND}")
            }
            Self::Spawn(error) => write!(f, "the broker does not serve: {error}"),
            Self::Unreadable { line } => write!(f, "the broker told no addresses but {line:?}"),
        }
    }
}

impl std::error::Error for StartError {}
