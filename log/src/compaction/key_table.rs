//! The last offset of every key, in memory of a fixed size.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use tidelog_proto::ids::Offset;

use crate::environment::Environment;

/// Share of the slots that may be used, in percent: beyond it probing gets long.
const FILL_PERCENT_MAX: usize = 75;

/// Marks a free slot; no record has this offset.
const FREE: u64 = u64::MAX;

/// Maps keys to offsets by a keyed 128-bit hash, with open addressing.
///
/// The hash key is random in each round, so nobody can choose record keys that collide: two keys that did would lose one
/// of them. By chance it happens with a probability of about n^2 / 2^129: below 10^-24 for a million keys.
pub(super) struct KeyTable {
    slots: Vec<Slot>,
    used: usize,
    hash_key: [u8; 16],
}

#[derive(Clone, Copy)]
struct Slot {
    hash: [u64; 2],
    offset: u64,
}

const FREE_SLOT: Slot = Slot { hash: [0; 2], offset: FREE };

impl KeyTable {
    /// Takes `buffer_bytes` of memory, rounded down to whole slots, of which there is one at least.
    pub(super) fn new(environment: &dyn Environment, buffer_bytes: usize) -> Self {
        let slots = vec![FREE_SLOT; (buffer_bytes / size_of::<Slot>()).max(1)];
        let mut hash_key = [0; 16];
        hash_key[..8].copy_from_slice(&environment.random_u64().to_le_bytes());
        hash_key[8..].copy_from_slice(&environment.random_u64().to_le_bytes());
        Self { slots, used: 0, hash_key }
    }

    /// Tells whether `records` more keys fit. An empty table grows to take a batch that alone is too large for it, so that
    /// every round gets on.
    pub(super) fn make_room(&mut self, records: u32) -> bool {
        let wanted = self.used + records as usize;
        if wanted <= self.slots.len() * FILL_PERCENT_MAX / 100 {
            return true;
        }
        if self.used > 0 {
            return false;
        }
        self.slots = vec![FREE_SLOT; wanted * 100 / FILL_PERCENT_MAX + 1];
        true
    }

    /// Notes that `key` has a record at `offset`; offsets come in rising order.
    pub(super) fn note(&mut self, key: &[u8], offset: Offset) {
        let hash = self.hash(key);
        let at = self.slot_of(hash);
        if let Some(slot) = self.slots.get_mut(at) {
            self.used += usize::from(slot.offset == FREE);
            *slot = Slot { hash, offset: offset.get() };
        }
    }

    /// Gives the last offset noted for `key`.
    pub(super) fn last_offset(&self, key: &[u8]) -> Option<Offset> {
        let hash = self.hash(key);
        let slot = self.slots.get(self.slot_of(hash))?;
        (slot.offset != FREE && slot.hash == hash).then(|| Offset::new(slot.offset))
    }

    /// Finds the slot that holds `hash`, or the free one where it belongs. One is always free.
    fn slot_of(&self, hash: [u64; 2]) -> usize {
        let len = self.slots.len();
        #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
        let start = hash[0] as usize % len;
        let matches = |at: &usize| self.slots[*at].offset == FREE || self.slots[*at].hash == hash;
        (start..len).chain(0..start).find(matches).unwrap_or(start)
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let mut hasher = SipHasher13::new_with_key(&self.hash_key);
        hasher.write(key);
        let hash = hasher.finish128();
        [hash.h1, hash.h2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::RealEnvironment;

    #[test]
    fn last_offset_of_each_key_is_found_up_to_the_last_slot() {
        let mut table = KeyTable::new(&RealEnvironment::new(), 100 * size_of::<Slot>());
        assert!(table.make_room(75));
        for offset in 0..198_u64 {
            table.note(&(offset % 99).to_le_bytes(), Offset::new(offset));
        }
        for key in 0..99_u64 {
            assert_eq!(table.last_offset(&key.to_le_bytes()), Some(Offset::new(key + 99)));
        }
        assert_eq!(table.last_offset(b"none"), None);
        assert!(!table.make_room(1));
    }

    #[test]
    fn a_batch_larger_than_the_table_is_taken_alone() {
        let mut table = KeyTable::new(&RealEnvironment::new(), size_of::<Slot>());
        assert!(table.make_room(1000));
        for offset in 0..1000_u64 {
            table.note(&offset.to_le_bytes(), Offset::new(offset));
        }
        assert!((0..1000_u64).all(|key| table.last_offset(&key.to_le_bytes()) == Some(Offset::new(key))));
        assert!(!table.make_room(1));
    }
}
