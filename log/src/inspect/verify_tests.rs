//! A verification finds every damage, at its place, and nothing where there is none.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use tidelog_proto::ids::RaftIndex;

use super::sample_logs::{IDENTITY, Listener, Sample, change, dir, open, verify_on};
use super::{Dump, Finding, IndexFault, Reason, SegmentItem, Severity, dump, segment_file_bytes, verify};
use crate::Fault;
use crate::OpenError;
use crate::environment::simulated::{CrashPoint, FaultTarget, SimulatedEnvironment};
use crate::environment::{Environment, OpenMode};

fn damages(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.reason.severity() == Severity::Damage).collect()
}

#[track_caller]
fn assert_sound(machine: &SimulatedEnvironment) {
    let (_, findings) = verify_on(machine);
    assert!(damages(&findings).is_empty(), "{findings:#?}");
}

/// Gives the one damage that was found.
#[track_caller]
fn only_damage(machine: &SimulatedEnvironment) -> Finding {
    let (_, mut findings) = verify_on(machine);
    findings.retain(|finding| finding.reason.severity() == Severity::Damage);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings.remove(0)
}

/// Lists the files of a log with this ending, sorted.
fn files(machine: &SimulatedEnvironment, ending: &str) -> Vec<PathBuf> {
    let is_ours = |path: &PathBuf| path.starts_with(dir()) && path.to_str().unwrap().ends_with(ending);
    machine.files().into_iter().filter(is_ours).collect()
}

/// Lists where the frames of a sound segment start.
fn frame_starts(machine: &SimulatedEnvironment, path: &Path) -> Vec<u64> {
    let environment: Arc<dyn Environment> = Arc::new(machine.clone());
    let Dump::Segment(segment) = dump(&environment, path).unwrap() else { panic!("not a segment") };
    let position = |item| match item {
        Ok(SegmentItem::Frame { position_bytes, .. }) => position_bytes,
        item => panic!("{item:?}"),
    };
    segment.map(position).collect()
}

#[test]
fn sound_logs_are_found_sound_and_counted() {
    let machine = Sample::closed();
    let (verified, findings) = verify_on(&machine);
    assert!(findings.is_empty(), "{findings:#?}");
    let log = open(&machine).unwrap();
    assert_eq!(verified.identity, IDENTITY);
    assert_eq!(verified.segments, 3);
    assert_eq!((verified.end_offset, verified.end_index), (log.reader.log_end_offset(), log.reader.end_index()));
    assert_eq!((verified.frames, verified.batches), (verified.end_index.get(), verified.end_index.get()));
    assert_eq!(verified.records, verified.end_offset.get());

    let (verified, findings) = verify_on(&machine);
    assert!(findings.is_empty(), "it is open now: {findings:#?}");
    assert_eq!(verified.segments, 3);

    assert_sound(&Sample::unclosed());
    assert_sound(&Sample::new(1).machine);
}

#[test]
fn a_log_in_use_with_space_ahead_is_sound() {
    let mut sample = Sample::new(3);
    for _ in 0..20 {
        sample.append_batches(1);
        assert_sound(&sample.machine);
    }
    sample.compact().unwrap();
    assert_sound(&sample.machine);
    sample.append_marker();
    assert_sound(&sample.machine);
}

#[test]
fn bytes_told_add_up_to_the_segment_files() {
    let machine = Sample::closed();
    let environment: Arc<dyn Environment> = Arc::new(machine.clone());
    let mut listener = Listener::default();
    verify(&environment, &dir(), &mut listener).unwrap();
    assert_eq!(listener.bytes, segment_file_bytes(&environment, &dir()).unwrap());
    assert!(listener.offsets.is_sorted());
}

#[test]
fn every_flipped_bit_of_a_closed_log_is_found_at_its_place() {
    let machine = Sample::closed();
    for ending in ["log", "index", "timeindex", "checkpoint"] {
        for path in files(&machine, ending) {
            let starts = match ending {
                "log" => frame_starts(&machine, &path),
                "checkpoint" => vec![],
                _ => (0..10).map(|number| 128 + 16 * number).collect(),
            };
            let len = machine.read_contents(&path).unwrap().len() as u64;
            for bit in 0..len * 8 {
                machine.flip_bit(&path, bit / 8, u8::try_from(bit % 8).unwrap());
                let (_, findings) = verify_on(&machine);
                let damages = damages(&findings);
                let place = starts.iter().rev().find(|start| **start <= bit / 8).copied().unwrap_or(0);
                assert_eq!(damages.len(), 1, "bit {bit} of {}: {findings:#?}", path.display());
                let found = (damages[0].path.clone(), damages[0].position_bytes);
                assert_eq!(found, (path.clone(), place), "bit {bit}: {}", damages[0]);
                machine.flip_bit(&path, bit / 8, u8::try_from(bit % 8).unwrap());
            }
        }
    }
}

#[test]
fn every_truncated_file_of_a_closed_log_is_found() {
    let machine = Sample::closed();
    for ending in ["log", "index", "timeindex", "checkpoint"] {
        for path in files(&machine, ending) {
            let contents = machine.read_contents(&path).unwrap();
            for len in 0..contents.len() {
                machine.set_contents(&path, &contents[..len]);
                let (_, findings) = verify_on(&machine);
                let found = &findings[0];
                assert_eq!((findings.len(), &found.path), (1, &path), "{len} bytes: {findings:#?}");
                let never_sealed = len == 0 && ending.ends_with("index");
                let severity = if never_sealed { Severity::Note } else { Severity::Damage };
                assert_eq!(found.reason.severity(), severity, "{len} bytes: {found}");
            }
            machine.set_contents(&path, &contents);
        }
    }
}

/// What opening says of a log's bytes.
fn open_verdict(machine: &SimulatedEnvironment) -> Result<Option<(u64, Fault)>, Option<u64>> {
    match open(&machine.duplicate()) {
        Ok(log) => Ok(log.report.torn_tail.map(|damage| (damage.position_bytes, damage.fault))),
        Err(OpenError::Damaged(damage)) => Err(Some(damage.position_bytes)),
        Err(OpenError::SmallFile(_) | OpenError::CheckpointMissing { .. }) => Err(None),
        Err(error) => panic!("{error}"),
    }
}

/// What a verification says of them, in the same terms.
fn verify_verdict(machine: &SimulatedEnvironment) -> Result<Option<(u64, Fault)>, Option<u64>> {
    let (_, findings) = verify_on(machine);
    let mut torn = None;
    for finding in findings {
        match finding.reason {
            Reason::Segment(_) => return Err(Some(finding.position_bytes)),
            Reason::SmallFile(_) | Reason::CheckpointMissing => return Err(None),
            Reason::TornTail(fault) => torn = Some((finding.position_bytes, fault)),
            reason => assert_eq!(reason.severity(), Severity::Note, "{reason}"),
        }
    }
    Ok(torn)
}

#[test]
fn a_torn_tail_is_told_from_damage_as_recovery_tells_it() {
    let machine = Sample::unclosed();
    let path = &files(&machine, "log")[0];
    let contents = machine.read_contents(path).unwrap();
    let used = contents.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 20;
    let (mut torn, mut damaged) = (0, 0);
    let mut compare = |what: &dyn std::fmt::Debug| {
        let verdict = verify_verdict(&machine);
        assert_eq!(verdict, open_verdict(&machine), "{what:?}");
        torn += u32::from(matches!(verdict, Ok(Some(_))));
        damaged += u32::from(verdict.is_err());
    };
    for bit in 0..used * 8 {
        machine.flip_bit(path, bit / 8, u8::try_from(bit % 8).unwrap());
        compare(&bit);
        machine.flip_bit(path, bit / 8, u8::try_from(bit % 8).unwrap());
    }
    for len in 0..used {
        machine.set_contents(path, &contents[..usize::try_from(len).unwrap()]);
        compare(&len);
        change(&machine, path, |cut| cut.resize(contents.len(), 0));
        compare(&("zeroed", len));
    }
    assert!(torn > 500 && damaged > 500, "{torn} torn, {damaged} damaged");
}

#[test]
fn a_frame_of_a_newer_release_is_no_torn_tail() {
    for is_sound in [true, false] {
        let mut sample = Sample::new(7);
        sample.append_no_op();
        sample.append_no_op();
        let path = &files(&sample.machine, "log")[0];
        change(&sample.machine, path, |contents| {
            let frame = &mut contents[112..160];
            frame[5] = 2;
            if is_sound {
                let seed = crc32fast::hash(&[&[8; 16][..], &2_u32.to_le_bytes()].concat());
                let mut crc = crc32fast::Hasher::new_with_initial(seed);
                crc.update(&frame[4..]);
                frame[..4].copy_from_slice(&crc.finalize().to_le_bytes());
            }
        });
        let verdict = verify_verdict(&sample.machine);
        assert_eq!(verdict, open_verdict(&sample.machine));
        assert_eq!(verdict.is_err(), is_sound);
    }
}

#[test]
fn a_missing_segment_is_found_where_it_should_follow() {
    let machine = Sample::closed();
    let logs = files(&machine, "log");
    for (number, path) in logs.iter().enumerate() {
        let machine = machine.duplicate();
        machine.remove_file(path).unwrap();
        let damages = verify_on(&machine).1.into_iter().filter(|finding| finding.reason.concerns_records());
        let damages: Vec<_> = damages.collect();
        let expected = match number {
            0 => (logs[1].clone(), 0),
            _ => (logs[number - 1].clone(), machine.read_contents(&logs[number - 1]).unwrap().len() as u64),
        };
        assert!(damages.iter().any(|damage| (damage.path.clone(), damage.position_bytes) == expected), "{damages:#?}");
        assert!(open(&machine).is_err());
    }
}

#[test]
fn a_foreign_segment_is_found_in_its_header() {
    let machine = Sample::closed();
    let logs = files(&machine, "log");
    let other = machine.read_contents(&logs[1]).unwrap();
    machine.set_contents(&logs[0], &other);
    let damage = only_damage(&machine);
    assert!(matches!(damage.reason, Reason::Segment(Fault::ForeignSegment)), "{damage}");
    assert_eq!((damage.path, damage.position_bytes), (logs[0].clone(), 0));
}

#[test]
fn a_missing_index_is_worth_a_note() {
    let machine = Sample::closed();
    let path = &files(&machine, ".index")[0];
    machine.remove_file(path).unwrap();
    let (verified, findings) = verify_on(&machine);
    assert_eq!((verified.damages, verified.notes), (0, 1), "{findings:#?}");
    assert!(matches!(findings[0].reason, Reason::Index(IndexFault::Missing)));
}

#[test]
fn a_missing_checkpoint_a_foreign_one_and_strange_files_are_found() {
    let machine = Sample::closed();
    machine.set_contents(&dir().join("notes.txt"), b"hello");
    machine.set_contents(&dir().join("checkpoint.tmp"), b"half");
    let (verified, findings) = verify_on(&machine);
    assert_eq!((verified.damages, verified.notes), (0, 2), "{findings:#?}");

    let checkpoint = dir().join("checkpoint");
    let other_dir = crate::LogIdentity { partition: tidelog_proto::ids::PartitionId::new(3), ..IDENTITY };
    let other = crate::inspect::Checkpoint::new(
        other_dir,
        crate::SegmentName { base_offset: tidelog_proto::ids::Offset::ZERO, base_index: RaftIndex::ZERO },
    );
    other.write(&machine, &dir()).unwrap();
    assert!(matches!(only_damage(&machine).reason, Reason::ForeignCheckpoint { .. }));
    machine.remove_file(&checkpoint).unwrap();
    assert!(matches!(only_damage(&machine).reason, Reason::CheckpointMissing));
}

#[test]
fn damage_in_the_middle_does_not_hide_what_comes_behind() {
    let machine = Sample::closed();
    let path = &files(&machine, "log")[0];
    let starts = frame_starts(&machine, path);
    let (sound, _) = verify_on(&machine);
    // Of the first of these frames the header is lost, of the second the body.
    machine.flip_bit(path, starts[1] + 9, 3);
    machine.flip_bit(path, starts[3] + 70, 3);
    let (verified, findings) = verify_on(&machine);
    let places: Vec<_> = damages(&findings).iter().map(|damage| (damage.position_bytes, damage.index)).collect();
    assert_eq!(places, [(starts[1], Some(RaftIndex::new(1))), (starts[3], Some(RaftIndex::new(3)))]);
    assert_eq!(verified.frames, sound.frames - 2);
    assert_eq!(verified.end_index, sound.end_index);
}

#[test]
fn nothing_is_written() {
    for machine in [Sample::closed(), Sample::unclosed()] {
        let before = machine.operations();
        verify_on(&machine);
        assert_eq!(machine.operations(), before);
    }
}

#[test]
fn a_bad_sector_is_reported_and_the_rest_is_checked() {
    let sound = Sample::closed();
    let (expected, _) = verify_on(&sound);
    // The first two reads are of the checkpoint, of which the second counts.
    for read in 2.. {
        let machine = sound.duplicate();
        machine.fail(FaultTarget::Read, read..read + 1);
        let (verified, findings) = verify_on(&machine);
        if findings.is_empty() {
            assert_eq!(read, 2 + 3 * 3, "three segments with two indexes each");
            break;
        }
        assert_eq!(findings.len(), 1, "read {read}: {findings:#?}");
        let reason = &findings[0].reason;
        let is_unreadable = matches!(reason, Reason::Unreadable(_) | Reason::Index(IndexFault::Unreadable(_)));
        assert!(is_unreadable, "read {read}: {reason}");
        assert!(verified.end_offset >= expected.end_offset || reason.concerns_records(), "read {read}");
    }
}

/// Does some of everything, as far as the machine lets it.
fn work(sample: &mut Sample) -> Option<()> {
    for _ in 0..8 {
        sample.append_batch().ok()?;
    }
    sample.log.writer.sync().ok()?;
    sample.log.writer.write_checkpoint().ok()?;
    for _ in 0..6 {
        sample.append_batch().ok()?;
    }
    sample.truncate(9).ok()?;
    for _ in 0..12 {
        sample.append_batch().ok()?;
    }
    sample.drop_first_segment().ok()?;
    sample.compact().ok()?;
    sample.append_batch().ok()
}

#[test]
fn whatever_a_crash_leaves_is_no_damage() {
    let mut whole = Sample::new(5);
    let first = whole.machine.operations();
    work(&mut whole).unwrap();
    let last = whole.machine.operations();
    assert!(last - first > 60, "{first} to {last}");
    for operation in first..last {
        for point in [CrashPoint::Before, CrashPoint::Torn, CrashPoint::After] {
            let mut sample = Sample::new(5);
            sample.machine.crash_at(operation, point);
            work(&mut sample);
            for seed in 0..4 {
                let machine = sample.machine.crash(seed);
                let (_, findings) = verify_on(&machine);
                let damages = damages(&findings);
                assert!(damages.is_empty(), "operation {operation} {point:?} seed {seed}: {findings:#?}");
                open(&machine).unwrap();
                assert_sound(&machine);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_files_are_survived(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..200)), 1..6),
        is_closed: bool,
    ) {
        let machine = if is_closed { Sample::closed() } else { Sample::unclosed() };
        let paths = files(&machine, "");
        for (file, at, bytes) in &edits {
            change(&machine, &paths[file.index(paths.len())], |contents| {
                let at = at.index(contents.len() + 1);
                let end = contents.len().min(at + bytes.len());
                contents.splice(at..end, bytes.iter().copied());
            });
        }
        verify_on(&machine);
        let environment: Arc<dyn Environment> = Arc::new(machine.clone());
        for path in &paths {
            match dump(&environment, path) {
                Ok(Dump::Segment(segment)) => drop(segment.count()),
                Ok(Dump::Index(index)) => drop(index.count()),
                Ok(Dump::Checkpoint(_)) | Err(_) => {}
            }
        }
        prop_assert!(environment.open_file(&paths[0], OpenMode::Read).is_ok());
    }
}
