//! The state of a `Fetch` stream against a model: logs in memory, and a client that keeps account.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;
use tidelog_proto::api::{Position, TopicSelector, v1};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{Offset, PartitionId, TopicId};

use super::command::{Command, Open, Seek, Target};
use super::state::{Decisions, FetchState, Found, Located, Read, Token};
use super::stream_error::StreamError;

const TOPIC: TopicId = TopicId::new([1; 16]);

/// The log that a number stands for: one record in each batch, the batch at offset n of `batches[n]` bytes.
#[derive(Debug, Default, Clone)]
struct ModelLog {
    batches: Vec<usize>,
    high_watermark: u64,
}

/// What a client has been told of a partition.
#[derive(Debug, Default)]
struct Told {
    is_open: bool,
    generation: u32,
    next: u64,
}

/// The shell and the client in one, in any order that a test chooses.
struct Model {
    state: FetchState,
    logs: BTreeMap<u32, ModelLog>,
    told: BTreeMap<u32, Told>,
    /// What the shell was asked for and has not answered yet.
    locate: Vec<(u32, Token, Position)>,
    watch: Vec<(u32, Token, Offset)>,
    reads: VecDeque<Read>,
    balance: i64,
    closed: Vec<(u32, v1::FetchCloseReason)>,
    pushes: Vec<u32>,
}

fn open_at(position: u64, end: Option<u64>, generation: u32) -> Command {
    let topic = TopicSelector::Id(TOPIC);
    let target =
        Target { partition: Some((topic, PartitionId::new(0))), position: Position::Offset(Offset::new(position)) };
    Command::Open(Open { generation, is_paused: false, end: end.map(Offset::new), target: Ok(target) })
}

fn seek_to(position: u64, generation: u32) -> Command {
    let target = Target { partition: None, position: Position::Offset(Offset::new(position)) };
    Command::Seek(Seek { generation, end: None, target: Ok(target) })
}

impl Model {
    fn new(logs: impl IntoIterator<Item = (u32, ModelLog)>) -> Self {
        Self {
            state: FetchState::new(100),
            logs: logs.into_iter().collect(),
            told: BTreeMap::new(),
            locate: Vec::new(),
            watch: Vec::new(),
            reads: VecDeque::new(),
            balance: 0,
            closed: Vec::new(),
            pushes: Vec::new(),
        }
    }

    fn grant(&mut self, bytes: u32) {
        self.state.grant(bytes).unwrap();
        self.balance += i64::from(bytes);
    }

    fn command(&mut self, fetch_id: u32, command: Command) -> Result<(), StreamError> {
        let mut out = Decisions::default();
        let outcome = self.state.command(fetch_id, command, &mut out);
        self.note(out);
        outcome
    }

    fn note(&mut self, out: Decisions) {
        for locate in out.locate {
            self.locate.push((locate.fetch_id, locate.token, locate.target.position));
        }
        for watch in out.watch {
            self.watch.push((watch.fetch_id, watch.token, watch.above));
        }
        for item in out.items {
            self.receive(item);
        }
    }

    /// The client's account: credit, order, generations.
    fn receive(&mut self, item: v1::FetchItem) {
        let told = self.told.entry(item.fetch_id).or_default();
        match item.item.expect("an item") {
            v1::fetch_item::Item::Opened(opened) => {
                told.is_open = true;
                told.generation = item.generation;
                told.next = opened.position;
            }
            v1::fetch_item::Item::Closed(closed) => {
                told.is_open = false;
                self.closed.push((item.fetch_id, closed.reason()));
            }
            v1::fetch_item::Item::Batches(batches) => {
                assert!(told.is_open, "batches of a partition that is closed");
                assert_eq!(told.generation, item.generation, "of the position that was told last");
                assert!(!batches.record_batches.is_empty());
                assert!(self.balance > 0, "pushed without credit");
                self.pushes.push(item.fetch_id);
                let log = &self.logs[&item.fetch_id];
                for batch in batches.record_batches {
                    assert!(self.balance > 0, "more than one batch above the credit");
                    let expected = log.batches[usize::try_from(told.next).unwrap()];
                    assert_eq!(batch.len(), expected, "nothing is skipped, nothing comes twice");
                    assert!(told.next < log.high_watermark, "not committed");
                    self.balance -= i64::try_from(batch.len()).unwrap();
                    told.next += 1;
                }
            }
        }
    }

    /// Answers a lookup.
    fn answer_locate(&mut self, choice: usize) {
        if self.locate.is_empty() {
            return;
        }
        let (fetch_id, token, position) = self.locate.swap_remove(choice % self.locate.len());
        let Position::Offset(position) = position else { unreachable!("the model asks for offsets only") };
        let high_watermark = Offset::new(self.logs[&fetch_id].high_watermark);
        let located = Located { topic_id: TOPIC, position, high_watermark, log_start_offset: Offset::ZERO };
        let mut out = Decisions::default();
        self.state.located(fetch_id, token, Ok(located), &mut out).unwrap();
        self.note(out);
    }

    /// Commits some more, and tells those who wait.
    fn commit(&mut self, fetch_id: u32, count: u64) {
        let log = self.logs.get_mut(&fetch_id).unwrap();
        log.high_watermark = (log.high_watermark + count).min(log.batches.len() as u64);
        let now = Offset::new(log.high_watermark);
        let (risen, waiting) = self.watch.drain(..).partition(|(id, _, above)| *id == fetch_id && now > *above);
        self.watch = waiting;
        let risen: Vec<_> = risen;
        for (fetch_id, token, _) in risen {
            let mut out = Decisions::default();
            self.state.committed(fetch_id, token, now, &mut out);
            self.note(out);
        }
    }

    /// Begins a read if there is one to begin.
    fn begin_read(&mut self) -> bool {
        let read = self.state.next_read();
        let begun = read.is_some();
        self.reads.extend(read);
        begun
    }

    /// Ends the read that was begun, as a log would: by bytes, but at least one batch.
    fn end_read(&mut self) {
        let Some(read) = self.reads.pop_front() else { return };
        let log = &self.logs[&read.fetch_id];
        let (mut batches, mut bytes, mut next) = (Vec::new(), 0, read.from.get());
        while next < read.limit.get() {
            let batch_bytes = log.batches[usize::try_from(next).unwrap()];
            if bytes > 0 && (bytes + batch_bytes) as u64 > read.max_bytes {
                break;
            }
            bytes += batch_bytes;
            batches.push(Bytes::from(vec![0; batch_bytes]));
            next += 1;
        }
        let high_watermark = Offset::new(log.high_watermark);
        let found = Found { batches, next_offset: Offset::new(next), high_watermark, log_start_offset: Offset::ZERO };
        let mut out = Decisions::default();
        self.state.read(read.fetch_id, read.token, Ok(found), &mut out);
        self.note(out);
    }

    /// Does everything that can be done.
    fn run(&mut self) {
        loop {
            while !self.locate.is_empty() {
                self.answer_locate(0);
            }
            self.end_read();
            if !self.begin_read() {
                break;
            }
        }
    }
}

fn log_of(batches: &[usize]) -> ModelLog {
    ModelLog { batches: batches.to_vec(), high_watermark: batches.len() as u64 }
}

#[derive(Clone, Debug)]
enum Step {
    Grant(u32),
    Open(u32, u64),
    Seek(u32, u64),
    Pause(u32),
    Resume(u32),
    Close(u32),
    Locate(usize),
    BeginRead,
    EndRead,
    Commit(u32, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..3_u32;
    prop_oneof![
        (1..400_u32).prop_map(Step::Grant),
        (id.clone(), 0..20_u64).prop_map(|(id, position)| Step::Open(id, position)),
        (id.clone(), 0..20_u64).prop_map(|(id, position)| Step::Seek(id, position)),
        id.clone().prop_map(Step::Pause),
        id.clone().prop_map(Step::Resume),
        id.clone().prop_map(Step::Close),
        (0..8_usize).prop_map(Step::Locate),
        Just(Step::BeginRead),
        Just(Step::EndRead),
        (id, 0..6_u64).prop_map(|(id, count)| Step::Commit(id, count)),
    ]
}

proptest! {
    /// The client's account is checked at every item; at the end everybody gets everything.
    #[test]
    fn credit_order_and_generations_hold_in_any_order_of_events(
        sizes in proptest::collection::vec(proptest::collection::vec(1..300_usize, 1..20), 3),
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let logs = (0..).zip(&sizes).map(|(id, batches)| (id, ModelLog { batches: batches.clone(), high_watermark: 0 }));
        let mut model = Model::new(logs);
        let mut generation = 0;
        for step in steps {
            generation += 1;
            let outcome = match step {
                Step::Grant(bytes) => { model.grant(bytes); Ok(()) }
                Step::Open(id, position) => {
                    // A client opens what it has not opened.
                    let is_open = model.told.get(&id).is_some_and(|told| told.is_open);
                    let is_opening = model.locate.iter().any(|(locating, ..)| *locating == id);
                    if is_open || is_opening { Ok(()) } else { model.command(id, open_at(position, None, generation)) }
                }
                Step::Seek(id, position) => model.command(id, seek_to(position, generation)),
                Step::Pause(id) => model.command(id, Command::Pause),
                Step::Resume(id) => model.command(id, Command::Resume),
                Step::Close(id) => model.command(id, Command::Close),
                Step::Locate(choice) => { model.answer_locate(choice); Ok(()) }
                Step::BeginRead => { model.begin_read(); Ok(()) }
                Step::EndRead => { model.end_read(); Ok(()) }
                Step::Commit(id, count) => { model.commit(id, count); Ok(()) }
            };
            prop_assert_eq!(outcome, Ok(()));
        }
        for id in 0..3 {
            model.commit(id, 100);
            model.command(id, Command::Resume).unwrap();
        }
        model.grant(100_000);
        model.run();
        for id in 0..3 {
            model.command(id, Command::Resume).unwrap();
        }
        model.run();
        for (id, told) in model.told.iter().filter(|(_, told)| told.is_open) {
            let end = sizes[*id as usize].len() as u64;
            prop_assert!(told.next >= end, "partition {} stopped at {} of {}", id, told.next, end);
        }
    }

    #[test]
    fn partitions_take_turns(count in 2..6_u32) {
        let mut model = Model::new((0..count).map(|id| (id, log_of(&[300 * 1024; 8]))));
        for id in 0..count {
            model.command(id, open_at(0, None, 1)).unwrap();
        }
        model.grant(u32::MAX >> 2);
        model.run();
        for round in model.pushes.chunks(count as usize) {
            let mut round = round.to_vec();
            round.sort_unstable();
            prop_assert_eq!(round, (0..count).collect::<Vec<_>>());
        }
    }
}

#[test]
fn without_credit_nothing_is_read() {
    let mut model = Model::new([(0, log_of(&[10, 10]))]);
    model.command(0, open_at(0, None, 1)).unwrap();
    model.run();
    assert!(model.pushes.is_empty());
    model.grant(1);
    model.run();
    assert_eq!(model.told[&0].next, 1, "the last batch may take the balance below 0");
    model.grant(9);
    model.run();
    assert_eq!(model.told[&0].next, 1, "a balance of 0 is no credit");
    model.grant(1);
    model.run();
    assert_eq!(model.told[&0].next, 2);
}

#[test]
fn the_end_closes_once_everything_below_it_was_pushed() {
    let mut model = Model::new([(0, log_of(&[10; 5]))]);
    model.grant(1000);
    model.command(0, open_at(1, Some(3), 1)).unwrap();
    model.run();
    assert_eq!(model.told[&0].next, 3);
    assert_eq!(model.closed, [(0, v1::FetchCloseReason::EndReached)]);

    // An end that lies behind the position is reached at once, one that is not committed yet later.
    model.command(0, open_at(4, Some(4), 2)).unwrap();
    model.run();
    assert_eq!(model.closed.len(), 2);
    model.logs.get_mut(&0).unwrap().batches.push(10);
    model.command(0, open_at(5, Some(6), 3)).unwrap();
    model.run();
    assert_eq!(model.closed.len(), 2);
    model.commit(0, 1);
    model.run();
    assert_eq!((model.told[&0].next, model.closed.len()), (6, 3));
}

#[test]
fn what_was_read_for_an_older_position_is_dropped() {
    let mut model = Model::new([(0, log_of(&[10; 5]))]);
    model.grant(1000);
    model.command(0, open_at(0, None, 1)).unwrap();
    model.answer_locate(0);
    assert!(model.begin_read());
    model.command(0, seek_to(4, 2)).unwrap();
    model.end_read();
    assert!(model.pushes.is_empty());
    model.run();
    assert_eq!((model.told[&0].generation, model.told[&0].next), (2, 5));
}

#[test]
fn commands_wait_for_the_position_before_them() {
    let mut model = Model::new([(0, log_of(&[10; 5]))]);
    model.grant(1000);
    model.command(0, open_at(0, None, 1)).unwrap();
    model.command(0, Command::Pause).unwrap();
    model.command(0, Command::Close).unwrap();
    model.command(0, open_at(3, None, 2)).unwrap();
    assert!(model.state.has_deferred());
    model.run();
    assert!(!model.state.has_deferred());
    assert_eq!(model.closed, [(0, v1::FetchCloseReason::Requested)]);
    assert_eq!((model.told[&0].generation, model.told[&0].next), (2, 5));
}

#[test]
fn a_rule_that_is_broken_ends_the_stream() {
    let mut model = Model::new([(0, log_of(&[10]))]);
    model.command(0, open_at(0, None, 1)).unwrap();
    model.run();
    assert_eq!(model.command(0, open_at(0, None, 1)), Err(StreamError::AlreadyOpen { fetch_id: 0 }));
    model.grant(i32::MAX.unsigned_abs());
    assert!(matches!(model.state.grant(1), Err(StreamError::Credit { .. })));
}

#[test]
fn one_partition_too_many_is_closed_and_the_others_go_on() {
    let mut state = FetchState::new(1);
    let mut out = Decisions::default();
    state.command(0, open_at(0, None, 1), &mut out).unwrap();
    state.command(1, open_at(0, None, 7), &mut out).unwrap();
    assert_eq!((out.locate.len(), out.items.len()), (1, 1));
    assert_eq!(out.items[0].generation, 7);
    let Some(v1::fetch_item::Item::Closed(closed)) = &out.items[0].item else { panic!("{:?}", out.items) };
    let error = closed.error.as_ref().unwrap();
    assert_eq!(error.known_code(), Some(ErrorCode::InvalidRequest));
    assert_eq!(error.limit.as_ref().unwrap().name, "fetch_partitions_max");
}
