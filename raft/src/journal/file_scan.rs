//! What the bytes of a live file amount to.

use super::error::{JournalFault, Unknown};
use super::file_header::{FILE_HEADER_BYTES, FileHeader};
use super::groups::Groups;
use super::record::{RECORD_ALIGNMENT, RecordFault, SoundRecord};

/// What a file holds.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) groups: Groups,
    /// Number of the record that would come next.
    pub(super) next_sequence: u64,
}

/// A file that cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanError {
    Damaged(JournalFault),
    Unknown(Unknown),
}

/// Reads every record up to the first that is not sound. From there on is a torn tail, or what the file held in an
/// earlier life: it is left out.
///
/// # Errors
/// Something is missing that was durable: a part of the base, or a record of which a later one tells. A record of a later
/// release, or one that says nothing, is no torn tail either.
pub(super) fn scan(bytes: &[u8], header: &FileHeader) -> Result<Scan, ScanError> {
    let seed = header.seed();
    let mut scan = Scan { groups: Groups::default(), next_sequence: header.first_sequence };
    let mut position = FILE_HEADER_BYTES;
    while let Some(record) = SoundRecord::read(bytes.get(position..).unwrap_or_default(), seed)
        .filter(|record| record.stamp.sequence == scan.next_sequence)
    {
        let position_bytes = position as u64;
        let entry = record.entry().map_err(|fault| match fault {
            RecordFault::UnknownKind => ScanError::Unknown(Unknown::Kind { kind: record.kind, position_bytes }),
            RecordFault::Content => ScanError::Damaged(JournalFault::Content { position_bytes }),
        })?;
        scan.groups.apply(&entry);
        scan.next_sequence += 1;
        position += record.len_bytes();
    }
    let position_bytes = position as u64;
    if position_bytes < header.base_end_bytes {
        return Err(ScanError::Damaged(JournalFault::Base { position_bytes }));
    }
    let sequence = scan.next_sequence;
    match durable_end_behind(bytes, position, header) {
        Some(durable_end) if durable_end > sequence => {
            Err(ScanError::Damaged(JournalFault::Record { position_bytes, sequence, durable_end }))
        }
        _ => Ok(scan),
    }
}

/// Finds up to which number records were durable, as far as any sound record behind a position tells.
fn durable_end_behind(bytes: &[u8], position: usize, header: &FileHeader) -> Option<u64> {
    let seed = header.seed();
    let behind = (position..bytes.len()).step_by(RECORD_ALIGNMENT).skip(1);
    behind.filter_map(|position| SoundRecord::read(&bytes[position..], seed)).map(|record| record.stamp.durable_end).max()
}
