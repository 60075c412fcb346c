//! Applying commands: one file per verb. Every verb looks first, and changes only when nothing can refuse any more.

mod allocate_producer_ids;
mod alter_topic_configs;
mod confirm_deletion;
mod create_partitions;
mod create_topic;
mod delete_topic;
mod format_cluster;
mod register_broker;
mod replicas;

use tidelog_proto::ids::RaftIndex;

pub(super) use allocate_producer_ids::PRODUCER_IDS_END;

use super::command::ConfigChange;
use super::{LimitPassed, MetadataCommand, MetadataError, MetadataLimit, MetadataOutcome, MetadataState};

impl MetadataState {
    /// Applies a committed command. `index` is that of its entry.
    ///
    /// The same commands in the same order make the same state on every broker: nothing here reads a clock, draws a number
    /// or follows the order of a hash. [`MetadataState::metadata_version`] becomes `index` if anything has changed.
    ///
    /// # Errors
    /// The command is refused, on every broker alike. Nothing has changed then.
    ///
    /// # Panics
    /// If `index` is not above that of the last change: entries are applied once, in their order.
    pub fn apply(&mut self, index: RaftIndex, command: &MetadataCommand) -> Result<MetadataOutcome, MetadataError> {
        assert!(index > self.metadata_version, "entry {index} is applied after entry {}", self.metadata_version);
        let outcome = self.change(command)?;
        if outcome != MetadataOutcome::Unchanged {
            self.metadata_version = index;
        }
        Ok(outcome)
    }

    /// Tells what a command would come to, without a change. By the time that it is committed, it may come to something
    /// else.
    ///
    /// # Errors
    /// The command would be refused.
    pub fn validate(&self, command: &MetadataCommand) -> Result<MetadataOutcome, MetadataError> {
        self.clone().change(command)
    }

    fn change(&mut self, command: &MetadataCommand) -> Result<MetadataOutcome, MetadataError> {
        let cluster = match *command {
            MetadataCommand::FormatCluster { cluster_id, cluster_version } => {
                return self.format_cluster(cluster_id, cluster_version);
            }
            _ => self.cluster.ok_or(MetadataError::NotFormatted)?,
        };
        match command {
            MetadataCommand::FormatCluster { .. } => Ok(MetadataOutcome::Unchanged),
            MetadataCommand::SetClusterVersion { cluster_version } => {
                self.set_cluster_version(cluster, *cluster_version)
            }
            MetadataCommand::RegisterBroker(command) => self.register_broker(cluster, command),
            MetadataCommand::CreateTopic(command) => self.create_topic(command),
            MetadataCommand::DeleteTopic { topic_id } => self.delete_topic(*topic_id),
            MetadataCommand::AlterTopicConfigs { topic_id, changes } => self.alter_topic_configs(*topic_id, changes),
            MetadataCommand::CreatePartitions { topic_id, first_partition, assignments } => {
                self.create_partitions(*topic_id, *first_partition, assignments)
            }
            MetadataCommand::AllocateProducerIds { broker_id, count } => self.allocate_producer_ids(*broker_id, *count),
            MetadataCommand::ReplicaDataDeleted { broker_id, topic_id } => self.confirm_deletion(*broker_id, *topic_id),
        }
    }
}

/// Checks how long configs are, before anything is made of them.
fn check_configs_bytes(changes: &[ConfigChange]) -> Result<(), LimitPassed> {
    let bytes = |change: &ConfigChange| change.key.len() + change.value.as_ref().map_or(0, String::len);
    MetadataLimit::ConfigsBytes.check(changes.iter().map(bytes).sum())
}
