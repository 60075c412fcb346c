//! Deleting a topic.

use std::sync::Arc;

use tidelog_proto::ids::TopicId;

use super::{MetadataError, MetadataLimit, MetadataOutcome, MetadataState};
use crate::metadata::DeletedTopic;

impl MetadataState {
    /// Every broker that is registered now must confirm, also one that holds no replica: an earlier move may have left
    /// files with it. A broker that registers later was never told of the topic.
    pub(super) fn delete_topic(&mut self, topic_id: TopicId) -> Result<MetadataOutcome, MetadataError> {
        let topic = Arc::clone(self.changeable_topic(topic_id)?);
        MetadataLimit::DeletedTopics.check(self.deleted.len() + 1)?;

        Arc::make_mut(&mut self.topics).remove(&topic_id);
        Arc::make_mut(&mut self.names).remove(&topic.name);
        self.partition_count -= topic.partitions.len();
        let pending = self.brokers.keys().copied().collect();
        Arc::make_mut(&mut self.deleted).insert(topic_id, DeletedTopic { pending });
        Ok(MetadataOutcome::TopicDeleted(topic_id))
    }
}
