//! Indexes that rot after they were checked, or cannot be written.

use super::*;
use crate::ReadError;
use crate::environment::{Environment, OpenMode};
use crate::index_header::IndexKind;
use crate::segment::SegmentIndexes;
use crate::sparse_index::{OffsetEntry, TimeEntry, open_header};
use tidelog_proto::batch::DecodeLimits;

const RECORDS: u64 = 500;

/// A log of one sealed segment of records, one millisecond apart, all committed and its index loaded.
fn sealed(machine: &SimulatedEnvironment) -> Log {
    let mut log = open_large(machine);
    append_records(&mut log, RECORDS);
    log.writer.roll().unwrap();
    log.reader.advance_committed(log.writer.end_index()).unwrap();
    assert_eq!((offset_read(&log, 7).unwrap(), offset_at(&log, 7).unwrap()), (7, 7));
    log
}

fn append_records(log: &mut Log, count: u64) {
    for timestamp in 0..count.cast_signed() {
        let frame = record(log, timestamp);
        log.writer.append(&[frame]).unwrap();
    }
}

fn offset_read(log: &Log, from: u64) -> Result<u64, ReadError> {
    let read = log.reader.read(Offset::new(from), Offset::MAX, 1)?;
    Ok(read.batches.first().map_or(u64::MAX, |batch| batch.header().base_offset().get()))
}

fn offset_at(log: &Log, timestamp: u64) -> Result<u64, ReadError> {
    let timestamp = i64::try_from(timestamp).unwrap();
    let found = log.reader.offset_for_timestamp(timestamp, Offset::MAX, DecodeLimits::DEFAULT)?;
    Ok(found.map_or(u64::MAX, |found| found.offset.get()))
}

/// Flips every bit of some entries of an index in turn. Reads find the right record all the same, and an index that was found
/// out is made again.
fn flip_bits(ending: &str, find: fn(&Log, u64) -> Result<u64, ReadError>) {
    let machine = SimulatedEnvironment::new(1);
    let log = sealed(&machine);
    let path = log.reader.segments()[0].name.path(Path::new("/log"), ending);
    let mut made_again = 0;
    for position in (128..1200).step_by(3) {
        for bit in 0..8 {
            machine.flip_bit(&path, position, bit);
            for from in (0..RECORDS).step_by(17) {
                assert_eq!(find(&log, from).unwrap(), from, "byte {position} bit {bit}");
            }
            if machine.read_contents(&path).is_some_and(|bytes| is_sound(&bytes)) {
                made_again += 1;
            } else {
                machine.flip_bit(&path, position, bit);
            }
        }
    }
    assert!(made_again > 50, "{made_again} found out are too few to be proof");
}

fn is_sound(index: &[u8]) -> bool {
    let crc = u32::from_le_bytes(index[120..124].try_into().unwrap());
    crc == crc32fast::hash(&index[128..])
}

/// Records were passed over in silence.
#[test]
fn a_flipped_bit_of_a_loaded_offset_index_misleads_nobody() {
    flip_bits("index", offset_read);
}

#[test]
fn a_flipped_bit_of_a_loaded_time_index_misleads_nobody() {
    flip_bits("timeindex", offset_at);
}

/// Nothing of the segment could be read.
#[test]
fn an_index_that_finds_no_space_is_made_in_memory() {
    let machine = SimulatedEnvironment::new(2);
    let log = sealed(&machine);
    let name = log.reader.segments()[0].name;
    log.writer.close().unwrap();
    machine.flip_bit(&name.path(Path::new("/log"), "timeindex"), 200, 1);
    let log = open_large(&machine);
    let used = (1 << 40) - machine.free_bytes(Path::new("/log")).unwrap();
    machine.set_capacity_bytes(used / 2);
    assert_eq!((offset_read(&log, 300).unwrap(), offset_at(&log, 300).unwrap()), (300, 300));
}

/// The seal was computed from what the file held, so it vouched for the rot, for ever.
#[test]
fn an_index_that_rots_before_it_is_sealed_is_made_again() {
    for (ending, find) in [("index", offset_read as fn(&Log, u64) -> _), ("timeindex", offset_at)] {
        let machine = SimulatedEnvironment::new(3);
        let mut log = open_large(&machine);
        append_records(&mut log, 600);
        let path = Path::new("/log").join(format!("00000000000000000000-0.{ending}"));
        machine.flip_bit(&path, 128 + 16 * 100 + 8, 1);
        assert_eq!(find(&log, 205).unwrap(), 205, "the search begins at the start");
        log.writer.roll().unwrap();
        for from in 0..600 {
            assert_eq!(find(&log, from).unwrap(), from);
        }
        assert!(is_sound(&machine.read_contents(&path).unwrap()));
    }
}

/// A follower could not cut what its leader did not have, and a rotten checksum in an entry became the seal's.
#[test]
fn a_cut_needs_no_index() {
    for position in (128..128 + 16 * 240).step_by(5) {
        let machine = SimulatedEnvironment::new(4);
        let mut log = open_large(&machine);
        append(&mut log, 0..600);
        machine.flip_bit(Path::new("/log/00000000000000000000-0.index"), position, 1);
        log.writer.truncate_suffix(RaftIndex::new(203)).unwrap();
        append(&mut log, 203..210);
        log.writer.roll().unwrap();
        assert_eq!(entries(&log), (0..210).collect::<Vec<_>>());
        let summary = log.reader.segments()[0].summary.unwrap();
        let contents = machine.read_contents(Path::new("/log/00000000000000000000-0.log")).unwrap();
        assert_eq!(summary.log_crc, crc32fast::hash(&contents), "byte {position}");
    }
}

/// All of it waited in memory, for as long as the segment was active.
#[test]
fn recovery_leaves_no_index_in_memory() {
    let machine = SimulatedEnvironment::new(5);
    let mut log = open_large(&machine);
    append(&mut log, 0..15_000);
    log.writer.sync().unwrap();
    let log = open_large(&machine.crash(1));
    let indexes = log.writer.segments[0].indexes().unwrap();
    assert_eq!((indexes.offsets.pending_bytes(), indexes.times.pending_bytes()), (0, 0));
}

/// It was believed after an orderly close, and the next append panicked. Found by fuzzing.
#[test]
fn a_sealed_index_that_points_past_its_segment_is_made_again() {
    let machine = SimulatedEnvironment::new(6);
    let mut log = open_large(&machine);
    append(&mut log, 0..100);
    let (context, name) = (Arc::clone(&log.writer.context), log.reader.segments()[0].name);
    log.writer.close().unwrap();
    let path = name.path(Path::new("/log"), "index");
    let (_, header) = open_header(&machine, &path, IndexKind::Offset, IDENTITY, name, OpenMode::Read).unwrap().unwrap();
    let forged = SegmentIndexes::create(&context, name).unwrap();
    let nowhere = OffsetEntry { relative_offset: 0, relative_index: 99, position_bytes: 1 << 30 };
    forged.push((nowhere, TimeEntry { max_timestamp: 0, relative_offset: 0 })).unwrap();
    forged.close(IDENTITY, name, header.summary).unwrap();
    let mut log = open_large(&machine);
    assert!(!log.report.clean);
    append(&mut log, 100..110);
    assert_eq!(entries(&log), (0..110).collect::<Vec<_>>());
}
