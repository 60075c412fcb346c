//! The producer's state machines against a model of brokers that refuse, lose answers, move leaders and lag behind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidelog_proto::batch::{Compression, DecodeLimits, NewRecord, ProducerStamp, RecordBatch};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{BrokerId, Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, TopicId, TopicName};

use super::accumulator::{Accumulator, BatchSettings};
use super::dispatch::{Dispatcher, Outgoing, SendSettings, Streams};
use super::window::{Appended, Completion, Moment, StreamId};
use crate::backoff::Backoff;
use crate::metadata::Route;
use crate::{BrokerError, CallError, ProduceError};

const PARTITIONS: u32 = 3;
const BATCH_BYTES: u32 = 400;
const BUFFER_BYTES: usize = 4_000;
const IN_FLIGHT_MAX: usize = 5;
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
enum Op {
    Append {
        partition: u32,
        bytes: usize,
    },
    Step,
    /// The broker of a stream takes its next batch.
    Serve {
        stream: usize,
    },
    /// The next ack of a stream arrives.
    Deliver {
        stream: usize,
    },
    /// A stream breaks; what was sent on it may still be appended later.
    Break {
        stream: usize,
    },
    /// A batch that was sent on a broken stream is appended after all.
    ServeLate {
        stream: usize,
    },
    /// The next batch is refused.
    Refuse {
        code: ErrorCode,
    },
    /// The next batch is stored, but the broker says that it took too long.
    TimeOut,
    MoveLeader {
        partition: u32,
    },
    Tick {
        ms: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let codes = [ErrorCode::NotLeader, ErrorCode::Overloaded, ErrorCode::InvalidRecord, ErrorCode::CorruptBatch];
    prop_oneof![
        8 => (0..PARTITIONS, 1..600_usize).prop_map(|(partition, bytes)| Op::Append { partition, bytes }),
        8 => Just(Op::Step),
        8 => (0..3_usize).prop_map(|stream| Op::Serve { stream }),
        8 => (0..3_usize).prop_map(|stream| Op::Deliver { stream }),
        1 => (0..3_usize).prop_map(|stream| Op::Break { stream }),
        1 => (0..3_usize).prop_map(|stream| Op::ServeLate { stream }),
        1 => proptest::sample::select(codes.to_vec()).prop_map(|code| Op::Refuse { code }),
        1 => Just(Op::TimeOut),
        1 => (0..PARTITIONS).prop_map(|partition| Op::MoveLeader { partition }),
        3 => (1..3_000_u64).prop_map(|ms| Op::Tick { ms }),
    ]
}

/// What the brokers have of one partition; replicas are always equal.
#[derive(Default)]
struct PartitionLog {
    tokens: Vec<u64>,
    epoch: Option<ProducerEpoch>,
    /// The last batches: sequence, records, first offset.
    batches: VecDeque<(Sequence, u32, u64)>,
}

impl PartitionLog {
    /// Judges and appends as `tidelog-raft` does.
    fn append(
        &mut self,
        stamp: Option<ProducerStamp>,
        tokens: &[u64],
        refusal: Option<ErrorCode>,
    ) -> Result<u64, ErrorCode> {
        let count = u32::try_from(tokens.len()).unwrap();
        if let Some(stamp) = stamp {
            let sequence = stamp.base_sequence.unwrap();
            if self.epoch.is_some_and(|epoch| stamp.epoch < epoch) {
                return Err(ErrorCode::InvalidProducerEpoch);
            }
            let same_epoch = self.epoch == Some(stamp.epoch);
            if same_epoch && let Some((.., offset)) = self.batches.iter().find(|it| (it.0, it.1) == (sequence, count)) {
                return Ok(*offset);
            }
            refusal.map_or(Ok(()), Err)?;
            let expected = self.batches.back().filter(|_| same_epoch).map(|last| last.0.advanced_by(last.1));
            match expected {
                Some(expected) if sequence < expected => return Err(ErrorCode::DuplicateSequence),
                Some(expected) if sequence > expected => return Err(ErrorCode::OutOfOrderSequence),
                None if self.epoch.is_some() && sequence.get() != 0 => return Err(ErrorCode::OutOfOrderSequence),
                _ => {}
            }
            if !same_epoch {
                self.batches.clear();
            }
            self.epoch = Some(stamp.epoch);
            self.batches.push_back((sequence, count, self.tokens.len() as u64));
            if self.batches.len() > IN_FLIGHT_MAX {
                self.batches.pop_front();
            }
        } else {
            refusal.map_or(Ok(()), Err)?;
        }
        let offset = self.tokens.len() as u64;
        self.tokens.extend(tokens);
        Ok(offset)
    }
}

struct Stream {
    broker: u32,
    is_broken: bool,
    requests: VecDeque<Outgoing>,
    acks: VecDeque<(u64, Result<Appended, ErrorCode>)>,
}

/// Brokers, streams and leaders.
#[derive(Default)]
struct Cluster {
    leaders: Vec<u32>,
    logs: BTreeMap<u32, PartitionLog>,
    streams: Vec<Stream>,
    refusals: VecDeque<ErrorCode>,
    times_out: bool,
}

impl Cluster {
    fn open(&mut self, broker: u32) -> StreamId {
        let open = self.streams.iter().position(|stream| stream.broker == broker && !stream.is_broken);
        let place = open.unwrap_or_else(|| {
            self.streams.push(Stream { broker, is_broken: false, requests: VecDeque::new(), acks: VecDeque::new() });
            self.streams.len() - 1
        });
        StreamId(place as u64)
    }

    fn serve(&mut self, stream: usize) {
        let Some(request) = self.streams[stream].requests.pop_front() else { return };
        let batch = RecordBatch::parse(request.record_batch).unwrap().verified().unwrap();
        let records: Vec<_> = batch.records(DecodeLimits::default()).unwrap().map(Result::unwrap).collect();
        assert!(batch.bytes().len() <= BATCH_BYTES as usize || records.len() == 1, "a batch within its limit");
        let token = |value: &[u8]| u64::from_be_bytes(*value.first_chunk().unwrap());
        let tokens: Vec<u64> = records.iter().map(|record| token(record.value.as_ref().unwrap())).collect();
        let partition = request.partition.get();
        let is_led = self.leaders[partition as usize] == self.streams[stream].broker;
        let result = if is_led {
            let refusal = self.refusals.pop_front();
            self.logs.entry(partition).or_default().append(batch.header().producer(), &tokens, refusal)
        } else {
            Err(ErrorCode::NotLeader)
        };
        let answer = match result {
            Ok(_) if std::mem::take(&mut self.times_out) => Err(ErrorCode::RequestTimedOut),
            Ok(offset) => Ok(Appended { base_offset: Some(Offset::new(offset)), log_append_time_ms: None }),
            Err(code) => Err(code),
        };
        self.streams[stream].acks.push_back((request.correlation, answer));
    }
}

impl Streams for Cluster {
    fn route(&self, _: &TopicName, partition: PartitionId) -> Option<Route> {
        let broker = self.leaders[partition.get() as usize];
        Some(Route { topic_id: TopicId::new([1; 16]), broker: BrokerId::new(broker), address: Arc::from("b:1") })
    }

    fn stream(&mut self, route: &Route) -> Option<StreamId> {
        Some(self.open(route.broker.get()))
    }
}

/// The producer's core with everything around it.
struct World {
    accumulator: Accumulator<Vec<u64>>,
    dispatcher: Dispatcher<Vec<u64>>,
    cluster: Cluster,
    now: Duration,
    next_token: u64,
    identities: u64,
    results: BTreeMap<u64, Result<Option<u64>, ProduceError>>,
    partition_of: BTreeMap<u64, u32>,
}

impl World {
    fn new(is_idempotent: bool) -> Self {
        let batches = BatchSettings {
            compression: Compression::None,
            batch_bytes: BATCH_BYTES,
            batch_bytes_max: 1_000,
            buffer_bytes: BUFFER_BYTES,
            linger: Duration::from_millis(5),
        };
        let sending = SendSettings {
            is_idempotent,
            has_acks: true,
            in_flight_max: IN_FLIGHT_MAX,
            request_bytes: 1_000,
            delivery_timeout: DELIVERY_TIMEOUT,
            ack_timeout: Duration::from_secs(8),
            backoff: Backoff::DEFAULT,
        };
        Self {
            accumulator: Accumulator::new(batches),
            dispatcher: Dispatcher::new(sending),
            cluster: Cluster { leaders: vec![0; PARTITIONS as usize], ..Cluster::default() },
            now: Duration::ZERO,
            next_token: 0,
            identities: 0,
            results: BTreeMap::new(),
            partition_of: BTreeMap::new(),
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now, spread: 0.5 }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Append { partition, bytes } => self.append(*partition, *bytes),
            Op::Step => self.step(),
            Op::Serve { stream } => self.with_stream(*stream, false, |world, stream| world.cluster.serve(stream)),
            Op::ServeLate { stream } => self.with_stream(*stream, true, |world, stream| world.cluster.serve(stream)),
            Op::Deliver { stream } => self.with_stream(*stream, false, Self::deliver),
            Op::Break { stream } => self.with_stream(*stream, false, Self::break_stream),
            Op::Refuse { code } => self.cluster.refusals.push_back(*code),
            Op::TimeOut => self.cluster.times_out = true,
            Op::MoveLeader { partition } => self.cluster.leaders[*partition as usize] ^= 1,
            Op::Tick { ms } => self.now += Duration::from_millis(*ms),
        }
    }

    fn append(&mut self, partition: u32, bytes: usize) {
        let token = self.next_token;
        let mut value = token.to_be_bytes().to_vec();
        value.resize(8 + bytes, 0);
        let record = NewRecord { value: Some(&value), ..NewRecord::default() };
        let slot = self.accumulator.slot(&TopicName::new("t").unwrap(), PartitionId::new(partition));
        let (before, now) = (self.accumulator.buffered_bytes(), self.now);
        let join = |tokens: &mut Vec<u64>| tokens.push(token);
        if self.accumulator.append(slot, &record, value.len(), || now, join).is_ok() {
            self.next_token += 1;
            self.partition_of.insert(token, partition);
        } else {
            assert!(before + value.len() > BUFFER_BYTES, "refused for want of room only");
        }
        assert!(self.accumulator.buffered_bytes() <= BUFFER_BYTES);
        assert!(self.accumulator.reserved_bytes() <= BUFFER_BYTES / 8, "room made ahead is bounded by the buffer too");
    }

    fn step(&mut self) {
        let expired = self.dispatcher.expire(&mut self.accumulator, self.now);
        self.complete(expired);
        loop {
            let gathered = self.dispatcher.gather(&mut self.accumulator, self.now, &self.cluster);
            for (slot, batch) in gathered {
                assert!(self.dispatcher.encode(slot, batch).is_none());
            }
            let step = self.dispatcher.send(self.now, &mut self.cluster);
            self.complete(step.completions);
            let may_be_more = !step.requests.is_empty() || !step.stuck.is_empty();
            for (stream, batches) in step.requests {
                self.cluster.streams[usize::try_from(stream.0).unwrap()].requests.extend(batches);
            }
            for stream in step.stuck {
                self.break_stream(usize::try_from(stream.0).unwrap());
            }
            let (_, wants_identity) = self.dispatcher.wants(&self.accumulator, &self.cluster);
            if wants_identity || step.wants_identity {
                self.dispatcher.take_identity(ProducerId::new(self.identities), ProducerEpoch::new(0));
                self.identities += 1;
            } else if !may_be_more {
                return self.check_sleep();
            }
        }
    }

    /// Checks that nothing becomes possible before the moment that is named, if nothing happens: who sleeps until then
    /// misses nothing.
    fn check_sleep(&mut self) {
        let due = self.dispatcher.wakes_at(&self.accumulator, self.now);
        let just_before =
            due.map_or(self.now + Duration::from_secs(3_600), |due| due.saturating_sub(Duration::from_nanos(1)));
        assert!(just_before >= self.now, "due at {due:?}, which is not behind {:?}", self.now);
        assert!(self.dispatcher.expire(&mut self.accumulator, just_before).is_empty(), "expired before {due:?}");
        assert!(self.dispatcher.gather(&mut self.accumulator, just_before, &self.cluster).is_empty(), "before {due:?}");
        let step = self.dispatcher.send(just_before, &mut self.cluster);
        assert!(
            step.requests.is_empty() && step.completions.is_empty() && step.stuck.is_empty(),
            "before {due:?}: {step:?}"
        );
    }

    /// Does something to one of the streams that are broken, or are not.
    fn with_stream(&mut self, place: usize, is_broken: bool, act: impl Fn(&mut Self, usize)) {
        let places = 0..self.cluster.streams.len();
        let fitting: Vec<usize> = places.filter(|it| self.cluster.streams[*it].is_broken == is_broken).collect();
        if let Some(stream) = fitting.get(place % fitting.len().max(1)) {
            act(self, *stream);
        }
    }

    fn deliver(&mut self, stream: usize) {
        let Some((correlation, answer)) = self.cluster.streams[stream].acks.pop_front() else { return };
        let result = answer.map_err(|code| BrokerError::of_code(code, "scripted"));
        let (_, done) = self.dispatcher.acked(correlation, result, self.moment());
        self.complete(done);
    }

    fn break_stream(&mut self, stream: usize) {
        self.cluster.streams[stream].is_broken = true;
        let (_, done) = self.dispatcher.stream_lost(StreamId(stream as u64), &CallError::Closed, self.moment());
        self.complete(done);
    }

    fn complete(&mut self, done: Vec<Completion<Vec<u64>>>) {
        for completion in done {
            self.accumulator.release(completion.buffered_bytes);
            for (place, token) in (0..).zip(completion.tokens) {
                let offset = |appended: &Appended| appended.base_offset.map(|base| base.get() + place);
                let result = completion.result.as_ref().map(offset).map_err(Clone::clone);
                assert_eq!(self.results.insert(token, result), None, "record {token} is done twice");
            }
        }
    }

    /// Lets everything finish on healthy brokers.
    fn finish(&mut self) {
        self.cluster.refusals.clear();
        self.cluster.times_out = false;
        self.accumulator.close_batches();
        for _ in 0..1_000 {
            if self.dispatcher.oldest(&self.accumulator).is_none() {
                return;
            }
            self.step();
            for stream in 0..self.cluster.streams.len() {
                while !self.cluster.streams[stream].is_broken && !self.cluster.streams[stream].requests.is_empty() {
                    self.cluster.serve(stream);
                }
                while !self.cluster.streams[stream].is_broken && !self.cluster.streams[stream].acks.is_empty() {
                    self.deliver(stream);
                }
            }
            self.now += Duration::from_millis(100);
        }
        panic!("the producer does not finish");
    }

    /// What holds at the end, whatever happened.
    fn check(&self, is_idempotent: bool) {
        let kept = (self.accumulator.buffered_bytes(), self.accumulator.reserved_bytes());
        assert_eq!(kept, (0, 0), "all room is given back");
        assert!((0..self.next_token).all(|token| self.results.contains_key(&token)), "nothing is lost without a word");
        for (partition, log) in &self.cluster.logs {
            if is_idempotent {
                assert!(log.tokens.is_sorted_by(|a, b| a < b), "order kept, nothing twice: {:?}", log.tokens);
            }
            assert!(log.tokens.iter().all(|token| self.partition_of[token] == *partition));
        }
        let stored: BTreeSet<u64> = self.cluster.logs.values().flat_map(|log| log.tokens.iter().copied()).collect();
        for (token, result) in &self.results {
            match result {
                Ok(offset) => {
                    assert!(stored.contains(token), "record {token} is acked and not stored");
                    let log = &self.cluster.logs[&self.partition_of[token]];
                    let at = offset.map(|offset| log.tokens[usize::try_from(offset).unwrap()]);
                    assert!(at.is_none_or(|at| at == *token), "record {token} is not where its ack says");
                }
                Err(error) => {
                    let is_wrong = is_idempotent && !error.may_be_stored() && stored.contains(token);
                    assert!(!is_wrong, "record {token} is stored but {error}");
                }
            }
        }
    }
}

fn run(ops: &[Op], is_idempotent: bool) {
    let mut world = World::new(is_idempotent);
    for op in ops {
        world.apply(op);
    }
    world.finish();
    world.check(is_idempotent);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn records_are_stored_in_order_and_once_whatever_happens(ops in proptest::collection::vec(op(), 0..200)) {
        run(&ops, true);
    }

    #[test]
    fn without_idempotence_nothing_acked_is_lost_and_nothing_is_forgotten(
        ops in proptest::collection::vec(op(), 0..200),
    ) {
        run(&ops, false);
    }
}

#[test]
fn a_record_alone_leaves_at_once_and_those_behind_it_together() {
    let mut world = World::new(true);
    world.append(0, 10);
    world.step();
    world.cluster.serve(0);
    world.deliver(0);
    for _ in 0..6 {
        world.append(0, 10);
        world.step();
    }
    assert_eq!(world.cluster.streams[0].requests.len(), 1, "the others linger");
    world.now += Duration::from_millis(5);
    world.step();
    assert_eq!(world.cluster.streams[0].requests.len(), 2);
    world.finish();
    world.check(true);
}

#[test]
fn a_batch_that_fails_for_good_costs_the_later_ones_nothing() {
    let mut world = World::new(true);
    for _ in 0..3 {
        world.append(0, 380);
    }
    world.now += Duration::from_millis(5);
    world.step();
    world.cluster.refusals.push_back(ErrorCode::InvalidRecord);
    for _ in 0..3 {
        world.cluster.serve(0);
        world.deliver(0);
    }
    world.finish();
    world.check(true);
    assert!(matches!(&world.results[&0], Err(ProduceError::Refused { .. })));
    assert_eq!((&world.results[&1], &world.results[&2]), (&Ok(Some(0)), &Ok(Some(1))));
}

#[test]
fn a_stuck_stream_is_given_up_and_its_batches_are_sent_again() {
    let mut world = World::new(true);
    world.append(0, 10);
    world.step();
    world.now += Duration::from_secs(9);
    world.step();
    assert!(world.cluster.streams[0].is_broken);
    world.cluster.serve(0);
    world.finish();
    world.check(true);
    assert_eq!(world.results[&0], Ok(Some(0)), "the repeat is recognised");
}

#[test]
fn a_broker_that_lost_what_was_acked_gets_the_next_batch_under_a_new_epoch() {
    let mut world = World::new(true);
    for _ in 0..2 {
        world.append(0, 10);
        world.step();
        world.cluster.serve(0);
        world.deliver(0);
    }
    let log = world.cluster.logs.get_mut(&0).unwrap();
    log.tokens.pop();
    log.batches.pop_back();
    world.append(0, 10);
    world.finish();
    assert_eq!(world.cluster.logs[&0].tokens, [0, 2]);
    assert_eq!(world.cluster.logs[&0].epoch, Some(ProducerEpoch::new(1)));
    assert_eq!(world.results[&2], Ok(Some(1)));
}

#[test]
fn time_over_is_told_in_time_and_what_was_not_sent_by_then_is_not_stored() {
    let mut world = World::new(true);
    world.append(0, 10);
    world.step();
    world.append(0, 10);
    world.now += DELIVERY_TIMEOUT;
    world.step();
    assert!(matches!(world.results[&0], Err(ProduceError::TimedOut { may_be_stored: true, .. })));
    assert!(matches!(world.results[&1], Err(ProduceError::TimedOut { may_be_stored: false, .. })));
    assert_eq!(world.accumulator.buffered_bytes(), 0);
    world.append(0, 10);
    world.finish();
    world.check(true);
    assert!(world.results[&2].is_ok());
}

#[test]
fn sequences_go_on_in_another_epoch_after_the_last() {
    let mut world = World::new(true);
    world.append(0, 10);
    world.step();
    for _ in 0..i32::from(i16::MAX) + 2 {
        world.cluster.refusals.push_back(ErrorCode::InvalidRecord);
        world.cluster.serve(0);
        world.deliver(0);
        world.append(0, 10);
        world.step();
    }
    assert_eq!(world.identities, 2, "another identity once the epochs are used up");
}

/// Puts three batches of one partition on the way, after one that made the producer known.
fn three_on_the_way(is_idempotent: bool) -> World {
    let mut world = World::new(is_idempotent);
    world.append(0, 10);
    world.step();
    world.cluster.serve(0);
    world.deliver(0);
    for _ in 0..3 {
        world.append(0, 380);
    }
    world.now += Duration::from_millis(5);
    world.step();
    assert_eq!(world.cluster.streams[0].requests.len(), 3);
    world
}

#[test]
fn after_a_failure_nothing_is_sent_until_everything_on_the_way_has_come_back() {
    for is_idempotent in [true, false] {
        let mut world = three_on_the_way(is_idempotent);
        world.cluster.refusals.push_back(ErrorCode::Overloaded);
        world.cluster.serve(0);
        world.deliver(0);
        world.append(0, 10);
        world.now += Duration::from_secs(2);
        world.step();
        assert_eq!(world.cluster.streams[0].requests.len(), 2, "nothing new");
        world.finish();
        world.check(is_idempotent);
    }
}

#[test]
fn in_a_new_epoch_the_first_batch_goes_alone() {
    let mut world = three_on_the_way(true);
    world.cluster.refusals.push_back(ErrorCode::InvalidRecord);
    for _ in 0..3 {
        world.cluster.serve(0);
        world.deliver(0);
    }
    world.now += Duration::from_secs(2);
    world.step();
    assert_eq!(world.cluster.streams[0].requests.len(), 1);
    // The broker forgets the producer; had both gone, the second one could have passed the first.
    *world.cluster.logs.get_mut(&0).unwrap() = PartitionLog {
        tokens: std::mem::take(&mut world.cluster.logs.get_mut(&0).unwrap().tokens),
        ..PartitionLog::default()
    };
    world.cluster.refusals.push_back(ErrorCode::Overloaded);
    world.finish();
    world.check(true);
}
