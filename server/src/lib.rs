//! The broker process: the network API over replicated logs.
//!
//! - [`partition_table`], [`hosted_partition`]: which partitions there are, and those that this broker holds
//! - [`data_path`]: what the calls on records share; [`produce`], [`fetch`], [`list_offsets`], [`produce_records`]: the calls
//! - [`broker_service`]: the service that they make together
//! - [`grpc_server`], [`listener`], [`message_limits`]: the gRPC port and its limits
//! - [`http_server`], [`metrics`]: the port for machines that watch
//! - [`config`]: what a broker is told when it starts
//! - [`process`], [`disk_watch`]: its life
//!
//! The partitions come from outside: whoever hosts them puts them into the table, and takes them out.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tidelog_proto::api::TopicSelector;
//! use tidelog_proto::ids::{BrokerId, LeaderEpoch, PartitionId, TopicId, TopicName};
//! use tidelog_raft::Leadership;
//! use tidelog_server::data_path::{DataPath, DataPathConfig};
//! use tidelog_server::partition_table::{LookupError, Placement, Topic, Topology};
//!
//! let name = TopicName::new("orders")?;
//! let led_by_2 = Leadership { leader: Some(BrokerId::new(2)), epoch: LeaderEpoch::new(1), is_serving: false };
//! let partitions = vec![Placement::Elsewhere(led_by_2)];
//! let mut topology = Topology::default();
//! topology.put_topic(Arc::new(Topic { id: TopicId::new([7; 16]), name: name.clone(), is_internal: false, partitions }));
//! topology.put_broker(BrokerId::new(2), "broker-2:7420");
//!
//! let path = DataPath::new(DataPathConfig::default());
//! path.table.replace(topology);
//! let found = path.table.load().partition(&TopicSelector::Name(name), PartitionId::new(0)).map(|_| ());
//! assert_eq!(found, Err(LookupError::Elsewhere(led_by_2)));
//! # Ok::<(), tidelog_proto::ids::TopicNameError>(())
//! ```

#![forbid(unsafe_code)]

mod blocking_pool;
pub mod broker_service;
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
