//! Producers against what they promise: every batch once, in order, and the same state on every replica.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use tidelog_proto::batch::ProducerStamp;
use tidelog_proto::ids::{Offset, ProducerEpoch, ProducerId, RaftIndex, Sequence};

use crate::{BATCHES_MAX, ProducedBatch, Producers, ProducersConfig, SequenceError, Verdict};

const CONFIG: ProducersConfig = ProducersConfig { producers_max: 3, producer_id_expiration_ms: 1_000 };

fn stamp(id: u64, epoch: u16, sequence: u32) -> ProducerStamp {
    ProducerStamp {
        id: ProducerId::new(id),
        epoch: ProducerEpoch::new(epoch),
        base_sequence: Some(Sequence::new(sequence)),
    }
}

/// A partition that appends what it is told to.
struct Partition {
    producers: Producers,
    next_index: u64,
    next_offset: u64,
    now_ms: i64,
}

impl Partition {
    fn new() -> Self {
        Self { producers: Producers::new(CONFIG), next_index: 0, next_offset: 0, now_ms: 0 }
    }

    /// Produces a batch, as a leader does: gives its first offset, and whether it was appended now.
    fn produce(&mut self, stamp: &ProducerStamp, offset_count: u32) -> Result<(u64, bool), SequenceError> {
        match self.producers.check(stamp, offset_count)? {
            Verdict::Repeat(batch) => Ok((batch.base_offset.get(), false)),
            Verdict::Next => {
                let base_offset = self.next_offset;
                self.next_offset += u64::from(offset_count);
                let batch = ProducedBatch {
                    base_sequence: stamp.base_sequence.unwrap(),
                    offset_count,
                    base_offset: Offset::new(base_offset),
                };
                self.producers.apply(stamp, batch, RaftIndex::new(self.next_index), self.now_ms);
                self.next_index += 1;
                Ok((base_offset, true))
            }
        }
    }
}

#[test]
fn a_repeated_batch_gets_its_first_answer() {
    let mut partition = Partition::new();
    for number in 0..8 {
        assert_eq!(partition.produce(&stamp(1, 0, number * 10), 10), Ok((u64::from(number) * 10, true)));
    }
    let first_remembered = 8 - u32::try_from(BATCHES_MAX).unwrap();
    for number in first_remembered..8 {
        assert_eq!(partition.produce(&stamp(1, 0, number * 10), 10), Ok((u64::from(number) * 10, false)));
    }
    let (expected, found) = (Sequence::new(80), Sequence::new(20));
    assert_eq!(partition.produce(&stamp(1, 0, 20), 10), Err(SequenceError::Old { expected, found }));
}

#[test]
fn a_gap_and_a_batch_cut_differently_are_refused() {
    let mut partition = Partition::new();
    partition.produce(&stamp(1, 0, 0), 10).unwrap();
    let expected = Sequence::new(10);
    assert_eq!(partition.produce(&stamp(1, 0, 11), 1), Err(SequenceError::Gap { expected, found: Sequence::new(11) }));
    assert_eq!(partition.produce(&stamp(1, 0, 0), 9), Err(SequenceError::Old { expected, found: Sequence::new(0) }));
    assert_eq!(partition.produce(&stamp(1, 0, 10), 1), Ok((10, true)));
}

#[test]
fn sequences_wrap() {
    let mut partition = Partition::new();
    let last = Sequence::MAX.get();
    partition.produce(&stamp(1, 0, last - 1), 2).unwrap();
    assert_eq!(partition.produce(&stamp(1, 0, 0), 3), Ok((2, true)));
    assert_eq!(partition.produce(&stamp(1, 0, last - 1), 2), Ok((0, false)));
    let (expected, found) = (Sequence::new(3), Sequence::new(last - 5));
    assert_eq!(partition.produce(&stamp(1, 0, last - 5), 1), Err(SequenceError::Old { expected, found }));
}

#[test]
fn a_new_epoch_begins_at_zero_and_fences_the_old_one() {
    let mut partition = Partition::new();
    partition.produce(&stamp(1, 3, 7), 1).unwrap();
    let gap = SequenceError::Gap { expected: Sequence::new(0), found: Sequence::new(8) };
    assert_eq!(partition.produce(&stamp(1, 4, 8), 1), Err(gap));
    partition.produce(&stamp(1, 4, 0), 1).unwrap();
    let (found, current) = (ProducerEpoch::new(3), ProducerEpoch::new(4));
    assert_eq!(partition.produce(&stamp(1, 3, 8), 1), Err(SequenceError::Fenced { found, current }));
}

#[test]
fn the_silent_are_forgotten_by_number_and_by_append_time() {
    let mut partition = Partition::new();
    for id in 0..4 {
        partition.produce(&stamp(id, 0, 0), 1).unwrap();
        partition.now_ms += 100;
    }
    assert_eq!(partition.producers.get(ProducerId::new(0)), None, "one too many");
    partition.produce(&stamp(1, 0, 1), 1).unwrap();
    partition.now_ms = 200 + 1_000;
    partition.produce(&stamp(9, 0, 55), 1).unwrap();
    let left: Vec<u64> = partition.producers.iter().map(|(id, _)| id.get()).collect();
    assert_eq!(left, [3, 1, 9]);
}

proptest! {
    /// A producer that repeats whatever it likes, and a log of what was appended: each sequence stands there once.
    #[test]
    fn every_batch_is_appended_once_and_in_order(tries in prop::collection::vec((0..2_u64, 0..12_u32), 0..120)) {
        let mut partition = Partition::new();
        let mut appended: Vec<Vec<u32>> = vec![Vec::new(); 2];
        for (id, sequence) in tries {
            let next = appended[usize::try_from(id).unwrap()].len();
            let sequence = if appended[usize::try_from(id).unwrap()].is_empty() { 0 } else { sequence };
            match partition.produce(&stamp(id, 0, sequence), 1) {
                Ok((_, true)) => appended[usize::try_from(id).unwrap()].push(sequence),
                Ok((_, false)) => prop_assert!((sequence as usize) < next),
                Err(SequenceError::Gap { expected, .. }) => {
                    prop_assert!(sequence as usize > next && expected.get() as usize == next);
                }
                Err(SequenceError::Old { .. }) => prop_assert!((sequence as usize) + BATCHES_MAX < next),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
        for sequences in appended {
            prop_assert!(sequences.iter().copied().eq(0..u32::try_from(sequences.len()).unwrap()));
        }
    }

    /// A replica that begins with a copy of the state goes on as the one that applied everything.
    #[test]
    fn a_restored_state_is_the_same_state(tries in prop::collection::vec((0..5_u64, 0..6_u32, 0..400_i64), 0..80)) {
        let mut partition = Partition::new();
        for (id, sequence, pass_ms) in tries {
            partition.now_ms += pass_ms;
            let _ = partition.produce(&stamp(id, 0, sequence), 1);
            let mut restored = Producers::new(CONFIG);
            for (id, producer) in partition.producers.iter() {
                restored.restore(id, producer.clone());
            }
            prop_assert_eq!(&restored, &partition.producers);
        }
    }
}
