//! The calls of `Admin` beyond names and amounts.

use tidelog_proto::api::v1;
use tidelog_proto::api::v1::delete_records_partition::End;
use tidelog_proto::error_code::ErrorCode;
use tonic::Status;

use super::host::{Host, PLAIN, by_name};
use super::row::{Row, Seen, body, call};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = new_topics();
    rows.extend(new_names());
    rows.extend(changes());
    rows.extend(partitions());
    rows.extend(records());
    rows.extend(descriptions());
    rows
}

fn create(what: &str, must: Seen, topics: Vec<v1::NewTopic>) -> Row {
    Row::new(format!("CreateTopics {what}"), must, async move |host: &Host| {
        let request = v1::CreateTopicsRequest { topics, validate_only: false };
        let answer = host.admin().create_topics(request).await;
        of_first(answer.map(|answer| match answer.into_inner().results.into_iter().next()?.result {
            Some(v1::create_topics_result::Result::Error(error)) => Some(*error),
            _ => None,
        }))
    })
}

fn new_topics() -> Vec<Row> {
    let topic = || v1::NewTopic { name: "t".to_owned(), ..Default::default() };
    let partitions = |count: u32| vec![v1::NewTopic { partition_count: Some(count), ..topic() }];
    let replicas = |count: u32| vec![v1::NewTopic { replication_factor: Some(count), ..topic() }];
    let config = |key: &str, value: &str| v1::NewConfig { key: key.to_owned(), value: value.to_owned() };
    let configs = |configs: Vec<v1::NewConfig>| vec![v1::NewTopic { configs, ..topic() }];
    let too_many = || body(ErrorCode::InvalidPartitions).of_limit("partitions_per_topic_max");
    let invalid_config = || body(ErrorCode::InvalidConfig);
    let replication = || body(ErrorCode::InvalidReplicationFactor);
    vec![
        create("of nothing", Seen::Answered, vec![]),
        create("of the same name twice", call(ErrorCode::InvalidRequest), vec![topic(), topic()]),
        create(
            "of a name that is taken",
            body(ErrorCode::TopicAlreadyExists),
            vec![v1::NewTopic { name: PLAIN.to_owned(), ..topic() }],
        ),
        create("with 0 partitions", body(ErrorCode::InvalidPartitions), partitions(0)),
        create("with a billion partitions", too_many(), partitions(1_000_000_000)),
        create("with 2^32 - 1 partitions", too_many(), partitions(u32::MAX)),
        create("with 0 replicas", replication(), replicas(0)),
        create("with 5 replicas on one broker", replication(), replicas(5)),
        create("with 2^32 - 1 replicas", replication(), replicas(u32::MAX)),
        create("with an unknown config", invalid_config(), configs(vec![config("retention.ms", "1")])),
        create("with a config of no name", invalid_config(), configs(vec![config("", "")])),
        create("with a config below its bound", invalid_config(), configs(vec![config("segment_bytes", "1")])),
        create("with a config that is no number", invalid_config(), configs(vec![config("retention_ms", "1e9")])),
        create("with a config past 64 bits", invalid_config(), configs(vec![config("retention_ms", &"9".repeat(40))])),
        create(
            "with a config key twice",
            body(ErrorCode::InvalidRequest),
            configs(vec![config("retention_ms", "1000000"), config("retention_ms", "2000000")]),
        ),
    ]
}

fn new_names() -> Vec<Row> {
    let long = "x".repeat(250);
    let names = ["", ".", "..", "../up", "a b", "a\0b", "ä", "a/b", &long, "__internal"];
    let row = |name: &str| {
        let what = format!("named {:?}", if name.len() > 20 { "250 letters" } else { name });
        create(&what, body(ErrorCode::InvalidTopic), vec![v1::NewTopic { name: name.to_owned(), ..Default::default() }])
    };
    names.into_iter().map(row).collect()
}

fn alter(what: &str, must: Seen, topics: Vec<v1::TopicConfigChanges>) -> Row {
    Row::new(format!("AlterTopicConfigs {what}"), must, async move |host: &Host| {
        let request = v1::AlterTopicConfigsRequest { topics, validate_only: false };
        let answer = host.admin().alter_topic_configs(request).await;
        of_first(answer.map(|answer| answer.into_inner().results.into_iter().next()?.error))
    })
}

fn changes() -> Vec<Row> {
    let change = |key: &str, value: &str| v1::ConfigChange { key: key.to_owned(), value: Some(value.to_owned()) };
    let of_plain = |changes: Vec<v1::ConfigChange>| v1::TopicConfigChanges { topic: Some(by_name(PLAIN)), changes };
    let good = || of_plain(vec![change("retention_ms", "86400000")]);
    let invalid = || body(ErrorCode::InvalidRequest);
    vec![
        alter("of nothing in a topic", invalid(), vec![of_plain(vec![])]),
        alter(
            "of a key twice",
            invalid(),
            vec![of_plain(vec![change("retention_ms", "1000000"), change("retention_ms", "2000000")])],
        ),
        alter("of a topic twice", call(ErrorCode::InvalidRequest), vec![good(), good()]),
        alter("of an unknown key", body(ErrorCode::InvalidConfig), vec![of_plain(vec![change("no_such", "1")])]),
        alter("of a broker's key", body(ErrorCode::InvalidConfig), vec![of_plain(vec![change("data_dir", "/")])]),
        alter("out of bounds", body(ErrorCode::InvalidConfig), vec![of_plain(vec![change("batch_bytes_max", "1")])]),
    ]
}

fn partitions() -> Vec<Row> {
    let row = |what: &str, must: Seen, counts: Vec<u32>| {
        Row::new(format!("CreatePartitions {what}"), must, async move |host: &Host| {
            let to = |partition_count| v1::TopicPartitionCount { topic: Some(by_name(PLAIN)), partition_count };
            let request =
                v1::CreatePartitionsRequest { topics: counts.into_iter().map(to).collect(), validate_only: false };
            let answer = host.admin().create_partitions(request).await;
            of_first(answer.map(|answer| answer.into_inner().results.into_iter().next()?.error))
        })
    };
    let too_many = || body(ErrorCode::InvalidPartitions).of_limit("partitions_per_topic_max");
    vec![
        row("to 0", body(ErrorCode::InvalidPartitions), vec![0]),
        row("to fewer", body(ErrorCode::InvalidPartitions), vec![1]),
        row("to as many", body(ErrorCode::InvalidPartitions), vec![2]),
        row("to a billion", too_many(), vec![1_000_000_000]),
        row("to 2^32 - 1", too_many(), vec![u32::MAX]),
        row("of a topic twice", call(ErrorCode::InvalidRequest), vec![3, 4]),
    ]
}

fn records() -> Vec<Row> {
    let row = |what: &str, must: Seen, ends: Vec<Option<End>>| {
        Row::new(format!("DeleteRecords {what}"), must, async move |host: &Host| {
            let of = |end| v1::DeleteRecordsPartition { topic: Some(by_name(PLAIN)), partition: 0, end };
            let partitions = ends.into_iter().map(of).collect();
            let answer = host.admin().delete_records(v1::DeleteRecordsRequest { partitions }).await;
            of_first(answer.map(|answer| deleted_error(answer.into_inner())))
        })
    };
    let invalid = || body(ErrorCode::InvalidRequest);
    let start = || Some(End::BeforeOffset(0));
    vec![
        row("without an end", invalid(), vec![None]),
        row("with all = false", invalid(), vec![Some(End::All(false))]),
        row("past the end", body(ErrorCode::OffsetOutOfRange), vec![Some(End::BeforeOffset(1 << 40))]),
        row("before 2^63", invalid().of_limit("before_offset"), vec![Some(End::BeforeOffset(1 << 63))]),
        row("of a partition twice", call(ErrorCode::InvalidRequest), vec![start(), start()]),
    ]
}

fn descriptions() -> Vec<Row> {
    let configs = |what: &str, resource: Option<v1::config_resource::Resource>| {
        Row::new(format!("DescribeConfigs of {what}"), body(ErrorCode::InvalidRequest), async move |host: &Host| {
            let request = v1::DescribeConfigsRequest { resources: vec![v1::ConfigResource { resource }] };
            let answer = host.admin().describe_configs(request).await;
            of_first(answer.map(|answer| answer.into_inner().results.into_iter().next()?.error))
        })
    };
    let broker = |id: u32| Some(v1::config_resource::Resource::BrokerId(id));
    vec![
        configs("nothing", None),
        configs("another broker", broker(4711)),
        configs("broker 2^32 - 1", broker(u32::MAX)),
        Row::new("DescribeCluster and DescribeBroker a hundred times at once", Seen::Answered, async |host: &Host| {
            let calls = (0..100).map(async |_| {
                host.admin().describe_cluster(v1::DescribeClusterRequest {}).await?;
                host.admin().describe_broker(v1::DescribeBrokerRequest {}).await.map(drop)
            });
            let answers = futures_util::future::join_all(calls).await;
            let refused = answers.into_iter().find_map(Result::err);
            refused.map_or(Seen::Answered, |status| Seen::of_status(&status))
        }),
    ]
}

/// Takes the error of the first result, or the status of the call.
fn of_first(answer: Result<Option<v1::Error>, Status>) -> Seen {
    match answer {
        Ok(error) => Seen::of_body(error.as_ref()),
        Err(status) => Seen::of_status(&status),
    }
}

/// Gives the error of the first partition.
pub(super) fn deleted_error(answer: v1::DeleteRecordsResponse) -> Option<v1::Error> {
    match answer.results.into_iter().next().and_then(|result| result.result) {
        Some(v1::delete_records_result::Result::Error(error)) => Some(*error),
        _ => None,
    }
}
