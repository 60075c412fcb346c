//! Which partition a key belongs to, as Kafka's clients choose. Clients and brokers both choose, and must agree.
//!
//! Source: Kafka's `Utils.murmur2` and `BuiltInPartitioner.partitionForKey`.

use crate::ids::PartitionId;

/// Kafka's seed.
const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;

/// Gives the partition of a key out of `partition_count`, which is at least 1.
#[must_use]
pub fn partition_for_key(key: &[u8], partition_count: u32) -> PartitionId {
    PartitionId::new((murmur2(key).cast_unsigned() & 0x7fff_ffff) % partition_count.max(1))
}

/// Hashes bytes by MurmurHash2, 32 bits, with Kafka's seed.
#[must_use]
pub fn murmur2(bytes: &[u8]) -> i32 {
    // As in Java, the length counts modulo 2^32.
    let length = u32::try_from(bytes.len() & 0xffff_ffff).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed.wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    (hash ^ (hash >> 15)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_are_kafkas() {
        for (key, hash) in [
            (&b"21"[..], -973_932_308_i32),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key), hash, "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn every_key_has_a_partition() {
        for count in 1..50 {
            for key in 0..200_u32 {
                assert!(partition_for_key(&key.to_le_bytes(), count).get() < count);
            }
        }
        assert_eq!(partition_for_key(b"", 1).get(), 0);
    }
}
