//! Replication of partitions by Raft. Today its stores: the journal in which every group of a broker keeps what it must never
//! forget, and the group's log, which is the partition's.
//!
//! - [`journal`]: votes, committed indexes and purge marks of all groups, made durable together
//! - [`metadata`]: topics, brokers, configs: what the whole cluster knows, as a state machine
//! - [`Proposal`], [`Applied`]: what is proposed to a group, and what comes of it
//! - [`Producers`]: what a partition remembers of its idempotent producers
//! - [`HardState`], [`Vote`], [`PurgeMark`]: what is remembered of one group
//! - [`ReplicaId`]: who votes
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

mod applied;
mod entry;
mod hard_state;
pub mod journal;
#[cfg_attr(not(test), expect(dead_code, reason = "groups come next; openraft's own tests drive it today"))]
mod log_store;
mod membership;
pub mod metadata;
mod producers;
mod replica_id;
#[cfg_attr(not(test), expect(dead_code, reason = "groups come next; openraft's own tests drive it today"))]
mod tail_cache;
mod types;

#[cfg(test)]
mod conformance_tests;
#[cfg(test)]
mod producers_tests;

pub use applied::Applied;
pub use entry::Proposal;
pub use hard_state::{HardState, PurgeMark, Vote};
pub use producers::{BATCHES_MAX, ProducedBatch, Producer, Producers, ProducersConfig, SequenceError, Verdict};
pub use replica_id::ReplicaId;
