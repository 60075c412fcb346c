//! Indexes that rot after they were checked, or cannot be written.

use super::*;
use crate::ReadError;
use crate::environment::Environment;
use tidelog_proto::batch::DecodeLimits;

const RECORDS: u64 = 500;

/// A log of one sealed segment of records, one millisecond apart, all committed and its index loaded.
fn sealed(machine: &SimulatedEnvironment) -> Log {
    let mut log = open_large(machine);
    for timestamp in 0..RECORDS.cast_signed() {
        let frame = record(&log, timestamp);
        log.writer.append(&[frame]).unwrap();
    }
    log.writer.roll().unwrap();
    log.reader.advance_committed(log.writer.end_index()).unwrap();
    assert_eq!((offset_read(&log, 7).unwrap(), offset_at(&log, 7).unwrap()), (7, 7));
    log
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

/// Flips every bit of some entries of an index in turn. Reads find the right record or fail, once: the index is then made
/// again.
fn flip_bits(ending: &str, find: fn(&Log, u64) -> Result<u64, ReadError>) {
    let machine = SimulatedEnvironment::new(1);
    let log = sealed(&machine);
    let path = log.reader.segments()[0].name.path(Path::new("/log"), ending);
    let mut failures = 0;
    for position in (128..1200).step_by(3) {
        for bit in 0..8 {
            machine.flip_bit(&path, position, bit);
            for from in (0..RECORDS).step_by(17) {
                match find(&log, from) {
                    Ok(found) => assert_eq!(found, from, "byte {position} bit {bit}"),
                    Err(_) => {
                        failures += 1;
                        assert_eq!(find(&log, from).unwrap(), from, "byte {position} bit {bit}: it was made again");
                    }
                }
            }
            if machine.read_contents(&path).is_some_and(|bytes| !is_sound(&bytes)) {
                machine.flip_bit(&path, position, bit);
            }
        }
    }
    assert!(failures > 50, "{failures} failures are too few to be proof");
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
