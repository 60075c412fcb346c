//! `Admin.CreateTopics`.

use tidelog_proto::api::{TopicSelector, v1};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{TopicId, TopicName};
use tidelog_raft::metadata::{ConfigChange, CreateTopic, MetadataCommand, MetadataLimit, place};
use tonic::Status;

use super::super::{Node, describe};
use super::{check_count, check_distinct};

/// Answers one call. Each topic is created for itself.
pub(super) async fn create_topics(
    node: &Node,
    request: v1::CreateTopicsRequest,
) -> Result<v1::CreateTopicsResponse, Status> {
    check_count("topics", request.topics.len())?;
    check_distinct("topics", request.topics.iter().map(|topic| Some(&topic.name)))?;
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let result = match create(node, topic, request.validate_only).await {
            Ok(created) => v1::create_topics_result::Result::Created(created),
            Err(error) => v1::create_topics_result::Result::Error(Box::new(error)),
        };
        results.push(v1::CreateTopicsResult { result: Some(result) });
    }
    if !request.validate_only {
        // Who creates a topic most often uses it next. Of those that were there, somebody may be told so whose first answer
        // was lost.
        let names = request.topics.iter().filter_map(|topic| TopicName::new(&topic.name).ok());
        node.wait_until_led(&names.map(TopicSelector::Name).collect::<Vec<_>>()).await;
    }
    Ok(v1::CreateTopicsResponse { results })
}

/// Creates one topic, or only checks whether it could be.
pub(in super::super) async fn create(
    node: &Node,
    topic: &v1::NewTopic,
    validate_only: bool,
) -> Result<v1::CreatedTopic, v1::Error> {
    let name =
        TopicName::new(&topic.name).map_err(|error| v1::Error::new(ErrorCode::InvalidTopic, error.to_string()))?;
    let state = node.metadata.state().borrow().clone();
    let defaults = &node.config.topics;
    let partition_count = topic.partition_count.unwrap_or(defaults.num_partitions);
    if partition_count == 0 {
        return Err(v1::Error::new(ErrorCode::InvalidPartitions, "a topic has at least 1 partition, 0 were asked for"));
    }
    // Before anything is made of it.
    let count = usize::try_from(partition_count).unwrap_or(usize::MAX);
    MetadataLimit::PartitionsPerTopic.check(count).map_err(|passed| v1::Error::from(&passed))?;
    let broker_count = u32::try_from(state.brokers().len()).unwrap_or(u32::MAX);
    let replication_factor =
        topic.replication_factor.unwrap_or_else(|| defaults.default_replication_factor.min(broker_count));
    let assignments =
        place(&state.broker_loads(), partition_count, replication_factor).map_err(|error| v1::Error::from(&error))?;
    let configs =
        topic.configs.iter().map(|config| ConfigChange { key: config.key.clone(), value: Some(config.value.clone()) });
    let topic_id = random_topic_id(node);
    let command = MetadataCommand::CreateTopic(CreateTopic {
        topic_id,
        name,
        internal: false,
        assignments,
        configs: configs.collect(),
    });
    // Most of what is wrong is told without an entry in the log.
    state.validate(&command).map_err(|error| v1::Error::from(&error))?;
    if validate_only {
        return Ok(v1::CreatedTopic { topic_id: bytes::Bytes::new(), partition_count, replication_factor });
    }
    node.metadata.propose(&command).await.map_err(|error| describe::propose_error(&error))?;
    Ok(v1::CreatedTopic { topic_id: describe::id_bytes(topic_id), partition_count, replication_factor })
}

/// Makes up an id: a random UUID, version 4.
fn random_topic_id(node: &Node) -> TopicId {
    let environment = node.host.environment();
    let number = u128::from(environment.random_u64()) << 64 | u128::from(environment.random_u64());
    let mut bytes = number.to_be_bytes();
    bytes[6] = 0x40 | bytes[6] & 0x0f;
    bytes[8] = 0x80 | bytes[8] & 0x3f;
    TopicId::new(bytes)
}
