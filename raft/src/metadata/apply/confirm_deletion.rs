//! Confirming that nothing is left of a deleted topic.

use std::sync::Arc;

use tidelog_proto::ids::{BrokerId, TopicId};

use super::{MetadataError, MetadataOutcome, MetadataState};

impl MetadataState {
    /// A second confirmation, and one of a topic that was forgotten meanwhile, are no errors.
    pub(super) fn confirm_deletion(
        &mut self,
        broker_id: BrokerId,
        topic_id: TopicId,
    ) -> Result<MetadataOutcome, MetadataError> {
        if self.broker(broker_id).is_none() {
            return Err(MetadataError::UnknownBroker { broker_id });
        }
        if self.topics.contains_key(&topic_id) {
            return Err(MetadataError::NotDeleted { topic_id });
        }
        let is_pending = self.deleted.get(&topic_id).is_some_and(|topic| topic.pending.contains(&broker_id));
        if !is_pending {
            return Ok(MetadataOutcome::Unchanged);
        }
        let deleted = Arc::make_mut(&mut self.deleted);
        let is_forgotten = deleted.get_mut(&topic_id).is_some_and(|topic| {
            topic.pending.remove(&broker_id);
            topic.pending.is_empty()
        });
        if is_forgotten {
            deleted.remove(&topic_id);
        }
        Ok(MetadataOutcome::ReplicaDataDeleted { topic_id, is_forgotten })
    }
}
