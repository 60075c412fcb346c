//! The broker process: replicated logs served over gRPC, with everything around them.
//!
//! - [`Broker`]: a whole broker, from its configs to its end
//! - [`config`]: what it is told, in a file, the environment and flags
//! - [`cluster`]: topics and brokers: the metadata that it follows, the replicas that it holds, administration
//! - [`data_path`], [`produce`], [`fetch`], [`list_offsets`], [`produce_records`]: the calls that move records
//! - [`partition_table`], [`hosted_partition`]: where those calls find the partitions
//! - [`process`], [`grpc_server`], [`http_server`], [`listener`], [`message_limits`]: ports and their limits
//! - [`metrics`], [`disk_watch`]: what is counted and watched
//!
//! ```
//! use tidelog_server::Broker;
//! use tidelog_server::config::Settings;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let data_dir = tempfile::tempdir()?;
//! let mut settings = Settings::default();
//! settings.set_flag("data_dir", &data_dir.path().display().to_string())?;
//! settings.set_flag("listen", "127.0.0.1:0")?;
//! settings.set_flag("http_listen", "127.0.0.1:0")?;
//! let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//! runtime.block_on(async {
//!     let broker = Broker::start(&settings).await?;
//!     println!("clients connect to {}", broker.address());
//!     broker.stop().await
//! })?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod assembly;
mod blocking_pool;
mod broker;
pub mod broker_service;
pub mod cluster;
pub mod config;
pub mod data_path;
pub mod disk_watch;
pub mod fetch;
pub mod grpc_server;
pub mod hosted_partition;
pub mod http_server;
mod in_flight;
pub mod list_offsets;
pub mod listener;
pub mod message_limits;
mod message_scan;
mod message_shapes;
pub mod metrics;
pub mod partition_table;
pub mod process;
#[cfg(test)]
mod process_tests;
pub mod produce;
pub mod produce_records;
mod reply_error;
mod scanned_body;
#[cfg(test)]
mod test_logs;
#[cfg(test)]
mod test_server;
#[cfg(test)]
mod unary_tests;

pub use broker::{Broker, BrokerError};
