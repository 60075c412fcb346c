//! Snapshots: everything comes back, and nothing impossible is believed.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use tidelog_proto::ids::{ProducerId, RaftIndex};

use super::snapshot::seal;
use super::test_commands::{Cluster, allocate, broker_id, confirm, create, delete, name, set, start, topic, topic_id};
use super::{
    ClusterVersion, Contradiction, DeletedTopic, LimitPassed, METADATA_TOPIC_ID, MetadataCommand, MetadataLimit,
    MetadataState, RegisterBroker, SNAPSHOT_BYTES_MAX, SnapshotError, StoredError, Topic, TopicConfigKey,
};
use crate::replica_id::ReplicaId;

/// A cluster with some of everything.
fn sample() -> MetadataState {
    let mut cluster = Cluster::of(3);
    let mut orders = topic(1, "orders", &[&[1, 2], &[2, 3]]);
    orders.configs = vec![set("cleanup_policy", "delete,compact"), set("retention_ms", "-1")];
    cluster.apply(&MetadataCommand::CreateTopic(orders)).unwrap();
    cluster.apply(&create(2, "__coordinator", &[&[3]])).unwrap();
    cluster.apply(&create(3, "gone", &[&[1]])).unwrap();
    cluster.apply(&delete(3)).unwrap();
    cluster.apply(&confirm(2, 3)).unwrap();
    cluster.apply(&allocate(1, 1000)).unwrap();
    cluster.state
}

fn decode(state: &MetadataState) -> Result<MetadataState, SnapshotError> {
    MetadataState::decode(state.encode())
}

/// Gives a snapshot without what stands around its content: format, checksum and a length of two bytes.
fn content(state: &MetadataState) -> Bytes {
    let bytes = state.encode();
    assert!(bytes[8] >= 0x80 && bytes[9] < 0x80, "the length takes two bytes");
    bytes.slice(10..)
}

/// The lists of a snapshot, so that they can be changed.
#[derive(Clone, PartialEq, Message)]
struct Lists {
    #[prost(uint64, tag = "1")]
    metadata_version: u64,
    #[prost(bytes = "bytes", tag = "2")]
    cluster: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "3")]
    brokers: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    topics: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    deleted_topics: Vec<Bytes>,
    #[prost(uint64, tag = "6")]
    next_producer_id: u64,
}

fn with_topic(number: u32, change: impl FnOnce(&mut Topic)) -> MetadataState {
    let mut state = sample();
    let topics = Arc::make_mut(&mut state.topics);
    change(Arc::make_mut(topics.get_mut(&topic_id(number)).unwrap()));
    state
}

#[test]
fn a_state_comes_back_whole() {
    assert_eq!(decode(&MetadataState::new()), Ok(MetadataState::new()));
    let state = sample();
    assert_eq!(decode(&state), Ok(state));
}

#[test]
fn stored_snapshots_stay_as_they_are() {
    let mut cluster = Cluster::of(1);
    let mut orders = topic(1, "a", &[&[1]]);
    orders.configs = vec![set("retention_ms", "-1")];
    cluster.apply(&MetadataCommand::CreateTopic(orders)).unwrap();
    cluster.apply(&create(2, "b", &[&[1]])).unwrap();
    cluster.apply(&delete(2)).unwrap();
    cluster.apply(&allocate(1, 1000)).unwrap();
    let hex: String = cluster.state.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    let (cluster_id, directory_id) = ("c1".repeat(16), "01".repeat(16));
    let broker = format!(
        "1a3b 0801 120d62726f6b65722d313a37343230 2210{directory_id} 2801 3210b0b0b0b0b0b0b0b00000000000000001 3801 4003"
    );
    let topic = "2239 0a10aaaaaaaaaaaaaaaaaaaaaaaa00000001 120161 2001 2a0a0a080100000001000000 \
                 32140a0c726574656e74696f6e5f6d7312046e6f6e65";
    let deleted = "2a15 0a10aaaaaaaaaaaaaaaaaaaaaaaa00000002 120101";
    let content = format!("0806 1214 0a10{cluster_id} 1001 {broker} {topic} {deleted} 30e807");
    assert_eq!(hex, format!("0801 154262a7ff 1aaa01 {content}").replace(' ', ""));
}

#[test]
fn a_cut_or_damaged_snapshot_is_refused() {
    for state in [MetadataState::new(), sample()] {
        let bytes = state.encode();
        for length in 0..bytes.len() {
            assert!(MetadataState::decode(bytes.slice(..length)).is_err(), "cut at {length}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.to_vec();
                flipped[at] ^= 1 << bit;
                assert!(MetadataState::decode(flipped.into()).is_err(), "bit {bit} of byte {at}");
            }
        }
        let twice = [bytes.as_ref(), bytes.as_ref()].concat();
        assert!(MetadataState::decode(twice.into()).is_err());
    }
}

#[test]
fn a_snapshot_with_a_fitting_checksum_is_still_judged() {
    let content = content(&sample());
    assert_eq!(seal(content.clone()), sample().encode());
    for length in 0..content.len() {
        let cut = seal(content.slice(..length));
        if let Ok(state) = MetadataState::decode(cut.clone()) {
            assert_eq!(state.encode(), cut, "cut at {length}");
        }
    }
    for at in 0..content.len() {
        for bit in 0..8 {
            let mut flipped = content.to_vec();
            flipped[at] ^= 1 << bit;
            let flipped = seal(flipped.into());
            if let Ok(state) = MetadataState::decode(flipped.clone()) {
                assert_eq!(state.encode(), flipped, "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn formats_and_versions_of_later_releases_are_refused() {
    assert_eq!(MetadataState::decode(Bytes::new()), Err(SnapshotError::Format { format: 0 }));
    assert_eq!(MetadataState::decode(Bytes::from_static(b"\x08\x02")), Err(SnapshotError::Format { format: 2 }));
    for unknown_field in [
        Bytes::from([sample().encode().as_ref(), b"\x40\x01"].concat()),
        seal([content(&sample()).as_ref(), b"\x40\x01"].concat().into()),
    ] {
        assert_eq!(MetadataState::decode(unknown_field), Err(SnapshotError::Stored(StoredError::NotOurs)));
    }

    let mut cluster = Cluster::of(0);
    let cluster_version = ClusterVersion::new(ClusterVersion::NEWEST.get() + 1);
    let knowing = RegisterBroker { cluster_version_max: cluster_version, ..start(1, 1) };
    cluster.apply(&MetadataCommand::RegisterBroker(knowing)).unwrap();
    cluster.apply(&MetadataCommand::SetClusterVersion { cluster_version }).unwrap();
    assert_eq!(decode(&cluster.state), Err(SnapshotError::ClusterVersion { cluster_version }));
}

#[test]
fn a_snapshot_longer_than_any_is_not_decoded() {
    let bytes = SNAPSHOT_BYTES_MAX + 1;
    let error = StoredError::TooLarge { bytes, bytes_max: SNAPSHOT_BYTES_MAX };
    assert_eq!(MetadataState::decode(vec![0; bytes].into()), Err(SnapshotError::Stored(error)));
    // Two bytes each: more topics than are allowed are counted, not decoded.
    let topics = seal(b"\x22\x00".repeat(10_001).into());
    let passed = LimitPassed { limit: MetadataLimit::Topics, actual: 10_001 };
    let error = SnapshotError::Contradiction(Contradiction::Limit(passed));
    assert_eq!(MetadataState::decode(topics), Err(error));
}

#[test]
fn contradictions_are_refused() {
    let (one, two, three) = (topic_id(1), topic_id(2), topic_id(3));
    let unissued = ReplicaId::new(broker_id(1), 9);
    let issued = ReplicaId::new(broker_id(1), 1);
    let mut no_cluster = sample();
    no_cluster.cluster = None;
    let mut no_entry = sample();
    no_entry.metadata_version = RaftIndex::ZERO;
    let mut directories = sample();
    Arc::make_mut(&mut directories.brokers).get_mut(&broker_id(2)).unwrap().directory_id = start(1, 1).directory_id;
    let mut broker = sample();
    Arc::make_mut(&mut broker.brokers).get_mut(&broker_id(2)).unwrap().cluster_version_max = ClusterVersion::new(0);
    let mut own_id = sample();
    let mut moved = own_id.topics[&one].as_ref().clone();
    moved.id = METADATA_TOPIC_ID;
    Arc::make_mut(&mut own_id.topics).insert(METADATA_TOPIC_ID, Arc::new(moved));
    let mut both = sample();
    let pending = [broker_id(1)].into();
    Arc::make_mut(&mut both.deleted).insert(one, DeletedTopic { pending });
    let mut nobody = sample();
    Arc::make_mut(&mut nobody.deleted).get_mut(&three).unwrap().pending.clear();
    let mut unknown = sample();
    Arc::make_mut(&mut unknown.deleted).get_mut(&three).unwrap().pending.insert(broker_id(9));
    let mut producers = sample();
    producers.next_producer_id = ProducerId::new(u64::MAX);
    let name_twice = with_topic(2, |topic| topic.name = name("orders"));
    let factor = LimitPassed { limit: MetadataLimit::ReplicasPerPartition, actual: 8 };
    for (state, contradiction) in [
        (no_cluster, Contradiction::NoCluster),
        (no_entry, Contradiction::Version),
        (directories, Contradiction::DirectoryTwice { broker_id: broker_id(2) }),
        (broker, Contradiction::Broker { broker_id: broker_id(2) }),
        (own_id, Contradiction::TopicId { topic_id: METADATA_TOPIC_ID }),
        (both, Contradiction::TopicId { topic_id: one }),
        (nobody, Contradiction::Pending { topic_id: three }),
        (unknown, Contradiction::Pending { topic_id: three }),
        (producers, Contradiction::ProducerIds),
        (name_twice, Contradiction::NameTwice { name: name("orders") }),
        (with_topic(2, |topic| topic.internal = false), Contradiction::ReservedName { name: name("__coordinator") }),
        (with_topic(1, |topic| topic.partitions.clear()), Contradiction::Partitions { topic_id: one }),
        (with_topic(1, |topic| topic.partitions[0].replicas.clear()), Contradiction::Partitions { topic_id: one }),
        (with_topic(1, |topic| topic.replication_factor = 0), Contradiction::Partitions { topic_id: one }),
        (with_topic(1, |topic| topic.replication_factor = 8), Contradiction::Limit(factor)),
        (
            with_topic(2, |topic| topic.partitions[0].replicas = vec![issued; 2]),
            Contradiction::Partitions { topic_id: two },
        ),
        (
            with_topic(2, |topic| topic.partitions[0].replicas = vec![unissued]),
            Contradiction::NotIssued { replica: unissued },
        ),
        (
            with_topic(2, |topic| topic.partitions[0].replicas = vec![issued]),
            Contradiction::ReplicaTwice { replica: issued },
        ),
    ] {
        assert!(!contradiction.to_string().is_empty());
        assert_eq!(decode(&state), Err(SnapshotError::Contradiction(contradiction)));
    }
}

#[test]
fn configs_that_are_not_allowed_are_refused() {
    let mut bytes = content(&sample()).to_vec();
    let at = bytes.windows(4).position(|window| window == b"none").unwrap();
    bytes[at..at + 4].copy_from_slice(b"nope");
    let error = SnapshotError::Stored(StoredError::Field { field: "configs" });
    assert_eq!(MetadataState::decode(seal(bytes.clone().into())), Err(error));
    bytes[at..at + 4].copy_from_slice(b"0012");
    let error = SnapshotError::Stored(StoredError::NotOurs);
    assert_eq!(MetadataState::decode(seal(bytes.into())), Err(error), "it is written 12");
}

#[test]
fn lists_that_repeat_or_go_back_are_refused() {
    let lists = Lists::decode(content(&sample())).unwrap();
    assert_eq!(lists.encode_to_vec(), content(&sample()));
    let refused = |change: fn(&mut Lists)| {
        let mut lists = lists.clone();
        change(&mut lists);
        let sealed = seal(lists.encode_to_vec().into());
        assert!(MetadataState::decode(sealed).is_err(), "{lists:?}");
    };
    refused(|lists| lists.brokers.reverse());
    refused(|lists| lists.brokers.push(lists.brokers[2].clone()));
    refused(|lists| lists.topics.reverse());
    refused(|lists| lists.topics.push(lists.topics[1].clone()));
    refused(|lists| lists.deleted_topics.push(lists.deleted_topics[0].clone()));
}

#[test]
fn a_cluster_at_its_limits_fits() {
    let mut cluster = Cluster::of(u32::try_from(MetadataLimit::Brokers.allowed()).unwrap());
    let widest = |key: TopicConfigKey| {
        let texts = [key.default_value().to_string(), "9223372036854775807".to_owned(), "0.123456".to_owned()];
        let allowed = texts.into_iter().chain(["compact,delete".to_owned(), "log_append_time".to_owned()]);
        let value = allowed.filter(|text| key.kind().parse(text).is_some()).max_by_key(String::len).unwrap();
        set(key.as_str(), &value)
    };
    let configs: Vec<_> = TopicConfigKey::ALL.iter().copied().map(widest).collect();
    let brokers: &[u32] = &[122, 123, 124, 125, 126, 127, 128];
    for number in 0..u32::try_from(MetadataLimit::Topics.allowed()).unwrap() {
        let mut full = topic(number, &format!("{number:a>249}"), &[brokers; 10]);
        full.configs.clone_from(&configs);
        let index = RaftIndex::new(cluster.next_index);
        cluster.state.apply(index, &MetadataCommand::CreateTopic(full)).unwrap();
        cluster.next_index += 1;
    }
    let pending: std::collections::BTreeSet<_> = cluster.state.brokers().map(|(id, _)| id).collect();
    let deleted = Arc::make_mut(&mut cluster.state.deleted);
    for number in 0..u32::try_from(MetadataLimit::DeletedTopics.allowed()).unwrap() {
        deleted.insert(topic_id(1_000_000 + number), DeletedTopic { pending: pending.clone() });
    }
    let bytes = cluster.state.encode();
    assert!(bytes.len() < SNAPSHOT_BYTES_MAX, "{}", bytes.len());
    assert!(MetadataState::decode(bytes) == Ok(cluster.state));
}

proptest! {
    #[test]
    fn any_bytes_are_a_state_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        for bytes in [seal(bytes.clone()), bytes] {
            if let Ok(state) = MetadataState::decode(bytes.clone()) {
                prop_assert_eq!(state.encode(), bytes);
            }
        }
    }
}
