//! Which batches of idempotent producers may be proposed: judged by what is committed and by what is on its way.

use std::collections::{HashMap, VecDeque};

use tidelog_proto::batch::{ProducerStamp, RecordBatch};
use tidelog_proto::ids::{Offset, ProducerId, RaftIndex, Sequence};
use tokio::sync::oneshot;

use crate::producers::{ProducedBatch, Producer, Producers, Verdict};
use crate::replicated_log::{AppendedBatch, ProduceError};

/// Takes what becomes of a batch.
pub(crate) type Waiter = oneshot::Sender<Result<AppendedBatch, ProduceError>>;

/// The producers of a partition, and their batches that were proposed and not yet answered.
///
/// Invariant: where a producer has batches on their way, `expected` is what it will be when all of them are committed, and
/// the next one is judged by that. If one of them is refused this no longer holds: then nothing of an idempotent producer
/// is taken until every other one is answered, or a batch could be appended twice.
#[derive(Debug, Default)]
pub(crate) struct Sequencer {
    committed: Producers,
    on_their_way: HashMap<ProducerId, OnTheirWay>,
    /// A batch was refused while others were on their way.
    is_draining: bool,
}

#[derive(Debug)]
struct OnTheirWay {
    expected: Producer,
    /// Oldest first. They are answered in this order, except for what is refused.
    batches: VecDeque<WaitedFor>,
}

#[derive(Debug)]
struct WaitedFor {
    base_sequence: Sequence,
    /// Who sent the same batch again.
    repeats: Vec<Waiter>,
}

/// A batch of an idempotent producer: who sent it and which numbers it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequenced {
    pub(crate) stamp: ProducerStamp,
    pub(crate) base_sequence: Sequence,
    pub(crate) offset_count: u32,
}

/// What is to be done with a batch.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Propose it, and tell [`Sequencer::answered`] what came of it.
    Propose(Waiter),
    /// Nothing: the waiter is answered with the batch that is on its way already.
    Wait,
    /// It is there.
    Repeat(ProducedBatch),
    /// It must not be appended.
    Refuse(ProduceError),
}

impl Sequenced {
    /// Reads it from the batch's header; `None` for a producer that is not idempotent.
    pub(crate) fn of(batch: &RecordBatch) -> Option<Self> {
        let header = batch.header();
        let stamp = header.producer()?;
        let base_sequence = stamp.base_sequence?;
        Some(Self { stamp, base_sequence, offset_count: header.last_offset_delta() + 1 })
    }
}

impl Sequencer {
    pub(crate) fn new(committed: Producers) -> Self {
        Self { committed, ..Self::default() }
    }

    /// Gives the producers as of the last applied entry.
    pub(crate) fn committed(&self) -> &Producers {
        &self.committed
    }

    /// Judges a batch that is to be proposed behind all before it.
    pub(crate) fn judge(&mut self, batch: Sequenced, waiter: Waiter) -> Decision {
        if self.is_draining {
            return Decision::Refuse(ProduceError::Behind);
        }
        let Sequenced { stamp, base_sequence, offset_count } = batch;
        let verdict = match self.on_their_way.get(&stamp.id) {
            Some(on_their_way) => on_their_way.expected.check(&stamp, offset_count),
            None => self.committed.check(&stamp, offset_count),
        };
        match verdict {
            Err(error) => Decision::Refuse(ProduceError::Sequence(error)),
            Ok(Verdict::Repeat(known)) => {
                let on_its_way = self.on_their_way.get_mut(&stamp.id).and_then(|on_their_way| {
                    on_their_way.batches.iter_mut().find(|waited_for| waited_for.base_sequence == base_sequence)
                });
                match on_its_way {
                    Some(waited_for) => {
                        waited_for.repeats.push(waiter);
                        Decision::Wait
                    }
                    None => Decision::Repeat(known),
                }
            }
            Ok(Verdict::Next) => {
                let committed = self.committed.get(stamp.id);
                let on_their_way = self.on_their_way.entry(stamp.id).or_insert_with(|| OnTheirWay {
                    expected: committed.cloned().unwrap_or_else(|| Producer::new(stamp.epoch)),
                    batches: VecDeque::new(),
                });
                // Where it will stand is not known yet; nobody is answered with it.
                on_their_way
                    .expected
                    .note(stamp.epoch, ProducedBatch { base_sequence, offset_count, base_offset: Offset::ZERO });
                on_their_way.batches.push_back(WaitedFor { base_sequence, repeats: Vec::new() });
                Decision::Propose(waiter)
            }
        }
    }

    /// Notes a committed batch, before its proposer is answered.
    pub(crate) fn apply(&mut self, stamp: &ProducerStamp, batch: ProducedBatch, index: RaftIndex, append_time_ms: i64) {
        self.committed.apply(stamp, batch, index, append_time_ms);
    }

    /// Notes what came of a proposed batch, and gives those who sent it again: they get the same answer.
    pub(crate) fn answered(&mut self, batch: Sequenced, is_committed: bool) -> Vec<Waiter> {
        let id = batch.stamp.id;
        let Some(on_their_way) = self.on_their_way.get_mut(&id) else { return Vec::new() };
        let place = on_their_way.batches.iter().position(|waited_for| waited_for.base_sequence == batch.base_sequence);
        let repeats = place.and_then(|place| on_their_way.batches.remove(place)).map(|waited_for| waited_for.repeats);
        if on_their_way.batches.is_empty() {
            self.on_their_way.remove(&id);
        }
        self.is_draining = (self.is_draining || !is_committed) && !self.on_their_way.is_empty();
        repeats.unwrap_or_default()
    }
}
