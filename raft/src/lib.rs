//! Replication of partitions by Raft. Today its stores: the journal in which every group of a broker keeps what it must never
//! forget, and the group's log, which is the partition's.
//!
//! - [`journal`]: votes, committed indexes and purge marks of all groups, made durable together
//! - [`metadata`]: topics, brokers, configs: what the whole cluster knows, as a state machine
//! - [`Host`]: a data directory, with everything that writes to it; it opens groups
//! - [`Group`]: a replica of a partition's Raft group; [`MetadataGroup`]: one of the metadata group
//! - [`Producers`]: what a partition remembers of its idempotent producers
//! - [`HardState`], [`Vote`], [`PurgeMark`]: what is remembered of one group
//! - [`ReplicaId`]: who votes
//! - [`ReplicatedLog`]: a partition as the rest of a broker sees it
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use tidelog_log::LogIdentity;
//! use tidelog_log::data_dir::DataDir;
//! use tidelog_log::environment::RealEnvironment;
//! use tidelog_log::storage::outcome;
//! use tidelog_proto::ids::{BrokerId, PartitionId, RaftTerm, TopicId};
//! use tidelog_raft::journal::{Journal, create};
//! use tidelog_raft::{ReplicaId, Vote};
//!
//! let scratch = tempfile::tempdir()?;
//! let environment = Arc::new(RealEnvironment::new());
//! let dir = DataDir::open(environment.as_ref(), scratch.path())?;
//! create(environment.as_ref(), dir.path())?; // once in the life of a data directory
//!
//! let (journal, _) = Journal::open(environment.clone(), dir.path())?;
//! let group = LogIdentity { topic_id: TopicId::new([7; 16]), partition: PartitionId::new(0) };
//! let vote = Vote { term: RaftTerm::new(1), replica: ReplicaId::new(BrokerId::new(1), 1), committed: false };
//! let (completion, saved) = outcome();
//! journal.handle().save_vote(group, vote, completion)?;
//! saved.wait().expect("the journal runs")?; // only now may the vote be told to anybody
//! journal.shutdown()?;
//!
//! let (_, groups) = Journal::open(environment, dir.path())?;
//! assert_eq!(groups[&group].vote, Some(vote));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod answer;
mod applied;
mod data_machine;
mod directory;
mod entry;
mod group;
mod group_state;
mod hard_state;
mod host;
pub mod journal;
mod log_store;
mod machine;
mod membership;
pub mod metadata;
mod metadata_group;
mod metadata_machine;
mod no_peers;
mod producers;
mod replica;
mod replica_id;
mod replicated_log;
mod sequencer;
mod stalls;
mod state_files;
mod storage_access;
mod stored_state;
mod tail_cache;
mod types;

#[cfg(test)]
mod conformance_tests;
#[cfg(test)]
mod full_disk_tests;
#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod producers_tests;

pub use directory::{DirectoryError, DirectoryIdentity};
pub use group::{CleanUpError, Group};
pub use hard_state::{HardState, PurgeMark, Vote};
pub use host::{Host, HostConfig, HostError};
pub use membership::MembershipError;
pub use metadata_group::{METADATA_LOG, MetadataGroup, ProposeError};
pub use producers::{BATCHES_MAX, ProducedBatch, Producer, Producers, ProducersConfig, SequenceError, Verdict};
pub use replica::OpenGroupError;
pub use replica_id::ReplicaId;
pub use replicated_log::{AppendedBatch, Leadership, Pending, ProduceError, ReplicatedLog};
pub use stored_state::StateError;
