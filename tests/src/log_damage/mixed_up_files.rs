//! Files that are missing, another's, or older than they should be.

use std::path::Path;
use std::sync::Arc;

use tidelog_log::environment::Environment;
use tidelog_log::environment::simulated::SimulatedEnvironment;
use tidelog_log::{Damage, Fault, Log, LogIdentity, OpenError};
use tidelog_proto::ids::PartitionId;

use super::sample::{Sample, born, close, config, path_of};
use super::verdict::{Place, Verdict, judge, judge_exact};
use crate::log_fixture::entry_maker::resealed;
use crate::log_fixture::tracked_log::Step;
use crate::log_fixture::{DIR, IDENTITY, ORIGIN};

/// Opens a log that must be refused as damaged.
fn refused(sample: &Sample, machine: &SimulatedEnvironment) -> Damage {
    match crate::log_fixture::open(machine, &sample.model.config, ORIGIN) {
        Err(OpenError::Damaged(damage)) => *damage,
        other => panic!("not refused as damaged: {other:?}"),
    }
}

fn remove(machine: &SimulatedEnvironment, path: &Path) {
    machine.remove_file(path).expect("it is there");
}

/// Every file of a segment's indexes, with what could be in its place: nothing, little, the other index, another segment's.
#[test]
fn an_index_that_is_missing_or_anothers_is_made_again() {
    let sample = Sample::closed();
    for segment in sample.segments() {
        for (ending, other_ending) in [("index", "timeindex"), ("timeindex", "index")] {
            let path = path_of(segment, ending);
            let others = sample.segments().into_iter().filter(|other| *other != segment);
            let mut contents: Vec<Vec<u8>> =
                others.map(|other| sample.file(&path_of(other, ending)).bytes.clone()).collect();
            contents.push(sample.file(&path_of(segment, other_ending)).bytes.clone());
            contents.push(Vec::new());
            contents.push(foreign(&sample, &path));
            for content in contents {
                let machine = sample.machine.duplicate();
                machine.set_contents(&path, &content);
                check_repaired(&sample, &machine);
            }
            let machine = sample.machine.duplicate();
            remove(&machine, &path);
            check_repaired(&sample, &machine);
        }
    }
}

#[test]
fn all_indexes_may_be_missing_at_once() {
    let sample = Sample::closed();
    let machine = sample.machine.duplicate();
    for segment in sample.segments() {
        remove(&machine, &path_of(segment, "index"));
        remove(&machine, &path_of(segment, "timeindex"));
    }
    check_repaired(&sample, &machine);
}

/// An index that was true once: it vouches for itself, but not for what the segment holds now.
#[test]
fn an_index_from_before_later_appends_is_made_again() {
    let mut tracked = born(5, config(100_000));
    for step in [Step::Append(9), Step::Reopen] {
        tracked.take(step).expect("nothing fails");
    }
    let earlier = Sample::of(&tracked);
    tracked.take(Step::Append(9)).expect("nothing fails");
    close(&mut tracked);
    let sample = Sample::of(&tracked);
    for endings in [&["index"][..], &["timeindex"], &["index", "timeindex"]] {
        let machine = sample.machine.duplicate();
        for ending in endings {
            let path = path_of(ORIGIN, ending);
            machine.set_contents(&path, &earlier.file(&path).bytes);
        }
        check_repaired(&sample, &machine);
    }
}

#[test]
fn a_missing_segment_is_named() {
    let sample = Sample::closed();
    let segments = sample.segments();
    for (number, segment) in segments.iter().enumerate() {
        let machine = sample.machine.duplicate();
        remove(&machine, &path_of(*segment, "log"));
        let damage = refused(&sample, &machine);
        let (path, position_bytes) = match number {
            // The first of those that are left tells what is missing before it, the one before any other where it ends.
            0 => (path_of(segments[1], "log"), 0),
            _ => {
                let before = path_of(segments[number - 1], "log");
                let len_bytes = sample.file(&before).bytes.len() as u64;
                (before, len_bytes)
            }
        };
        assert_eq!((&damage.path, damage.position_bytes), (&path, position_bytes), "{damage}");
        let is_told = match damage.fault {
            Fault::MissingBefore { .. } => number < segments.len() - 1,
            Fault::EndsEarly { .. } => number == segments.len() - 1,
            _ => false,
        };
        assert!(is_told, "{damage}");
    }
}

#[test]
fn a_log_without_segments_is_not_begun_anew() {
    let sample = Sample::closed();
    let machine = sample.machine.duplicate();
    for segment in sample.segments() {
        remove(&machine, &path_of(segment, "log"));
    }
    let damage = refused(&sample, &machine);
    assert_eq!(damage.path, Path::new(DIR));
    assert!(matches!(damage.fault, Fault::EndsEarly { .. }), "{damage}");
}

#[test]
fn a_log_without_its_checkpoint_is_refused() {
    let sample = Sample::closed();
    let machine = sample.machine.duplicate();
    let checkpoint = Path::new(DIR).join("checkpoint");
    remove(&machine, &checkpoint);
    let verdict = judge(&machine, &sample.model, &[Place::whole(&checkpoint)]);
    assert!(matches!(verdict, Verdict::Refused), "{verdict:?}");
}

/// What an older checkpoint does not know is found by reading.
#[test]
fn an_older_checkpoint_loses_nothing() {
    let mut tracked = born(6, config(1_000));
    let mut checkpoints = Vec::new();
    for step in
        [Step::Append(4), Step::Sync, Step::Checkpoint, Step::Append(6), Step::Reopen, Step::Append(3), Step::Sync]
    {
        tracked.take(step).expect("nothing fails");
        checkpoints.extend(tracked.machine.read_contents(&Path::new(DIR).join("checkpoint")));
    }
    close(&mut tracked);
    let sample = Sample::of(&tracked);
    for checkpoint in checkpoints {
        let machine = sample.machine.duplicate();
        machine.set_contents(&Path::new(DIR).join("checkpoint"), &checkpoint);
        judge_exact(&machine, &sample.model);
    }
}

/// Segments of another partition, and of another place in the same one.
#[test]
fn a_segment_that_is_anothers_is_refused() {
    let sample = Sample::closed();
    let segments = sample.segments();
    for segment in &segments {
        let path = path_of(*segment, "log");
        let others = segments.iter().filter(|other| *other != segment).map(|other| path_of(*other, "log"));
        let mut contents: Vec<Vec<u8>> = others.map(|other| sample.file(&other).bytes.clone()).collect();
        contents.push(foreign(&sample, &path));
        for content in contents {
            let machine = sample.machine.duplicate();
            machine.set_contents(&path, &content);
            match judge(&machine, &sample.model, &[Place::whole(&path)]) {
                Verdict::Opened { refusals: 0, .. } => panic!("{} is not missed", path.display()),
                Verdict::Opened { .. } | Verdict::Refused => {}
            }
        }
    }
}

/// Makes the same log for another partition, and gives its file at `path`: sound, but not ours.
fn foreign(sample: &Sample, path: &Path) -> Vec<u8> {
    let identity = LogIdentity { partition: PartitionId::new(IDENTITY.partition.get() + 1), ..IDENTITY };
    let frames: Vec<_> = sample.model.entries.iter().map(|entry| &entry.frame).collect();
    let resealed = frames.into_iter().map(|frame| resealed(frame, identity.seed(), frame.stamp(), frame.base_offset()));
    let machine = SimulatedEnvironment::new(1);
    let environment = Arc::new(machine.clone());
    let mut log = Log::open(environment, Path::new(DIR), identity, sample.model.config.clone()).expect("a new log");
    log.writer.append(&resealed.collect::<Vec<_>>()).expect("they follow one another");
    log.writer.close().expect("nothing fails");
    machine.read_contents(path).expect("the same entries make the same files")
}

/// Checks that everything is read, and that the files are what they were once the log is closed.
fn check_repaired(sample: &Sample, machine: &SimulatedEnvironment) {
    let log = judge_exact(machine, &sample.model);
    log.writer.close().expect("the log is sound");
    for file in &sample.files {
        assert!(machine.read_contents(&file.path).as_ref() == Some(&file.bytes), "{} differs", file.path.display());
    }
}
