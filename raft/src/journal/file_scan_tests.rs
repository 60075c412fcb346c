#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use tidelog_log::environment::simulated::Rng;

use super::error::{JournalFault, OpenError};
use super::file_header::{FILE_HEADER_BYTES, FileHeader, FileState};
use super::file_scan::scan;
use super::record::{Entry, SoundRecord, Stamp};
use super::test_journals::{DIR, SMALL, group, machine_with_journal, open, purge_mark, vote};

const HEADER: FileHeader = FileHeader {
    state: FileState::Live,
    generation: 7,
    salt: 8,
    first_sequence: 100,
    base_end_bytes: FILE_HEADER_BYTES as u64,
};

/// A file whose records say these numbers: their own, and that below which all was durable.
fn file_of(entries: &[(Entry, u64, u64)]) -> Vec<u8> {
    let mut bytes = HEADER.encode().to_vec();
    for (entry, sequence, durable_end) in entries {
        entry.encode_into(Stamp { sequence: *sequence, durable_end: *durable_end }, HEADER.seed(), &mut bytes);
    }
    bytes
}

fn with_changed_byte(mut bytes: Vec<u8>, position: usize, byte: u8) -> Vec<u8> {
    bytes[position] = byte;
    bytes
}

/// Puts the checksum of its first record right again.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let record = FILE_HEADER_BYTES;
    let length = usize::from(u16::from_le_bytes([bytes[record + 4], bytes[record + 5]]));
    let crc = HEADER.seed().checksum(&bytes[record + 4..record + length]);
    bytes[record..record + 4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn every_entry_reads_back() {
    let entries = [
        Entry::Vote(group(1), vote(3)),
        Entry::Vote(group(2), vote(4)),
        Entry::Committed(group(1), tidelog_proto::ids::RaftIndex::new(9)),
        Entry::Purged(group(1), purge_mark(77)),
        Entry::Removed(group(3)),
        Entry::Durable,
    ];
    let stamp = Stamp { sequence: 12, durable_end: 10 };
    for entry in entries {
        let mut bytes = Vec::new();
        entry.encode_into(stamp, HEADER.seed(), &mut bytes);
        let record = SoundRecord::read(&bytes, HEADER.seed()).unwrap();
        assert_eq!((record.entry(0), record.stamp, record.len_bytes()), (Ok(entry), stamp, bytes.len()));
        let other = FileHeader { salt: 9, ..HEADER };
        assert!(SoundRecord::read(&bytes, other.seed()).is_none(), "a record of another life of the file");
        assert!(SoundRecord::read(&bytes[..bytes.len() - 1], HEADER.seed()).is_none());
    }
}

#[test]
fn random_bytes_are_no_records() {
    let mut rng = Rng::new(1);
    let mut bytes = vec![0; 4096];
    for _ in 0..200 {
        rng.fill(&mut bytes);
        assert!((0..bytes.len()).all(|position| SoundRecord::read(&bytes[position..], HEADER.seed()).is_none()));
        assert!(scan(&bytes, &HEADER).unwrap().groups.into_map().is_empty());
    }
}

#[test]
fn headers_read_back_and_others_are_refused() {
    let bytes = HEADER.encode();
    assert_eq!(FileHeader::decode(&bytes), Ok(Some(HEADER)));
    let resealed = |position: usize, byte: u8| {
        let mut bytes = bytes;
        bytes[position] = byte;
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        FileHeader::decode(&bytes)
    };
    assert_eq!(resealed(8, 2), Err(JournalFault::UnknownVersion { version: 2 }));
    assert_eq!(resealed(0, b'X'), Err(JournalFault::UnknownVersion { version: 1 }));
    for (position, byte) in [(10, 3), (12, 1), (23, 0x80), (39, 0x80), (40, 63), (41, 1), (48, 1), (56, 1)] {
        let expected = if position == 41 { Ok(()) } else { Err(JournalFault::Content { position_bytes: 0 }) };
        assert_eq!(resealed(position, byte).map(|_| ()), expected, "byte {position}");
    }
}

#[test]
fn a_torn_tail_is_cut_and_damage_below_what_was_durable_is_not() {
    let entry = |number| Entry::Vote(group(number), vote(1));
    let torn = [(entry(1), 100, 100), (entry(2), 101, 100), (entry(3), 102, 101)];
    let second = FILE_HEADER_BYTES + 64;
    let cut = scan(&with_changed_byte(file_of(&torn), second + 20, 0xff), &HEADER).unwrap();
    assert_eq!((cut.groups.into_map().len(), cut.next_sequence), (1, 101));

    let durable = [(entry(1), 100, 100), (entry(2), 101, 100), (entry(3), 102, 102)];
    let fault = JournalFault::Record { position_bytes: second as u64, sequence: 101, durable_end: 102 };
    let damaged = with_changed_byte(file_of(&durable), second + 20, 0xff);
    assert_eq!(scan(&damaged, &HEADER).unwrap_err(), fault);
}

#[test]
fn a_gap_in_the_numbers_is_the_end() {
    let entry = |number| Entry::Vote(group(number), vote(1));
    let scan = scan(&file_of(&[(entry(1), 100, 100), (entry(2), 102, 100)]), &HEADER).unwrap();
    assert_eq!(scan.next_sequence, 101);
}

#[test]
fn a_base_that_is_not_whole_is_damage() {
    let mut header = HEADER;
    header.base_end_bytes += 128;
    let bytes = file_of(&[(Entry::Vote(group(1), vote(1)), 100, 100)]);
    let fault = JournalFault::Base { position_bytes: FILE_HEADER_BYTES as u64 };
    header.salt = 9;
    assert_eq!(scan(&bytes, &header).unwrap_err(), fault);
}

#[test]
fn a_record_of_a_later_release_is_refused_and_so_are_fields_out_of_bounds() {
    let bytes = file_of(&[(Entry::Vote(group(1), vote(1)), 100, 100)]);
    let position_bytes = FILE_HEADER_BYTES as u64;
    let changed = |at: usize, byte: u8| {
        let bytes = resealed(with_changed_byte(bytes.clone(), FILE_HEADER_BYTES + at, byte));
        scan(&bytes, &HEADER).unwrap_err()
    };
    assert_eq!(changed(6, 9), JournalFault::UnknownKind { kind: 9, position_bytes });
    let content = JournalFault::Content { position_bytes };
    assert_eq!(changed(6, 5), content, "a vote is no mark");
    assert_eq!(changed(6, 2), content, "a vote is no committed index");
    assert_eq!(changed(44, 2), content, "unknown flags");
    let purged = file_of(&[(Entry::Purged(group(1), purge_mark(1)), 100, 100)]);
    let purged = resealed(with_changed_byte(purged, FILE_HEADER_BYTES + 63, 0x80));
    assert_eq!(scan(&purged, &HEADER).unwrap_err(), content, "an index above all");
}

#[test]
fn a_file_of_a_later_release_does_not_count_as_wiped() {
    let machine = machine_with_journal(1);
    let path = Path::new(DIR).join("journal.a");
    let mut bytes = machine.read_contents(&path).unwrap();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    machine.set_contents(&path, &bytes);
    let error = open(&machine, SMALL).unwrap_err();
    assert!(matches!(error, OpenError::Refused { fault: JournalFault::UnknownVersion { version: 2 }, .. }), "{error}");
    assert!(!error.counts_as_wiped());
}
