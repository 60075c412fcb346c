//! Changing configs of a topic.

use std::sync::Arc;

use tidelog_proto::ids::TopicId;

use super::{MetadataError, MetadataOutcome, MetadataState, check_configs_bytes};
use crate::metadata::Topic;
use crate::metadata::command::ConfigChange;

impl MetadataState {
    pub(super) fn alter_topic_configs(
        &mut self,
        topic_id: TopicId,
        changes: &[ConfigChange],
    ) -> Result<MetadataOutcome, MetadataError> {
        let mut topic = Arc::clone(self.changeable_topic(topic_id)?);
        if changes.is_empty() {
            return Err(MetadataError::NoChanges);
        }
        check_configs_bytes(changes)?;
        let configs = topic.configs.altered(changes)?;
        if configs == topic.configs {
            return Ok(MetadataOutcome::Unchanged);
        }
        Arc::make_mut(&mut topic).configs = configs;
        Arc::make_mut(&mut self.topics).insert(topic_id, Arc::clone(&topic));
        Ok(MetadataOutcome::TopicConfigsAltered(topic))
    }

    /// Gives a topic that may be changed on demand.
    pub(super) fn changeable_topic(&self, topic_id: TopicId) -> Result<&Arc<Topic>, MetadataError> {
        let topic = self.topic(topic_id).ok_or(MetadataError::UnknownTopic { topic_id })?;
        if topic.internal { Err(MetadataError::InternalTopic { name: topic.name.clone() }) } else { Ok(topic) }
    }
}
