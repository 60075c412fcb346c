//! Too many elements and too many bytes: what a small message would take in memory, and messages that are not small.

use futures_util::stream;
use tidelog_proto::api::v1;
use tidelog_proto::error_code::ErrorCode;
use tonic::Status;

use super::host::{Host, PLAIN, by_name};
use super::row::{Row, Seen, call};

/// Two bytes each on the wire, a hundred in memory.
const EMPTY_ELEMENTS: usize = 100_000;

/// A mebibyte more than a message may have.
const LARGE_BYTES: usize = 9 << 20;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(empty_elements_of_records());
    rows.extend(empty_elements_of_administration());
    rows.extend(messages_above_the_limit());
    rows.extend(items_above_the_limit());
    rows
}

fn many<T: Clone + Default>() -> Vec<T> {
    vec![T::default(); EMPTY_ELEMENTS]
}

fn too_many_elements<F>(of: &str, sent: F) -> Row
where
    F: for<'a> AsyncFnOnce(&'a Host) -> Result<(), Status> + 'static,
{
    let must = call(ErrorCode::InvalidRequest).of_limit("message_elements_max");
    Row::new(format!("{EMPTY_ELEMENTS} empty elements of {of}"), must, async move |host: &Host| ended(sent(host).await))
}

fn ended(result: Result<(), Status>) -> Seen {
    result.map_or_else(|status| Seen::of_status(&status), |()| Seen::Answered)
}

fn empty_elements_of_records() -> Vec<Row> {
    vec![
        too_many_elements("ProduceRequest.batches", async |host: &Host| {
            let request = v1::ProduceRequest { batches: many(), ..Default::default() };
            host.broker().produce(stream::iter([request])).await?.into_inner().message().await.map(drop)
        }),
        too_many_elements("FetchRequest.commands", async |host: &Host| {
            let request = v1::FetchRequest { credit_bytes: 0, commands: many() };
            host.fetch(vec![request]).await?.message().await.map(drop)
        }),
        too_many_elements("ListOffsetsRequest.queries", async |host: &Host| {
            let request = v1::ListOffsetsRequest { queries: many(), isolation_level: 0 };
            host.broker().list_offsets(request).await.map(drop)
        }),
        too_many_elements("MetadataRequest.topics", async |host: &Host| {
            host.broker().metadata(v1::MetadataRequest { topics: many(), ..Default::default() }).await.map(drop)
        }),
        too_many_elements("ProduceRecordsRequest.records", async |host: &Host| {
            let topic = Some(by_name(PLAIN));
            let request = v1::ProduceRecordsRequest { topic, records: many(), ..Default::default() };
            host.broker().produce_records(request).await.map(drop)
        }),
        too_many_elements("NewRecord.headers", async |host: &Host| {
            let records = vec![v1::NewRecord { headers: many(), ..Default::default() }];
            let request = v1::ProduceRecordsRequest { topic: Some(by_name(PLAIN)), records, ..Default::default() };
            host.broker().produce_records(request).await.map(drop)
        }),
    ]
}

fn empty_elements_of_administration() -> Vec<Row> {
    vec![
        too_many_elements("CreateTopicsRequest.topics", async |host: &Host| {
            host.admin().create_topics(v1::CreateTopicsRequest { topics: many(), ..Default::default() }).await.map(drop)
        }),
        too_many_elements("NewTopic.configs", async |host: &Host| {
            let topics = vec![v1::NewTopic { name: "t".to_owned(), configs: many(), ..Default::default() }];
            host.admin().create_topics(v1::CreateTopicsRequest { topics, ..Default::default() }).await.map(drop)
        }),
        too_many_elements("DescribeTopicsRequest.topics", async |host: &Host| {
            host.admin().describe_topics(v1::DescribeTopicsRequest { topics: many() }).await.map(drop)
        }),
        too_many_elements("DeleteTopicsRequest.topics", async |host: &Host| {
            host.admin().delete_topics(v1::DeleteTopicsRequest { topics: many() }).await.map(drop)
        }),
        too_many_elements("AlterTopicConfigsRequest.topics", async |host: &Host| {
            let request = v1::AlterTopicConfigsRequest { topics: many(), validate_only: false };
            host.admin().alter_topic_configs(request).await.map(drop)
        }),
        too_many_elements("TopicConfigChanges.changes", async |host: &Host| {
            let topics = vec![v1::TopicConfigChanges { topic: Some(by_name(PLAIN)), changes: many() }];
            let request = v1::AlterTopicConfigsRequest { topics, validate_only: false };
            host.admin().alter_topic_configs(request).await.map(drop)
        }),
        too_many_elements("CreatePartitionsRequest.topics", async |host: &Host| {
            let request = v1::CreatePartitionsRequest { topics: many(), validate_only: false };
            host.admin().create_partitions(request).await.map(drop)
        }),
        too_many_elements("DeleteRecordsRequest.partitions", async |host: &Host| {
            host.admin().delete_records(v1::DeleteRecordsRequest { partitions: many() }).await.map(drop)
        }),
        too_many_elements("DescribeConfigsRequest.resources", async |host: &Host| {
            host.admin().describe_configs(v1::DescribeConfigsRequest { resources: many() }).await.map(drop)
        }),
    ]
}

fn messages_above_the_limit() -> Vec<Row> {
    let must = || call(ErrorCode::InvalidRequest).of_limit("message_bytes_max");
    let large = || vec![b'x'; LARGE_BYTES];
    vec![
        Row::new("Produce of a message of 9 MiB", must(), async move |host: &Host| {
            host.produce(by_name(PLAIN), 0, large().into()).await
        }),
        Row::new("ProduceRecords of a message of 9 MiB", must(), async move |host: &Host| {
            let records = vec![v1::NewRecord { value: Some(large().into()), ..Default::default() }];
            let request = v1::ProduceRecordsRequest { topic: Some(by_name(PLAIN)), records, ..Default::default() };
            ended(host.broker().produce_records(request).await.map(drop))
        }),
        Row::new("CreateTopics of a message of 9 MiB", must(), async move |host: &Host| {
            let name = String::from_utf8(large()).expect("letters");
            let topics = vec![v1::NewTopic { name, ..Default::default() }];
            let request = v1::CreateTopicsRequest { topics, ..Default::default() };
            ended(host.admin().create_topics(request).await.map(drop))
        }),
    ]
}

/// Few enough for a message, too many for the call.
fn items_above_the_limit() -> Vec<Row> {
    let above = |says: &str, limit: &str| (says.to_owned(), call(ErrorCode::InvalidRequest).of_limit(limit));
    let (list, metadata) = (above("ListOffsets of 10,001 queries", "queries_max"), "Metadata of 10,001 topics");
    let (metadata, describe) = (above(metadata, "topics_max"), above("DescribeTopics of 1001 topics", "items_max"));
    let (delete, records) =
        (above("DeleteTopics of 1001 topics", "items_max"), above("DeleteRecords of 1001 partitions", "items_max"));
    vec![
        Row::new(list.0, list.1, async |host: &Host| {
            let queries = vec![v1::ListOffsetsQuery::default(); 10_001];
            ended(host.broker().list_offsets(v1::ListOffsetsRequest { queries, isolation_level: 0 }).await.map(drop))
        }),
        Row::new(metadata.0, metadata.1, async |host: &Host| {
            let topics = vec![by_name(PLAIN); 10_001];
            ended(host.broker().metadata(v1::MetadataRequest { topics, ..Default::default() }).await.map(drop))
        }),
        Row::new(describe.0, describe.1, async |host: &Host| {
            let topics = vec![by_name(PLAIN); 1001];
            ended(host.admin().describe_topics(v1::DescribeTopicsRequest { topics }).await.map(drop))
        }),
        Row::new(delete.0, delete.1, async |host: &Host| {
            let topics = vec![by_name(PLAIN); 1001];
            ended(host.admin().delete_topics(v1::DeleteTopicsRequest { topics }).await.map(drop))
        }),
        Row::new(records.0, records.1, async |host: &Host| {
            let partitions = vec![v1::DeleteRecordsPartition::default(); 1001];
            ended(host.admin().delete_records(v1::DeleteRecordsRequest { partitions }).await.map(drop))
        }),
        Row::new(
            "ProduceRecords of 10,001 records",
            call(ErrorCode::InvalidRequest).of_limit("records_max"),
            async |host: &Host| {
                let records = vec![v1::NewRecord::default(); 10_001];
                let request = v1::ProduceRecordsRequest { topic: Some(by_name(PLAIN)), records, ..Default::default() };
                ended(host.broker().produce_records(request).await.map(drop))
            },
        ),
        Row::new(
            "Fetch of 10,001 commands in one request",
            call(ErrorCode::InvalidRequest).of_limit("commands_max"),
            async |host: &Host| {
                let request = v1::FetchRequest { credit_bytes: 0, commands: vec![v1::FetchCommand::default(); 10_001] };
                let pushed = async { host.fetch(vec![request]).await?.message().await.map(drop) };
                ended(pushed.await)
            },
        ),
    ]
}
