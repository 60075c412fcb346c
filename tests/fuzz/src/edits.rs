//! Damage to a file: what a disk, a crash or a careless hand may leave there.

use crate::input::Input;

/// Most edits of one run.
pub const EDITS_MAX: usize = 12;

/// No edit makes a file longer than this.
const FILE_BYTES_MAX: usize = 16 * 1024;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Makes one change to `file`, as `input` says. `donors` are files whose bytes may turn up in this one.
pub fn edit(input: &mut Input<'_>, file: &mut Vec<u8>, donors: &[&[u8]]) {
    match input.byte() % 9 {
        0 => {
            let at = input.below(file.len());
            let bit = input.byte() % 8;
            file[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << bit);
        }
        1 => {
            let at = input.below(file.len() + 1);
            let len = usize::from(input.byte());
            overwrite(file, at, input.take(len));
        }
        2 => {
            let at = input.below(file.len() + 1);
            let len = input.below(file.len() + 1 - at);
            file[at..at + len].fill(0);
        }
        3 => file.truncate(input.below(file.len() + 1)),
        4 => {
            let zeros = input.below(2 * SECTOR_BYTES);
            let len = usize::from(input.byte());
            file.resize((file.len() + zeros).min(FILE_BYTES_MAX), 0);
            overwrite(file, file.len(), input.take(len));
        }
        5 => {
            let donor = donors.get(input.below(donors.len())).copied().unwrap_or(&[]);
            let from = input.below(donor.len() + 1);
            let len = input.below(donor.len() + 1 - from);
            let at = input.below(file.len() + 1);
            overwrite(file, at, &donor[from..from + len]);
        }
        6 => {
            let donor = donors.get(input.below(donors.len())).copied().unwrap_or(&[]);
            let at = input.below(file.len() / SECTOR_BYTES + 1) * SECTOR_BYTES;
            let sector = donor.get(at..).unwrap_or(&[]);
            overwrite(file, at, &sector[..sector.len().min(SECTOR_BYTES)]);
        }
        7 => {
            let at = input.below(file.len() + 1);
            let len = input.below(file.len() + 1 - at);
            file.drain(at..at + len);
        }
        _ => {
            let at = input.below(file.len() + 1);
            let len = usize::from(input.byte());
            file.splice(at..at, input.take(len).iter().copied());
            file.truncate(FILE_BYTES_MAX);
        }
    }
}

/// Writes `bytes` over the file from `at` on, which lies within it or at its end.
fn overwrite(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let over = bytes.len().min(file.len() - at);
    file[at..at + over].copy_from_slice(&bytes[..over]);
    let room = FILE_BYTES_MAX.saturating_sub(file.len());
    file.extend(bytes[over..].iter().take(room));
}
