//! The first 64 bytes of a journal file.
//!
//! Layout, little-endian: `magic [8] | version u16 | state u16 | reserved u32 | generation u64 | salt u64 |
//! first_sequence u64 | base_end u64 | reserved [12] | crc u32`.

use super::error::JournalFault;
use super::record::{RECORD_ALIGNMENT, SEQUENCE_MAX};

/// Bytes of the header. It lies within one sector, so a crash leaves the old one or the new one.
pub(super) const FILE_HEADER_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"TLJOURN1";
const VERSION: u16 = 1;

/// The largest generation that is believed.
const GENERATION_MAX: u64 = i64::MAX.unsigned_abs();

/// Whether a file may be believed alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// It holds everything that was ever acknowledged.
    Live,
    /// The other file has taken over.
    Retired,
}

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) state: FileState,
    /// One more than that of the file from which it took over.
    pub(super) generation: u64,
    /// Random, so that records that the file held before never pass for its own.
    pub(super) salt: u64,
    /// Number of the first record.
    pub(super) first_sequence: u64,
    /// Where the records end that were written with the header: the whole state at that time.
    pub(super) base_end_bytes: u64,
}

/// What the checksums of a file's records start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileSeed(u32);

impl FileSeed {
    pub(super) fn checksum(self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        hasher.finalize()
    }
}

impl FileHeader {
    pub(super) fn seed(&self) -> FileSeed {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.generation.to_le_bytes());
        hasher.update(&self.salt.to_le_bytes());
        FileSeed(hasher.finalize())
    }

    pub(super) fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let state: u16 = match self.state {
            FileState::Live => 1,
            FileState::Retired => 2,
        };
        let mut bytes = Vec::with_capacity(FILE_HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&state.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for number in [self.generation, self.salt, self.first_sequence, self.base_end_bytes] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&[0; 12]);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.try_into().expect("the fields add up to the header")
    }

    /// Reads a header; `None` where there is none whose checksum holds: never written, torn, or damaged.
    ///
    /// # Errors
    /// It is whole, but of a later release, or a field is out of bounds.
    pub(super) fn decode(bytes: &[u8; FILE_HEADER_BYTES]) -> Result<Option<Self>, JournalFault> {
        let Some((covered, crc)) = bytes.split_last_chunk::<4>() else { return Ok(None) };
        if crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
            return Ok(None);
        }
        let (words, reserved) = covered.as_chunks::<8>();
        let &[magic, [v0, v1, s0, s1, zeros @ ..], generation, salt, first, base_end, zero] = words else {
            return Ok(None);
        };
        let version = u16::from_le_bytes([v0, v1]);
        if magic != MAGIC || version != VERSION {
            return Err(JournalFault::UnknownVersion { version });
        }
        let content = JournalFault::Content { position_bytes: 0 };
        let header = Self {
            state: match u16::from_le_bytes([s0, s1]) {
                1 => FileState::Live,
                2 => FileState::Retired,
                _ => return Err(content),
            },
            generation: u64::from_le_bytes(generation),
            salt: u64::from_le_bytes(salt),
            first_sequence: u64::from_le_bytes(first),
            base_end_bytes: u64::from_le_bytes(base_end),
        };
        let is_possible = header.generation <= GENERATION_MAX
            && header.first_sequence <= SEQUENCE_MAX
            && header.base_end_bytes >= FILE_HEADER_BYTES as u64
            && header.base_end_bytes.is_multiple_of(RECORD_ALIGNMENT as u64)
            && (zeros, zero, reserved) == ([0; 4], [0; 8], &[0; 4]);
        if is_possible { Ok(Some(header)) } else { Err(content) }
    }
}
