//! The batches of one partition that were sent and are not done: acks, repeats in order, sequences. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tidelog_proto::batch::{ProducerStamp, RecordBatch};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, TopicName};

use super::accumulator::BatchNumber;
use crate::backoff::Backoff;
use crate::{BrokerError, CallError, ProduceError};

/// A stream to a broker; a new one to the same broker is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamId(pub(super) u64);

/// The moment of a step: time since the producer started, and a number out of `0..1` to spread waits with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Duration,
    pub(super) spread: f64,
}

/// Where a batch is in the log; without an offset where the broker did not or cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Appended {
    pub(super) base_offset: Option<Offset>,
    pub(super) log_append_time_ms: Option<i64>,
}

/// A batch is done: what became of it, and who waits for that.
#[derive(Debug)]
pub(super) struct Completion<T> {
    pub(super) tokens: T,
    pub(super) buffered_bytes: usize,
    pub(super) result: Result<Appended, ProduceError>,
}

/// A batch between its first try and its end.
#[derive(Debug)]
pub(super) struct SentBatch<T> {
    pub(super) number: BatchNumber,
    pub(super) batch: RecordBatch,
    /// `None` without idempotence, and until the batch has a place in the partition's present epoch.
    pub(super) stamp: Option<ProducerStamp>,
    pub(super) tokens: T,
    pub(super) buffered_bytes: usize,
    pub(super) created_at: Duration,
    pub(super) sent_at: Duration,
    pub(super) correlation: u64,
    /// Whether an earlier try may have been appended: its answer was lost.
    pub(super) may_be_stored: bool,
    /// Whether those who waited were told that time is over; the answer still on the way only matters to the order.
    pub(super) is_abandoned: bool,
}

/// What must happen to the sequences once nothing is on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reset {
    No,
    /// Go on with the next epoch from sequence 0: a sequence was used for a batch that is not in the log.
    Epoch,
    /// Go on under another producer id.
    Identity,
}

/// The window of one partition.
///
/// Invariants: batches are in the order in which they were begun, those in flight before those to be sent again or first,
/// except that a failed batch stands in `to_send` while later ones are still in flight; then `is_draining`, and nothing is
/// sent until the flight is empty. So a batch is never sent before an earlier one that is not done.
#[derive(Debug)]
pub(super) struct Window<T> {
    pub(super) topic: TopicName,
    pub(super) partition: PartitionId,
    is_idempotent: bool,
    /// Under which id and epoch, and with which sequence, the next batch goes. `None`: not idempotent, or none given yet.
    place: Option<(ProducerId, ProducerEpoch, Sequence)>,
    /// Whether a batch was acked under this id and epoch. Before that one batch is sent alone: a broker that knows nothing
    /// of a producer takes any first sequence, so a later batch could pass one that was refused.
    is_known: bool,
    to_send: VecDeque<SentBatch<T>>,
    in_flight: VecDeque<SentBatch<T>>,
    /// Where the batches in flight are; `None` if there are none.
    pub(super) stream: Option<StreamId>,
    is_draining: bool,
    reset: Reset,
    failures: u32,
    /// Before this, nothing is sent.
    retry_at: Duration,
    last_failure: Option<ProduceError>,
    /// The producer id that can no longer be used here, if there was one.
    retired: Option<ProducerId>,
}

impl<T: Default> Window<T> {
    pub(super) const fn new(topic: TopicName, partition: PartitionId, is_idempotent: bool) -> Self {
        Self {
            topic,
            partition,
            is_idempotent,
            place: None,
            is_known: false,
            to_send: VecDeque::new(),
            in_flight: VecDeque::new(),
            stream: None,
            is_draining: false,
            reset: Reset::No,
            failures: 0,
            retry_at: Duration::ZERO,
            last_failure: None,
            retired: None,
        }
    }

    /// Tells whether no batch is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.to_send.is_empty() && self.in_flight.is_empty()
    }

    /// Tells whether a batch may be sent now, as far as this partition is concerned.
    pub(super) fn may_send(&self, now: Duration, in_flight_max: usize) -> bool {
        let in_flight_max = if self.is_idempotent && !self.is_known { 1 } else { in_flight_max };
        !self.is_draining && self.reset == Reset::No && self.retry_at <= now && self.in_flight.len() < in_flight_max
    }

    /// Tells whether the partition must be given an identity before it can send.
    pub(super) fn wants_identity(&self) -> bool {
        self.is_idempotent && self.place.is_none()
    }

    /// Starts the sequences under a new identity.
    pub(super) fn begin_epoch(&mut self, id: ProducerId, epoch: ProducerEpoch) {
        self.place = Some((id, epoch, Sequence::new(0)));
        self.is_known = false;
    }

    /// Returns the producer id that can no longer be used here, if there was one.
    pub(super) const fn retired(&self) -> Option<ProducerId> {
        self.retired
    }

    /// Tells whether batches wait to be sent.
    pub(super) fn has_to_send(&self) -> bool {
        !self.to_send.is_empty()
    }

    /// Returns the size of the next batch to be sent.
    pub(super) fn next_bytes(&self) -> Option<usize> {
        self.to_send.front().map(|batch| batch.batch.bytes().len())
    }

    /// Returns the oldest batch under way.
    pub(super) fn oldest(&self) -> Option<BatchNumber> {
        let firsts = [self.in_flight.front(), self.to_send.front()];
        firsts.into_iter().flatten().map(|batch| batch.number).min()
    }

    /// Returns when the oldest batch under way that somebody still waits for was begun.
    pub(super) fn oldest_created_at(&self) -> Option<Duration> {
        let batches = self.in_flight.iter().chain(&self.to_send);
        batches.filter(|batch| !batch.is_abandoned).map(|batch| batch.created_at).min()
    }

    /// Returns when the oldest batch in flight was sent.
    pub(super) fn oldest_sent_at(&self) -> Option<Duration> {
        self.in_flight.front().map(|batch| batch.sent_at)
    }

    /// Returns before when this partition may not send. Records that were not sent yet wait for it as well.
    pub(super) const fn waits_until(&self) -> Duration {
        self.retry_at
    }

    /// Puts a new batch behind all others.
    pub(super) fn push(&mut self, batch: SentBatch<T>) {
        self.to_send.push_back(batch);
    }

    /// Gives the next batch its sequence and takes it on the way; returns its bytes.
    ///
    /// The caller has seen that the batch may be sent, and that what is in flight is on the same stream.
    pub(super) fn send(&mut self, now: Duration, stream: StreamId, correlation: u64) -> Option<RecordBatch> {
        let mut batch = self.to_send.pop_front()?;
        if batch.stamp.is_none()
            && let Some((id, epoch, sequence)) = self.place
        {
            let stamp = ProducerStamp { id, epoch, base_sequence: Some(sequence) };
            let count = batch.batch.header().last_offset_delta() + 1;
            batch.batch = batch.batch.with_producer(stamp).expect("ids and epochs were checked when they were given");
            batch.stamp = Some(stamp);
            self.place = Some((id, epoch, sequence.advanced_by(count)));
        }
        debug_assert!(self.in_flight.is_empty() || self.stream == Some(stream), "one stream at a time");
        batch.sent_at = now;
        batch.correlation = correlation;
        let bytes = batch.batch.clone();
        self.stream = Some(stream);
        self.in_flight.push_back(batch);
        Some(bytes)
    }

    /// Ends the first batch in flight, which no ack will come for.
    pub(super) fn complete_unacked(&mut self) -> Option<Completion<T>> {
        let batch = self.in_flight.pop_back()?;
        self.stream = None;
        Some(finished(batch, Ok(Appended { base_offset: None, log_append_time_ms: None })))
    }

    /// Takes an ack.
    pub(super) fn acked(
        &mut self,
        correlation: u64,
        result: Result<Appended, BrokerError>,
        moment: Moment,
        backoff: Backoff,
    ) -> Vec<Completion<T>> {
        let Some(place) = self.in_flight.iter().position(|batch| batch.correlation == correlation) else {
            return Vec::new();
        };
        let Some(batch) = self.in_flight.remove(place) else { return Vec::new() };
        let mut done = Vec::new();
        match result {
            Ok(appended) => {
                self.failures = 0;
                self.last_failure = None;
                self.is_known = true;
                done.push(finished(batch, Ok(appended)));
            }
            Err(error) => done.extend(self.refused(batch, error, moment, backoff)),
        }
        done.extend(self.settle());
        done
    }

    /// Decides about a batch that was refused.
    fn refused(
        &mut self,
        mut batch: SentBatch<T>,
        error: BrokerError,
        moment: Moment,
        backoff: Backoff,
    ) -> Option<Completion<T>> {
        let is_oldest = self.to_send.front().is_none_or(|waiting| batch.number < waiting.number);
        let retry_after = error.retry_after;
        let (topic, partition) = (self.topic.clone(), self.partition);
        let may_be_stored = batch.may_be_stored;
        let failure = ProduceError::Refused { topic, partition, error: error.clone(), may_be_stored };
        match error.code {
            Some(ErrorCode::DuplicateSequence) if self.is_idempotent => {
                // It is in the log, only nobody knows where any more.
                return Some(finished(batch, Ok(Appended { base_offset: None, log_append_time_ms: None })));
            }
            Some(ErrorCode::OutOfOrderSequence) if self.is_idempotent => {
                // A gap before it. Behind a batch that failed this is expected; for the oldest one it means that the broker
                // lost what was acked. That an earlier try is not stored does not follow: it may still be on its way.
                if is_oldest {
                    self.reset = self.reset.max(Reset::Epoch);
                }
            }
            _ if error.is_retriable() => {
                batch.may_be_stored |= error.code == Some(ErrorCode::RequestTimedOut) || error.code.is_none();
            }
            code => {
                if self.is_idempotent {
                    let is_fenced = code == Some(ErrorCode::InvalidProducerEpoch);
                    self.reset = self.reset.max(if is_fenced { Reset::Identity } else { Reset::Epoch });
                }
                return Some(finished(batch, Err(failure)));
            }
        }
        // Of those that fail together the first says why; the others only stand behind it.
        if !self.is_draining {
            self.last_failure = Some(failure);
        }
        self.retry_later(batch, moment, backoff, retry_after)
    }

    /// Takes a batch back to be sent again, after what is in flight has come back too.
    fn retry_later(
        &mut self,
        batch: SentBatch<T>,
        moment: Moment,
        backoff: Backoff,
        retry_after: Option<Duration>,
    ) -> Option<Completion<T>> {
        if !self.is_draining {
            self.is_draining = true;
            self.failures = self.failures.saturating_add(1);
            let delay = backoff.delay_as_asked(retry_after, self.failures, moment.spread);
            self.retry_at = moment.now + delay;
        }
        if batch.is_abandoned {
            self.skip_sequence();
            return Some(finished(batch, Ok(Appended { base_offset: None, log_append_time_ms: None })));
        }
        let place = self.to_send.partition_point(|waiting| waiting.number < batch.number);
        self.to_send.insert(place, batch);
        None
    }

    /// Notes that a sequence was given to a batch that will not be sent any more.
    fn skip_sequence(&mut self) {
        if self.is_idempotent {
            self.reset = self.reset.max(Reset::Epoch);
        }
    }

    /// Takes note that the stream is gone, with every ack that did not come.
    pub(super) fn stream_lost(&mut self, error: &CallError, moment: Moment, backoff: Backoff) -> Vec<Completion<T>> {
        let (topic, partition) = (self.topic.clone(), self.partition);
        self.last_failure = Some(ProduceError::Call { topic, partition, error: error.clone() });
        let mut done = Vec::new();
        for mut batch in std::mem::take(&mut self.in_flight) {
            batch.may_be_stored = true;
            done.extend(self.retry_later(batch, moment, backoff, None));
        }
        done.extend(self.settle());
        done
    }

    /// Ends the wait for batches that were begun at or before `deadline`.
    pub(super) fn expire(&mut self, deadline: Duration, after: Duration) -> Vec<Completion<T>> {
        let mut done = Vec::new();
        while let Some(batch) = self.to_send.pop_front_if(|batch| batch.created_at <= deadline) {
            if batch.stamp.is_some() {
                self.skip_sequence();
            }
            let error = self.timed_out(after, batch.may_be_stored);
            done.push(finished(batch, Err(error)));
        }
        let error = self.timed_out(after, true);
        for batch in &mut self.in_flight {
            if batch.created_at <= deadline && !batch.is_abandoned {
                batch.is_abandoned = true;
                let (tokens, buffered_bytes) = (std::mem::take(&mut batch.tokens), batch.buffered_bytes);
                batch.buffered_bytes = 0;
                done.push(Completion { tokens, buffered_bytes, result: Err(error.clone()) });
            }
        }
        done.extend(self.settle());
        done
    }

    fn timed_out(&self, after: Duration, may_be_stored: bool) -> ProduceError {
        let cause = self.last_failure.clone().map(Box::new);
        ProduceError::TimedOut { topic: self.topic.clone(), partition: self.partition, after, may_be_stored, cause }
    }

    /// Once nothing is in flight: does what waited for that.
    fn settle(&mut self) -> Vec<Completion<T>> {
        if !self.in_flight.is_empty() {
            return Vec::new();
        }
        self.is_draining = false;
        self.stream = None;
        let reset = std::mem::replace(&mut self.reset, Reset::No);
        if reset == Reset::No {
            return Vec::new();
        }
        self.is_known = false;
        let retiring = self.place.map(|(id, ..)| id);
        self.place = self.place.and_then(|(id, epoch, _)| {
            let next = epoch.get().checked_add(1).filter(|next| *next <= i16::MAX.unsigned_abs());
            let next = next.filter(|_| reset == Reset::Epoch)?;
            Some((id, ProducerEpoch::new(next), Sequence::new(0)))
        });
        if self.place.is_none() {
            self.retired = retiring;
        }
        // In the new epoch the broker cannot tell a repeat from a new batch: what may be stored is not sent again.
        let (unknown, known): (Vec<_>, Vec<_>) = self.to_send.drain(..).partition(|batch| batch.may_be_stored);
        self.to_send = known.into();
        for batch in &mut self.to_send {
            batch.stamp = None;
        }
        let (topic, partition) = (&self.topic, self.partition);
        let failed = |batch| finished(batch, Err(ProduceError::OutcomeUnknown { topic: topic.clone(), partition }));
        unknown.into_iter().map(failed).collect()
    }
}

/// Ends a batch.
pub(super) fn finished<T>(batch: SentBatch<T>, result: Result<Appended, ProduceError>) -> Completion<T> {
    Completion { tokens: batch.tokens, buffered_bytes: batch.buffered_bytes, result }
}
