//! The metadata of a cluster: topics, where their partitions are, brokers, configs, producer ids.
//!
//! A state machine without I/O. The metadata group replicates [`MetadataCommand`]s; every broker applies them in their order
//! to its own [`MetadataState`] and answers from there. All that a command depends on is in the state or in the command.
//!
//! | File | What it decides |
//! |---|---|
//! | `command`, `outcome`, `error` | what may be asked, what comes of it, why it is refused |
//! | `state` | what is known, and how it is looked up |
//! | `apply` and its folder | what each command does |
//! | `limits` | how much of it there may be |
//! | `topic`, `broker`, `identity`, `address` | what is known of each thing |
//! | `topic_configs` and its folder | which configs a topic has, and what they mean |
//! | `placement` | which brokers get the replicas of new partitions |
//! | `stored`, `stored_command`, `snapshot` | the bytes |
//! | `reply` | errors and configs as replies tell them |
//!
//! ```
//! use tidelog_proto::ids::{BrokerId, RaftIndex, TopicId, TopicName};
//! use tidelog_raft::metadata::{
//!     Address, BootId, ClusterId, ClusterVersion, CreateTopic, DirectoryId, MetadataCommand, MetadataState, RegisterBroker,
//!     place,
//! };
//!
//! let mut state = MetadataState::new();
//! let cluster_id = ClusterId::new([1; 16]);
//! let cluster_version = ClusterVersion::FIRST;
//! state.apply(RaftIndex::new(1), &MetadataCommand::FormatCluster { cluster_id, cluster_version })?;
//! let broker = RegisterBroker {
//!     broker_id: BrokerId::new(1),
//!     address: Address::new("127.0.0.1:7420")?,
//!     rack: None,
//!     directory_id: DirectoryId::new([2; 16]),
//!     boot_counter: 1,
//!     boot_id: BootId::new([3; 16]),
//!     cluster_version_max: ClusterVersion::NEWEST,
//! };
//! state.apply(RaftIndex::new(2), &MetadataCommand::RegisterBroker(broker))?;
//!
//! let topic = CreateTopic {
//!     topic_id: TopicId::new([4; 16]),
//!     name: TopicName::new("orders")?,
//!     internal: false,
//!     assignments: place(&state.broker_loads(), 6, 1)?,
//!     configs: Vec::new(),
//! };
//! let command = MetadataCommand::CreateTopic(topic);
//! state.validate(&command)?; // a dry run
//! let entry = command.encode()?; // what the group replicates
//! state.apply(RaftIndex::new(3), &MetadataCommand::decode(&entry)?)?;
//!
//! assert_eq!(state.metadata_version(), RaftIndex::new(3));
//! assert_eq!(state.replicas_on(BrokerId::new(1)).count(), 6);
//! assert_eq!(MetadataState::decode(state.encode())?, state);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod apply;
mod broker;
mod command;
mod error;
mod identity;
mod limits;
mod nearest;
mod outcome;
mod placement;
mod reply;
mod snapshot;
mod state;
mod stored;
mod stored_command;
mod topic;
mod topic_configs;

#[cfg(test)]
mod apply_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod stored_command_tests;
#[cfg(test)]
mod test_commands;
#[cfg(test)]
mod topic_configs_tests;

pub use address::{Address, AddressError, Rack, RackError};
pub use broker::{Broker, FIRST_INCARNATION};
pub use command::{Assignment, ConfigChange, CreateTopic, MetadataCommand, RegisterBroker};
pub use error::{AssignmentError, MetadataError};
pub use identity::{BootId, ClusterId, ClusterVersion, DirectoryId};
pub use limits::{LimitPassed, MetadataLimit};
pub use nearest::nearest;
pub use outcome::{MetadataOutcome, ProducerIdBlock};
pub use placement::{BrokerLoad, PlacementError, place};
pub use snapshot::{Contradiction, SNAPSHOT_BYTES_MAX, SnapshotError};
pub use state::MetadataState;
pub use stored::StoredError;
pub use stored_command::COMMAND_BYTES_MAX;
pub use topic::{DeletedTopic, INTERNAL_PREFIX, METADATA_TOPIC_ID, Partition, Topic};
pub use topic_configs::{
    ConfigInForce, ConfigKind, ConfigSource, ConfigValue, FlushMode, TOPIC_BATCH_BYTES_MAX, TopicConfigError,
    TopicConfigKey, TopicConfigs, TopicSettings,
};
