//! The broker process.

#![forbid(unsafe_code)]

mod blocking_pool;
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
mod partitioner;
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
