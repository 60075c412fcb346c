//! Lengths and checksums made true, so that changed bytes get past them.
//!
//! Written from `docs/FORMAT.md`, not by calls of the code under test: the targets compare the two.

use tidelog_log::LogIdentity;

/// Length of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 40;
/// Length of a batch's header.
pub const BATCH_HEADER_BYTES: usize = 61;
/// Length of a segment's header.
pub const SEGMENT_HEADER_BYTES: usize = 64;
/// Length of the header of both index files.
pub const INDEX_HEADER_BYTES: usize = 128;
/// Length of an entry of both index files.
pub const INDEX_ENTRY_BYTES: usize = 16;

/// The bytes of a batch that its own CRC leaves out.
const BATCH_PREFIX_BYTES: usize = 21;
const SMALL_FILE_HEADER_BYTES: usize = 16;

/// Computes the CRC-32C of a batch; `None` where it is shorter than its header.
#[must_use]
pub fn batch_crc(batch: &[u8]) -> Option<u32> {
    (batch.len() >= BATCH_HEADER_BYTES).then(|| crc32c::crc32c(&batch[BATCH_PREFIX_BYTES..]))
}

/// Makes the length and the CRC of a batch true; what is shorter than its header is left alone.
pub fn seal_batch(batch: &mut [u8]) {
    let Some(crc) = batch_crc(batch) else { return };
    let length = u32::try_from(batch.len() - 12).expect("inputs are small");
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// Computes the checksum that a frame header should carry over what it declares; `None` where the bytes end first.
#[must_use]
pub fn frame_crc(identity: LogIdentity, frame: &[u8]) -> Option<u32> {
    let body_bytes = u32::from_le_bytes(*frame.get(8..)?.first_chunk()?);
    let covered = if carries_batch(frame) { BATCH_PREFIX_BYTES } else { usize::try_from(body_bytes).ok()? };
    let covered = frame.get(4..FRAME_HEADER_BYTES.checked_add(covered)?)?;
    let mut seed = crc32fast::Hasher::new();
    seed.update(identity.topic_id.as_bytes());
    seed.update(&identity.partition.get().to_le_bytes());
    let mut crc = crc32fast::Hasher::new_with_initial(seed.finalize());
    crc.update(covered);
    Some(crc.finalize())
}

/// Makes the version, the flags, the length and every checksum of a frame true, those of the batch in it included.
pub fn seal_frame(identity: LogIdentity, frame: &mut [u8]) {
    if frame.len() < FRAME_HEADER_BYTES {
        return;
    }
    let body_bytes = u32::try_from(frame.len() - FRAME_HEADER_BYTES).expect("inputs are small");
    frame[5..8].copy_from_slice(&[1, 0, 0]);
    frame[8..12].copy_from_slice(&body_bytes.to_le_bytes());
    if carries_batch(frame) {
        seal_batch(&mut frame[FRAME_HEADER_BYTES..]);
    }
    if let Some(crc) = frame_crc(identity, frame) {
        frame[..4].copy_from_slice(&crc.to_le_bytes());
    }
}

fn carries_batch(frame: &[u8]) -> bool {
    matches!(frame.get(4), Some(1 | 2))
}

/// Makes the checksum of a segment header true.
pub fn seal_segment_header(segment: &mut [u8]) {
    if let Some(header) = segment.get_mut(..SEGMENT_HEADER_BYTES) {
        seal_header(header);
    }
}

/// Makes the checksum at the end of a header true.
fn seal_header(header: &mut [u8]) {
    if let Some((covered, crc)) = covered_and_crc(Some(header)) {
        crc.copy_from_slice(&crc32fast::hash(covered).to_le_bytes());
    }
}

/// Makes the entry count and every checksum of an index file true.
pub fn seal_index(index: &mut [u8]) {
    let Some((header, entries)) = index.split_at_mut_checked(INDEX_HEADER_BYTES) else { return };
    for entry in entries.chunks_exact_mut(INDEX_ENTRY_BYTES) {
        let (covered, crc) = entry.split_at_mut(INDEX_ENTRY_BYTES - 4);
        crc.copy_from_slice(&crc32fast::hash(covered).to_le_bytes());
    }
    let entry_count = u32::try_from(entries.len() / INDEX_ENTRY_BYTES).expect("inputs are small");
    header[116..120].copy_from_slice(&entry_count.to_le_bytes());
    header[120..124].copy_from_slice(&crc32fast::hash(entries).to_le_bytes());
    seal_header(header);
}

/// Tells whether the checksums and the length of an index file are true.
#[must_use]
pub fn is_sealed_index(index: &[u8]) -> bool {
    is_as_sealed(index, INDEX_HEADER_BYTES, seal_index)
}

/// Tells whether the checksum of an index file's header is true, whatever its entries are.
#[must_use]
pub fn is_sealed_index_header(index: &[u8]) -> bool {
    let header = index.get(..INDEX_HEADER_BYTES).unwrap_or(&[]);
    is_as_sealed(header, INDEX_HEADER_BYTES, seal_header)
}

/// Makes the length and the checksum of a checkpoint or another small file true.
pub fn seal_small_file(file: &mut [u8]) {
    let Some(payload_bytes) = file.len().checked_sub(SMALL_FILE_HEADER_BYTES + 4) else { return };
    let payload_bytes = u32::try_from(payload_bytes).expect("inputs are small");
    file[12..16].copy_from_slice(&payload_bytes.to_le_bytes());
    if let Some((covered, crc)) = covered_and_crc(Some(file)) {
        crc.copy_from_slice(&crc32fast::hash(covered).to_le_bytes());
    }
}

/// Tells whether the length and the checksum of a small file are true.
#[must_use]
pub fn is_sealed_small_file(file: &[u8]) -> bool {
    is_as_sealed(file, SMALL_FILE_HEADER_BYTES + 4, seal_small_file)
}

fn is_as_sealed(file: &[u8], bytes_min: usize, seal: fn(&mut [u8])) -> bool {
    let mut sealed = file.to_vec();
    seal(&mut sealed);
    file.len() >= bytes_min && sealed == file
}

/// Splits the checksum off the end of what it covers.
fn covered_and_crc(bytes: Option<&mut [u8]>) -> Option<(&[u8], &mut [u8; 4])> {
    let (covered, crc) = bytes?.split_last_chunk_mut()?;
    Some((covered, crc))
}
