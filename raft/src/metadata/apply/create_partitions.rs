//! Adding partitions to a topic.

use std::sync::Arc;

use tidelog_proto::ids::{PartitionId, TopicId};

use super::{MetadataError, MetadataLimit, MetadataOutcome, MetadataState};
use crate::metadata::command::Assignment;

impl MetadataState {
    pub(super) fn create_partitions(
        &mut self,
        topic_id: TopicId,
        first_partition: PartitionId,
        assignments: &[Assignment],
    ) -> Result<MetadataOutcome, MetadataError> {
        let mut topic = Arc::clone(self.changeable_topic(topic_id)?);
        if assignments.is_empty() {
            return Err(MetadataError::NoPartitions);
        }
        let (expected, found) = (first_partition.get(), topic.partition_count());
        if expected != found {
            return Err(MetadataError::PartitionsChanged { name: topic.name.clone(), expected, found });
        }
        MetadataLimit::PartitionsPerTopic.check(topic.partitions.len() + assignments.len())?;
        MetadataLimit::Partitions.check(self.partition_count + assignments.len())?;
        let new = self.new_partitions(first_partition, topic.replication_factor, assignments)?;

        let partitions = self.issue(new);
        Arc::make_mut(&mut topic).partitions.extend(partitions);
        Arc::make_mut(&mut self.topics).insert(topic_id, Arc::clone(&topic));
        Ok(MetadataOutcome::PartitionsCreated(topic))
    }
}
