//! Which of two answers wins.

use tidelog_proto::api::v1;
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{BrokerId, LeaderEpoch, PartitionId, TopicName};

use crate::Leader;
use crate::metadata::{MergeError, Metadata};

fn name() -> TopicName {
    TopicName::new("orders").unwrap()
}

/// An answer about the topic "orders"; each partition is its leader and its epoch.
fn answer(version: u64, topic_id: u8, partitions: &[(Option<u32>, u32)]) -> v1::MetadataResponse {
    let partitions = partitions.iter().zip(0..).map(|((leader_id, leader_epoch), partition)| v1::PartitionMetadata {
        partition,
        leader_id: *leader_id,
        leader_epoch: *leader_epoch,
        replica_ids: vec![1, 2],
    });
    let brokers =
        [1, 2].map(|broker_id| v1::BrokerAddress { broker_id, address: format!("b{broker_id}:1"), rack: None });
    let topic = v1::TopicMetadata {
        name: "orders".to_owned(),
        topic_id: vec![topic_id; 16].into(),
        partitions: partitions.collect(),
        ..v1::TopicMetadata::default()
    };
    v1::MetadataResponse {
        cluster_id: "c".to_owned(),
        brokers: brokers.to_vec(),
        controller_id: None,
        metadata_version: version,
        topics: vec![topic],
    }
}

fn leader(metadata: &Metadata, partition: u32) -> Option<u32> {
    metadata.route(&name(), PartitionId::new(partition)).map(|route| route.broker.get())
}

#[test]
fn an_older_epoch_never_replaces_a_newer_one_whatever_the_order_of_answers() {
    let old = answer(5, 7, &[(Some(1), 3)]);
    let new = answer(6, 7, &[(Some(2), 4)]);
    for order in [[old.clone(), new.clone()], [new, old]] {
        let mut metadata = Metadata::default();
        for response in order {
            metadata = metadata.merged(response).unwrap().metadata;
        }
        assert_eq!(leader(&metadata, 0), Some(2));
    }
}

#[test]
fn an_older_answer_does_not_take_partitions_away() {
    let metadata = Metadata::default().merged(answer(6, 7, &[(Some(1), 1), (Some(2), 1)])).unwrap().metadata;
    let metadata = metadata.merged(answer(5, 7, &[(Some(1), 1)])).unwrap().metadata;
    assert_eq!(leader(&metadata, 1), Some(2));
}

#[test]
fn a_topic_that_was_created_again_starts_anew_only_with_a_newer_answer() {
    let metadata = Metadata::default().merged(answer(6, 7, &[(Some(1), 9)])).unwrap().metadata;
    let again = metadata.merged(answer(7, 8, &[(Some(2), 1)])).unwrap().metadata;
    assert_eq!(leader(&again, 0), Some(2));
    let stale = again.merged(answer(6, 7, &[(Some(1), 9)])).unwrap().metadata;
    assert_eq!(leader(&stale, 0), Some(2));
}

#[test]
fn an_unknown_topic_is_told_and_forgotten() {
    let metadata = Metadata::default().merged(answer(6, 7, &[(Some(1), 1)])).unwrap().metadata;
    let mut gone = answer(7, 7, &[]);
    gone.topics[0].error = Some(v1::Error::new(ErrorCode::UnknownTopicOrPartition, "no such topic"));
    let merged = metadata.merged(gone).unwrap();
    assert_eq!(merged.errors[&name()].code, Some(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(merged.metadata.topic(name().as_str()), None);
}

#[test]
fn an_answer_of_another_cluster_is_refused() {
    let metadata = Metadata::default().merged(answer(6, 7, &[])).unwrap().metadata;
    let foreign = v1::MetadataResponse { cluster_id: "d".to_owned(), ..answer(7, 7, &[]) };
    let error = MergeError::WrongCluster { expected: "c".to_owned(), found: "d".to_owned() };
    assert_eq!(metadata.merged(foreign), Err(error));
}

#[test]
fn a_hint_counts_only_if_its_epoch_is_newer() {
    let metadata = Metadata::default().merged(answer(6, 7, &[(Some(1), 4)])).unwrap().metadata;
    let hint = |epoch: Option<u32>| Leader {
        broker: BrokerId::new(2),
        address: "b2:1".to_owned(),
        leader_epoch: epoch.map(LeaderEpoch::new),
    };
    let partition = PartitionId::new(0);
    assert_eq!(metadata.with_leader(&name(), partition, &hint(Some(4))), None);
    assert_eq!(metadata.with_leader(&name(), partition, &hint(None)), None);
    let moved = metadata.with_leader(&name(), partition, &hint(Some(5))).unwrap();
    assert_eq!(leader(&moved, 0), Some(2));
}
