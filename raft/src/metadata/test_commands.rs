//! Commands as the tests of the metadata make them.
#![allow(clippy::unwrap_used, reason = "tests")]

use tidelog_proto::ids::{BrokerId, PartitionId, RaftIndex, TopicId, TopicName};

use super::{
    Address, Assignment, BootId, ClusterId, ClusterVersion, ConfigChange, CreateTopic, DirectoryId, MetadataCommand,
    MetadataError, MetadataOutcome, MetadataState, Rack, RegisterBroker,
};

pub(super) fn broker_id(number: u32) -> BrokerId {
    BrokerId::new(number)
}

pub(super) fn topic_id(number: u32) -> TopicId {
    let mut id = [0xaa; 16];
    id[12..].copy_from_slice(&number.to_be_bytes());
    TopicId::new(id)
}

pub(super) fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(super) fn format() -> MetadataCommand {
    MetadataCommand::FormatCluster { cluster_id: ClusterId::new([0xc1; 16]), cluster_version: ClusterVersion::FIRST }
}

/// A broker at its `boot`th start, in its own directory.
pub(super) fn start(number: u32, boot: u64) -> RegisterBroker {
    let mut boot_id = [0xb0; 16];
    boot_id[8..].copy_from_slice(&boot.to_be_bytes());
    RegisterBroker {
        broker_id: broker_id(number),
        address: Address::new(format!("broker-{number}:7420")).unwrap(),
        rack: number.is_multiple_of(2).then(|| Rack::new("even").unwrap()),
        directory_id: DirectoryId::new([u8::try_from(number % 200).unwrap(); 16]),
        boot_counter: boot,
        boot_id: BootId::new(boot_id),
        cluster_version_max: ClusterVersion::NEWEST,
    }
}

pub(super) fn register(number: u32) -> MetadataCommand {
    MetadataCommand::RegisterBroker(start(number, 1))
}

pub(super) fn assignments(brokers: &[&[u32]]) -> Vec<Assignment> {
    let assignment = |brokers: &&[u32]| Assignment { brokers: brokers.iter().copied().map(BrokerId::new).collect() };
    brokers.iter().map(assignment).collect()
}

pub(super) fn topic(number: u32, topic_name: &str, brokers: &[&[u32]]) -> CreateTopic {
    CreateTopic {
        topic_id: topic_id(number),
        name: name(topic_name),
        internal: topic_name.starts_with("__"),
        assignments: assignments(brokers),
        configs: Vec::new(),
    }
}

pub(super) fn create(number: u32, topic_name: &str, brokers: &[&[u32]]) -> MetadataCommand {
    MetadataCommand::CreateTopic(topic(number, topic_name, brokers))
}

pub(super) fn delete(number: u32) -> MetadataCommand {
    MetadataCommand::DeleteTopic { topic_id: topic_id(number) }
}

pub(super) fn confirm(broker: u32, topic: u32) -> MetadataCommand {
    MetadataCommand::ReplicaDataDeleted { broker_id: broker_id(broker), topic_id: topic_id(topic) }
}

pub(super) fn add_partitions(topic: u32, first: u32, brokers: &[&[u32]]) -> MetadataCommand {
    MetadataCommand::CreatePartitions {
        topic_id: topic_id(topic),
        first_partition: PartitionId::new(first),
        assignments: assignments(brokers),
    }
}

pub(super) fn allocate(broker: u32, count: u32) -> MetadataCommand {
    MetadataCommand::AllocateProducerIds { broker_id: broker_id(broker), count }
}

pub(super) fn set(key: &str, value: &str) -> ConfigChange {
    ConfigChange { key: key.to_owned(), value: Some(value.to_owned()) }
}

pub(super) fn unset(key: &str) -> ConfigChange {
    ConfigChange { key: key.to_owned(), value: None }
}

pub(super) fn alter(topic: u32, changes: &[ConfigChange]) -> MetadataCommand {
    MetadataCommand::AlterTopicConfigs { topic_id: topic_id(topic), changes: changes.to_vec() }
}

/// A state to which commands are given one after the other.
pub(super) struct Cluster {
    pub(super) state: MetadataState,
    pub(super) next_index: u64,
}

impl Cluster {
    /// A cluster with these brokers.
    pub(super) fn of(brokers: u32) -> Self {
        let mut cluster = Self { state: MetadataState::new(), next_index: 1 };
        cluster.apply(&format()).unwrap();
        for number in 1..=brokers {
            cluster.apply(&register(number)).unwrap();
        }
        cluster
    }

    /// Applies a command through its bytes, and checks what holds for every command.
    pub(super) fn apply(&mut self, command: &MetadataCommand) -> Result<MetadataOutcome, MetadataError> {
        let decoded = MetadataCommand::decode(&command.encode().unwrap()).unwrap();
        assert_eq!(&decoded, command);
        let before = self.state.clone();
        let expected = self.state.validate(command);
        let index = RaftIndex::new(self.next_index);
        self.next_index += 1;
        let result = self.state.apply(index, command);
        assert_eq!(result, expected, "a dry run says what is done");
        if matches!(result, Err(_) | Ok(MetadataOutcome::Unchanged)) {
            assert_eq!(self.state, before, "{command:?} has changed something: {result:?}");
        } else {
            assert_eq!(self.state.metadata_version(), index);
            assert_ne!(
                self.state,
                MetadataState { metadata_version: index, ..before },
                "{command:?} has changed nothing"
            );
        }
        result
    }
}
