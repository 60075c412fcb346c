//! `Produce` streams over a real connection into real logs.

use std::sync::Arc;

use bytes::Bytes;
use tidelog_proto::api::{decode_status_details, v1};
use tidelog_proto::batch::RecordBatch;
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::Offset;
use tidelog_raft::ProduceError;
use tonic::{Code, Streaming};

use crate::data_path::{DataPathConfig, DiskShortage};
use crate::grpc_server::GrpcConfig;
use crate::partition_table::Topology;
use crate::test_logs::{LocalLog, batch_from, batch_of, settings};
use crate::test_server::{PATIENCE, TestServer, next, topic_ref, topology, try_next};

fn entry(correlation_id: u64, partition: u32, batch: &RecordBatch) -> v1::ProduceBatch {
    raw(correlation_id, partition, batch.bytes().clone())
}

fn raw(correlation_id: u64, partition: u32, record_batch: Bytes) -> v1::ProduceBatch {
    v1::ProduceBatch { correlation_id, topic: topic_ref(), partition, record_batch }
}

fn request(batches: Vec<v1::ProduceBatch>) -> v1::ProduceRequest {
    v1::ProduceRequest { acks: 0, timeout_ms: None, batches }
}

/// Collects as many acks, from as many responses as they take.
async fn acks(responses: &mut Streaming<v1::ProduceResponse>, count: usize) -> Vec<v1::ProduceAck> {
    let mut acks = Vec::new();
    while acks.len() < count {
        acks.extend(next(responses).await.acks);
    }
    assert_eq!(acks.len(), count);
    acks
}

fn offset_of(ack: &v1::ProduceAck) -> u64 {
    match &ack.result {
        Some(v1::produce_ack::Result::Appended(appended)) => appended.base_offset,
        other => panic!("{other:?}"),
    }
}

fn error_of(ack: &v1::ProduceAck) -> &v1::Error {
    match &ack.result {
        Some(v1::produce_ack::Result::Error(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn code_of(ack: &v1::ProduceAck) -> ErrorCode {
    error_of(ack).known_code().unwrap()
}

/// Waits until as many batches wait for their commit.
async fn until_waiting(log: &LocalLog, count: usize) {
    let reached = async {
        while log.waiting() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("appended in time");
}

#[tokio::test]
async fn batches_are_appended_in_the_order_of_the_stream_and_a_closed_stream_ends_well() {
    let mut server = TestServer::start(1).await;
    let (requests, mut responses) = server.produce().await;
    for number in 0..20 {
        let (first, second) = (batch_of(&["a", "b"]), batch_of(&["c"]));
        requests.send(request(vec![entry(2 * number, 0, &first), entry(2 * number + 1, 0, &second)])).await.unwrap();
    }
    drop(requests);
    let acks = acks(&mut responses, 40).await;
    let expected: Vec<(u64, u64)> = (0..20).flat_map(|n| [(2 * n, 3 * n), (2 * n + 1, 3 * n + 2)]).collect();
    let told: Vec<_> = acks.iter().map(|ack| (ack.correlation_id, offset_of(ack))).collect();
    assert_eq!(told, expected);
    let Some(v1::produce_ack::Result::Appended(appended)) = &acks[0].result else { unreachable!() };
    assert_eq!(
        (appended.acks_reached(), appended.log_append_time_ms, appended.duplicate),
        (v1::Acks::All, None, false)
    );
    assert_eq!(try_next(&mut responses).await.unwrap(), None);
    server.stop().await;
}

#[tokio::test]
async fn a_slow_partition_holds_back_nobody_elses_acks() {
    let mut server = TestServer::start(2).await;
    server.logs[0].hold();
    let (requests, mut responses) = server.produce().await;
    let batch = batch_of(&["a"]);
    requests.send(request(vec![entry(1, 0, &batch), entry(2, 1, &batch)])).await.unwrap();
    assert_eq!(acks(&mut responses, 1).await[0].correlation_id, 2);
    until_waiting(&server.logs[0], 1).await;
    server.logs[0].commit();
    assert_eq!(acks(&mut responses, 1).await[0].correlation_id, 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_batch_is_told_beside_it_and_the_others_go_on() {
    let mut server = TestServer::start(1).await;
    server.hosted[0].set_settings(settings(&[("batch_bytes_max", "200")]));
    let (requests, mut responses) = server.produce().await;
    let good = batch_of(&["a"]);
    let mut damaged = good.bytes().to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let nameless = v1::ProduceBatch { topic: None, ..entry(0, 0, &good) };
    let unknown = v1::TopicRef { by: Some(v1::topic_ref::By::Name("u".to_owned())) };
    let batches = vec![
        nameless,
        v1::ProduceBatch { topic: Some(unknown), ..entry(1, 0, &good) },
        entry(2, 9, &good),
        entry(3, 1, &good),
        raw(4, 0, damaged.into()),
        raw(5, 0, Bytes::from_static(b"short")),
        entry(6, 0, &batch_of(&[&"x".repeat(300)])),
        entry(7, 0, &good),
    ];
    requests.send(request(batches)).await.unwrap();
    let mut acks = acks(&mut responses, 8).await;
    acks.sort_by_key(|ack| ack.correlation_id);
    let codes: Vec<_> = acks[..7].iter().map(code_of).collect();
    let expected = [
        ErrorCode::InvalidRequest,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::NotLeader,
        ErrorCode::CorruptBatch,
        ErrorCode::InvalidRecord,
        ErrorCode::BatchTooLarge,
    ];
    assert_eq!(codes, expected);
    assert_eq!(error_of(&acks[0]).field.as_deref(), Some("batches[0].topic"));
    let hint = error_of(&acks[3]).leader.as_ref().unwrap();
    assert_eq!((hint.broker_id, hint.address.as_str(), hint.leader_epoch), (2, "127.0.0.1:2", Some(3)));
    let limit = error_of(&acks[6]).limit.as_ref().unwrap();
    assert_eq!((limit.allowed, limit.config_key.as_deref()), (200, Some("batch_bytes_max")));
    assert_eq!(offset_of(&acks[7]), 0);
}

#[tokio::test]
async fn topics_of_the_brokers_and_full_disks_take_nothing() {
    let mut server = TestServer::start(1).await;
    let (requests, mut responses) = server.produce().await;
    server.path.set_disk_shortage(Some(DiskShortage { free_bytes: 1, reserve_bytes: 2 }));
    requests.send(request(vec![entry(1, 0, &batch_of(&["a"]))])).await.unwrap();
    let refused = acks(&mut responses, 1).await;
    assert_eq!(code_of(&refused[0]), ErrorCode::DiskFull);
    let Some(v1::produce_ack::Result::Error(error)) = &refused[0].result else { panic!("it was refused") };
    assert_eq!(error.retry_after_ms, Some(1_000));
    assert!(error.message.contains("1 bytes of the disk are free, less than disk_reserve_bytes = 2"), "{error:?}");
    server.path.set_disk_shortage(None);
    server.path.table.replace(topology(&server.hosted, true));
    requests.send(request(vec![entry(2, 0, &batch_of(&["a"]))])).await.unwrap();
    assert_eq!(code_of(&acks(&mut responses, 1).await[0]), ErrorCode::InvalidTopic);
}

#[tokio::test]
async fn a_broker_that_lost_the_partition_tells_who_leads() {
    let mut server = TestServer::start(1).await;
    let (requests, mut responses) = server.produce().await;
    server.logs[0].lose_leadership();
    requests.send(request(vec![entry(1, 0, &batch_of(&["a"]))])).await.unwrap();
    let acks = acks(&mut responses, 1).await;
    assert_eq!(code_of(&acks[0]), ErrorCode::NotLeader);
    assert_eq!(error_of(&acks[0]).leader.as_ref().unwrap().address, "127.0.0.1:2");
}

#[tokio::test]
async fn a_partition_that_leaves_the_broker_keeps_the_order_of_its_acks() {
    let mut server = TestServer::start(1).await;
    server.logs[0].hold();
    let (requests, mut responses) = server.produce().await;
    let batch = batch_of(&["a"]);
    requests.send(request(vec![entry(1, 0, &batch)])).await.unwrap();
    until_waiting(&server.logs[0], 1).await;
    server.path.table.replace(Topology::default());
    requests.send(request(vec![entry(2, 0, &batch), entry(3, 9, &batch)])).await.unwrap();
    assert_eq!(acks(&mut responses, 1).await[0].correlation_id, 3, "of another partition");
    server.logs[0].commit();
    let told = acks(&mut responses, 2).await;
    assert_eq!((told[0].correlation_id, offset_of(&told[0])), (1, 0));
    assert_eq!((told[1].correlation_id, code_of(&told[1])), (2, ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test]
async fn behind_a_refused_batch_those_of_its_producer_fail_until_it_comes_again() {
    let mut server = TestServer::start(1).await;
    let (requests, mut responses) = server.produce().await;
    let mut damaged = batch_from(1, 0, &["a"]).bytes().to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let batches = vec![
        raw(0, 0, damaged.into()),
        entry(1, 0, &batch_from(1, 1, &["b"])),
        entry(2, 0, &batch_from(2, 0, &["other"])),
        entry(3, 0, &batch_from(1, 2, &["c"])),
    ];
    requests.send(request(batches)).await.unwrap();
    let told = acks(&mut responses, 4).await;
    assert_eq!(told.iter().map(|ack| ack.correlation_id).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(code_of(&told[0]), ErrorCode::CorruptBatch);
    assert_eq!(code_of(&told[1]), ErrorCode::NotLeader);
    assert!(error_of(&told[1]).retriable);
    assert_eq!(offset_of(&told[2]), 0);
    assert_eq!(code_of(&told[3]), ErrorCode::NotLeader);

    let again = (0..3).map(|n| entry(n, 0, &batch_from(1, u32::try_from(n).unwrap(), &["again"])));
    requests.send(request(again.collect())).await.unwrap();
    let told: Vec<_> = acks(&mut responses, 3).await.iter().map(offset_of).collect();
    assert_eq!(told, [1, 2, 3]);
}

#[tokio::test]
async fn a_refusal_after_the_append_fails_what_still_waits() {
    let mut server = TestServer::start(1).await;
    let (requests, mut responses) = server.produce().await;
    server.logs[0].refuse_next(ProduceError::Behind);
    requests.send(request(vec![entry(0, 0, &batch_from(1, 0, &["a"]))])).await.unwrap();
    assert_eq!(code_of(&acks(&mut responses, 1).await[0]), ErrorCode::NotLeader);
    requests.send(request(vec![entry(1, 0, &batch_from(1, 1, &["b"]))])).await.unwrap();
    assert_eq!(code_of(&acks(&mut responses, 1).await[0]), ErrorCode::NotLeader);
    assert_eq!(server.logs[0].waiting(), 0);
}

#[tokio::test]
async fn who_waits_too_long_is_told_so_in_order() {
    let mut server = TestServer::start(1).await;
    server.logs[0].hold();
    let (requests, mut responses) = server.produce().await;
    let batch = batch_of(&["a"]);
    let patient = request(vec![entry(2, 0, &batch)]);
    requests.send(v1::ProduceRequest { timeout_ms: Some(1), ..request(vec![entry(1, 0, &batch)]) }).await.unwrap();
    requests.send(patient).await.unwrap();
    let told = acks(&mut responses, 1).await;
    assert_eq!((told[0].correlation_id, code_of(&told[0])), (1, ErrorCode::RequestTimedOut));
    until_waiting(&server.logs[0], 1).await;
    server.logs[0].commit();
    assert_eq!(acks(&mut responses, 1).await[0].correlation_id, 2);
}

#[tokio::test]
async fn without_acks_nothing_is_told_of_what_was_taken() {
    let mut server = TestServer::start(1).await;
    let (requests, mut responses) = server.produce().await;
    let silent = v1::ProduceRequest { acks: v1::Acks::None.into(), ..request(vec![entry(1, 0, &batch_of(&["a"]))]) };
    requests.send(silent).await.unwrap();
    let leader = v1::ProduceRequest { acks: v1::Acks::Leader.into(), ..request(vec![entry(2, 0, &batch_of(&["b"]))]) };
    requests.send(leader).await.unwrap();
    let told = acks(&mut responses, 1).await;
    assert_eq!((told[0].correlation_id, offset_of(&told[0])), (2, 1));
    let Some(v1::produce_ack::Result::Appended(appended)) = &told[0].result else { unreachable!() };
    assert_eq!(appended.acks_reached(), v1::Acks::All, "what was waited for");
}

#[tokio::test]
async fn a_level_that_does_not_exist_ends_the_call() {
    let mut server = TestServer::start(1).await;
    let (requests, mut responses) = server.produce().await;
    requests.send(v1::ProduceRequest { acks: 99, ..request(Vec::new()) }).await.unwrap();
    let status = try_next(&mut responses).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let error = decode_status_details(Bytes::copy_from_slice(status.details())).unwrap();
    assert_eq!((error.known_code(), error.field.as_deref()), (Some(ErrorCode::InvalidRequest), Some("acks")));
}

#[tokio::test]
async fn a_connection_with_too_much_on_the_way_is_not_read() {
    let config = DataPathConfig { connection_in_flight_bytes_max: 4096, ..DataPathConfig::default() };
    let mut server = TestServer::start_with(1, config, GrpcConfig::default()).await;
    server.logs[0].hold();
    let (requests, mut responses) = server.produce().await;
    for number in 0..8 {
        requests.send(request(vec![entry(number, 0, &batch_of(&[&"x".repeat(1000)]))])).await.unwrap();
    }
    // Each counts its bytes and 512 more: two fit.
    until_waiting(&server.logs[0], 2).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.logs[0].waiting(), 2);
    server.logs[0].commit();
    let told: Vec<_> = acks(&mut responses, 8).await.iter().map(offset_of).collect();
    assert_eq!(told, (0..8).collect::<Vec<_>>());
    assert_eq!(server.logs[0].reader_end(), Offset::new(8));
}

#[tokio::test]
async fn a_broker_that_ends_answers_what_it_took_and_says_why() {
    let mut server = TestServer::start(1).await;
    server.logs[0].hold();
    let (requests, mut responses) = server.produce().await;
    requests.send(request(vec![entry(1, 0, &batch_of(&["a"]))])).await.unwrap();
    until_waiting(&server.logs[0], 1).await;
    server.path.end_streams();
    server.logs[0].commit();
    assert_eq!(offset_of(&acks(&mut responses, 1).await[0]), 0);
    let status = try_next(&mut responses).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    drop((requests, responses));
    server.stop().await;
}

#[tokio::test]
async fn too_many_elements_end_the_call_before_they_are_decoded() {
    let mut server = TestServer::start(1).await;
    let (requests, mut responses) = server.produce().await;
    requests.send(request(vec![v1::ProduceBatch::default(); 70_000])).await.unwrap();
    let status = try_next(&mut responses).await.unwrap_err();
    let error = decode_status_details(Bytes::copy_from_slice(status.details())).unwrap();
    assert_eq!(error.limit.unwrap().name, "message_elements_max");
}

#[tokio::test]
async fn a_stream_that_is_dropped_leaves_nothing_behind() {
    let mut server = TestServer::start(1).await;
    server.logs[0].hold();
    let (requests, responses) = server.produce().await;
    requests.send(request(vec![entry(1, 0, &batch_of(&["a"]))])).await.unwrap();
    until_waiting(&server.logs[0], 1).await;
    drop((requests, responses));
    let path = Arc::clone(&server.path);
    server.stop().await;
    let given_back = async {
        // That of the whole broker.
        while path.in_flight_budget(None).available().1 != 64 * 1024 * 1024 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, given_back).await.unwrap();
}
