//! Which partitions there are, which of them this broker holds, and where to find the others.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tidelog_proto::api::TopicSelector;
use tidelog_proto::ids::{BrokerId, PartitionId, TopicId, TopicName};
use tidelog_raft::Leadership;

use crate::hosted_partition::HostedPartition;

/// The partitions as they are now. Readers take a picture that never changes; a change swaps the whole picture.
#[derive(Debug, Default)]
pub struct PartitionTable {
    /// Swapped by [`PartitionTable::replace`] only.
    current: ArcSwap<Topology>,
}

/// One picture of all topics and brokers.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    topics: HashMap<TopicId, Arc<Topic>>,
    /// The ids of the same topics by name. Invariant: as many as `topics`.
    ids: HashMap<TopicName, TopicId>,
    addresses: HashMap<BrokerId, Arc<str>>,
}

/// One topic of a picture.
#[derive(Debug)]
pub struct Topic {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// Clients may not write to it.
    pub is_internal: bool,
    /// Its partitions, by number from 0 on.
    pub partitions: Vec<Placement>,
}

/// Where a partition is, seen from this broker.
#[derive(Clone, Debug)]
pub enum Placement {
    /// This broker holds a replica.
    Here(Arc<HostedPartition>),
    /// Other brokers do; this is what is known of its leader.
    Elsewhere(Leadership),
}

impl PartitionTable {
    /// Gives the picture as it is now. Not to be kept across an await: use [`PartitionTable::snapshot`] there.
    pub fn load(&self) -> Guard<Arc<Topology>> {
        self.current.load()
    }

    /// Gives the picture as it is now, to keep.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Topology> {
        self.current.load_full()
    }

    /// Puts another picture in place. Hosted partitions that are in the old one and not in the new one end for everybody
    /// who uses them.
    pub fn replace(&self, next: Topology) {
        let kept: HashSet<*const HostedPartition> = next.hosted().map(ptr::from_ref).collect();
        let old = self.current.swap(Arc::new(next));
        for partition in old.hosted().filter(|partition| !kept.contains(&ptr::from_ref(*partition))) {
            partition.remove();
        }
    }
}

impl Topology {
    /// Adds a topic, or puts it in the place of the one of this id. A name moves to the topic that was added last.
    pub fn put_topic(&mut self, topic: Arc<Topic>) {
        self.remove_topic(topic.id);
        if let Some(older) = self.ids.insert(topic.name.clone(), topic.id) {
            self.topics.remove(&older);
        }
        self.topics.insert(topic.id, topic);
    }

    /// Removes a topic, if there is one of this id.
    pub fn remove_topic(&mut self, id: TopicId) {
        if let Some(topic) = self.topics.remove(&id) {
            self.ids.remove(&topic.name);
        }
    }

    /// Notes where clients reach a broker: `host:port`.
    pub fn put_broker(&mut self, broker: BrokerId, address: impl Into<Arc<str>>) {
        self.addresses.insert(broker, address.into());
    }

    /// Gives where clients reach a broker.
    #[must_use]
    pub fn address(&self, broker: BrokerId) -> Option<&str> {
        self.addresses.get(&broker).map(AsRef::as_ref)
    }

    /// Finds a topic.
    ///
    /// # Errors
    /// There is none of this id or name here.
    pub fn topic(&self, selector: &TopicSelector) -> Result<&Arc<Topic>, LookupError> {
        match selector {
            TopicSelector::Id(id) => self.topics.get(id).ok_or(LookupError::TopicId(*id)),
            TopicSelector::Name(name) => {
                let id = self.ids.get(name).ok_or_else(|| LookupError::TopicName(name.clone()))?;
                self.topics.get(id).ok_or(LookupError::TopicId(*id))
            }
        }
    }

    /// Finds a partition's replica on this broker.
    ///
    /// # Errors
    /// There is no such topic or partition, or its replicas are elsewhere.
    pub fn partition(
        &self,
        selector: &TopicSelector,
        partition: PartitionId,
    ) -> Result<&Arc<HostedPartition>, LookupError> {
        match self.topic(selector)?.placement(partition)? {
            Placement::Here(hosted) => Ok(hosted),
            Placement::Elsewhere(leadership) => Err(LookupError::Elsewhere(*leadership)),
        }
    }

    fn hosted(&self) -> impl Iterator<Item = &HostedPartition> {
        self.topics.values().flat_map(|topic| &topic.partitions).filter_map(|placement| match placement {
            Placement::Here(hosted) => Some(hosted.as_ref()),
            Placement::Elsewhere(_) => None,
        })
    }
}

impl Topic {
    /// Finds a partition.
    ///
    /// # Errors
    /// There are fewer partitions.
    pub fn placement(&self, partition: PartitionId) -> Result<&Placement, LookupError> {
        let place = usize::try_from(partition.get()).ok().and_then(|number| self.partitions.get(number));
        place.ok_or_else(|| LookupError::Partition {
            topic: self.name.clone(),
            partition,
            partition_count: self.partitions.len(),
        })
    }
}

/// A partition that is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// No topic of this id is known.
    TopicId(TopicId),
    /// No topic of this name is known.
    TopicName(TopicName),
    /// The topic has no such partition.
    Partition {
        /// The topic.
        topic: TopicName,
        /// What was asked for.
        partition: PartitionId,
        /// How many there are.
        partition_count: usize,
    },
    /// Other brokers hold it.
    Elsewhere(Leadership),
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicId(id) => write!(f, "no topic has the id {id}"),
            Self::TopicName(name) => write!(f, "no topic is named {name}"),
            Self::Partition { topic, partition, partition_count } => {
                write!(f, "topic {topic} has {partition_count} partitions, and none with the number {partition}")
            }
            Self::Elsewhere(Leadership { leader: Some(leader), .. }) => {
                write!(f, "this broker holds no replica of the partition, which broker {leader} leads")
            }
            Self::Elsewhere(_) => f.write_str("this broker holds no replica of the partition"),
        }
    }
}

impl std::error::Error for LookupError {}

#[cfg(test)]
mod tests {
    use tidelog_proto::ids::LeaderEpoch;

    use super::*;
    use crate::test_logs::hosted;

    fn topic(id: u8, name: &str, partitions: Vec<Placement>) -> Arc<Topic> {
        let name = TopicName::new(name).unwrap();
        Arc::new(Topic { id: TopicId::new([id; 16]), name, is_internal: false, partitions })
    }

    fn by_name(name: &str) -> TopicSelector {
        TopicSelector::Name(TopicName::new(name).unwrap())
    }

    #[test]
    fn partitions_are_found_by_id_and_by_name() {
        let elsewhere = Leadership { leader: Some(BrokerId::new(2)), epoch: LeaderEpoch::new(1), is_serving: false };
        let mut topology = Topology::default();
        topology.put_topic(topic(1, "a", vec![Placement::Here(hosted()), Placement::Elsewhere(elsewhere)]));
        let by_id = TopicSelector::Id(TopicId::new([1; 16]));

        assert!(topology.partition(&by_id, PartitionId::new(0)).is_ok());
        assert!(topology.partition(&by_name("a"), PartitionId::new(0)).is_ok());
        let refused = |partition| topology.partition(&by_id, PartitionId::new(partition)).unwrap_err();
        assert_eq!(refused(1), LookupError::Elsewhere(elsewhere));
        assert!(matches!(refused(2), LookupError::Partition { partition_count: 2, .. }));
        assert!(matches!(topology.topic(&by_name("b")).unwrap_err(), LookupError::TopicName(_)));
    }

    #[test]
    fn a_name_that_is_taken_over_leads_to_the_new_topic_only() {
        let mut topology = Topology::default();
        topology.put_topic(topic(1, "a", Vec::new()));
        topology.put_topic(topic(2, "a", Vec::new()));
        assert_eq!(topology.topic(&by_name("a")).unwrap().id, TopicId::new([2; 16]));
        assert!(topology.topic(&TopicSelector::Id(TopicId::new([1; 16]))).is_err());
        topology.remove_topic(TopicId::new([2; 16]));
        assert!(topology.topic(&by_name("a")).is_err());
    }

    #[test]
    fn what_is_not_in_the_next_picture_has_ended_and_what_is_goes_on() {
        let (kept, dropped) = (hosted(), hosted());
        let table = PartitionTable::default();
        let mut first = Topology::default();
        first.put_topic(topic(1, "a", vec![Placement::Here(kept.clone())]));
        first.put_topic(topic(2, "b", vec![Placement::Here(dropped.clone())]));
        table.replace(first.clone());
        first.remove_topic(TopicId::new([2; 16]));
        table.replace(first);
        assert!(!kept.is_removed());
        assert!(dropped.is_removed());
    }
}
