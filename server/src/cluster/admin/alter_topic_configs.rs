//! `Admin.AlterTopicConfigs`.

use tidelog_proto::api::{TopicSelector, v1};
use tidelog_raft::metadata::{ConfigChange, MetadataCommand};
use tonic::Status;

use super::super::{Node, describe};
use super::{check_count, check_distinct, invalid, known_id};

/// Answers one call. The configs of each topic are changed for themselves, all of them or none.
pub(super) async fn alter_topic_configs(
    node: &Node,
    request: v1::AlterTopicConfigsRequest,
) -> Result<v1::AlterTopicConfigsResponse, Status> {
    check_count("topics", request.topics.len())?;
    let state = node.metadata.state().borrow().clone();
    check_distinct("topics", request.topics.iter().map(|topic| known_id(&state, topic.topic.as_ref())))?;
    let mut results = Vec::with_capacity(request.topics.len());
    for (place, topic) in request.topics.into_iter().enumerate() {
        let error = alter(node, place, topic, request.validate_only).await.err();
        results.push(v1::AlterTopicConfigsResult { error });
    }
    if !request.validate_only {
        node.wait_until_reconciled().await;
    }
    Ok(v1::AlterTopicConfigsResponse { results })
}

async fn alter(node: &Node, place: usize, topic: v1::TopicConfigChanges, validate_only: bool) -> Result<(), v1::Error> {
    let path = format!("topics[{place}]");
    let selector = TopicSelector::from_field(topic.topic.as_ref()).map_err(|error| error.into_error(&path))?;
    if topic.changes.is_empty() {
        return Err(invalid(format!("{path}.changes"), "there is nothing to change"));
    }
    let state = node.metadata.state().borrow().clone();
    let changes = topic.changes.into_iter().map(|change| ConfigChange { key: change.key, value: change.value });
    let topic_id = describe::topic(&state, &selector)?.id;
    let command = MetadataCommand::AlterTopicConfigs { topic_id, changes: changes.collect() };
    state.validate(&command).map_err(|error| v1::Error::from(&error))?;
    if validate_only {
        return Ok(());
    }
    node.metadata.propose(&command).await.map(drop).map_err(|error| describe::propose_error(&error))
}
