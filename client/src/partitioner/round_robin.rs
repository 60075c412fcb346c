//! One partition after the other.

use std::collections::BTreeMap;

use tidelog_proto::ids::{PartitionId, TopicName};

use super::{PartitionRequest, Partitioner, at_place};

/// Each record goes to the next partition that has a leader, whatever its key.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    /// How many records each topic was sent.
    counts: BTreeMap<TopicName, u64>,
}

impl RoundRobin {
    /// Starts each topic at its first partition.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: BTreeMap::new() }
    }
}

impl Partitioner for RoundRobin {
    fn partition(&mut self, request: &PartitionRequest<'_>) -> PartitionId {
        let count = match self.counts.get_mut(request.topic) {
            Some(count) => count,
            None => self.counts.entry(request.topic.clone()).or_default(),
        };
        let place = *count;
        *count = count.wrapping_add(1);
        at_place(request, place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_take_turns_in_each_topic_and_those_without_a_leader_are_left_out() {
        let mut partitioner = RoundRobin::new();
        let mut next = |topic: &str, available: &[u32]| {
            let available: Vec<PartitionId> = available.iter().copied().map(PartitionId::new).collect();
            let topic = TopicName::new(topic).unwrap();
            let request = PartitionRequest {
                topic: &topic,
                key: Some(b"same"),
                record_bytes: 1,
                partition_count: 3,
                available: &available,
            };
            partitioner.partition(&request).get()
        };
        assert_eq!([next("a", &[0, 1, 2]), next("a", &[0, 1, 2]), next("b", &[0, 1, 2])], [0, 1, 0]);
        assert_eq!([next("a", &[0, 2]), next("a", &[0, 2]), next("a", &[])], [0, 2, 1]);
    }
}
