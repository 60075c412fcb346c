//! Unary calls over a real connection: `ListOffsets`, `ProduceRecords`, reflection and health.

use bytes::Bytes;
use futures_util::stream;
use tidelog_proto::api::v1;
use tidelog_proto::error_code::ErrorCode;
use tidelog_raft::ReplicatedLog;
use tonic::Code;

use crate::test_logs::batch_of;
use crate::test_server::{TestServer, topic_ref};
use tidelog_proto::key_hash::partition_for_key;

use v1::list_offsets_query::Place;

fn query(partition: u32, place: Place) -> v1::ListOffsetsQuery {
    v1::ListOffsetsQuery { topic: topic_ref(), partition, place: Some(place) }
}

fn record(key: Option<&'static str>, value: &'static str) -> v1::NewRecord {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    v1::NewRecord { key: key.map(bytes), value: Some(bytes(value)), ..Default::default() }
}

fn produce(partition: Option<u32>, records: Vec<v1::NewRecord>) -> v1::ProduceRecordsRequest {
    v1::ProduceRecordsRequest { topic: topic_ref(), partition, acks: 0, records }
}

fn error_of(result: &v1::ProduceRecordsResult) -> &v1::Error {
    match &result.result {
        Some(v1::produce_records_result::Result::Error(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn appended_of(result: &v1::ProduceRecordsResult) -> &v1::AppendedRecord {
    match &result.result {
        Some(v1::produce_records_result::Result::Appended(appended)) => appended,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn offsets_are_listed_in_the_order_of_the_queries() {
    let mut server = TestServer::start(1).await;
    server.logs[0].append(batch_of(&["1 ms", "2 ms", "3 ms"])).await.unwrap().await.unwrap();
    server.logs[0].start_at(1);
    let named = |name: v1::NamedOffset| Place::Named(name.into());
    let queries = vec![
        query(0, named(v1::NamedOffset::Latest)),
        query(0, named(v1::NamedOffset::Earliest)),
        query(0, Place::TimestampMs(3)),
        query(0, Place::TimestampMs(4)),
        query(1, named(v1::NamedOffset::Latest)),
        query(0, named(v1::NamedOffset::Unspecified)),
    ];
    let request = v1::ListOffsetsRequest { queries, isolation_level: 0 };
    let results = server.client.list_offsets(request.clone()).await.unwrap().into_inner().results;
    let listed = |place: usize| match &results[place].result {
        Some(v1::list_offsets_result::Result::Listed(listed)) => (listed.offset, listed.timestamp_ms),
        other => panic!("{other:?}"),
    };
    let code = |place: usize| match &results[place].result {
        Some(v1::list_offsets_result::Result::Error(error)) => error.known_code(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        [listed(0), listed(1), listed(2), listed(3)],
        [(Some(3), None), (Some(1), None), (Some(2), Some(3)), (None, None)]
    );
    assert_eq!([code(4), code(5)], [Some(ErrorCode::NotLeader), Some(ErrorCode::InvalidRequest)]);

    server.logs[0].lose_leadership();
    let results = server.client.list_offsets(request).await.unwrap().into_inner().results;
    assert!(matches!(&results[1].result, Some(v1::list_offsets_result::Result::Error(error))
        if error.known_code() == Some(ErrorCode::NotLeader)));
}

#[tokio::test]
async fn records_go_where_their_keys_say_and_are_answered_in_their_order() {
    let mut server = TestServer::start(3).await;
    // Three partitions here, one elsewhere.
    let keys = ["a", "b", "c", "d", "e", "f"];
    let records = keys.iter().map(|key| record(Some(key), key)).collect();
    let results = server.client.produce_records(produce(None, records)).await.unwrap().into_inner().results;
    for (key, result) in keys.iter().zip(&results) {
        let partition = partition_for_key(key.as_bytes(), 4).get();
        assert_eq!(result.partition, Some(partition));
        if partition == 3 {
            assert_eq!(error_of(result).known_code(), Some(ErrorCode::NotLeader));
        } else {
            assert_eq!(appended_of(result).acks_reached(), v1::Acks::All);
        }
    }
    let keyless = vec![record(None, "x"), record(None, "y")];
    let results = server.client.produce_records(produce(None, keyless)).await.unwrap().into_inner().results;
    assert_eq!(results[0].partition, results[1].partition);
    assert_eq!(appended_of(&results[1]).offset, appended_of(&results[0]).offset + 1);
}

#[tokio::test]
async fn records_that_break_a_rule_are_named_and_none_of_their_partition_is_stored() {
    let mut server = TestServer::start(1).await;
    let late = v1::NewRecord { timestamp_ms: Some(i64::MAX / 2), ..record(None, "late") };
    let headers = vec![v1::RecordHeader { key: "h".to_owned(), value: None }; 65];
    let crowded = v1::NewRecord { headers, ..record(None, "crowded") };
    let large = v1::NewRecord { value: Some(Bytes::from(vec![0; 2 << 20])), ..Default::default() };
    for (wrong, code, limit) in [
        (late, ErrorCode::InvalidTimestamp, None),
        (crowded, ErrorCode::InvalidRecord, Some("headers_max")),
        (large, ErrorCode::BatchTooLarge, Some("batch_bytes_max")),
    ] {
        let request = produce(Some(0), vec![record(None, "good"), wrong]);
        let results = server.client.produce_records(request).await.unwrap().into_inner().results;
        for result in &results {
            let error = error_of(result);
            assert_eq!((error.known_code(), error.limit.as_ref().map(|l| l.name.as_str())), (Some(code), limit));
            if limit.is_some() {
                assert_eq!(error.record_index, Some(1));
            }
        }
    }
    assert_eq!(server.logs[0].reader_end().get(), 0);
}

#[tokio::test]
async fn a_call_that_contradicts_itself_fails_as_a_whole() {
    let mut server = TestServer::start(1).await;
    let silent = v1::ProduceRecordsRequest { acks: v1::Acks::None.into(), ..produce(None, vec![record(None, "a")]) };
    for request in [produce(None, Vec::new()), silent] {
        let status = server.client.produce_records(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    let unknown = v1::ProduceRecordsRequest {
        topic: Some(v1::TopicRef { by: Some(v1::topic_ref::By::Name("u".to_owned())) }),
        ..produce(None, vec![record(None, "a")])
    };
    let results = server.client.produce_records(unknown).await.unwrap().into_inner().results;
    assert_eq!(results[0].partition, None);
    assert_eq!(error_of(&results[0]).known_code(), Some(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test]
async fn tools_find_the_services_and_their_health() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let server = TestServer::start(0).await;
    let mut health = HealthClient::new(server.channel.clone());
    let answer = health.check(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(answer.status, 1, "serving");

    let mut reflection = ServerReflectionClient::new(server.channel.clone());
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = reflection.server_reflection_info(stream::iter([list])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else { panic!() };
    let names: Vec<_> = services.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"tidelog.v1.Broker".to_owned()), "{names:?}");
}
