//! Random commands against what must hold whatever is asked, and against what a simple model expects.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidelog_proto::ids::{BrokerId, RaftIndex, TopicId};

use super::test_commands::{
    Cluster, add_partitions, allocate, alter, broker_id, confirm, create, delete, format, set, start, topic_id, unset,
};
use super::{
    BootId, ClusterId, ClusterVersion, ConfigChange, DirectoryId, MetadataCommand, MetadataError, MetadataOutcome,
    MetadataState, RegisterBroker, TopicConfigKey, place,
};
use crate::replica_id::ReplicaId;

/// What a random step asks for. Few names and numbers, so that steps meet.
#[derive(Clone, Debug)]
enum Step {
    Format(u8),
    Version(u32),
    Register { broker: u32, boot: u64, boot_id: u8, directory: Option<u8>, knows: u32 },
    Create { name: u8, id: IdChoice, brokers: Vec<Vec<u32>>, config: Option<ConfigChange> },
    CreatePlaced { name: u8, partitions: u32, replicas: u32 },
    Delete(u32),
    Alter { topic: u32, changes: Vec<ConfigChange> },
    AddPartitions { topic: u32, offset_by: u32, brokers: Vec<Vec<u32>> },
    Allocate { broker: u32, count: u32 },
    Confirm { broker: u32, topic: u32 },
}

#[derive(Clone, Copy, Debug)]
enum IdChoice {
    /// Never used before.
    New,
    /// One that may have been used.
    Used(u32),
}

fn config() -> impl Strategy<Value = ConfigChange> {
    let key = prop::sample::select(vec!["retention_ms", "cleanup_policy", "segment_bytes", "flush_mode", "nonsense"]);
    let value = prop::sample::select(vec!["none", "-1", "1000", "1048576", "compact", "delete", "interval", "", "07"]);
    (key, value, any::<bool>()).prop_map(|(key, value, is_set)| if is_set { set(key, value) } else { unset(key) })
}

fn step() -> impl Strategy<Value = Step> {
    // Most are one replica each, so that some are taken.
    let replicas =
        || prop_oneof![4 => prop::collection::vec(1..6_u32, 1..2), 1 => prop::collection::vec(1..6_u32, 0..4)];
    let brokers = move || prop::collection::vec(replicas(), 0..4);
    let id = prop_oneof![3 => Just(IdChoice::New), 1 => (0..12_u32).prop_map(IdChoice::Used)];
    let changes = prop::collection::vec(config(), 0..3);
    let register = (1..6_u32, 1..5_u64, 0..2_u8, prop::option::weighted(0.1, 0..8_u8), 0..3_u32);
    prop_oneof![
        1 => (0..2_u8).prop_map(Step::Format),
        1 => (0..3_u32).prop_map(Step::Version),
        4 => register.prop_map(|(broker, boot, boot_id, directory, knows)| {
            Step::Register { broker, boot, boot_id, directory, knows }
        }),
        4 => (0..6_u8, id, brokers(), prop::option::of(config()))
            .prop_map(|(name, id, brokers, config)| Step::Create { name, id, brokers, config }),
        4 => (0..6_u8, 0..6_u32, 0..4_u32)
            .prop_map(|(name, partitions, replicas)| Step::CreatePlaced { name, partitions, replicas }),
        3 => (0..12_u32).prop_map(Step::Delete),
        3 => (0..12_u32, changes).prop_map(|(topic, changes)| Step::Alter { topic, changes }),
        3 => (0..12_u32, prop::sample::select(vec![0, 0, 0, 1]), brokers())
            .prop_map(|(topic, offset_by, brokers)| Step::AddPartitions { topic, offset_by, brokers }),
        2 => (1..6_u32, 0..2000_u32).prop_map(|(broker, count)| Step::Allocate { broker, count }),
        5 => (1..6_u32, 0..12_u32).prop_map(|(broker, topic)| Step::Confirm { broker, topic }),
    ]
}

/// The cluster, and what is remembered of all that happened to it.
struct Run {
    cluster: Cluster,
    next_topic: u32,
    /// Every entry, as it stands in the log.
    log: Vec<(RaftIndex, bytes::Bytes)>,
    /// Every replica that ever was, and whose it is.
    issued: BTreeMap<ReplicaId, (TopicId, usize)>,
    /// Who has not confirmed a deletion yet.
    pending: BTreeMap<TopicId, BTreeSet<BrokerId>>,
    producer_ids_end: u64,
    /// Names and ids of the topics as they should be.
    names: BTreeMap<String, TopicId>,
}

impl Run {
    fn new() -> Self {
        Self {
            cluster: Cluster { state: MetadataState::new(), next_index: 1 },
            next_topic: 0,
            log: Vec::new(),
            issued: BTreeMap::new(),
            pending: BTreeMap::new(),
            producer_ids_end: 0,
            names: BTreeMap::new(),
        }
    }

    fn command(&mut self, step: Step) -> MetadataCommand {
        match step {
            Step::Format(0) => format(),
            Step::Format(other) => MetadataCommand::FormatCluster {
                cluster_id: ClusterId::new([other; 16]),
                cluster_version: ClusterVersion::new(u32::from(other) - 1),
            },
            Step::Version(number) => {
                MetadataCommand::SetClusterVersion { cluster_version: ClusterVersion::new(number) }
            }
            Step::Register { broker, boot, boot_id, directory, knows } => {
                let usual = start(broker, boot);
                MetadataCommand::RegisterBroker(RegisterBroker {
                    boot_id: BootId::new([boot_id; 16]),
                    directory_id: directory.map_or(usual.directory_id, |byte| DirectoryId::new([byte; 16])),
                    cluster_version_max: ClusterVersion::new(knows.max(1)),
                    ..usual
                })
            }
            Step::Create { name, id, brokers, config } => {
                let number = match id {
                    IdChoice::New => self.new_topic(),
                    IdChoice::Used(number) => number,
                };
                let brokers: Vec<&[u32]> = brokers.iter().map(Vec::as_slice).collect();
                let mut command = create(number, topic_name(name), &brokers);
                if let MetadataCommand::CreateTopic(topic) = &mut command {
                    topic.configs.extend(config);
                }
                command
            }
            Step::CreatePlaced { name, partitions, replicas } => {
                let number = self.new_topic();
                let mut command = create(number, topic_name(name), &[]);
                if let MetadataCommand::CreateTopic(topic) = &mut command {
                    topic.assignments =
                        place(&self.cluster.state.broker_loads(), partitions, replicas).unwrap_or_default();
                }
                command
            }
            Step::Delete(topic) => delete(self.pick_topic(topic)),
            Step::Alter { topic, changes } => alter(self.pick_topic(topic), &changes),
            Step::AddPartitions { topic, offset_by, brokers } => {
                let topic = self.pick_topic(topic);
                let known = self.cluster.state.topic(topic_id(topic));
                let first = known.map_or(0, |topic| topic.partition_count()) + offset_by;
                let brokers: Vec<&[u32]> = brokers.iter().map(Vec::as_slice).collect();
                add_partitions(topic, first, &brokers)
            }
            Step::Allocate { broker, count } => allocate(broker, count),
            Step::Confirm { broker, topic } => {
                confirm(broker, Self::pick(topic, self.cluster.state.deleted_topics().map(|(id, _)| id).collect()))
            }
        }
    }

    /// Picks a topic: mostly one of those that there are, else one that may have been.
    fn pick(number: u32, mut there: Vec<TopicId>) -> u32 {
        if there.is_empty() || number >= 10 {
            return number;
        }
        let picked = there.swap_remove(number as usize % there.len());
        let [.., a, b, c, d] = picked.get();
        u32::from_be_bytes([a, b, c, d])
    }

    fn pick_topic(&self, number: u32) -> u32 {
        Self::pick(number, self.cluster.state.topics().map(|topic| topic.id).collect())
    }

    fn new_topic(&mut self) -> u32 {
        self.next_topic += 1;
        self.next_topic - 1
    }

    /// Applies a command, as `Cluster::apply` does, and compares the outcome with the model.
    fn step(&mut self, step: Step) {
        let command = self.command(step);
        let index = RaftIndex::new(self.cluster.next_index);
        self.log.push((index, command.encode().unwrap()));
        let result = self.cluster.apply(&command);
        self.check_outcome(&command, result);
        self.check_state();
    }

    fn check_outcome(&mut self, command: &MetadataCommand, result: Result<MetadataOutcome, MetadataError>) {
        match (command, result) {
            (MetadataCommand::CreateTopic(asked), Ok(MetadataOutcome::TopicCreated(topic))) => {
                assert!(!self.pending.contains_key(&topic.id), "files of a topic of this id may be left");
                assert!(self.names.values().all(|id| *id != topic.id), "the id was free");
                let old = self.names.insert(asked.name.to_string(), topic.id);
                assert_eq!(old, None, "the name was free");
                self.note_replicas(topic.id, 0, &topic.partitions);
                let brokers = topic.partitions.iter().map(|partition| partition.replicas.iter().map(|id| id.broker()));
                let brokers: Vec<Vec<_>> = brokers.map(Iterator::collect).collect();
                assert!(asked.assignments.iter().map(|assignment| &assignment.brokers).eq(&brokers), "as it was asked");
            }
            (MetadataCommand::CreateTopic(asked), Err(MetadataError::TopicExists { topic_id, .. })) => {
                assert_eq!(self.names.get(asked.name.as_str()), Some(&topic_id));
            }
            (
                MetadataCommand::CreatePartitions { first_partition, .. },
                Ok(MetadataOutcome::PartitionsCreated(topic)),
            ) => {
                let first = first_partition.get() as usize;
                self.note_replicas(topic.id, first, &topic.partitions[first..]);
            }
            (MetadataCommand::DeleteTopic { topic_id }, Ok(outcome)) => {
                assert_eq!(outcome, MetadataOutcome::TopicDeleted(*topic_id));
                self.names.retain(|_, id| id != topic_id);
                let everybody = self.cluster.state.brokers().map(|(broker_id, _)| broker_id).collect();
                self.pending.insert(*topic_id, everybody);
            }
            (
                MetadataCommand::ReplicaDataDeleted { broker_id, topic_id },
                Ok(MetadataOutcome::ReplicaDataDeleted { is_forgotten, .. }),
            ) => {
                let pending = self.pending.get_mut(topic_id).unwrap();
                assert!(pending.remove(broker_id));
                assert_eq!(pending.is_empty(), is_forgotten);
                if is_forgotten {
                    self.pending.remove(topic_id);
                }
            }
            (MetadataCommand::AllocateProducerIds { count, .. }, Ok(MetadataOutcome::ProducerIdsAllocated(block))) => {
                assert_eq!((block.first.get(), block.count), (self.producer_ids_end, *count));
                self.producer_ids_end += u64::from(block.count);
            }
            (MetadataCommand::AlterTopicConfigs { changes, .. }, Ok(MetadataOutcome::TopicConfigsAltered(topic))) => {
                for change in changes {
                    let key = TopicConfigKey::from_key(&change.key).unwrap();
                    let expected = change.value.as_deref().map(|text| key.kind().parse(text).unwrap());
                    assert_eq!(topic.configs.get(key), expected);
                }
            }
            _ => {}
        }
    }

    fn note_replicas(&mut self, topic_id: TopicId, first: usize, partitions: &[super::Partition]) {
        for (number, partition) in (first..).zip(partitions) {
            for replica in &partition.replicas {
                let before = self.issued.insert(*replica, (topic_id, number));
                assert_eq!(before, None, "incarnation {replica} was issued before");
            }
        }
    }

    fn check_state(&self) {
        let state = &self.cluster.state;
        state.check().unwrap();
        let names: BTreeMap<_, _> = state.topics().map(|topic| (topic.name.to_string(), topic.id)).collect();
        assert_eq!(names, self.names);
        assert_eq!(state.topic_count(), names.len());
        assert!(
            state
                .deleted_topics()
                .map(|(id, topic)| (id, &topic.pending))
                .eq(self.pending.iter().map(|(id, p)| (*id, p)))
        );
        let partitions = state.topics().map(|topic| topic.partitions.len()).sum::<usize>();
        assert_eq!(state.partition_count(), partitions);
        let mut held = 0;
        for (broker_id, _) in state.brokers() {
            for (log, replica) in state.replicas_on(broker_id) {
                assert_eq!(self.issued[&replica], (log.topic_id, log.partition.get() as usize));
                held += 1;
            }
        }
        let replicas = state.topics().flat_map(|topic| &topic.partitions).map(|partition| partition.replicas.len());
        assert_eq!(held, replicas.sum::<usize>(), "every replica is on a known broker");
        assert_eq!(state.next_producer_id().get(), self.producer_ids_end);
        if self.is_readable() {
            assert_eq!(MetadataState::decode(state.encode()).as_ref(), Ok(state));
        }
    }

    /// Tells whether this release takes a snapshot of the cluster: brokers of a later one may have gone further.
    fn is_readable(&self) -> bool {
        self.cluster.state.cluster_version() <= Some(ClusterVersion::NEWEST)
    }

    /// Applies the entries of the log from this one on.
    fn replay(&self, mut state: MetadataState, from: usize) -> MetadataState {
        for (index, bytes) in &self.log[from..] {
            let _ = state.apply(*index, &MetadataCommand::decode(bytes).unwrap());
        }
        state
    }
}

fn topic_name(number: u8) -> &'static str {
    ["alpha", "beta", "gamma", "delta", "__coordinator", "epsilon"][usize::from(number)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_asked_the_state_stays_sound_and_a_replay_comes_to_the_same(
        is_formatted in prop::bool::weighted(0.95),
        steps in prop::collection::vec(step(), 0..150),
        snapshot_at in any::<prop::sample::Index>(),
    ) {
        let mut run = Run::new();
        let first = is_formatted.then_some(Step::Format(0));
        let brokers = (1..4).map(|broker| Step::Register { broker, boot: 1, boot_id: 0, directory: None, knows: 2 });
        let steps: Vec<_> = first.into_iter().chain(brokers).chain(steps).collect();
        let snapshot_at = snapshot_at.index(steps.len());
        let mut snapshot = (0, MetadataState::new().encode());
        for (position, step) in steps.into_iter().enumerate() {
            if position == snapshot_at && run.is_readable() {
                snapshot = (position, run.cluster.state.encode());
            }
            run.step(step);
        }
        let replayed = run.replay(MetadataState::new(), 0);
        prop_assert_eq!(&replayed, &run.cluster.state);
        prop_assert_eq!(replayed.encode(), run.cluster.state.encode());
        let (from, snapshot) = snapshot;
        let restored = run.replay(MetadataState::decode(snapshot).unwrap(), from);
        prop_assert_eq!(&restored, &run.cluster.state);
    }
}

#[test]
fn a_clone_is_a_picture_of_its_moment() {
    let mut cluster = Cluster::of(2);
    cluster.apply(&create(1, "a", &[&[1, 2]])).unwrap();
    let picture = cluster.state.clone();
    let bytes = picture.encode();
    cluster.apply(&alter(1, &[set("retention_ms", "1")])).unwrap();
    cluster.apply(&add_partitions(1, 1, &[&[2, 1]])).unwrap();
    cluster.apply(&delete(1)).unwrap();
    assert_eq!(picture.encode(), bytes);
    assert_eq!(picture.replicas_on(broker_id(1)).count(), 1);
}
