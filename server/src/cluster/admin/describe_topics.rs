//! `Admin.DescribeTopics`.

use tidelog_log::LogIdentity;
use tidelog_proto::api::{TopicSelector, v1};
use tidelog_raft::ReplicatedLog;
use tidelog_raft::metadata::Topic;
use tonic::Status;

use super::super::{Node, describe};
use super::check_count;

/// Answers one call.
pub(super) fn describe_topics(
    node: &Node,
    request: &v1::DescribeTopicsRequest,
) -> Result<v1::DescribeTopicsResponse, Status> {
    check_count("topics", request.topics.len())?;
    let state = node.metadata.state().borrow().clone();
    let named = request.topics.iter().filter_map(|topic| TopicSelector::from_field(Some(topic)).ok());
    describe::check_partitions(&state, named)?;
    let describe_one = |(place, topic): (usize, &v1::TopicRef)| {
        let selector =
            TopicSelector::from_field(Some(topic)).map_err(|error| error.into_error(&format!("topics[{place}]")));
        let found = selector.and_then(|selector| describe::topic(&state, &selector));
        let result = match found {
            Ok(topic) => v1::describe_topics_result::Result::Topic(description(node, topic)),
            Err(error) => v1::describe_topics_result::Result::Error(Box::new(error)),
        };
        v1::DescribeTopicsResult { result: Some(result) }
    };
    Ok(v1::DescribeTopicsResponse { results: request.topics.iter().enumerate().map(describe_one).collect() })
}

fn description(node: &Node, topic: &Topic) -> v1::TopicDescription {
    let partitions = topic.partitions().map(|(identity, partition)| v1::PartitionDescription {
        metadata: Some(describe::partition(node, identity, partition)),
        replica: replica(node, identity),
    });
    v1::TopicDescription {
        name: topic.name.as_str().to_owned(),
        topic_id: describe::id_bytes(topic.id),
        internal: topic.internal,
        replication_factor: topic.replication_factor,
        partitions: partitions.collect(),
        configs: topic.configs.describe(&node.config.topics.configs).map(v1::Config::from).collect(),
    }
}

fn replica(node: &Node, identity: LogIdentity) -> Option<v1::ReplicaDescription> {
    let open = node.partitions().get(&identity).cloned()?;
    let reader = open.group.reader();
    Some(v1::ReplicaDescription {
        log_start_offset: reader.log_start_offset().get(),
        high_watermark: open.group.high_watermark().borrow().get(),
        log_end_offset: reader.log_end_offset().get(),
        log_bytes: reader.segments().iter().map(|segment| segment.log_bytes).sum(),
    })
}
