//! What a damaged log may do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tidelog_log::environment::simulated::SimulatedEnvironment;
use tidelog_log::{Damage, Log, LogReader, OpenError, ReadError, SmallFileError};
use tidelog_proto::batch::DecodeLimits;
use tidelog_proto::ids::Offset;

use crate::log_fixture::model::LogModel;

/// A place where a log is damaged, which a refusal must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// First byte of the damaged frame or header; `None` for a file that is refused as a whole.
    pub(super) position_bytes: Option<u64>,
}

impl Place {
    pub(super) fn at(path: &Path, position_bytes: u64) -> Self {
        Self { path: path.to_owned(), position_bytes: Some(position_bytes) }
    }

    pub(super) fn whole(path: &Path) -> Self {
        Self { path: path.to_owned(), position_bytes: None }
    }
}

/// What a damaged log did.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It opened, and everything was read but for so many refusals.
    Opened { log: Box<Log>, refusals: usize },
    /// It did not open.
    Refused,
}

/// Opens a damaged log and reads everything in every way.
///
/// # Panics
/// If anything is read that is not in `model`, or refused at another place than one of `places`.
pub(super) fn judge(machine: &SimulatedEnvironment, model: &LogModel, places: &[Place]) -> Verdict {
    match crate::log_fixture::open(machine, &model.config, model.created_at) {
        Ok(log) => {
            let refusals = read_everything(&log.reader, model, places);
            Verdict::Opened { log: Box::new(log), refusals }
        }
        Err(error) => {
            check_open_error(&error, places);
            Verdict::Refused
        }
    }
}

/// As [`judge`], for damage that must not be felt.
///
/// # Panics
/// If anything is refused.
pub(super) fn judge_exact(machine: &SimulatedEnvironment, model: &LogModel) -> Log {
    match judge(machine, model, &[]) {
        Verdict::Opened { log, refusals: 0 } => *log,
        verdict => panic!("not exact: {verdict:?}"),
    }
}

fn check_open_error(error: &OpenError, places: &[Place]) {
    match error {
        OpenError::Damaged(damage) => check_damage(damage, places),
        OpenError::SmallFile(SmallFileError::Damaged { path, .. }) => {
            assert!(places.contains(&Place::whole(path)), "{error}");
        }
        OpenError::CheckpointMissing { dir } => {
            assert!(places.contains(&Place::whole(&dir.join("checkpoint"))), "{error}");
        }
        error => panic!("damage at {places:?} came out as: {error:?}"),
    }
    assert!(!error.retriable());
}

fn check_damage(damage: &Damage, places: &[Place]) {
    let is_named = |place: &Place| {
        place.path == damage.path && place.position_bytes.is_none_or(|position| position == damage.position_bytes)
    };
    assert!(places.iter().any(is_named), "not one of {places:?}: {damage}");
    assert!(damage.to_string().starts_with(&*damage.path.to_string_lossy()), "{damage}");
}

/// Counts what comes of reads.
struct Readings<'a> {
    places: &'a [Place],
    refusals: usize,
}

impl Readings<'_> {
    /// Takes what was read; `None` if it was refused as it may be.
    fn take<T>(&mut self, outcome: Result<T, ReadError>) -> Option<T> {
        match outcome {
            Ok(found) => Some(found),
            Err(ReadError::Damaged(damage)) => {
                check_damage(&damage, self.places);
                self.refusals += 1;
                None
            }
            Err(error) => panic!("damage at {:?} came out as: {error:?}", self.places),
        }
    }
}

fn read_everything(reader: &LogReader, model: &LogModel, places: &[Place]) -> usize {
    assert_eq!(reader.log_start_offset(), model.log_start_offset);
    assert_eq!(reader.raft_start(), model.raft_start);
    assert_eq!(reader.end_index(), model.end_index());
    assert_eq!(reader.log_end_offset(), model.end_offset());
    let mut readings = Readings { places, refusals: 0 };
    read_offsets(reader, model, &mut readings);
    read_indexes(reader, model, &mut readings);
    read_timestamps(reader, model, &mut readings);
    readings.refusals
}

/// Reads the batch of every offset alone, and all of them together.
fn read_offsets(reader: &LogReader, model: &LogModel, readings: &mut Readings<'_>) {
    for offset in model.log_start_offset.get()..=model.end_offset().get() {
        let offset = Offset::new(offset);
        if let Some(found) = readings.take(reader.read(offset, Offset::MAX, 1)) {
            assert_eq!(found.batches, model.batches_from(offset, Offset::MAX, 1), "offset {offset}");
            assert!(model.next_offsets(offset, Offset::MAX, found.batches.len()).contains(&found.next_offset));
        }
    }
    if let Some(found) = readings.take(reader.read(model.log_start_offset, Offset::MAX, u64::MAX)) {
        let all = model.batches_from(model.log_start_offset, Offset::MAX, u64::MAX);
        // A read that meets damage gives what lies before it.
        let whole = found.next_offset == model.end_offset();
        assert!(all.starts_with(&found.batches) && (whole || !readings.places.is_empty()), "to {}", found.next_offset);
        assert!(!whole || found.batches.len() == all.len(), "batches are missing");
    }
}

/// Reads every entry alone, and all of them together.
fn read_indexes(reader: &LogReader, model: &LogModel, readings: &mut Readings<'_>) {
    let (mut index, end) = (model.raft_start, model.end_index());
    if let Some(found) = readings.take(reader.read_entries(index, end, u64::MAX)) {
        let all = model.entries_between(index, end, u64::MAX);
        assert!(
            all.starts_with(&found) && (found.len() == all.len() || !readings.places.is_empty()),
            "{}",
            found.len()
        );
    }
    while index < end {
        if let Some(found) = readings.take(reader.read_entries(index, end, 1)) {
            assert_eq!(found, model.entries_between(index, end, 1), "entry {index}");
        }
        index = index.next();
    }
}

/// Looks up every timestamp, and the one after it.
fn read_timestamps(reader: &LogReader, model: &LogModel, readings: &mut Readings<'_>) {
    let records = model.entries.iter().flat_map(|entry| &entry.records);
    let mut timestamps: BTreeSet<i64> =
        records.flat_map(|record| [record.timestamp, record.timestamp.saturating_add(1)]).collect();
    timestamps.extend([i64::MIN, i64::MAX]);
    for timestamp in timestamps {
        let outcome = reader.offset_for_timestamp(timestamp, Offset::MAX, DecodeLimits::DEFAULT);
        if let Some(found) = readings.take(outcome) {
            assert_eq!(found, model.first_since(timestamp, Offset::MAX), "timestamp {timestamp}");
        }
    }
}
