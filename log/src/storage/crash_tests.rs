//! Random requests to a few logs, in a random interleaving with both tasks, until a fault and the end of the machine:
//! whatever was acked is there afterwards, whatever was cut is gone, and nothing else appears.
//!
//! `TIDELOG_SEED=n cargo test -p tidelog-log storage::crash_tests` runs one case and shows what it did if it fails,
//! `TIDELOG_SEEDS=n` runs this many.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_proto::ids::{Offset, RaftIndex};

use super::test_logs::{Record, frame, open, start, values};
use super::{Durability, LogHandle, Storage, StorageConfig};
use crate::LogReader;
use crate::environment::Environment;
use crate::environment::simulated::{CrashPoint, FaultTarget, Rng, SimulatedEnvironment};

const SEEDS_DEFAULT: u64 = 3000;

/// Small, so that logs roll all the time.
const SEGMENT_BYTES: u64 = 512;

#[test]
fn what_was_acked_is_there_after_any_crash_or_fault() {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seeds = match number("TIDELOG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDELOG_SEEDS").unwrap_or(SEEDS_DEFAULT),
    };
    let is_traced = seeds.end - seeds.start == 1;
    let mut acked = 0;
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| {
            let case = Case::new(seed);
            if is_traced {
                case.machine.start_trace();
            }
            case.run()
        });
        match outcome {
            Ok(in_case) => acked += in_case,
            Err(panic) => {
                eprintln!("TIDELOG_SEED={seed} fails");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(acked > 0, "nothing was ever acked, so nothing was tested");
}

/// What was asked of a log.
#[derive(Clone, Debug)]
enum Asked {
    Append {
        first: u64,
        values: Vec<u64>,
        durability: Durability,
    },
    Truncate {
        from: u64,
    },
    /// Changes no entry.
    Other,
    AdvanceStart {
        start: u64,
    },
}

struct TestedLog {
    handle: LogHandle,
    reader: LogReader,
    asked: Vec<Asked>,
    /// Which requests were completed, by their number in `asked`.
    record: Record,
    next_index: u64,
    accepts: bool,
}

struct Case {
    seed: u64,
    rng: Rng,
    machine: SimulatedEnvironment,
    storage: Option<Storage>,
    logs: Vec<TestedLog>,
    next_value: u64,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let machine = SimulatedEnvironment::new(rng.next_u64());
        let config = StorageConfig {
            queue_bytes_max: 2000,
            round_bytes_max: 1 + rng.below(1000),
            syncfs_files_min: [None, Some(1), Some(2)][rng.index(3)],
            checkpoint_interval_ms: 100,
            ..StorageConfig::default()
        };
        let count = 1 + u32::try_from(rng.below(4)).unwrap();
        let (storage, logs) = start(&machine, &config, count, SEGMENT_BYTES);
        let logs = logs.into_iter().map(|(handle, reader)| TestedLog {
            handle,
            reader,
            asked: Vec::new(),
            record: Record::default(),
            next_index: 0,
            accepts: true,
        });
        let logs = logs.collect();
        let mut case = Self { seed, rng, machine, storage: Some(storage), logs, next_value: 0 };
        case.plan_fault();
        case
    }

    fn plan_fault(&mut self) {
        let at = self.rng.below(120);
        match self.rng.below(4) {
            0 => {}
            1 => {
                let target = [FaultTarget::Sync, FaultTarget::Write][self.rng.index(2)];
                self.machine.fail(target, at..at + 1);
            }
            _ => {
                let point = [CrashPoint::Before, CrashPoint::Torn, CrashPoint::After][self.rng.index(3)];
                self.machine.crash_at(self.machine.operations() + at, point);
            }
        }
    }

    /// Gives the number of requests that were acked.
    fn run(mut self) -> usize {
        for _ in 0..30 + self.rng.below(100) {
            if self.machine.is_down() {
                break;
            }
            match self.rng.below(20) {
                0..8 => self.ask(),
                8 => {
                    self.machine.advance(std::time::Duration::from_millis(60));
                    self.storage.iter().for_each(Storage::tick);
                }
                _ => {
                    self.machine.run_one();
                }
            }
        }
        match self.rng.below(4) {
            0 => drop(self.storage.take().map(Storage::shutdown)),
            1 => self.machine.run_until_idle(),
            _ => {}
        }
        self.machine.take_trace().iter().for_each(|line| println!("{line}"));
        let next = self.machine.crash(self.rng.next_u64());
        self.logs.iter().enumerate().map(|(partition, log)| log.check(&next, partition, self.seed)).sum()
    }

    /// Asks something of one of the logs.
    fn ask(&mut self) {
        let number = self.rng.index(self.logs.len());
        let log = &mut self.logs[number];
        if !log.accepts {
            return;
        }
        let in_order = log.asked.len() as u64;
        let is_quiet = log.record.len() == log.asked.len();
        let (asked, outcome) = match self.rng.below(20) {
            0 => {
                let committed = log.reader.committed_end().get();
                let from = committed + self.rng.below(log.next_index - committed + 1);
                (Asked::Truncate { from }, log.handle.truncate_suffix(RaftIndex::new(from), log.record.note(in_order)))
            }
            1 => (Asked::Other, log.handle.roll(log.record.note(in_order))),
            2 => (Asked::Other, log.handle.write_checkpoint(log.record.note(in_order))),
            3 if is_quiet => {
                // Everything is acked or has failed, so no truncation is on its way.
                let end = log.reader.end_index();
                if log.record.all_ok() {
                    log.reader.advance_committed(end).unwrap();
                }
                let start = log.reader.committed_end();
                let outcome = log.handle.advance_start(Offset::new(0), start, log.record.note(in_order));
                (Asked::AdvanceStart { start: start.get() }, outcome)
            }
            _ => {
                let values: Vec<u64> = (0..self.rng.below(4)).map(|value| self.next_value + value).collect();
                let identity = log.handle.identity();
                let padding = self.rng.index(90);
                let indexed = (log.next_index..).zip(&values);
                let frames = indexed.map(|(index, value)| frame(identity, index, *value, padding)).collect();
                let durability = if self.rng.percent(80) { Durability::Synced } else { Durability::Written };
                let outcome = log.handle.append(frames, durability, log.record.note(in_order));
                (Asked::Append { first: log.next_index, values, durability }, outcome)
            }
        };
        match outcome {
            Ok(()) => {
                match &asked {
                    Asked::Append { first, values, .. } => {
                        log.next_index = first + values.len() as u64;
                        self.next_value += values.len() as u64;
                    }
                    Asked::Truncate { from } => log.next_index = *from,
                    Asked::Other | Asked::AdvanceStart { .. } => {}
                }
                log.asked.push(asked);
            }
            Err(error) => log.accepts = error.retriable(),
        }
    }
}

impl TestedLog {
    /// Checks what recovery finds against what was acked.
    fn check(&self, machine: &SimulatedEnvironment, partition: usize, seed: u64) -> usize {
        let context = format!("TIDELOG_SEED={seed} partition {partition}");
        let record = self.record.take();
        let numbers: Vec<u64> = record.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "{context}: completed out of order");
        let ok = |number: usize| record.get(number).is_some_and(|(_, ok)| *ok);

        // By index: what may stand there, and what must.
        let mut possible: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut certain: BTreeMap<u64, u64> = BTreeMap::new();
        let (mut start_min, mut start_max) = (0, 0);
        for (number, asked) in self.asked.iter().enumerate() {
            match asked {
                Asked::Append { first, values, durability } => {
                    for (index, value) in (*first..).zip(values) {
                        possible.entry(index).or_default().push(*value);
                        if ok(number) && *durability == Durability::Synced {
                            certain.insert(index, *value);
                        }
                    }
                }
                Asked::Truncate { from } => {
                    certain.split_off(from);
                    if ok(number) {
                        possible.split_off(from);
                    }
                }
                Asked::AdvanceStart { start } => {
                    start_max = *start;
                    start_min = if ok(number) { *start } else { start_min };
                }
                Asked::Other => {}
            }
        }

        let partition = u32::try_from(partition).unwrap();
        let mut log = open(Arc::new(machine.clone()) as Arc<dyn Environment>, partition, SEGMENT_BYTES);
        let (start, found) = values(&log.reader);
        assert!((start_min..=start_max).contains(&start), "{context}: starts at {start}");
        let end = start + found.len() as u64;
        for (index, value) in (start..).zip(&found) {
            let possible = possible.get(&index);
            assert!(
                possible.is_some_and(|values| values.contains(value)),
                "{context}: {value} at {index}: {possible:?}"
            );
        }
        for (index, value) in certain.range(start..) {
            let found = index.checked_sub(start).and_then(|at| found.get(usize::try_from(at).unwrap()));
            assert_eq!(found, Some(value), "{context}: at {index} of {start}..{end}");
        }
        log.writer.append(&[frame(log.reader.identity(), end, 0, 0)]).unwrap();
        log.writer.close().unwrap();
        record.iter().filter(|(_, ok)| *ok).count()
    }
}
