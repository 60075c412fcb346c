//! The broker process.

#![forbid(unsafe_code)]

mod blocking_pool;
pub mod data_path;
pub mod fetch;
pub mod hosted_partition;
mod in_flight;
pub mod list_offsets;
pub mod message_limits;
pub mod metrics;
pub mod partition_table;
mod partitioner;
pub mod produce;
pub mod produce_records;
mod reply_error;
#[cfg(test)]
mod test_logs;
