//! `Admin.ListTopics`.

use tidelog_proto::api::v1;

use super::super::{Node, describe};

/// Answers one call.
pub(super) fn list_topics(node: &Node, request: &v1::ListTopicsRequest) -> v1::ListTopicsResponse {
    let state = node.metadata.state().borrow().clone();
    let listed = state.topics().filter(|topic| request.include_internal || !topic.internal);
    let topics = listed.map(|topic| v1::TopicListing {
        name: topic.name.as_str().to_owned(),
        topic_id: describe::id_bytes(topic.id),
        internal: topic.internal,
        partition_count: topic.partition_count(),
        replication_factor: topic.replication_factor,
    });
    v1::ListTopicsResponse { topics: topics.collect() }
}
