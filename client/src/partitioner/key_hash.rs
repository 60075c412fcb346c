//! By the hash of the key, as Kafka's clients do.

use tidelog_proto::ids::PartitionId;
use tidelog_proto::key_hash::partition_for_key;

use super::{PartitionRequest, Partitioner, Sticky};

/// Records with a key go by its hash, so that equal keys meet in one partition; those without are left to [`Sticky`].
///
/// The same keys go to the same partitions as with Kafka's Java client, as long as the number of partitions stays. The
/// default.
#[derive(Clone, Debug, Default)]
pub struct KeyHash {
    without_key: Sticky,
}

impl KeyHash {
    /// Starts anew; `batch_bytes` is after how many bytes records without a key move on.
    #[must_use]
    pub fn new(batch_bytes: usize) -> Self {
        Self { without_key: Sticky::new(batch_bytes) }
    }
}

impl Partitioner for KeyHash {
    fn partition(&mut self, request: &PartitionRequest<'_>) -> PartitionId {
        match request.key {
            // Partitions without a leader count too, or keys would move whenever a leader is lost.
            Some(key) => partition_for_key(key, request.partition_count),
            None => self.without_key.partition(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidelog_proto::ids::TopicName;
    use tidelog_proto::key_hash::murmur2;

    use super::*;

    #[test]
    fn hashes_are_those_of_kafkas_java_client() {
        // The cases of Kafka's own UtilsTest.testMurmur2.
        assert_eq!(murmur2(b"21"), -973_932_308);
        assert_eq!(murmur2(b"foobar"), -790_332_482);
        assert_eq!(murmur2(b"a-little-bit-long-string"), -985_981_536);
        assert_eq!(murmur2(b"a-little-bit-longer-string"), -1_486_304_829);
        assert_eq!(murmur2(b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58_897_971);
        assert_eq!(murmur2(b"abc"), 479_470_107);
    }

    #[test]
    fn a_key_stays_where_it_is_while_leaders_come_and_go() {
        let topic = TopicName::new("t").unwrap();
        let all: Vec<PartitionId> = (0..6).map(PartitionId::new).collect();
        let mut partitioner = KeyHash::new(100);
        let mut with = |available| {
            let request = PartitionRequest {
                topic: &topic,
                key: Some(b"foobar"),
                record_bytes: 10,
                partition_count: 6,
                available,
            };
            partitioner.partition(&request).get()
        };
        let positive = (-790_332_482_i32).cast_unsigned() & 0x7fff_ffff;
        assert_eq!(with(&all), positive % 6);
        assert_eq!(with(&all[..2]), positive % 6);
        assert_eq!(with(&[]), positive % 6);
    }
}
