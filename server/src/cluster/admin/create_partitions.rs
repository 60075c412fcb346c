//! `Admin.CreatePartitions`.

use tidelog_proto::api::{TopicSelector, v1};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::PartitionId;
use tidelog_raft::metadata::{MetadataCommand, MetadataLimit, place};
use tonic::Status;

use super::super::{Node, describe};
use super::{check_count, check_distinct, known_id};

/// Answers one call. Each topic gets its partitions for itself.
pub(super) async fn create_partitions(
    node: &Node,
    request: v1::CreatePartitionsRequest,
) -> Result<v1::CreatePartitionsResponse, Status> {
    check_count("topics", request.topics.len())?;
    let state = node.metadata.state().borrow().clone();
    check_distinct("topics", request.topics.iter().map(|topic| known_id(&state, topic.topic.as_ref())))?;
    let mut results = Vec::with_capacity(request.topics.len());
    for (place, topic) in request.topics.iter().enumerate() {
        let error = create(node, place, topic, request.validate_only).await.err();
        results.push(v1::CreatePartitionsResult { error });
    }
    if !request.validate_only {
        let topics = request.topics.iter().filter_map(|topic| TopicSelector::from_field(topic.topic.as_ref()).ok());
        node.wait_until_led(&topics.collect::<Vec<_>>()).await;
    }
    Ok(v1::CreatePartitionsResponse { results })
}

async fn create(
    node: &Node,
    number: usize,
    request: &v1::TopicPartitionCount,
    validate_only: bool,
) -> Result<(), v1::Error> {
    let selector = TopicSelector::from_field(request.topic.as_ref())
        .map_err(|error| error.into_error(&format!("topics[{number}]")))?;
    let state = node.metadata.state().borrow().clone();
    let topic = describe::topic(&state, &selector)?;
    let (has, wanted) = (topic.partition_count(), request.partition_count);
    let Some(more) = wanted.checked_sub(has).filter(|more| *more > 0) else {
        let message = format!("topic {} has {has} partitions, so it cannot get {wanted} in all", topic.name);
        return Err(v1::Error::new(ErrorCode::InvalidPartitions, message));
    };
    let count = usize::try_from(wanted).unwrap_or(usize::MAX);
    MetadataLimit::PartitionsPerTopic.check(count).map_err(|passed| v1::Error::from(&passed))?;
    let assignments =
        place(&state.broker_loads(), more, topic.replication_factor).map_err(|error| v1::Error::from(&error))?;
    let command =
        MetadataCommand::CreatePartitions { topic_id: topic.id, first_partition: PartitionId::new(has), assignments };
    state.validate(&command).map_err(|error| v1::Error::from(&error))?;
    if validate_only {
        return Ok(());
    }
    node.metadata.propose(&command).await.map(drop).map_err(|error| describe::propose_error(&error))
}
