//! One partition until a batch is full.

use std::collections::BTreeMap;

use tidelog_proto::ids::{PartitionId, TopicName};

use super::{PartitionRequest, Partitioner, at_place};

/// Records go to one partition until about a batch has gathered there, then to another one at random.
///
/// Batches fill sooner than by turns, and partitions get the same share of bytes (KIP-480, KIP-794). Keys do not matter.
#[derive(Clone, Debug)]
pub struct Sticky {
    batch_bytes: usize,
    by_topic: BTreeMap<TopicName, Stay>,
}

/// Where a topic's records go now, and how many bytes went there.
#[derive(Clone, Copy, Debug)]
struct Stay {
    partition: PartitionId,
    bytes: usize,
}

impl Sticky {
    /// Starts anew; `batch_bytes` is after how many bytes records move on.
    #[must_use]
    pub const fn new(batch_bytes: usize) -> Self {
        Self { batch_bytes, by_topic: BTreeMap::new() }
    }
}

impl Default for Sticky {
    fn default() -> Self {
        Self::new(BATCH_BYTES)
    }
}

/// A producer's batch by default.
const BATCH_BYTES: usize = 256 * 1024;

impl Partitioner for Sticky {
    fn partition(&mut self, request: &PartitionRequest<'_>) -> PartitionId {
        if let Some(stay) = self.by_topic.get_mut(request.topic)
            && stay.takes(request, self.batch_bytes)
        {
            stay.bytes = stay.bytes.saturating_add(request.record_bytes);
            return stay.partition;
        }
        let partition = at_place(request, fastrand::u64(..));
        self.by_topic.insert(request.topic.clone(), Stay { partition, bytes: request.record_bytes });
        partition
    }
}

impl Stay {
    /// Tells whether the next record stays where the last one went.
    fn takes(self, request: &PartitionRequest<'_>, batch_bytes: usize) -> bool {
        let is_led = request.available.is_empty() || request.available.binary_search(&self.partition).is_ok();
        self.bytes < batch_bytes && is_led && self.partition.get() < request.partition_count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stay_until_a_batch_is_full_or_the_leader_is_lost() {
        let topic = TopicName::new("t").unwrap();
        let mut partitioner = Sticky::new(100);
        let mut next = |record_bytes, available: &[PartitionId]| {
            let request = PartitionRequest { topic: &topic, key: None, record_bytes, partition_count: 50, available };
            partitioner.partition(&request)
        };
        let first = next(60, &[]);
        assert_eq!([next(60, &[]), next(0, &[PartitionId::new(7)])], [first, PartitionId::new(7)]);
        let moved: Vec<PartitionId> = (0..50).map(|_| next(100, &[])).collect();
        assert!(moved.iter().any(|partition| *partition != moved[0]), "a full batch moves on");
    }
}
