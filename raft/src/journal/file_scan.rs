//! What the bytes of a live file amount to.

use super::error::JournalFault;
use super::file_header::{FILE_HEADER_BYTES, FileHeader};
use super::groups::Groups;
use super::record::{RECORD_ALIGNMENT, SoundRecord};

/// What a file holds.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) groups: Groups,
    /// Number of the record that would come next.
    pub(super) next_sequence: u64,
}

/// Reads every record up to the first that is not sound. From there on is a torn tail, or what the file held in an
/// earlier life: it is left out.
///
/// # Errors
/// Something is missing that was durable: a part of the base, or a record of which a later one tells. A record of a later
/// release, or one that says nothing, is no torn tail either.
pub(super) fn scan(bytes: &[u8], header: &FileHeader) -> Result<Scan, JournalFault> {
    let seed = header.seed();
    let mut scan = Scan { groups: Groups::default(), next_sequence: header.first_sequence };
    let mut position = FILE_HEADER_BYTES;
    while let Some(record) = SoundRecord::read(bytes.get(position..).unwrap_or_default(), seed)
        .filter(|record| record.stamp.sequence == scan.next_sequence)
    {
        scan.groups.apply(&record.entry(position as u64)?);
        scan.next_sequence += 1;
        position += record.len_bytes();
    }
    let position_bytes = position as u64;
    if position_bytes < header.base_end_bytes {
        return Err(JournalFault::Base { position_bytes });
    }
    let sequence = scan.next_sequence;
    match durable_end_behind(bytes, position, header) {
        Some(durable_end) if durable_end > sequence => {
            Err(JournalFault::Record { position_bytes, sequence, durable_end })
        }
        _ => Ok(scan),
    }
}

/// Finds up to which number records were durable, as far as any sound record behind a position tells.
fn durable_end_behind(bytes: &[u8], position: usize, header: &FileHeader) -> Option<u64> {
    let seed = header.seed();
    let behind = (position..bytes.len()).step_by(RECORD_ALIGNMENT).skip(1);
    behind
        .filter_map(|position| SoundRecord::read(&bytes[position..], seed))
        .map(|record| record.stamp.durable_end)
        .max()
}
