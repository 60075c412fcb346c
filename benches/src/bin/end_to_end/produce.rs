//! Durable produce: what the disk and gRPC alone can do with the same batches, and Tidelog.

use std::cell::RefCell;
use std::fs::File;
use std::iter;
use std::path::Path;

use tidelog_benches::Outcome;
use tidelog_benches::raw::{GroupCommit, Pages, RawFile, SyncMethod, settle};
use tidelog_benches::report::{Bound, Row, Section, Target};
use tidelog_benches::rounds::{Contestant, Rounds};
use tidelog_benches::spread::Spread;

use crate::bare_client::{BareServer, MessageSize};
use crate::scale::Scale;
use crate::shape::Shape;
use crate::tidelog::Tidelog;
use crate::values::Values;
use crate::workload::{Filled, fill};

/// Bytes in a gigabyte.
const GB: f64 = 1e9;

/// Shares of both ceilings; the lower one of both is to be reached.
const SHARE_OF_GROUP_COMMIT: f64 = 0.75;
const SHARE_OF_STREAM: f64 = 0.5;

/// Seconds of the broker's processors that a gigabyte of batches may take.
const CPU_SECONDS_WANTED: f64 = 0.9;

/// Batches of one partition that a producer has on the way, by default and at most.
const BATCHES_IN_FLIGHT: usize = 5;

/// Bytes without an ack on one connection that a broker takes by default.
const BYTES_IN_FLIGHT: usize = 8 * 1024 * 1024;

pub(crate) fn measure(dir: &Path, tidelog: &Tidelog, scale: &Scale) -> Outcome<Section> {
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for shape in Shape::all() {
        let produce = Produce::new(dir, tidelog, scale, shape)?;
        let rounds = produce.run()?;
        targets.extend(produce.targets(&rounds));
        rows.push(produce.row(&rounds));
        produce.server.stop()?;
    }
    Ok(Section {
        title: "Produce, acks all, GB/s of record batches",
        columns: vec![
            "group commit",
            "gRPC stream",
            "Tidelog",
            "Tidelog / group commit",
            "Tidelog / gRPC stream",
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
struct Produce<'a> {
    dir: &'a Path,
    tidelog: &'a Tidelog,
    scale: &'a Scale,
    shape: Shape,
    values: Values,
    /// Of the batches that came out when nobody measured, on average.
    batch_bytes: usize,
    /// How many of that size each turn of a ceiling moves.
    batches: u64,
    server: BareServer,
    turns: RefCell<Vec<Filled>>,
    /// Of the bare server, for each gigabyte.
    stream_cpu: RefCell<Vec<f64>>,
}

impl<'a> Produce<'a> {
    fn new(dir: &'a Path, tidelog: &'a Tidelog, scale: &'a Scale, shape: Shape) -> Outcome<Self> {
        let values = Values::new(shape.record_bytes, scale.text_bytes);
        let (topic, trial) = fill(tidelog, shape, &values, scale)?;
        tidelog.delete_topic(&topic)?;
        let batch_bytes = trial.mean_batch_bytes()?;
        let batches = trial.batches * scale.moved_bytes_min.div_ceil(trial.batch_bytes);
        let size = MessageSize { batch_bytes, batches_per_message: 1 };
        let server = BareServer::start(&tidelog.runtime, size)?;
        Ok(Self {
            dir,
            tidelog,
            scale,
            shape,
            values,
            batch_bytes,
            batches,
            server,
            turns: RefCell::default(),
            stream_cpu: RefCell::default(),
        })
    }

    fn run(&self) -> Outcome<Rounds> {
        let batch = vec![b'x'; self.batch_bytes];
        let pages = Pages::of(iter::repeat_n(batch.as_slice(), usize::try_from(self.batches)?));
        let contestants = vec![
            Contestant::new(|| self.group_commit(pages.bytes())),
            Contestant::new(|| self.stream()),
            Contestant::new(|| self.tidelog()),
        ];
        Rounds::run(self.scale.rounds, contestants)
    }

    /// Returns how many gigabytes of batches a ceiling moves.
    fn gigabytes(&self) -> f64 {
        (self.batches * self.batch_bytes as u64) as f64 / GB
    }

    /// As many files as there are partitions, each batch to the next.
    fn group_commit(&self, bytes: &[u8]) -> Outcome<f64> {
        let partitions = self.shape.partitions;
        let file_bytes = self.batches.div_ceil(u64::from(partitions)) * self.batch_bytes as u64;
        let files = (0..partitions)
            .map(|number| RawFile::allocated(self.dir.join(format!("raw-{number}")), file_bytes))
            .collect::<Result<Vec<_>, _>>()?;
        settle(self.dir)?;
        let (dir, method) = (File::open(self.dir)?, SyncMethod::EachFile);
        let commit = GroupCommit { files: &files, dir: &dir, method, piece_bytes: self.batch_bytes };
        Ok(self.gigabytes() / commit.run(bytes)?.as_secs_f64())
    }

    fn stream(&self) -> Outcome<f64> {
        let of_partitions = BATCHES_IN_FLIGHT * self.shape.partitions as usize;
        let in_flight = of_partitions.min(BYTES_IN_FLIGHT / self.batch_bytes).max(1);
        let before = self.server.cpu_seconds()?;
        let time = self.server.produce(&self.tidelog.runtime, self.batches, in_flight)?;
        let cpu_seconds = self.server.cpu_seconds()? - before;
        self.stream_cpu.borrow_mut().push(cpu_seconds / self.gigabytes());
        Ok(self.gigabytes() / time.as_secs_f64())
    }

    fn tidelog(&self) -> Outcome<f64> {
        let (topic, filled) = fill(self.tidelog, self.shape, &self.values, self.scale)?;
        self.tidelog.delete_topic(&topic)?;
        self.turns.borrow_mut().push(filled);
        Ok(filled.batch_bytes as f64 / GB / filled.produced.time.as_secs_f64())
    }

    /// Sums up something of Tidelog's turns.
    fn of_turns(&self, figure: impl Fn(&Filled) -> f64) -> Spread {
        Spread::of(self.turns.borrow().iter().map(figure))
    }

    fn broker_cpu(&self) -> Spread {
        self.of_turns(|turn| turn.produced.cpu.broker / (turn.batch_bytes as f64 / GB))
    }

    fn client_cpu(&self) -> Spread {
        self.of_turns(|turn| turn.produced.cpu.client / (turn.batch_bytes as f64 / GB))
    }

    fn row(&self, rounds: &Rounds) -> Row {
        let mut row = rounds.row(self.shape.to_string(), 2, 0);
        row.cells.push(rounds.ratio(2, 1));
        let per_second = |turn: &Filled| turn.records as f64 / 1e6 / turn.produced.time.as_secs_f64();
        row.cells.push(self.of_turns(per_second));
        row.cells.push(self.of_turns(|turn| per_second(turn) * self.shape.record_bytes as f64));
        row.cells.push(self.of_turns(|turn| turn.batch_bytes as f64 / turn.batches as f64 / 1024.0));
        row.cells.push(self.broker_cpu());
        row.cells.push(self.client_cpu());
        row.cells.push(Spread::of(self.stream_cpu.borrow().iter().copied()));
        row
    }

    fn targets(&self, rounds: &Rounds) -> [Target; 2] {
        let to_bound = rounds.derived(|round| {
            let [group_commit, stream, tidelog] = [round[0], round[1], round[2]];
            tidelog / (SHARE_OF_GROUP_COMMIT * group_commit).min(SHARE_OF_STREAM * stream)
        });
        let bound =
            format!("to the lower of {SHARE_OF_GROUP_COMMIT} x group commit and {SHARE_OF_STREAM} x gRPC stream");
        [
            Target { name: format!("{}, {bound}", self.shape), bound: Bound::AtLeast(1.0), found: to_bound.median },
            Target {
                name: format!("{}, broker CPU s/GB", self.shape),
                bound: Bound::AtMost(CPU_SECONDS_WANTED),
                found: self.broker_cpu().median,
            },
        ]
    }
}
