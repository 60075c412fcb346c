//! The consumer's state machines against a model of brokers that lose streams, move leaders and lag behind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidelog_proto::api::{IsolationLevel, Position, v1};
use tidelog_proto::batch::{BatchBuilder, Compression, NewRecord, ProduceLimits, RecordBatch, validate_produced};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{BrokerId, LeaderEpoch, Offset, PartitionId, TopicId, TopicName};

use super::OutOfRange;
use super::assignment::{Assignment, Slot};
use super::credit::StreamId;
use super::fetch_step::{FetchNews, FetchStreams};
use super::fetcher::{FetchSettings, Fetcher, Popped};
use crate::backoff::Backoff;
use crate::metadata::Route;
use crate::{BrokerError, ConsumeError, OffsetRange};

const PARTITIONS: usize = 3;
const BUFFER_BYTES: u32 = 600;

/// A batch of three records of the model is smaller.
const BATCH_BYTES_MAX: i64 = 120;

#[derive(Clone, Debug)]
enum Op {
    Append {
        partition: usize,
        records: usize,
    },
    Step,
    /// A broker pushes what comes next of one of the partitions of a stream.
    Push {
        stream: usize,
        partition: usize,
    },
    /// What a broker sent arrives.
    Deliver {
        stream: usize,
    },
    Break {
        stream: usize,
    },
    MoveLeader {
        partition: usize,
    },
    Pop,
    Seek {
        partition: usize,
        to: u64,
    },
    /// Pauses, with part of the last batch not given out yet if `in_batch`.
    Pause {
        partition: usize,
        in_batch: bool,
    },
    Resume {
        partition: usize,
    },
    Tick {
        ms: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let partition = || 0..PARTITIONS;
    prop_oneof![
        6 => (partition(), 1..4_usize).prop_map(|(partition, records)| Op::Append { partition, records }),
        8 => Just(Op::Step),
        8 => (0..2_usize, partition()).prop_map(|(stream, partition)| Op::Push { stream, partition }),
        8 => (0..2_usize).prop_map(|stream| Op::Deliver { stream }),
        1 => (0..2_usize).prop_map(|stream| Op::Break { stream }),
        1 => partition().prop_map(|partition| Op::MoveLeader { partition }),
        8 => Just(Op::Pop),
        1 => (partition(), 0..20_u64).prop_map(|(partition, to)| Op::Seek { partition, to }),
        1 => (partition(), any::<bool>()).prop_map(|(partition, in_batch)| Op::Pause { partition, in_batch }),
        1 => partition().prop_map(|partition| Op::Resume { partition }),
        3 => (1..1_500_u64).prop_map(|ms| Op::Tick { ms }),
    ]
}

/// What a broker reads for a stream.
struct Session {
    partition: usize,
    generation: u32,
    position: u64,
    end: Option<u64>,
}

struct Stream {
    broker: u32,
    is_broken: bool,
    credit_bytes: i64,
    sessions: BTreeMap<u32, Session>,
    wire: VecDeque<(u32, u32, FetchNews)>,
}

/// Brokers, streams and leaders; replicas are always equal.
struct Cluster {
    leaders: Vec<u32>,
    logs: Vec<Vec<RecordBatch>>,
    streams: Vec<Stream>,
}

fn log_end(log: &[RecordBatch]) -> u64 {
    log.last().map_or(0, |batch| batch.header().next_offset().get())
}

impl Cluster {
    fn append(&mut self, partition: usize, records: usize) {
        let mut builder = BatchBuilder::new(Compression::None);
        for _ in 0..records {
            builder.push(&NewRecord { value: Some(b"0123"), ..NewRecord::default() }).unwrap();
        }
        let batch = validate_produced(builder.finish().unwrap(), &ProduceLimits::default()).unwrap();
        let base = Offset::new(log_end(&self.logs[partition]));
        self.logs[partition].push(batch.assigned(base, LeaderEpoch::new(1)).unwrap());
    }

    /// Takes a request, as the broker of the stream does.
    fn request(&mut self, stream: usize, request: v1::FetchRequest) {
        self.streams[stream].credit_bytes += i64::from(request.credit_bytes);
        for command in request.commands {
            let fetch_id = command.fetch_id;
            match command.command.unwrap() {
                v1::fetch_command::Command::Open(open) => {
                    let partition = open.partition as usize;
                    let position = Position::try_from(open.position).unwrap();
                    let session = Session { partition, generation: open.generation, position: 0, end: open.end_offset };
                    assert!(self.streams[stream].sessions.insert(fetch_id, session).is_none(), "a free fetch id");
                    self.place(stream, fetch_id, position);
                }
                v1::fetch_command::Command::Seek(seek) => {
                    let position = Position::try_from(seek.position).unwrap();
                    if let Some(session) = self.streams[stream].sessions.get_mut(&fetch_id) {
                        session.generation = seek.generation;
                        session.end = seek.end_offset;
                        self.place(stream, fetch_id, position);
                    }
                }
                v1::fetch_command::Command::Close(_) => {
                    if let Some(session) = self.streams[stream].sessions.remove(&fetch_id) {
                        let news = (fetch_id, session.generation, FetchNews::ClosedAsAsked);
                        self.streams[stream].wire.push_back(news);
                    }
                }
                other => panic!("the consumer sends no {other:?}"),
            }
        }
    }

    /// Puts a session at a position, or closes it.
    fn place(&mut self, stream: usize, fetch_id: u32, position: Position) {
        let open = &mut self.streams[stream];
        let Some(session) = open.sessions.get_mut(&fetch_id) else { return };
        let end = log_end(&self.logs[session.partition]);
        let offset = match position {
            Position::Offset(offset) => offset.get(),
            Position::Earliest => 0,
            Position::Latest | Position::Timestamp(_) => end,
        };
        session.position = offset;
        let generation = session.generation;
        let refusal = if self.leaders[session.partition] != open.broker {
            Some(BrokerError::of_code(ErrorCode::NotLeader, "scripted"))
        } else if offset > end {
            let offset_range = Some(v1::OffsetRange { log_start_offset: 0, high_watermark: end });
            let error = v1::Error::new(ErrorCode::OffsetOutOfRange, "scripted");
            Some(v1::Error { offset_range, ..error }.into())
        } else {
            None
        };
        let news = match refusal {
            Some(error) => {
                open.sessions.remove(&fetch_id);
                FetchNews::Failed(error)
            }
            None => FetchNews::Opened { position: Offset::new(offset), high_watermark: Offset::new(end) },
        };
        open.wire.push_back((fetch_id, generation, news));
    }

    /// Pushes the next batch of a partition, or closes it where that is due.
    fn push(&mut self, stream: usize, partition: usize) {
        let open = &mut self.streams[stream];
        let session = open.sessions.iter_mut().find(|(_, session)| session.partition == partition);
        let Some((&fetch_id, session)) = session else { return };
        let generation = session.generation;
        if self.leaders[partition] != open.broker {
            let error = BrokerError::of_code(ErrorCode::NotLeader, "scripted");
            open.sessions.remove(&fetch_id);
            open.wire.push_back((fetch_id, generation, FetchNews::Failed(error)));
        } else if session.end.is_some_and(|end| session.position >= end) {
            open.sessions.remove(&fetch_id);
            open.wire.push_back((fetch_id, generation, FetchNews::EndReached));
        } else if open.credit_bytes > 0 {
            let log = &self.logs[partition];
            let next = log.iter().find(|batch| batch.header().next_offset().get() > session.position);
            let Some(batch) = next else { return };
            session.position = batch.header().next_offset().get();
            let bytes = batch.bytes().len();
            open.credit_bytes -= i64::try_from(bytes).unwrap();
            let high_watermark = Offset::new(log_end(log));
            let news = FetchNews::Batches { batches: vec![Ok(batch.clone())], high_watermark, bytes };
            open.wire.push_back((fetch_id, generation, news));
        }
    }
}

impl FetchStreams for Cluster {
    fn route(&self, _: &TopicName, partition: PartitionId) -> Option<Route> {
        let broker = BrokerId::new(self.leaders[partition.get() as usize]);
        Some(Route { topic_id: TopicId::new([1; 16]), broker, address: Arc::from("b:1") })
    }

    fn stream(&mut self, route: &Route) -> Option<StreamId> {
        let broker = route.broker.get();
        let open = self.streams.iter().position(|stream| stream.broker == broker && !stream.is_broken);
        let place = open.unwrap_or_else(|| {
            let (sessions, wire) = (BTreeMap::new(), VecDeque::new());
            self.streams.push(Stream { broker, is_broken: false, credit_bytes: 0, sessions, wire });
            self.streams.len() - 1
        });
        Some(StreamId(place as u64))
    }

    fn has_room(&self, _: StreamId) -> bool {
        true
    }

    fn broker_count(&self) -> usize {
        2
    }
}

/// The consumer's core, the brokers, and the application.
struct World {
    fetcher: Fetcher,
    cluster: Cluster,
    now: Duration,
    /// The next offset that the application must be given of each partition.
    expected: Vec<u64>,
    paused: BTreeSet<usize>,
    /// The first offset of the last batch of each partition that the application was given.
    last_from: Vec<u64>,
    end: Option<u64>,
}

impl World {
    fn new(out_of_range: OutOfRange, end: Option<u64>) -> Self {
        let settings = FetchSettings {
            buffer_bytes: BUFFER_BYTES,
            isolation: IsolationLevel::ReadUncommitted,
            out_of_range,
            backoff: Backoff::DEFAULT,
            open_timeout: Duration::from_secs(60),
        };
        let topic = Arc::new(TopicName::new("t").unwrap());
        let assignment = |partition| {
            let start = Position::Offset(Offset::new(0));
            Assignment::new(Arc::clone(&topic), PartitionId::new(partition), start, end.map(Offset::new))
        };
        let assignments = (0..u32::try_from(PARTITIONS).unwrap()).map(assignment).collect();
        Self {
            fetcher: Fetcher::new(settings, assignments),
            cluster: Cluster { leaders: vec![0; PARTITIONS], logs: vec![Vec::new(); PARTITIONS], streams: Vec::new() },
            now: Duration::ZERO,
            expected: vec![0; PARTITIONS],
            paused: BTreeSet::new(),
            last_from: vec![0; PARTITIONS],
            end,
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Append { partition, records } => self.cluster.append(partition, records),
            Op::Step => self.step(),
            Op::Push { stream, partition } => self.on_stream(stream, |world, it| world.cluster.push(it, partition)),
            Op::Deliver { stream } => self.on_stream(stream, Self::deliver),
            Op::Break { stream } => self.on_stream(stream, |world, it| {
                world.cluster.streams[it].is_broken = true;
                world.fetcher.stream_lost(StreamId(it as u64), world.now, 0.5);
            }),
            Op::MoveLeader { partition } => self.cluster.leaders[partition] ^= 1,
            Op::Pop => {
                self.pop();
            }
            Op::Seek { partition, to } => {
                let to = to.min(log_end(&self.cluster.logs[partition]));
                self.expected[partition] = to;
                self.last_from[partition] = to;
                self.fetcher.seek(Slot(partition), Position::Offset(Offset::new(to)));
            }
            Op::Pause { partition, in_batch } => {
                let at = in_batch.then_some(self.last_from[partition]);
                if let Some(at) = at {
                    self.expected[partition] = at;
                }
                self.fetcher.pause(Slot(partition), at.map(Offset::new));
                self.paused.insert(partition);
            }
            Op::Resume { partition } => {
                self.fetcher.resume(Slot(partition));
                self.paused.remove(&partition);
            }
            Op::Tick { ms } => self.now += Duration::from_millis(ms),
        }
        assert!(self.fetcher.buffered_bytes() <= i64::from(BUFFER_BYTES) + 4 * BATCH_BYTES_MAX, "bounded");
    }

    fn step(&mut self) {
        let step = self.fetcher.step(self.now, 0.5, &mut self.cluster);
        for (stream, request) in step.requests {
            self.cluster.request(usize::try_from(stream.0).unwrap(), request);
        }
        for stream in step.idle {
            self.cluster.streams[usize::try_from(stream.0).unwrap()].is_broken = true;
        }
    }

    fn on_stream(&mut self, place: usize, act: impl Fn(&mut Self, usize)) {
        let places = 0..self.cluster.streams.len();
        let whole: Vec<usize> = places.filter(|it| !self.cluster.streams[*it].is_broken).collect();
        if let Some(stream) = whole.get(place % whole.len().max(1)) {
            act(self, *stream);
        }
    }

    fn deliver(&mut self, stream: usize) {
        let Some((fetch_id, generation, news)) = self.cluster.streams[stream].wire.pop_front() else { return };
        self.fetcher.take(StreamId(stream as u64), fetch_id, generation, news, self.now, 0.5);
    }

    /// Gives the application what comes next; returns whether there was anything.
    fn pop(&mut self) -> bool {
        match self.fetcher.pop() {
            None => false,
            Some(Popped::Failed(error)) => panic!("{error}"),
            Some(Popped::Batch { slot, batch, from, end }) => {
                let partition = slot.0;
                assert!(!self.paused.contains(&partition), "nothing of a paused partition");
                let first = from.max(batch.header().base_offset()).get();
                assert_eq!(first, self.expected[partition], "nothing twice, nothing left out");
                self.last_from[partition] = first;
                let next = batch.header().next_offset().get();
                assert!(next > first, "something of it is wanted");
                self.expected[partition] = end.map_or(next, |end| next.min(end.get()));
                let position = self.fetcher.assignment(slot).position.unwrap().get();
                assert_eq!(position, self.expected[partition]);
                true
            }
        }
    }

    /// Lets the application read everything from healthy brokers.
    fn finish(&mut self) {
        for partition in 0..PARTITIONS {
            self.apply(&Op::Resume { partition });
        }
        for _ in 0..400 {
            self.step();
            for stream in 0..self.cluster.streams.len() {
                for partition in 0..PARTITIONS {
                    if !self.cluster.streams[stream].is_broken {
                        self.cluster.push(stream, partition);
                    }
                }
                while !self.cluster.streams[stream].is_broken && !self.cluster.streams[stream].wire.is_empty() {
                    self.deliver(stream);
                }
            }
            while self.pop() {}
            self.now += Duration::from_millis(100);
        }
        for (partition, log) in self.cluster.logs.iter().enumerate() {
            let target = self.end.map_or(log_end(log), |end| log_end(log).min(end));
            assert!(self.expected[partition] >= target, "everything is read");
        }
        assert_eq!(self.fetcher.buffered_bytes(), 0);
        let is_over = |log: &Vec<RecordBatch>| self.end.is_some_and(|end| log_end(log) >= end);
        assert_eq!(self.fetcher.is_finished(), self.cluster.logs.iter().all(is_over));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn every_record_comes_once_and_in_order_whatever_happens(
        ops in proptest::collection::vec(op(), 0..200),
        end in proptest::option::of(1..20_u64),
    ) {
        let mut world = World::new(OutOfRange::Error, end);
        for op in &ops {
            world.apply(op);
        }
        world.finish();
    }
}

#[test]
fn a_position_that_is_gone_stops_the_partition_until_a_seek() {
    let mut world = World::new(OutOfRange::Error, None);
    world.fetcher.seek(Slot(0), Position::Offset(Offset::new(9)));
    world.step();
    while !world.cluster.streams[0].wire.is_empty() {
        world.deliver(0);
    }
    let Some(Popped::Failed(error)) = world.fetcher.pop() else { panic!("no error") };
    let range = Some(OffsetRange { log_start_offset: Offset::new(0), high_watermark: Offset::new(0) });
    let (topic, partition) = (TopicName::new("t").unwrap(), PartitionId::new(0));
    assert_eq!(error, ConsumeError::OffsetOutOfRange { topic, partition, position: Some(Offset::new(9)), range });
    world.apply(&Op::Append { partition: 0, records: 2 });
    world.apply(&Op::Seek { partition: 0, to: 1 });
    world.finish();
}

#[test]
fn a_position_that_is_gone_goes_on_at_the_start_if_that_was_chosen() {
    let mut world = World::new(OutOfRange::Earliest, None);
    world.apply(&Op::Append { partition: 0, records: 2 });
    world.fetcher.seek(Slot(0), Position::Offset(Offset::new(9)));
    world.finish();
}

#[test]
fn a_named_start_is_kept_over_a_break_before_the_first_record() {
    let mut world = World::new(OutOfRange::Error, None);
    world.apply(&Op::Append { partition: 0, records: 2 });
    world.fetcher.seek(Slot(0), Position::Latest);
    world.step();
    while !world.cluster.streams[0].wire.is_empty() {
        world.deliver(0);
    }
    world.expected[0] = 2;
    world.apply(&Op::Append { partition: 0, records: 3 });
    world.apply(&Op::Break { stream: 0 });
    world.finish();
    assert_eq!(world.expected[0], 5);
}

#[test]
fn a_batch_that_comes_again_is_given_out_once() {
    let mut world = World::new(OutOfRange::Error, None);
    world.apply(&Op::Append { partition: 0, records: 2 });
    world.apply(&Op::Append { partition: 0, records: 2 });
    world.step();
    world.cluster.push(0, 0);
    world.cluster.push(0, 0);
    world.cluster.streams[0].sessions.get_mut(&0).unwrap().position = 0;
    world.cluster.push(0, 0);
    while !world.cluster.streams[0].wire.is_empty() {
        world.deliver(0);
    }
    world.apply(&Op::Break { stream: 0 });
    world.finish();
    assert_eq!(world.expected[0], 4);
}

#[test]
fn a_stream_on_which_nothing_is_read_any_more_is_ended() {
    let mut world = World::new(OutOfRange::Error, None);
    world.step();
    for partition in 0..PARTITIONS {
        world.apply(&Op::Pause { partition, in_batch: false });
    }
    let step = world.fetcher.step(world.now, 0.5, &mut world.cluster);
    assert_eq!(step.idle, BTreeSet::from([StreamId(0)]));
    assert!(step.requests.is_empty());
}
