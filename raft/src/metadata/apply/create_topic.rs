//! Creating a topic.

use std::sync::Arc;

use tidelog_proto::ids::PartitionId;

use super::{MetadataError, MetadataLimit, MetadataOutcome, MetadataState, check_configs_bytes};
use crate::metadata::command::CreateTopic;
use crate::metadata::{INTERNAL_PREFIX, METADATA_TOPIC_ID, Topic, TopicConfigs};

impl MetadataState {
    pub(super) fn create_topic(&mut self, command: &CreateTopic) -> Result<MetadataOutcome, MetadataError> {
        self.check_new_name(command)?;
        MetadataLimit::Topics.check(self.topics.len() + 1)?;
        MetadataLimit::PartitionsPerTopic.check(command.assignments.len())?;
        MetadataLimit::Partitions.check(self.partition_count + command.assignments.len())?;
        check_configs_bytes(&command.configs)?;
        let configs = TopicConfigs::default().altered(&command.configs)?;
        let first = command.assignments.first().ok_or(MetadataError::NoPartitions)?;
        MetadataLimit::ReplicasPerPartition.check(first.brokers.len())?;
        let first_partition = PartitionId::new(0);
        // Only a handful by now.
        let replication_factor = u32::try_from(first.brokers.len()).unwrap_or(u32::MAX);
        let new = self.new_partitions(first_partition, replication_factor, &command.assignments)?;

        let topic = Arc::new(Topic {
            id: command.topic_id,
            name: command.name.clone(),
            internal: command.internal,
            replication_factor,
            partitions: self.issue(new),
            configs,
        });
        Arc::make_mut(&mut self.names).insert(topic.name.clone(), topic.id);
        Arc::make_mut(&mut self.topics).insert(topic.id, Arc::clone(&topic));
        Ok(MetadataOutcome::TopicCreated(topic))
    }

    fn check_new_name(&self, command: &CreateTopic) -> Result<(), MetadataError> {
        if let Some(topic_id) = self.names.get(&command.name).copied() {
            return Err(MetadataError::TopicExists { name: command.name.clone(), topic_id });
        }
        if command.name.as_str().starts_with(INTERNAL_PREFIX) != command.internal {
            return Err(MetadataError::ReservedName { name: command.name.clone() });
        }
        let topic_id = command.topic_id;
        let is_taken = self.topics.contains_key(&topic_id) || self.deleted.contains_key(&topic_id);
        if is_taken || topic_id == METADATA_TOPIC_ID {
            return Err(MetadataError::TopicIdTaken { topic_id });
        }
        Ok(())
    }
}
