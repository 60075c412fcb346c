//! Readers that took a view of the log and go on with it after the writer has changed the segments.

use super::*;
use crate::SegmentName;
use crate::environment::OpenMode;
use crate::index_header::IndexKind;
use crate::locate::cursor_at_index;
use crate::sparse_index::open_header;

const SEGMENT_10: SegmentName = SegmentName { base_offset: Offset::new(0), base_index: RaftIndex::new(10) };

/// A log of the entries 0 to 20 and two, in segments from 0, 10 and 20 on, just opened.
fn three_segments(machine: &SimulatedEnvironment) -> Log {
    let mut log = open_large(machine);
    for indexes in [0..10, 10..20] {
        append(&mut log, indexes);
        log.writer.roll().unwrap();
    }
    append(&mut log, 20..22);
    log.writer.close().unwrap();
    open_large(machine)
}

/// The reader rebuilt the index of a segment that had been cut and begun anew, and took the writer's files away.
#[test]
fn a_segment_that_was_cut_is_not_indexed_again() {
    let machine = SimulatedEnvironment::new(1);
    let mut log = three_segments(&machine);
    let old = log.writer.shared.view.load_full();
    log.writer.truncate_suffix(RaftIndex::new(5)).unwrap();
    append(&mut log, 5..10);
    log.writer.roll().unwrap();
    append(&mut log, 10..15);
    log.writer.sync().unwrap();
    assert!(old.segments[1].indexes().is_err(), "it is gone");
    append(&mut log, 15..20);
    log.writer.roll().unwrap();
    let path = |ending| SEGMENT_10.path(Path::new("/log"), ending);
    let found = open_header(&machine, &path("index"), IndexKind::Offset, IDENTITY, SEGMENT_10, OpenMode::Read);
    let (_, header) = found.unwrap().expect("it was sealed");
    assert_eq!(header.summary.log_crc, crc32fast::hash(&machine.read_contents(&path("log")).unwrap()));
}

/// Its index files were born again beside no segment.
#[test]
fn a_segment_that_retention_took_is_not_indexed_again() {
    let machine = SimulatedEnvironment::new(2);
    let mut log = three_segments(&machine);
    log.reader.advance_committed(RaftIndex::new(22)).unwrap();
    let old = log.writer.shared.view.load_full();
    log.writer.advance_start(Offset::new(0), RaftIndex::new(10)).unwrap();
    let files = machine.files();
    assert!(old.segments[0].indexes().is_err(), "it is gone");
    assert_eq!(machine.files(), files);
}

/// The index file was cut to its new length beneath the reader's mapping: a signal on a real machine.
#[test]
fn a_sealed_segment_that_is_cut_keeps_its_index_for_its_readers() {
    let machine = SimulatedEnvironment::new(3);
    let mut log = open_large(&machine);
    append(&mut log, 0..1000);
    log.writer.roll().unwrap();
    append(&mut log, 1000..1002);
    log.reader.read_entries(RaftIndex::new(7), RaftIndex::new(8), 1).unwrap();
    let old = log.writer.shared.view.load_full();
    log.writer.truncate_suffix(RaftIndex::new(10)).unwrap();
    let stable = **log.reader.shared.stable.load();
    log.writer.close().unwrap();
    // What was cut reads as zeros.
    assert!(cursor_at_index(&old, stable, 0, RaftIndex::new(700)).is_err());
    let old_indexes = old.segments[0].indexes().unwrap();
    let last = old_indexes.offsets.last().unwrap().expect("it had entries");
    assert!(last.relative_index > 990, "{last:?}");
}

/// A reader that met the zeros of the cut doubted the old index, and a second one made it again over the writer's files.
#[test]
fn a_sealed_segment_that_is_cut_is_not_indexed_again() {
    let machine = SimulatedEnvironment::new(5);
    let mut log = open_large(&machine);
    append(&mut log, 0..1000);
    log.writer.roll().unwrap();
    append(&mut log, 1000..1002);
    log.reader.read_entries(RaftIndex::new(7), RaftIndex::new(8), 1).unwrap();
    let old = log.writer.shared.view.load_full();
    log.writer.truncate_suffix(RaftIndex::new(10)).unwrap();
    append(&mut log, 10..1000);
    old.segments[0].doubt_indexes();
    let _ = old.segments[0].indexes();
    append(&mut log, 1000..1010);
    log.writer.roll().unwrap();
    let name = log.reader.segments()[0].name;
    let path = name.path(Path::new("/log"), "index");
    let found = open_header(&machine, &path, IndexKind::Offset, IDENTITY, name, OpenMode::Read);
    let (_, header) = found.unwrap().expect("it was sealed");
    assert_eq!(header.summary.end_index, RaftIndex::new(1010), "the sealed index is the writer's");
}

/// The search came upon entries made after the cut, which point past the end of the reader's view: nothing was found, and
/// that passed for an answer.
#[test]
fn a_read_that_a_cut_overtakes_is_begun_anew() {
    let machine = SimulatedEnvironment::new(4);
    let mut log = open_large(&machine);
    append(&mut log, 0..100);
    let Log { writer, reader, .. } = log;
    let (writer, is_first) = (std::cell::RefCell::new(writer), std::cell::Cell::new(true));
    let found = reader.with_view(|view, stable| {
        if is_first.take() {
            let mut writer = writer.borrow_mut();
            writer.truncate_suffix(RaftIndex::new(10)).unwrap();
            let frames: Vec<_> = (10..100).map(|index| long_no_op(index, 4000)).collect();
            writer.append(&frames).unwrap();
        }
        let mut cursor = cursor_at_index(view, stable, 0, RaftIndex::new(50))?.unwrap();
        Ok(cursor.peek()?.map(|meta| meta.stamp.index))
    });
    assert_eq!(found.unwrap(), Some(RaftIndex::new(50)));
}

fn long_no_op(index: u64, len: usize) -> Frame {
    let stamp =
        FrameStamp { term: RaftTerm::new(2), index: RaftIndex::new(index), commit_lag: u32::MAX, append_time_ms: 0 };
    Frame::internal(IDENTITY.seed(), FrameType::NoOp, stamp, Offset::new(0), &vec![1; len]).unwrap()
}
