//! What a client knows of brokers, topics and leaders: an immutable picture, and how an answer changes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_proto::api::{self, FieldError, v1};
use tidelog_proto::ids::{BrokerId, LeaderEpoch, PartitionId, TopicId, TopicName};

use crate::{BrokerError, Leader};

/// The newest that this client was told.
///
/// Brokers may lag behind each other, so answers come out of order: what is older than what is known never replaces it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    version: u64,
    /// The cluster's id; empty before the first answer.
    cluster_id: String,
    brokers: BTreeMap<BrokerId, Arc<str>>,
    topics: BTreeMap<TopicName, Arc<Topic>>,
}

/// A topic and its partitions, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) name: TopicName,
    pub(crate) id: TopicId,
    pub(crate) partitions: Vec<Partition>,
    /// The partitions that have a leader, rising; follows from `partitions`.
    pub(crate) available: Vec<PartitionId>,
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// `None` while there is no leader.
    pub(crate) leader: Option<BrokerId>,
    pub(crate) leader_epoch: LeaderEpoch,
}

/// Where a partition is written and read now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) topic_id: TopicId,
    pub(crate) broker: BrokerId,
    pub(crate) address: Arc<str>,
}

/// What came of taking an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) metadata: Metadata,
    /// Topics of the answer about which nothing is known, and why.
    pub(crate) errors: BTreeMap<TopicName, BrokerError>,
}

/// An answer was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MergeError {
    /// It comes from another cluster.
    WrongCluster {
        expected: String,
        found: String,
    },
    Field(FieldError),
}

impl Metadata {
    /// Returns the cluster's id; empty before the first answer.
    pub(crate) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Lists the brokers and their addresses.
    pub(crate) fn brokers(&self) -> impl Iterator<Item = (BrokerId, &Arc<str>)> {
        self.brokers.iter().map(|(id, address)| (*id, address))
    }

    /// Returns where clients reach a broker.
    pub(crate) fn address(&self, broker: BrokerId) -> Option<&Arc<str>> {
        self.brokers.get(&broker)
    }

    /// Returns what is known of a topic.
    pub(crate) fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// Lists the names of all known topics.
    pub(crate) fn topic_names(&self) -> impl Iterator<Item = &TopicName> {
        self.topics.keys()
    }

    /// Returns where a partition is written and read, if that is known.
    pub(crate) fn route(&self, topic: &TopicName, partition: PartitionId) -> Option<Route> {
        let topic = self.topics.get(topic)?;
        let broker = topic.partitions.get(partition.get() as usize)?.leader?;
        let address = Arc::clone(self.brokers.get(&broker)?);
        Some(Route { topic_id: topic.id, broker, address })
    }

    /// Returns this picture with an answer taken in.
    pub(crate) fn merged(&self, response: v1::MetadataResponse) -> Result<Merged, MergeError> {
        if !self.cluster_id.is_empty() && response.cluster_id != self.cluster_id {
            let expected = self.cluster_id.clone();
            return Err(MergeError::WrongCluster { expected, found: response.cluster_id });
        }
        let mut metadata = self.clone();
        metadata.cluster_id = response.cluster_id;
        let newer = response.metadata_version >= self.version;
        if newer {
            metadata.version = response.metadata_version;
            let brokers = response.brokers.into_iter();
            metadata.brokers =
                brokers.map(|broker| (BrokerId::new(broker.broker_id), Arc::from(broker.address))).collect();
        }
        let mut errors = BTreeMap::new();
        for topic in response.topics {
            let Ok(name) = TopicName::new(topic.name.as_str()) else { continue };
            if let Some(error) = topic.error {
                if newer {
                    metadata.topics.remove(&name);
                }
                errors.insert(name, error.into());
                continue;
            }
            let told = read_topic(name, &topic).map_err(MergeError::Field)?;
            metadata.take_topic(told, newer);
        }
        Ok(Merged { metadata, errors })
    }

    /// Takes in what an answer tells of a topic; `newer` says whether the answer is at least as new as the picture.
    fn take_topic(&mut self, mut told: Topic, newer: bool) {
        if let Some(known) = self.topics.get(&told.name) {
            if known.id == told.id {
                // Partitions are never taken away, and each tells by its epoch how new it is.
                for (place, known) in known.partitions.iter().enumerate() {
                    match told.partitions.get_mut(place) {
                        Some(told) if told.leader_epoch >= known.leader_epoch => {}
                        Some(told) => *told = *known,
                        None => told.partitions.push(*known),
                    }
                }
            } else if !newer {
                return;
            }
        }
        told.refresh_available();
        self.topics.insert(told.name.clone(), Arc::new(told));
    }

    /// Returns this picture with a leader that a broker named while it refused a request, or `None` if that is no news.
    pub(crate) fn with_leader(&self, name: &TopicName, partition: PartitionId, leader: &Leader) -> Option<Self> {
        let epoch = leader.leader_epoch?;
        let topic = self.topics.get(name)?;
        let place = partition.get() as usize;
        let known = topic.partitions.get(place)?;
        let is_news = epoch > known.leader_epoch || (epoch == known.leader_epoch && known.leader.is_none());
        if !is_news {
            return None;
        }
        let mut topic = Topic::clone(topic);
        topic.partitions[place] = Partition { leader: Some(leader.broker), leader_epoch: epoch };
        topic.refresh_available();
        let mut metadata = self.clone();
        metadata.topics.insert(name.clone(), Arc::new(topic));
        // An address that is known came with the list of all brokers, which is better than a hint.
        metadata.brokers.entry(leader.broker).or_insert_with(|| Arc::from(leader.address.as_str()));
        Some(metadata)
    }
}

impl Topic {
    fn refresh_available(&mut self) {
        let led = (0..).zip(&self.partitions).filter(|(_, partition)| partition.leader.is_some());
        self.available = led.map(|(number, _)| PartitionId::new(number)).collect();
    }
}

/// Reads a topic of an answer.
fn read_topic(name: TopicName, topic: &v1::TopicMetadata) -> Result<Topic, FieldError> {
    let id = api::topic_id("topics.topic_id", &topic.topic_id)?;
    let read = |partition: &v1::PartitionMetadata| {
        let leader_epoch = api::leader_epoch("topics.partitions.leader_epoch", partition.leader_epoch)?;
        Ok(Partition { leader: partition.leader_id.map(BrokerId::new), leader_epoch })
    };
    let partitions = topic.partitions.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Topic { name, id, partitions, available: Vec::new() })
}
