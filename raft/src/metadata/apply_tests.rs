//! Every verb: what it does, what it does the second time, what it refuses.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use tidelog_proto::api::TopicSelector;
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{PartitionId, ProducerId, RaftIndex};

use super::test_commands::{
    Cluster, add_partitions, allocate, alter, assignments, broker_id, confirm, create, delete, format, name, register,
    set, start, topic, topic_id, unset,
};
use super::{
    AssignmentError, BootId, ClusterId, ClusterVersion, DirectoryId, LimitPassed, METADATA_TOPIC_ID, MetadataCommand,
    MetadataError, MetadataLimit, MetadataOutcome, MetadataState, RegisterBroker, TopicConfigError, TopicConfigKey,
};
use crate::replica_id::ReplicaId;

fn registered(cluster: &mut Cluster, command: RegisterBroker) -> Result<MetadataOutcome, MetadataError> {
    cluster.apply(&MetadataCommand::RegisterBroker(command))
}

fn replicas(cluster: &Cluster, topic: u32) -> Vec<Vec<(u32, u32)>> {
    let pair = |replica: &ReplicaId| (replica.broker().get(), replica.incarnation());
    let partitions = &cluster.state.topic(topic_id(topic)).unwrap().partitions;
    partitions.iter().map(|partition| partition.replicas.iter().map(pair).collect()).collect()
}

#[test]
fn a_cluster_is_made_once_and_before_anything_else() {
    let mut cluster = Cluster { state: MetadataState::new(), next_index: 1 };
    for command in [register(1), create(1, "a", &[&[1]]), delete(1), allocate(1, 1), confirm(1, 1)] {
        let error = cluster.apply(&command).unwrap_err();
        assert_eq!((error.code(), error.retriable()), (ErrorCode::NotController, true));
    }
    let cluster_id = ClusterId::new([1; 16]);
    let no_version = MetadataCommand::FormatCluster { cluster_id, cluster_version: ClusterVersion::new(0) };
    assert!(matches!(cluster.apply(&no_version), Err(MetadataError::ClusterVersion { current: None, .. })));
    assert_eq!(cluster.apply(&format()), Ok(MetadataOutcome::ClusterFormatted));
    assert_eq!(cluster.apply(&format()), Ok(MetadataOutcome::Unchanged));
    let other = MetadataCommand::FormatCluster { cluster_id, cluster_version: ClusterVersion::FIRST };
    let cluster_id = cluster.state.cluster_id().unwrap();
    assert_eq!(cluster.apply(&other), Err(MetadataError::FormattedOtherwise { cluster_id }));
}

#[test]
fn a_cluster_version_rises_when_every_broker_knows_it() {
    let mut cluster = Cluster::of(1);
    let version = |number| MetadataCommand::SetClusterVersion { cluster_version: ClusterVersion::new(number) };
    assert_eq!(cluster.apply(&version(1)), Ok(MetadataOutcome::Unchanged));
    let (knows, needs) = (ClusterVersion::new(1), ClusterVersion::new(2));
    let too_old = |broker| MetadataError::BrokerTooOld { broker_id: broker_id(broker), knows, needs };
    assert_eq!(cluster.apply(&version(2)), Err(too_old(1)));
    registered(&mut cluster, RegisterBroker { cluster_version_max: needs, ..start(1, 2) }).unwrap();
    assert_eq!(cluster.apply(&version(2)), Ok(MetadataOutcome::ClusterVersionSet(needs)));
    assert_eq!(cluster.apply(&register(2)), Err(too_old(2)));
    assert!(matches!(cluster.apply(&version(1)), Err(MetadataError::ClusterVersion { .. })));
    assert_eq!(too_old(1).code(), ErrorCode::UnsupportedVersion);
}

#[test]
fn a_start_is_registered_once_and_a_later_one_replaces_it() {
    let mut cluster = Cluster::of(1);
    assert_eq!(cluster.apply(&register(1)), Ok(MetadataOutcome::Unchanged));
    let address = "elsewhere:1".parse().unwrap();
    registered(&mut cluster, RegisterBroker { address, rack: None, ..start(1, 5) }).unwrap();
    let broker = cluster.state.broker(broker_id(1)).unwrap();
    assert_eq!((broker.address.as_str(), broker.boot_counter), ("elsewhere:1", 5));
}

#[test]
fn a_directory_that_forgot_is_refused() {
    let mut cluster = Cluster::of(2);
    registered(&mut cluster, start(1, 7)).unwrap();
    let rolled_back = |found| Err(MetadataError::RolledBack { broker_id: broker_id(1), registered: 7, found });
    assert_eq!(registered(&mut cluster, start(1, 6)), rolled_back(6));
    let second_start = RegisterBroker { boot_id: BootId::new([9; 16]), ..start(1, 7) };
    assert_eq!(registered(&mut cluster, second_start), rolled_back(7), "rolled back by one start");

    let wiped = RegisterBroker { directory_id: DirectoryId::new([9; 16]), ..start(1, 8) };
    let directory = start(1, 1).directory_id;
    let other = MetadataError::OtherDirectory { broker_id: broker_id(1), registered: directory };
    assert_eq!(registered(&mut cluster, wiped), Err(other));
    let copied = RegisterBroker { directory_id: directory, ..start(2, 8) };
    assert_eq!(registered(&mut cluster, copied), Err(MetadataError::DirectoryTaken { broker_id: broker_id(1) }));
}

#[test]
fn every_assignment_gets_new_incarnations() {
    let mut cluster = Cluster::of(2);
    cluster.apply(&create(1, "a", &[&[1, 2], &[2, 1]])).unwrap();
    assert_eq!(replicas(&cluster, 1), [[(1, 1), (2, 1)], [(2, 2), (1, 2)]]);
    cluster.apply(&add_partitions(1, 2, &[&[2, 1]])).unwrap();
    assert_eq!(replicas(&cluster, 1)[2], [(2, 3), (1, 3)]);
    cluster.apply(&delete(1)).unwrap();
    registered(&mut cluster, start(1, 2)).unwrap();
    cluster.apply(&create(2, "a", &[&[1, 2]])).unwrap();
    assert_eq!(replicas(&cluster, 2), [[(1, 4), (2, 4)]], "neither deletion nor a restart takes incarnations back");
}

#[test]
fn names_and_ids_of_topics_are_unique() {
    let mut cluster = Cluster::of(1);
    cluster.apply(&create(1, "a", &[&[1]])).unwrap();
    let exists = MetadataError::TopicExists { name: name("a"), topic_id: topic_id(1) };
    assert_eq!(cluster.apply(&create(1, "a", &[&[1]])), Err(exists.clone()), "a repeat learns its own id");
    assert_eq!(cluster.apply(&create(2, "a", &[&[1]])), Err(exists));
    let taken = |topic_id| Err(MetadataError::TopicIdTaken { topic_id });
    assert_eq!(cluster.apply(&create(1, "b", &[&[1]])), taken(topic_id(1)));
    cluster.apply(&delete(1)).unwrap();
    assert_eq!(cluster.apply(&create(1, "a", &[&[1]])), taken(topic_id(1)), "files of it may be left");
    let mut command = topic(3, "c", &[&[1]]);
    command.topic_id = METADATA_TOPIC_ID;
    assert_eq!(cluster.apply(&MetadataCommand::CreateTopic(command)), taken(METADATA_TOPIC_ID));
    cluster.apply(&create(2, "a", &[&[1]])).unwrap();
    assert_eq!(cluster.state.topic_by_name(&name("a")).unwrap().id, topic_id(2));
}

#[test]
fn internal_names_and_internal_topics_belong_together() {
    let mut cluster = Cluster::of(1);
    for (topic_name, internal) in [("__mine", false), ("ours", true)] {
        let mut command = topic(1, topic_name, &[&[1]]);
        command.internal = internal;
        let refused = MetadataError::ReservedName { name: name(topic_name) };
        assert_eq!(refused.code(), ErrorCode::InvalidTopic);
        assert_eq!(cluster.apply(&MetadataCommand::CreateTopic(command)), Err(refused));
    }
    cluster.apply(&create(1, "__coordinator", &[&[1]])).unwrap();
    for command in [delete(1), add_partitions(1, 1, &[&[1]]), alter(1, &[set("retention_ms", "1")])] {
        assert_eq!(cluster.apply(&command), Err(MetadataError::InternalTopic { name: name("__coordinator") }));
    }
}

#[test]
fn assignments_name_known_brokers_once_and_are_alike() {
    let mut cluster = Cluster::of(2);
    let cases: [(&[&[u32]], u32, AssignmentError, ErrorCode); 5] = [
        (&[&[]], 0, AssignmentError::Empty, ErrorCode::InvalidReplicationFactor),
        (&[&[1, 2], &[]], 1, AssignmentError::Empty, ErrorCode::InvalidReplicationFactor),
        (
            &[&[1], &[1, 2]],
            1,
            AssignmentError::ReplicationFactor { expected: 1, found: 2 },
            ErrorCode::InvalidReplicaAssignment,
        ),
        (&[&[2, 2]], 0, AssignmentError::Twice { broker_id: broker_id(2) }, ErrorCode::InvalidReplicaAssignment),
        (
            &[&[1, 3]],
            0,
            AssignmentError::UnknownBroker { broker_id: broker_id(3) },
            ErrorCode::InvalidReplicaAssignment,
        ),
    ];
    for (brokers, partition, error, code) in cases {
        let refused = MetadataError::Assignment { partition: PartitionId::new(partition), error };
        assert_eq!((refused.code(), refused.retriable()), (code, false));
        assert_eq!(cluster.apply(&create(1, "a", brokers)), Err(refused), "{brokers:?}");
    }
    assert_eq!(cluster.apply(&create(1, "a", &[])), Err(MetadataError::NoPartitions));
    let limit = LimitPassed { limit: MetadataLimit::ReplicasPerPartition, actual: 8 };
    assert_eq!(cluster.apply(&create(1, "a", &[&[1; 8]])), Err(limit.into()));
}

#[test]
fn partitions_are_added_where_they_were_expected() {
    let mut cluster = Cluster::of(2);
    assert_eq!(
        cluster.apply(&add_partitions(1, 0, &[&[1]])),
        Err(MetadataError::UnknownTopic { topic_id: topic_id(1) })
    );
    cluster.apply(&create(1, "a", &[&[1]])).unwrap();
    let topic = match cluster.apply(&add_partitions(1, 1, &[&[2], &[1]])) {
        Ok(MetadataOutcome::PartitionsCreated(topic)) => topic,
        other => panic!("{other:?}"),
    };
    assert_eq!(topic.partition_count(), 3);
    assert_eq!(cluster.state.topic(topic_id(1)), Some(&topic));
    let changed = MetadataError::PartitionsChanged { name: name("a"), expected: 1, found: 3 };
    assert_eq!(cluster.apply(&add_partitions(1, 1, &[&[2]])), Err(changed), "somebody else was first");
    assert_eq!(cluster.apply(&add_partitions(1, 3, &[])), Err(MetadataError::NoPartitions));
    let error = AssignmentError::ReplicationFactor { expected: 1, found: 2 };
    let partition = PartitionId::new(3);
    assert_eq!(cluster.apply(&add_partitions(1, 3, &[&[1, 2]])), Err(MetadataError::Assignment { partition, error }));
}

#[test]
fn configs_are_changed_together_or_not_at_all() {
    let mut cluster = Cluster::of(1);
    let mut command = topic(1, "a", &[&[1]]);
    command.configs = vec![set("segment_bytes", "1048576"), set("retention_ms", "-1")];
    cluster.apply(&MetadataCommand::CreateTopic(command)).unwrap();
    let value = |cluster: &Cluster, key| {
        let topic = cluster.state.topic(topic_id(1)).unwrap();
        topic.configs.get(key).map(|value| value.to_string())
    };
    assert_eq!(value(&cluster, TopicConfigKey::RetentionMs).as_deref(), Some("none"));

    let refused = cluster.apply(&alter(1, &[set("retention_ms", "5"), set("segment_bytes", "huge")])).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidConfig);
    assert_eq!(value(&cluster, TopicConfigKey::RetentionMs).as_deref(), Some("none"));
    let twice = cluster.apply(&alter(1, &[set("retention_ms", "5"), unset("retention_ms")])).unwrap_err();
    assert_eq!(twice, MetadataError::Config(TopicConfigError::Twice { key: TopicConfigKey::RetentionMs }));
    assert_eq!(twice.code(), ErrorCode::InvalidRequest);

    cluster.apply(&alter(1, &[set("retention_ms", "5"), unset("segment_bytes")])).unwrap();
    assert_eq!(value(&cluster, TopicConfigKey::RetentionMs).as_deref(), Some("5"));
    assert_eq!(value(&cluster, TopicConfigKey::SegmentBytes), None);
    assert_eq!(cluster.apply(&alter(1, &[set("retention_ms", "05")])), Ok(MetadataOutcome::Unchanged));
    assert_eq!(cluster.apply(&alter(1, &[])), Err(MetadataError::NoChanges));
    let long = set("retention_ms", &"1".repeat(16 * 1024));
    let passed = LimitPassed { limit: MetadataLimit::ConfigsBytes, actual: 16 * 1024 + 12 };
    assert_eq!(cluster.apply(&alter(1, &[long])), Err(passed.into()));
}

#[test]
fn a_deleted_topic_is_forgotten_when_every_broker_has_confirmed() {
    let mut cluster = Cluster::of(3);
    cluster.apply(&create(1, "a", &[&[1, 2]])).unwrap();
    assert_eq!(cluster.apply(&confirm(1, 1)), Err(MetadataError::NotDeleted { topic_id: topic_id(1) }));
    cluster.apply(&delete(1)).unwrap();
    assert_eq!(cluster.apply(&delete(1)), Err(MetadataError::UnknownTopic { topic_id: topic_id(1) }));
    assert_eq!(cluster.state.partition_count(), 0);
    cluster.apply(&register(4)).unwrap();
    assert_eq!(cluster.state.deletions_pending_on(broker_id(4)).count(), 0, "it was never told of the topic");
    assert_eq!(cluster.apply(&confirm(5, 1)), Err(MetadataError::UnknownBroker { broker_id: broker_id(5) }));
    for broker in [3, 1] {
        let is_forgotten = false;
        let outcome = MetadataOutcome::ReplicaDataDeleted { topic_id: topic_id(1), is_forgotten };
        assert_eq!(cluster.apply(&confirm(broker, 1)), Ok(outcome));
        assert_eq!(cluster.apply(&confirm(broker, 1)), Ok(MetadataOutcome::Unchanged));
    }
    assert_eq!(cluster.state.deletions_pending_on(broker_id(2)).collect::<Vec<_>>(), [topic_id(1)]);
    let outcome = MetadataOutcome::ReplicaDataDeleted { topic_id: topic_id(1), is_forgotten: true };
    assert_eq!(cluster.apply(&confirm(2, 1)), Ok(outcome));
    assert_eq!(cluster.state.deleted_topics().len(), 0);
    assert_eq!(cluster.apply(&confirm(2, 1)), Ok(MetadataOutcome::Unchanged));
}

#[test]
fn producer_ids_are_given_out_once_and_end_where_batches_end() {
    let mut cluster = Cluster::of(1);
    let block = |cluster: &mut Cluster, count| match cluster.apply(&allocate(1, count)) {
        Ok(MetadataOutcome::ProducerIdsAllocated(block)) => block,
        other => panic!("{other:?}"),
    };
    assert_eq!(block(&mut cluster, 2).ids().map(ProducerId::get).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(block(&mut cluster, 1_000_000).first, ProducerId::new(2));
    assert_eq!(block(&mut cluster, 1).first, ProducerId::new(1_000_002));
    assert_eq!(cluster.apply(&allocate(1, 0)), Err(MetadataError::NoProducerIds));
    let passed = LimitPassed { limit: MetadataLimit::ProducerIdsPerBlock, actual: 1_000_001 };
    assert_eq!(cluster.apply(&allocate(1, 1_000_001)), Err(passed.into()));
    assert_eq!(cluster.apply(&allocate(2, 1)), Err(MetadataError::UnknownBroker { broker_id: broker_id(2) }));

    cluster.state.next_producer_id = ProducerId::new(i64::MAX.unsigned_abs());
    assert_eq!(cluster.apply(&allocate(1, 2)), Err(MetadataError::ProducerIdsUsedUp));
    assert_eq!(block(&mut cluster, 1).first, ProducerId::new(i64::MAX.unsigned_abs()));
    assert_eq!(cluster.apply(&allocate(1, 1)), Err(MetadataError::ProducerIdsUsedUp));
}

#[test]
fn incarnations_end_rather_than_begin_again() {
    let mut cluster = Cluster::of(1);
    Arc::make_mut(&mut cluster.state.brokers).get_mut(&broker_id(1)).unwrap().next_incarnation = u32::MAX - 1;
    let used_up = Err(MetadataError::IncarnationsUsedUp { broker_id: broker_id(1) });
    assert_eq!(cluster.apply(&create(1, "a", &[&[1], &[1]])), used_up);
    cluster.apply(&create(1, "a", &[&[1]])).unwrap();
    assert_eq!(cluster.apply(&create(2, "b", &[&[1]])), used_up);
}

#[test]
fn lookups_find_what_there_is() {
    let mut cluster = Cluster::of(3);
    for (number, topic_name) in [(1, "zebra"), (2, "ant"), (3, "Moth"), (4, "__internal")] {
        cluster.apply(&create(number, topic_name, &[&[1, 2], &[2, 3]])).unwrap();
    }
    let names: Vec<_> = cluster.state.topics().map(|topic| topic.name.as_str().to_owned()).collect();
    assert_eq!(names, ["Moth", "__internal", "ant", "zebra"]);
    assert_eq!((cluster.state.topic_count(), cluster.state.partition_count()), (4, 8));
    let ant = cluster.state.select(&TopicSelector::Name(name("ant"))).unwrap();
    assert_eq!(cluster.state.select(&TopicSelector::Id(topic_id(2))), Some(ant));
    assert_eq!(cluster.state.select(&TopicSelector::Name(name("bee"))), None);

    let on_3: Vec<_> = cluster.state.replicas_on(broker_id(3)).collect();
    assert_eq!(on_3.len(), 4);
    assert!(on_3.iter().all(|(log, replica)| log.partition.get() == 1 && replica.broker() == broker_id(3)));
    let loads: Vec<_> = cluster.state.broker_loads().iter().map(|load| (load.replicas, load.leaders)).collect();
    assert_eq!(loads, [(4, 4), (8, 4), (4, 0)]);
    assert_eq!(ant.partition(PartitionId::new(2)), None);
    assert_eq!(ant.partition(PartitionId::new(0)).unwrap().replica_on(broker_id(3)), None);
}

#[test]
fn limits_hold_over_all_topics() {
    let mut cluster = Cluster::of(1);
    let per_topic = usize::try_from(MetadataLimit::PartitionsPerTopic.allowed()).unwrap();
    let mut command = topic(0, "t", &[]);
    command.assignments = vec![assignments(&[&[1]]).remove(0); per_topic + 1];
    let too_many = LimitPassed { limit: MetadataLimit::PartitionsPerTopic, actual: per_topic as u64 + 1 };
    assert_eq!(cluster.apply(&MetadataCommand::CreateTopic(command.clone())), Err(too_many.into()));
    command.assignments.pop();
    let all = usize::try_from(MetadataLimit::Partitions.allowed()).unwrap();
    for number in 1..=u32::try_from(all / per_topic).unwrap() {
        let topic =
            super::CreateTopic { topic_id: topic_id(number), name: name(&format!("t{number}")), ..command.clone() };
        cluster.apply(&MetadataCommand::CreateTopic(topic)).unwrap();
    }
    let actual = (cluster.state.partition_count() + per_topic) as u64;
    let too_many = LimitPassed { limit: MetadataLimit::Partitions, actual };
    assert_eq!(cluster.apply(&MetadataCommand::CreateTopic(command)), Err(too_many.into()));
    let too_many = LimitPassed { limit: MetadataLimit::PartitionsPerTopic, actual: per_topic as u64 + 1 };
    let one_more = add_partitions(1, u32::try_from(per_topic).unwrap(), &[&[1]]);
    assert_eq!(cluster.apply(&one_more), Err(too_many.into()));
    assert_eq!(too_many.code(), ErrorCode::InvalidPartitions);
}

#[test]
fn brokers_are_limited() {
    let most = u32::try_from(MetadataLimit::Brokers.allowed()).unwrap();
    let mut cluster = Cluster::of(most);
    let passed = LimitPassed { limit: MetadataLimit::Brokers, actual: u64::from(most) + 1 };
    assert_eq!(cluster.apply(&register(most + 1)), Err(passed.into()));
    registered(&mut cluster, start(1, 2)).unwrap();
}

#[test]
fn topics_and_deleted_topics_are_limited() {
    let mut cluster = Cluster::of(1);
    let most = u32::try_from(MetadataLimit::Topics.allowed()).unwrap();
    for number in 0..most {
        let command = create(number, &format!("t{number}"), &[&[1]]);
        cluster.state.apply(RaftIndex::new(cluster.next_index), &command).unwrap();
        cluster.next_index += 1;
    }
    let passed = |limit, most| LimitPassed { limit, actual: u64::from(most) + 1 };
    assert_eq!(cluster.apply(&create(most, "more", &[])), Err(passed(MetadataLimit::Topics, most).into()));
    let most = u32::try_from(MetadataLimit::DeletedTopics.allowed()).unwrap();
    for number in 0..most {
        cluster.state.apply(RaftIndex::new(cluster.next_index), &delete(number)).unwrap();
        cluster.next_index += 1;
    }
    cluster.apply(&create(most, "last", &[&[1]])).unwrap();
    let refused = cluster.apply(&delete(most)).unwrap_err();
    assert_eq!(refused, passed(MetadataLimit::DeletedTopics, most).into());
    assert!(refused.retriable(), "brokers confirm");
    cluster.apply(&confirm(1, 0)).unwrap();
    cluster.apply(&delete(most)).unwrap();
}

#[test]
#[should_panic(expected = "entry 1 is applied after entry 1")]
fn an_entry_is_applied_once() {
    let mut state = MetadataState::new();
    state.apply(RaftIndex::new(1), &format()).unwrap();
    let _ = state.apply(RaftIndex::new(1), &format());
}
