//! The broker process.

#![forbid(unsafe_code)]

mod blocking_pool;
pub mod data_path;
pub mod fetch;
pub mod hosted_partition;
mod in_flight;
pub mod message_limits;
pub mod metrics;
pub mod partition_table;
pub mod produce;
mod reply_error;
#[cfg(test)]
mod test_logs;
