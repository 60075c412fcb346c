//! Bad topics and partitions, in every call that takes one.

use bytes::Bytes;
use tidelog_proto::api::v1;
use tidelog_proto::error_code::ErrorCode;

use super::batches::good_batch;
use super::fetch::{closed_first, earliest};
use super::host::{Host, PLAIN, by_name};
use super::row::{Row, Seen, body, call};

/// A call that is about a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Produce,
    Fetch,
    ListOffsets,
    Metadata,
    ProduceRecords,
    FetchRecords,
    DescribeTopics,
    DeleteTopics,
    AlterTopicConfigs,
    CreatePartitions,
    DeleteRecords,
    DescribeConfigs,
}

const CALLS: [Call; 12] = [
    Call::Produce,
    Call::Fetch,
    Call::ListOffsets,
    Call::Metadata,
    Call::ProduceRecords,
    Call::FetchRecords,
    Call::DescribeTopics,
    Call::DeleteTopics,
    Call::AlterTopicConfigs,
    Call::CreatePartitions,
    Call::DeleteRecords,
    Call::DescribeConfigs,
];

/// The calls about one partition.
const WITH_PARTITION: [Call; 6] =
    [Call::Produce, Call::Fetch, Call::ListOffsets, Call::ProduceRecords, Call::FetchRecords, Call::DeleteRecords];

/// A topic that is not one: what it is, what it looks like, what is wrong with it, and the limit that it passes.
fn bad_topics() -> Vec<(&'static str, v1::TopicRef, ErrorCode, Option<&'static str>)> {
    let id = |bytes: &'static [u8]| v1::TopicRef { by: Some(v1::topic_ref::By::Id(Bytes::from_static(bytes))) };
    let long = "x".repeat(250);
    vec![
        ("neither id nor name", v1::TopicRef { by: None }, ErrorCode::InvalidRequest, None),
        ("an id of no bytes", id(&[]), ErrorCode::InvalidRequest, None),
        ("an id of 15 bytes", id(&[7; 15]), ErrorCode::InvalidRequest, None),
        ("an id of 17 bytes", id(&[7; 17]), ErrorCode::InvalidRequest, None),
        ("an empty name", by_name(""), ErrorCode::InvalidTopic, None),
        ("the name `.`", by_name("."), ErrorCode::InvalidTopic, None),
        ("the name `..`", by_name(".."), ErrorCode::InvalidTopic, None),
        ("a name that is a path", by_name("../plain"), ErrorCode::InvalidTopic, None),
        ("a name with a zero byte", by_name("plain\0"), ErrorCode::InvalidTopic, None),
        ("a name of 250 bytes", by_name(&long), ErrorCode::InvalidTopic, Some("topic_name_bytes")),
        ("a name of 1 MiB", by_name(&"x".repeat(1 << 20)), ErrorCode::InvalidTopic, Some("topic_name_bytes")),
        ("an unknown name", by_name("nowhere"), ErrorCode::UnknownTopicOrPartition, None),
        ("an unknown id", id(&[7; 16]), ErrorCode::UnknownTopicId, None),
    ]
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for about in CALLS {
        for (what, topic, code, limit) in bad_topics() {
            // Of a call about one thing, what is malformed ends the call.
            let is_malformed = matches!(code, ErrorCode::InvalidRequest | ErrorCode::InvalidTopic);
            let is_single = matches!(about, Call::ProduceRecords | Call::FetchRecords);
            let must = if is_malformed && is_single { call(code) } else { body(code) };
            let must = limit.map_or(must.clone(), |limit| must.of_limit(limit));
            let sent = async move |host: &Host| send(host, about, topic, 0).await;
            rows.push(Row::new(format!("{about:?} about {what}"), must, sent));
        }
    }
    for about in WITH_PARTITION {
        for partition in [2, u32::MAX] {
            let must = body(ErrorCode::UnknownTopicOrPartition);
            let sent = async move |host: &Host| send(host, about, by_name(PLAIN), partition).await;
            rows.push(Row::new(format!("{about:?} about partition {partition} of two"), must, sent));
        }
    }
    rows
}

async fn send(host: &Host, call: Call, topic: v1::TopicRef, partition: u32) -> Seen {
    let result = match call {
        Call::Produce => return host.produce(topic, partition, good_batch()).await,
        Call::Fetch => return fetch(host, topic, partition).await,
        Call::FetchRecords => return fetch_records(host, topic, partition).await,
        Call::ListOffsets | Call::Metadata | Call::ProduceRecords => lookup(host, call, topic, partition).await,
        _ => administer(host, call, topic, partition).await,
    };
    match result {
        Ok(error) => Seen::of_body(error.as_ref()),
        Err(status) => Seen::of_status(&status),
    }
}

async fn fetch(host: &Host, topic: v1::TopicRef, partition: u32) -> Seen {
    let open = v1::FetchOpen { topic: Some(topic), partition, position: Some(earliest()), ..Default::default() };
    closed_first(host, v1::fetch_command::Command::Open(open)).await
}

async fn fetch_records(host: &Host, topic: v1::TopicRef, partition: u32) -> Seen {
    let position = Some(v1::fetch_records_request::Position::Offset(0));
    let request = v1::FetchRecordsRequest { topic: Some(topic), partition, position, ..Default::default() };
    super::fetch::records_first(host, request).await
}

type Answer = Result<Option<v1::Error>, tonic::Status>;

async fn lookup(host: &Host, call: Call, topic: v1::TopicRef, partition: u32) -> Answer {
    match call {
        Call::ListOffsets => {
            let place = Some(v1::list_offsets_query::Place::Named(v1::NamedOffset::Earliest.into()));
            let queries = vec![v1::ListOffsetsQuery { topic: Some(topic), partition, place }];
            let request = v1::ListOffsetsRequest { queries, isolation_level: 0 };
            let answer = host.broker().list_offsets(request).await?.into_inner();
            Ok(super::lookups::listed_error(answer))
        }
        Call::Metadata => {
            let request = v1::MetadataRequest { topics: vec![topic], ..Default::default() };
            Ok(host.broker().metadata(request).await?.into_inner().topics.remove(0).error)
        }
        _ => {
            let request = v1::ProduceRecordsRequest {
                topic: Some(topic),
                partition: Some(partition),
                acks: 0,
                records: vec![v1::NewRecord::default()],
            };
            let answer = host.broker().produce_records(request).await?.into_inner();
            Ok(super::produce::result_error(answer))
        }
    }
}

async fn administer(host: &Host, call: Call, topic: v1::TopicRef, partition: u32) -> Answer {
    let mut admin = host.admin();
    Ok(match call {
        Call::DescribeTopics => {
            let answer = admin.describe_topics(v1::DescribeTopicsRequest { topics: vec![topic] }).await?.into_inner();
            match answer.results.into_iter().next().and_then(|result| result.result) {
                Some(v1::describe_topics_result::Result::Error(error)) => Some(*error),
                _ => None,
            }
        }
        Call::DeleteTopics => {
            let answer = admin.delete_topics(v1::DeleteTopicsRequest { topics: vec![topic] }).await?;
            answer.into_inner().results.remove(0).error
        }
        Call::AlterTopicConfigs => {
            let changes = vec![v1::ConfigChange { key: "retention_ms".to_owned(), value: None }];
            let topics = vec![v1::TopicConfigChanges { topic: Some(topic), changes }];
            let request = v1::AlterTopicConfigsRequest { topics, validate_only: false };
            admin.alter_topic_configs(request).await?.into_inner().results.remove(0).error
        }
        Call::CreatePartitions => {
            let topics = vec![v1::TopicPartitionCount { topic: Some(topic), partition_count: 5 }];
            let request = v1::CreatePartitionsRequest { topics, validate_only: false };
            admin.create_partitions(request).await?.into_inner().results.remove(0).error
        }
        Call::DeleteRecords => {
            let end = Some(v1::delete_records_partition::End::BeforeOffset(0));
            let partitions = vec![v1::DeleteRecordsPartition { topic: Some(topic), partition, end }];
            let answer = admin.delete_records(v1::DeleteRecordsRequest { partitions }).await?.into_inner();
            super::administration::deleted_error(answer)
        }
        _ => {
            let resource = v1::ConfigResource { resource: Some(v1::config_resource::Resource::Topic(topic)) };
            let request = v1::DescribeConfigsRequest { resources: vec![resource] };
            admin.describe_configs(request).await?.into_inner().results.remove(0).error
        }
    })
}
