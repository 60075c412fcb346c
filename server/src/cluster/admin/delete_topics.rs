//! `Admin.DeleteTopics`.

use tidelog_proto::api::{TopicSelector, v1};
use tidelog_raft::metadata::MetadataCommand;
use tonic::Status;

use super::super::{Node, describe};
use super::check_count;

/// Answers one call. Each topic is deleted for itself.
pub(super) async fn delete_topics(
    node: &Node,
    request: v1::DeleteTopicsRequest,
) -> Result<v1::DeleteTopicsResponse, Status> {
    check_count("topics", request.topics.len())?;
    let mut results = Vec::with_capacity(request.topics.len());
    for (place, topic) in request.topics.iter().enumerate() {
        let error = delete(node, place, topic).await.err();
        results.push(v1::DeleteTopicsResult { error });
    }
    Ok(v1::DeleteTopicsResponse { results })
}

async fn delete(node: &Node, place: usize, topic: &v1::TopicRef) -> Result<(), v1::Error> {
    let selector =
        TopicSelector::from_field(Some(topic)).map_err(|error| error.into_error(&format!("topics[{place}]")))?;
    let topic_id = describe::topic(&node.metadata.state().borrow(), &selector)?.id;
    let command = MetadataCommand::DeleteTopic { topic_id };
    node.metadata.propose(&command).await.map(drop).map_err(|error| describe::propose_error(&error))
}
