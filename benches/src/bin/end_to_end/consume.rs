//! Catch-up consume: what gRPC alone moves to a client, and Tidelog, from data that the page cache holds.

use std::cell::RefCell;

use tidelog_benches::Outcome;
use tidelog_benches::report::{Bound, Row, Section, Target};
use tidelog_benches::rounds::{Contestant, Rounds};
use tidelog_benches::spread::Spread;

use crate::bare_client::{BareServer, MessageSize, Windows};
use crate::scale::Scale;
use crate::shape::Shape;
use crate::tidelog::{Consumed, Reading, Tidelog};
use crate::values::Values;
use crate::workload::{Filled, expect_records, fill};

/// Bytes in a gigabyte.
const GB: f64 = 1e9;

/// Share of the gRPC stream to be reached.
const SHARE_WANTED: f64 = 0.7;

/// Seconds of the broker's processors that a gigabyte of batches may take.
const CPU_SECONDS_WANTED: f64 = 0.6;

/// What a broker reads of one partition at once, and sends in one message.
const READ_BYTES: usize = 512 * 1024;

pub(crate) fn measure(tidelog: &Tidelog, scale: &Scale) -> Outcome<Section> {
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for shape in Shape::all() {
        let consume = Consume::new(tidelog, scale, shape)?;
        let rounds = consume.run()?;
        targets.extend(consume.targets(&rounds));
        rows.push(consume.row(&rounds));
        tidelog.delete_topic(&consume.topic)?;
        consume.server.stop()?;
    }
    Ok(Section {
        title: "Catch-up consume, GB/s of record batches",
        columns: vec![
            "gRPC stream",
            "gRPC stream, default windows",
            "Tidelog, batches",
            "Tidelog, records",
            "batches / faster stream",
            "records / faster stream",
            "million records/s",
            "MB/s of values",
            "KiB a batch",
            "broker CPU s/GB",
            "client CPU s/GB",
            "gRPC server CPU s/GB",
        ],
        rows,
        targets,
    })
}

/// One row.
struct Consume<'a> {
    tidelog: &'a Tidelog,
    scale: &'a Scale,
    shape: Shape,
    topic: String,
    filled: Filled,
    /// How often everything is read in a turn.
    passes: u64,
    server: BareServer,
    /// Those that read records.
    turns: RefCell<Vec<Consumed>>,
    /// Of the bare server with the client crate's windows, for each gigabyte.
    stream_cpu: RefCell<Vec<f64>>,
}

impl<'a> Consume<'a> {
    fn new(tidelog: &'a Tidelog, scale: &'a Scale, shape: Shape) -> Outcome<Self> {
        let values = Values::new(shape.record_bytes, scale.text_bytes);
        let (topic, filled) = fill(tidelog, shape, &values, scale)?;
        let batch_bytes = filled.mean_batch_bytes()?;
        let size = MessageSize { batch_bytes, batches_per_message: (READ_BYTES / batch_bytes).max(1) };
        let server = BareServer::start(&tidelog.runtime, size)?;
        let passes = scale.moved_bytes_min.div_ceil(filled.batch_bytes);
        let (turns, stream_cpu) = (RefCell::default(), RefCell::default());
        Ok(Self { tidelog, scale, shape, topic, filled, passes, server, turns, stream_cpu })
    }

    fn run(&self) -> Outcome<Rounds> {
        let contestants = vec![
            Contestant::new(|| self.stream(Windows::ClientCrate)),
            Contestant::new(|| self.stream(Windows::Http2)),
            Contestant::new(|| self.tidelog(Reading::Batches)),
            Contestant::new(|| self.tidelog(Reading::Records)),
        ];
        Rounds::run(self.scale.rounds, contestants)
    }

    fn stream(&self, windows: Windows) -> Outcome<f64> {
        let bytes = self.passes * self.filled.batch_bytes;
        let before = self.server.cpu_seconds()?;
        let (bytes, time) = self.server.fetch(&self.tidelog.runtime, bytes, windows)?;
        let gigabytes = bytes as f64 / GB;
        if let Windows::ClientCrate = windows {
            self.stream_cpu.borrow_mut().push((self.server.cpu_seconds()? - before) / gigabytes);
        }
        Ok(gigabytes / time.as_secs_f64())
    }

    fn tidelog(&self, reading: Reading) -> Outcome<f64> {
        let mut turn = Consumed::default();
        for _ in 0..self.passes {
            let consumed = self.tidelog.consume(&self.topic, self.shape.partitions, reading)?;
            expect_records(self.filled.records, consumed.records)?;
            turn.add(consumed);
        }
        if let Reading::Records = reading {
            let expected = self.passes * self.filled.records * self.shape.record_bytes as u64;
            if turn.value_bytes != expected {
                return Err(format!("values of {expected} bytes were sent, of {} received", turn.value_bytes).into());
            }
            self.turns.borrow_mut().push(turn);
        }
        Ok(self.gigabytes() / turn.time.as_secs_f64())
    }

    /// Sums up something of the turns that read records.
    fn of_turns(&self, figure: impl Fn(&Consumed) -> f64) -> Spread {
        Spread::of(self.turns.borrow().iter().map(figure))
    }

    /// Returns how many gigabytes of batches are read in a turn.
    fn gigabytes(&self) -> f64 {
        (self.passes * self.filled.batch_bytes) as f64 / GB
    }

    fn broker_cpu(&self) -> Spread {
        self.of_turns(|turn| turn.cpu.broker / self.gigabytes())
    }

    fn client_cpu(&self) -> Spread {
        self.of_turns(|turn| turn.cpu.client / self.gigabytes())
    }

    fn row(&self, rounds: &Rounds) -> Row {
        let mut cells: Vec<Spread> = (0..4).map(|contestant| rounds.spread(contestant)).collect();
        cells.extend([Reading::Batches, Reading::Records].map(|reading| to_faster_stream(rounds, reading)));
        let per_second = |turn: &Consumed| turn.records as f64 / 1e6 / turn.time.as_secs_f64();
        cells.push(self.of_turns(per_second));
        cells.push(self.of_turns(|turn| turn.value_bytes as f64 / 1e6 / turn.time.as_secs_f64()));
        let mean = self.filled.batch_bytes as f64 / self.filled.batches as f64 / 1024.0;
        cells.push(Spread::of([mean]));
        cells.push(self.broker_cpu());
        cells.push(self.client_cpu());
        cells.push(Spread::of(self.stream_cpu.borrow().iter().copied()));
        Row { name: self.shape.to_string(), cells }
    }

    fn targets(&self, rounds: &Rounds) -> [Target; 3] {
        let to_stream = |reading, what| Target {
            name: format!("{}, {what} to the faster gRPC stream", self.shape),
            bound: Bound::AtLeast(SHARE_WANTED),
            found: to_faster_stream(rounds, reading).median,
        };
        [
            to_stream(Reading::Batches, "batches"),
            to_stream(Reading::Records, "records"),
            Target {
                name: format!("{}, broker CPU s/GB", self.shape),
                bound: Bound::AtMost(CPU_SECONDS_WANTED),
                found: self.broker_cpu().median,
            },
        ]
    }
}

/// Sums up how Tidelog relates to the better of both gRPC streams in the same round.
fn to_faster_stream(rounds: &Rounds, reading: Reading) -> Spread {
    let contestant = match reading {
        Reading::Batches => 2,
        Reading::Records => 3,
    };
    rounds.derived(|round| round[contestant] / round[0].max(round[1]))
}
