//! A dump shows what a file holds, and what is wrong with it, and goes on behind that.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use tidelog_proto::frame::FrameType;
use tidelog_proto::ids::{Offset, RaftIndex};

use super::sample_logs::{IDENTITY, Sample, change, dir, open};
use super::{Dump, DumpError, Finding, IndexDump, IndexFault, IndexFileEntry, IndexItem, IndexKind, Reason};
use super::{SegmentDump, SegmentItem, dump};
use crate::environment::Environment;
use crate::environment::simulated::SimulatedEnvironment;
use crate::{ChainError, Fault};

const FIRST: &str = "00000000000000000000-0";

fn dump_on(machine: &SimulatedEnvironment, path: &Path) -> Result<Dump, DumpError> {
    let environment: Arc<dyn Environment> = Arc::new(machine.clone());
    dump(&environment, path)
}

fn segment(machine: &SimulatedEnvironment, path: &Path) -> SegmentDump {
    let Dump::Segment(segment) = dump_on(machine, path).unwrap() else { panic!("not a segment") };
    *segment
}

fn index(machine: &SimulatedEnvironment, file_name: &str) -> IndexDump {
    let Dump::Index(index) = dump_on(machine, &dir().join(file_name)).unwrap() else { panic!("not an index") };
    *index
}

/// Gives frames as their indexes, and findings.
fn items(machine: &SimulatedEnvironment, path: &Path) -> (Vec<u64>, Vec<Finding>) {
    let (mut frames, mut findings) = (Vec::new(), Vec::new());
    for item in segment(machine, path) {
        match item.unwrap() {
            SegmentItem::Frame { frame, .. } => frames.push(frame.stamp().index.get()),
            SegmentItem::Finding(finding) => findings.push(finding),
            SegmentItem::Unwritten { .. } => {}
        }
    }
    (frames, findings)
}

#[test]
fn a_segment_shows_its_header_its_frames_and_the_space_ahead() {
    let machine = Sample::unclosed();
    let path = dir().join(format!("{FIRST}.log"));
    let segment = segment(&machine, &path);
    assert_eq!(
        *segment.header(),
        IDENTITY.segment_header(crate::SegmentName::parse_log(&format!("{FIRST}.log")).unwrap())
    );
    let file_bytes = segment.file_bytes();
    let mut place = 64;
    let mut types = Vec::new();
    for item in segment {
        match item.unwrap() {
            SegmentItem::Frame { position_bytes, frame } => {
                assert_eq!(position_bytes, place);
                place += frame.frame_bytes() as u64;
                types.push(frame.frame_type());
            }
            SegmentItem::Unwritten { position_bytes, bytes } => {
                assert_eq!((position_bytes, position_bytes + bytes), (place, file_bytes));
                place = file_bytes;
            }
            SegmentItem::Finding(finding) => panic!("{finding}"),
        }
    }
    assert_eq!(place, file_bytes);
    assert_eq!(types, [FrameType::NoOp, FrameType::Data, FrameType::Data, FrameType::NoOp, FrameType::Data]);
}

#[test]
fn damaged_frames_are_reported_and_those_behind_them_shown() {
    let machine = Sample::unclosed();
    let path = dir().join(format!("{FIRST}.log"));
    let (all, _) = items(&machine, &path);
    // The no-op has 48 bytes; the header of the batch behind it is hit, then its body.
    for (position_bytes, fault) in [(64 + 48 + 10, "header checksum"), (64 + 48 + 150, "batch checksum")] {
        machine.flip_bit(&path, position_bytes, 1);
        let (frames, findings) = items(&machine, &path);
        assert_eq!(frames, all.iter().copied().filter(|index| *index != 1).collect::<Vec<_>>());
        assert_eq!(findings.len(), 1, "{findings:#?}");
        let found = (findings[0].position_bytes, findings[0].index, findings[0].offset);
        assert_eq!(found, (64 + 48, Some(RaftIndex::new(1)), Some(Offset::new(0))));
        assert!(findings[0].to_string().contains(fault), "{}", findings[0]);
        machine.flip_bit(&path, position_bytes, 1);
    }
}

#[test]
fn a_frame_out_of_order_is_reported_and_shown() {
    let machine = Sample::unclosed();
    let path = dir().join(format!("{FIRST}.log"));
    change(&machine, &path, |contents| {
        // The no-op at the start once more, behind the first batch.
        let no_op = contents[64..112].to_vec();
        let batch_bytes = 40 + u32::from_le_bytes(contents[120..124].try_into().unwrap()) as usize;
        contents.splice(112 + batch_bytes..112 + batch_bytes, no_op);
    });
    let (frames, findings) = items(&machine, &path);
    assert_eq!(frames[..4], [0, 1, 0, 2]);
    assert!(matches!(findings[0].reason, Reason::Segment(Fault::Chain(ChainError::Index { .. }))), "{}", findings[0]);
}

#[test]
fn a_segment_with_a_damaged_header_is_read_by_its_path() {
    let machine = Sample::unclosed();
    let path = dir().join(format!("{FIRST}.log"));
    let (all, _) = items(&machine, &path);
    for position_bytes in [0, 20, 40, 63] {
        machine.flip_bit(&path, position_bytes, 1);
        let (frames, findings) = items(&machine, &path);
        assert_eq!((frames, findings.len()), (all.clone(), 1));
        assert!(matches!(findings[0].reason, Reason::Segment(Fault::SegmentHeader(_))));
        let elsewhere = Path::new("/data/copy.log");
        machine.set_contents(elsewhere, &machine.read_contents(&path).unwrap());
        assert!(matches!(dump_on(&machine, elsewhere), Err(DumpError::SegmentHeader { .. })));
        machine.flip_bit(&path, position_bytes, 1);
    }
}

#[test]
fn both_indexes_show_their_entries() {
    let machine = Sample::closed();
    let mut positions = Vec::new();
    let offsets = index(&machine, &format!("{FIRST}.index"));
    assert_eq!(offsets.kind(), IndexKind::Offset);
    let count = offsets.header().unwrap().entry_count as usize;
    for item in offsets {
        match item.unwrap() {
            IndexItem::Entry { entry: IndexFileEntry::Offset(entry), .. } => positions.push(entry.position_bytes),
            item => panic!("{item:?}"),
        }
    }
    assert!(count > 1 && positions.len() == count && positions.is_sorted(), "{positions:?}");

    let times = index(&machine, &format!("{FIRST}.timeindex"));
    assert_eq!((times.kind(), times.header().unwrap().entry_count as usize), (IndexKind::Time, count));
    assert!(times.map(Result::unwrap).all(|item| matches!(item, IndexItem::Entry { .. })));
}

#[test]
fn damaged_indexes_show_what_they_have() {
    let fault = |machine: &SimulatedEnvironment| {
        let items: Vec<_> = index(machine, &format!("{FIRST}.index")).map(Result::unwrap).collect();
        let faults: Vec<_> = items
            .iter()
            .filter_map(|item| match item {
                IndexItem::Finding(Finding { reason: Reason::Index(fault), .. }) => Some(fault.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(faults.len(), 1, "{items:?}");
        (items.len() - 1, faults[0].clone())
    };
    let path = dir().join(format!("{FIRST}.index"));
    let sound = Sample::closed();
    let count = index(&sound, &format!("{FIRST}.index")).count();

    let machine = sound.duplicate();
    machine.flip_bit(&path, 130, 0);
    assert!(matches!(fault(&machine), (entries, IndexFault::EntriesChecksum { .. }) if entries == count));
    let machine = sound.duplicate();
    machine.flip_bit(&path, 100, 0);
    assert_eq!(fault(&machine), (count, IndexFault::Header));
    let machine = sound.duplicate();
    change(&machine, &path, |contents| contents.truncate(128 + 16 + 3));
    assert!(matches!(fault(&machine), (1, IndexFault::Length { .. })));
    let machine = sound.duplicate();
    change(&machine, &path, |contents| contents[..128].fill(0));
    assert_eq!(fault(&machine), (count, IndexFault::NotSealed));
    let machine = sound.duplicate();
    change(&machine, &path, Vec::clear);
    assert_eq!(fault(&machine), (0, IndexFault::NotSealed));
}

#[test]
fn a_checkpoint_is_shown_and_other_files_are_refused() {
    let machine = Sample::closed();
    let log = open(&machine.duplicate()).unwrap();
    let Dump::Checkpoint(checkpoint) = dump_on(&machine, &dir().join("checkpoint")).unwrap() else {
        panic!("not a checkpoint")
    };
    assert_eq!((checkpoint.identity, checkpoint.durable_end), (IDENTITY, log.reader.end_index()));
    assert!(checkpoint.clean_end.is_some());

    machine.flip_bit(&dir().join("checkpoint"), 30, 2);
    assert!(matches!(dump_on(&machine, &dir().join("checkpoint")), Err(DumpError::SmallFile(_))));
    machine.set_contents(Path::new("/data/notes"), b"hello there");
    assert!(matches!(dump_on(&machine, Path::new("/data/notes")), Err(DumpError::UnknownFile { .. })));
    assert!(matches!(dump_on(&machine, Path::new("/data/nothing")), Err(DumpError::Io { .. })));
}
