//! Decides which batches go where and when, over all partitions of a producer. Pure: a shell moves what it says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use tidelog_proto::ids::{PartitionId, ProducerEpoch, ProducerId, TopicId, TopicName};

use super::accumulator::{Accumulator, BatchNumber, GatheredBatch, Slot};
use super::window::{Appended, Completion, Moment, SentBatch, StreamId, Window};
use crate::backoff::Backoff;
use crate::metadata::Route;
use crate::{BrokerError, CallError, ProduceError};

/// How batches are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendSettings {
    pub(super) is_idempotent: bool,
    /// Whether brokers answer.
    pub(super) has_acks: bool,
    pub(super) in_flight_max: usize,
    /// When a request counts as full. A larger batch goes alone.
    pub(super) request_bytes: usize,
    /// How long a record may take from its batch's beginning to its ack, all tries included.
    pub(super) delivery_timeout: Duration,
    /// After how long without an ack a stream counts as stuck.
    pub(super) ack_timeout: Duration,
    pub(super) backoff: Backoff,
}

/// What a dispatcher asks of its surroundings while it decides.
pub(super) trait Streams {
    /// Tells where a partition is written now, if that is known.
    fn route(&self, topic: &TopicName, partition: PartitionId) -> Option<Route>;

    /// Returns the stream to the broker of a route if it can take one more request; opens one if there is none.
    fn stream(&mut self, route: &Route) -> Option<StreamId>;
}

/// A batch to be put into a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) correlation: u64,
    pub(super) topic_id: TopicId,
    pub(super) partition: PartitionId,
    pub(super) record_batch: Bytes,
}

/// What is to be done after a step.
#[derive(Debug)]
pub(super) struct Step<T> {
    /// One request for each of these streams.
    pub(super) requests: BTreeMap<StreamId, Vec<Outgoing>>,
    pub(super) completions: Vec<Completion<T>>,
    /// Topics of which a leader is missing.
    pub(super) unrouted: BTreeSet<TopicName>,
    /// Whether an identity must be asked for.
    pub(super) wants_identity: bool,
    /// Streams that have been silent for too long.
    pub(super) stuck: BTreeSet<StreamId>,
}

/// All windows of a producer.
#[derive(Debug)]
pub(super) struct Dispatcher<T> {
    settings: SendSettings,
    windows: BTreeMap<Slot, Window<T>>,
    /// Whose batch each correlation id is, while it is in flight.
    by_correlation: HashMap<u64, Slot>,
    identity: Option<(ProducerId, ProducerEpoch)>,
    next_correlation: u64,
    /// The slot that was served last; the next one begins, so that all get their turn.
    last_served: Option<Slot>,
}

impl<T: Default> Dispatcher<T> {
    pub(super) fn new(settings: SendSettings) -> Self {
        Self {
            settings,
            windows: BTreeMap::new(),
            by_correlation: HashMap::new(),
            identity: None,
            next_correlation: 0,
            last_served: None,
        }
    }

    /// Takes the batches that can be sent now out of the accumulator; [`Dispatcher::send`] follows. The accumulator is not
    /// needed while they are encoded.
    pub(super) fn gather(
        &mut self,
        accumulator: &mut Accumulator<T>,
        now: Duration,
        streams: &impl Streams,
    ) -> Vec<(Slot, GatheredBatch<T>)> {
        let mut gathered = Vec::new();
        for slot in accumulator.filled().collect::<Vec<_>>() {
            let (topic, partition) = accumulator.partition(slot);
            let routed = streams.route(topic, partition).is_some();
            let settings = self.settings;
            let window = self
                .windows
                .entry(slot)
                .or_insert_with(|| Window::new(topic.clone(), partition, settings.is_idempotent));
            let is_ready = window.may_send(now, settings.in_flight_max) && !window.has_to_send();
            if !routed || !is_ready || (window.wants_identity() && self.identity.is_none()) {
                continue;
            }
            // Without acks nothing is ever on the way, and every record would leave alone.
            let is_idle = settings.has_acks && window.is_idle();
            if let Some(batch) = accumulator.take(slot, now, is_idle) {
                gathered.push((slot, batch));
            }
        }
        gathered
    }

    /// Encodes a gathered batch, which joins its window.
    pub(super) fn encode(&mut self, slot: Slot, gathered: GatheredBatch<T>) -> Option<Completion<T>> {
        let window = self.windows.get_mut(&slot)?;
        let GatheredBatch { number, builder, tokens, created_at, buffered_bytes, .. } = gathered;
        match builder.finish() {
            Ok(batch) => {
                window.push(SentBatch {
                    number,
                    batch,
                    stamp: None,
                    tokens,
                    buffered_bytes,
                    created_at,
                    sent_at: Duration::ZERO,
                    correlation: 0,
                    may_be_stored: false,
                    is_abandoned: false,
                });
                None
            }
            Err(error) => {
                let (topic, partition) = (window.topic.clone(), window.partition);
                Some(Completion {
                    tokens,
                    buffered_bytes,
                    result: Err(ProduceError::Encode { topic, partition, error }),
                })
            }
        }
    }

    /// Says what is to be sent now, and what else is to be done.
    pub(super) fn send(&mut self, now: Duration, streams: &mut impl Streams) -> Step<T> {
        let mut step = Step {
            requests: BTreeMap::new(),
            completions: Vec::new(),
            unrouted: BTreeSet::new(),
            wants_identity: false,
            stuck: BTreeSet::new(),
        };
        for slot in self.turns() {
            self.send_partition(slot, now, streams, &mut step);
        }
        let ack_timeout = self.settings.ack_timeout;
        let is_silent = |window: &&Window<T>| window.oldest_sent_at().is_some_and(|at| at + ack_timeout <= now);
        let silent = self.windows.values().filter(is_silent);
        step.stuck = silent.filter_map(|window| window.stream).collect();
        step
    }

    /// Lists the slots, beginning after the one that was served last.
    fn turns(&self) -> Vec<Slot> {
        let Some(last) = self.last_served else { return self.windows.keys().copied().collect() };
        let after = self.windows.range((Bound::Excluded(last), Bound::Unbounded));
        let before = self.windows.range(..=last);
        after.chain(before).map(|(slot, _)| *slot).collect()
    }

    fn send_partition(&mut self, slot: Slot, now: Duration, streams: &mut impl Streams, step: &mut Step<T>) {
        let Some(window) = self.windows.get_mut(&slot) else { return };
        let settings = self.settings;
        while window.has_to_send() && window.may_send(now, settings.in_flight_max) {
            if window.wants_identity() {
                let Some((id, epoch)) = self.identity else {
                    step.wants_identity = true;
                    return;
                };
                window.begin_epoch(id, epoch);
            }
            let Some(route) = streams.route(&window.topic, window.partition) else {
                step.unrouted.insert(window.topic.clone());
                return;
            };
            let Some(stream) = streams.stream(&route) else { return };
            if window.stream.is_some_and(|current| current != stream) {
                // The leader has moved; what is in flight must come back first.
                return;
            }
            let request = step.requests.entry(stream).or_default();
            let request_bytes: usize = request.iter().map(|batch| batch.record_batch.len()).sum();
            let next_bytes = window.next_bytes().unwrap_or_default();
            if !request.is_empty() && request_bytes.saturating_add(next_bytes) > settings.request_bytes {
                return;
            }
            let correlation = self.next_correlation;
            let Some(batch) = window.send(now, stream, correlation) else { return };
            self.next_correlation += 1;
            self.last_served = Some(slot);
            request.push(Outgoing {
                correlation,
                topic_id: route.topic_id,
                partition: window.partition,
                record_batch: batch.into_bytes(),
            });
            if settings.has_acks {
                self.by_correlation.insert(correlation, slot);
            } else {
                step.completions.extend(window.complete_unacked());
            }
        }
    }

    /// Tells for which topics records wait although nobody knows where to, and whether an identity is missing.
    pub(super) fn wants(&self, accumulator: &Accumulator<T>, streams: &impl Streams) -> (BTreeSet<TopicName>, bool) {
        let mut unrouted = BTreeSet::new();
        let mut wants_identity = false;
        for slot in accumulator.filled() {
            let (topic, partition) = accumulator.partition(slot);
            if streams.route(topic, partition).is_none() {
                unrouted.insert(topic.clone());
            }
            let has_place = self.windows.get(&slot).is_some_and(|window| !window.wants_identity());
            wants_identity |= self.settings.is_idempotent && self.identity.is_none() && !has_place;
        }
        (unrouted, wants_identity)
    }

    /// Takes an ack; returns the partition that it was about, if it was about any.
    pub(super) fn acked(
        &mut self,
        correlation: u64,
        result: Result<Appended, BrokerError>,
        moment: Moment,
    ) -> (Option<(TopicName, PartitionId)>, Vec<Completion<T>>) {
        let Some(slot) = self.by_correlation.remove(&correlation) else { return (None, Vec::new()) };
        let Some(window) = self.windows.get_mut(&slot) else { return (None, Vec::new()) };
        let done = window.acked(correlation, result, moment, self.settings.backoff);
        let partition = (window.topic.clone(), window.partition);
        self.drop_retired_identity();
        (Some(partition), done)
    }

    /// Forgets the identity if a partition can no longer use it.
    fn drop_retired_identity(&mut self) {
        let present = self.identity.map(|(id, _)| id);
        if present.is_some() && self.windows.values().any(|window| window.retired() == present) {
            self.identity = None;
        }
    }

    /// Takes note that a stream is gone; returns the topics that it was about.
    pub(super) fn stream_lost(
        &mut self,
        stream: StreamId,
        error: &CallError,
        moment: Moment,
    ) -> (BTreeSet<TopicName>, Vec<Completion<T>>) {
        let mut topics = BTreeSet::new();
        let mut done = Vec::new();
        let mut slots = BTreeSet::new();
        for (slot, window) in &mut self.windows {
            if window.stream == Some(stream) {
                slots.insert(*slot);
                topics.insert(window.topic.clone());
                done.extend(window.stream_lost(error, moment, self.settings.backoff));
            }
        }
        self.by_correlation.retain(|_, slot| !slots.contains(slot));
        self.drop_retired_identity();
        (topics, done)
    }

    /// Lists the topics that were ever written to.
    pub(super) fn topics(&self) -> Vec<TopicName> {
        let topics: BTreeSet<&TopicName> = self.windows.values().map(|window| &window.topic).collect();
        topics.into_iter().cloned().collect()
    }

    /// Takes the identity that was asked for.
    pub(super) fn take_identity(&mut self, id: ProducerId, epoch: ProducerEpoch) {
        self.identity = Some((id, epoch));
    }

    /// Ends everything that has taken too long.
    pub(super) fn expire(&mut self, accumulator: &mut Accumulator<T>, now: Duration) -> Vec<Completion<T>> {
        let after = self.settings.delivery_timeout;
        let Some(deadline) = now.checked_sub(after) else { return Vec::new() };
        let mut done: Vec<Completion<T>> =
            self.windows.values_mut().flat_map(|window| window.expire(deadline, after)).collect();
        self.drop_retired_identity();
        for (slot, batch) in accumulator.take_begun_until(deadline) {
            let (topic, partition) = accumulator.partition(slot);
            let (topic, cause) = (topic.clone(), None);
            let error = ProduceError::TimedOut { topic, partition, after, may_be_stored: false, cause };
            done.push(Completion { tokens: batch.tokens, buffered_bytes: batch.buffered_bytes, result: Err(error) });
        }
        done
    }

    /// Returns when something is to be done after `now`, if nothing happens before. What is due already waits for
    /// something else: an ack, a leader, room on a stream.
    pub(super) fn wakes_at(&self, accumulator: &Accumulator<T>, now: Duration) -> Option<Duration> {
        let settings = self.settings;
        let of_windows = self.windows.values().flat_map(|window| {
            let expires = window.oldest_created_at().map(|at| at + settings.delivery_timeout);
            let stuck = window.oldest_sent_at().map(|at| at + settings.ack_timeout);
            [Some(window.waits_until()), expires, stuck]
        });
        let of_queues = accumulator.filled().flat_map(|slot| {
            let expires = accumulator.oldest_created_at(slot).map(|at| at + settings.delivery_timeout);
            [accumulator.leaves_at(slot), expires]
        });
        of_windows.chain(of_queues).flatten().filter(|at| *at > now).min()
    }

    /// Returns the oldest batch that is not done.
    pub(super) fn oldest(&self, accumulator: &Accumulator<T>) -> Option<BatchNumber> {
        let under_way = self.windows.values().filter_map(Window::oldest);
        under_way.chain(accumulator.oldest()).min()
    }
}
