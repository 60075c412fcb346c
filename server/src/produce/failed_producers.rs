//! Which idempotent producers have to send again, and from where.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tidelog_proto::api::TopicSelector;
use tidelog_proto::batch::ProducerStamp;
use tidelog_proto::ids::{PartitionId, ProducerEpoch, ProducerId, Sequence};

/// Producers that one stream may have failed batches of: one more, and the stream ends.
const PRODUCERS_MAX: usize = 1024;

/// Half of all sequences: what is further ahead than this counts as behind, since they wrap.
const AHEAD_MAX: u32 = Sequence::MAX.get() / 2;

/// What failed on one stream and was not sent again yet. No I/O, no clock.
///
/// Behind a batch that failed, the later ones of its producer and partition fail too, until it comes again: else a partition
/// that knows nothing of the producer would take a later one for its first.
#[derive(Debug, Default)]
pub(super) struct FailedProducers {
    failed: HashMap<Key, Failed>,
}

/// Whose batches. The topic as the client calls it.
type Key = (TopicSelector, PartitionId, ProducerId);

/// The first that failed.
#[derive(Clone, Copy, Debug)]
struct Failed {
    epoch: ProducerEpoch,
    base_sequence: Sequence,
}

/// A stream has failed batches of too many producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyProducers;

impl FailedProducers {
    /// The most producers that are remembered.
    pub(super) const PRODUCERS_MAX: usize = PRODUCERS_MAX;

    /// Tells whether a batch has to fail because one before it did. One that begins where the failed one did, or in
    /// another epoch, ends that.
    pub(super) fn is_behind(
        &mut self,
        topic: &TopicSelector,
        partition: PartitionId,
        stamp: Option<ProducerStamp>,
    ) -> bool {
        let Some((stamp, base_sequence)) = sequenced(stamp) else {
            return false;
        };
        if self.failed.is_empty() {
            return false;
        }
        let Entry::Occupied(failed) = self.failed.entry((topic.clone(), partition, stamp.id)) else { return false };
        let first = *failed.get();
        if first.epoch != stamp.epoch || first.base_sequence == base_sequence {
            failed.remove();
            return false;
        }
        ahead_by(first.base_sequence, base_sequence) <= AHEAD_MAX
    }

    /// Notes that a batch is in the log: whatever failed at its place or before has come again.
    pub(super) fn forget(&mut self, topic: &TopicSelector, partition: PartitionId, stamp: Option<ProducerStamp>) {
        if self.failed.is_empty() {
            return;
        }
        let Some((stamp, base_sequence)) = sequenced(stamp) else { return };
        if let Entry::Occupied(failed) = self.failed.entry((topic.clone(), partition, stamp.id)) {
            let first = *failed.get();
            if first.epoch == stamp.epoch && ahead_by(first.base_sequence, base_sequence) <= AHEAD_MAX {
                failed.remove();
            }
        }
    }

    /// Notes that a batch failed.
    ///
    /// # Errors
    /// There are too many producers already.
    pub(super) fn note(
        &mut self,
        topic: &TopicSelector,
        partition: PartitionId,
        stamp: Option<ProducerStamp>,
    ) -> Result<(), TooManyProducers> {
        let Some((stamp, base_sequence)) = sequenced(stamp) else {
            return Ok(());
        };
        let count = self.failed.len();
        match self.failed.entry((topic.clone(), partition, stamp.id)) {
            // The batch is behind it, or a repeat of an older one, which nothing waits for.
            Entry::Occupied(failed) if failed.get().epoch == stamp.epoch => {}
            Entry::Occupied(mut failed) => {
                failed.insert(Failed { epoch: stamp.epoch, base_sequence });
            }
            Entry::Vacant(_) if count >= PRODUCERS_MAX => return Err(TooManyProducers),
            Entry::Vacant(place) => {
                place.insert(Failed { epoch: stamp.epoch, base_sequence });
            }
        }
        Ok(())
    }
}

/// Reads who sent a batch, if its place in the producer's order is known.
fn sequenced(stamp: Option<ProducerStamp>) -> Option<(ProducerStamp, Sequence)> {
    stamp.and_then(|stamp| Some((stamp, stamp.base_sequence?)))
}

/// Gives how many sequences `later` is ahead of `earlier`, all of them being a circle.
fn ahead_by(earlier: Sequence, later: Sequence) -> u32 {
    let sequences = Sequence::MAX.get() + 1;
    (later.get() + sequences - earlier.get()) % sequences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> TopicSelector {
        TopicSelector::Name(tidelog_proto::ids::TopicName::new("t").unwrap())
    }

    fn stamp(id: u64, epoch: u16, sequence: u32) -> Option<ProducerStamp> {
        let base_sequence = Some(Sequence::new(sequence));
        Some(ProducerStamp { id: ProducerId::new(id), epoch: ProducerEpoch::new(epoch), base_sequence })
    }

    fn is_behind(failed: &mut FailedProducers, stamp: Option<ProducerStamp>) -> bool {
        failed.is_behind(&topic(), PartitionId::new(0), stamp)
    }

    #[test]
    fn later_batches_fail_until_the_first_comes_again() {
        let mut failed = FailedProducers::default();
        failed.note(&topic(), PartitionId::new(0), stamp(1, 0, 10)).unwrap();
        assert!(is_behind(&mut failed, stamp(1, 0, 11)));
        failed.note(&topic(), PartitionId::new(0), stamp(1, 0, 11)).unwrap();
        assert!(is_behind(&mut failed, stamp(1, 0, 12)));
        assert!(!is_behind(&mut failed, stamp(1, 0, 9)), "a repeat of an older one is the log's to answer");
        assert!(!is_behind(&mut failed, stamp(1, 0, 10)));
        assert!(!is_behind(&mut failed, stamp(1, 0, 11)));
    }

    #[test]
    fn a_failure_that_becomes_known_after_its_repeat_was_taken_is_forgotten_with_it() {
        let mut failed = FailedProducers::default();
        failed.note(&topic(), PartitionId::new(0), stamp(1, 0, 10)).unwrap();
        failed.forget(&topic(), PartitionId::new(0), stamp(1, 0, 9));
        assert!(is_behind(&mut failed, stamp(1, 0, 11)));
        failed.forget(&topic(), PartitionId::new(0), stamp(1, 0, 10));
        assert!(!is_behind(&mut failed, stamp(1, 0, 11)));
    }

    #[test]
    fn others_are_not_concerned() {
        let mut failed = FailedProducers::default();
        failed.note(&topic(), PartitionId::new(0), stamp(1, 0, 10)).unwrap();
        assert!(!is_behind(&mut failed, stamp(2, 0, 11)));
        assert!(!is_behind(&mut failed, None));
        assert!(!failed.is_behind(&topic(), PartitionId::new(1), stamp(1, 0, 11)));
        assert!(!is_behind(&mut failed, stamp(1, 1, 0)), "a new epoch starts anew");
        assert!(!is_behind(&mut failed, stamp(1, 1, 1)));
    }

    #[test]
    fn later_goes_on_past_the_largest_sequence() {
        let mut failed = FailedProducers::default();
        failed.note(&topic(), PartitionId::new(0), stamp(1, 0, Sequence::MAX.get())).unwrap();
        assert!(is_behind(&mut failed, stamp(1, 0, 3)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut failed = FailedProducers::default();
        let mut note = |id: u64| failed.note(&topic(), PartitionId::new(0), stamp(id, 0, 0));
        for id in 0..PRODUCERS_MAX as u64 {
            note(id).unwrap();
        }
        assert_eq!(note(PRODUCERS_MAX as u64), Err(TooManyProducers));
        assert_eq!(note(0), Ok(()));
    }
}
