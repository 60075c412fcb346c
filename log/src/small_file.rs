//! Small files that are replaced as a whole: one format, versioned, checksummed, written aside and renamed.
//!
//! Layout, little-endian: `magic [8] | kind u16 | version u16 | payload_len u32 | payload | crc u32`, the crc32fast
//! covering everything before it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::environment::{Environment, OpenMode};
use crate::identity::TEMPORARY_ENDING;

const MAGIC: &[u8; 8] = b"TLSMALL1";
const HEADER_BYTES: usize = 16;
const CRC_BYTES: usize = 4;

/// Most bytes of a payload. Whatever needs more is not a small file.
pub const PAYLOAD_BYTES_MAX: usize = 48 * 1024 * 1024;

/// What a small file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmallFileKind {
    /// How far a log is durable, and where it starts.
    Checkpoint,
    /// Which segments a compaction puts in the place of which.
    CompactionManifest,
    /// What a Raft group has applied up to some entry.
    GroupState,
    /// Whose a data directory is.
    DirectoryIdentity,
    /// How often a data directory was started.
    BootCounter,
}

impl SmallFileKind {
    fn number(self) -> u16 {
        match self {
            Self::Checkpoint => 1,
            Self::CompactionManifest => 2,
            Self::GroupState => 3,
            Self::DirectoryIdentity => 4,
            Self::BootCounter => 5,
        }
    }

    fn version(self) -> u16 {
        match self {
            Self::Checkpoint
            | Self::CompactionManifest
            | Self::GroupState
            | Self::DirectoryIdentity
            | Self::BootCounter => 1,
        }
    }
}

/// Replaces the file at `path`. After success the new content is durable; after a failure, or a crash on the way, it is
/// the old or the new one, never a mixture.
///
/// # Errors
/// `FileTooLarge` for a payload above [`PAYLOAD_BYTES_MAX`], and whatever the file system answers. A failed sync is not
/// repeated.
pub fn write(environment: &dyn Environment, path: &Path, kind: SmallFileKind, payload: &[u8]) -> io::Result<()> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let temporary = path.with_extension(TEMPORARY_ENDING);
    let file = environment.open_file(&temporary, OpenMode::CreateEmpty)?;
    file.write_all_at(&encode(kind, payload), 0)?;
    file.sync_data()?;
    environment.rename(&temporary, path)?;
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    environment.sync_dir(dir)
}

/// Reads the file at `path`; `None` where there is none.
///
/// # Errors
/// The file could not be read, or is not one that [`write()`] wrote.
pub fn read(
    environment: &dyn Environment,
    path: &Path,
    kind: SmallFileKind,
) -> Result<Option<Vec<u8>>, SmallFileError> {
    let io_error = |error| SmallFileError::Io { path: path.to_owned(), error };
    let file = match environment.open_file(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(error)),
    };
    let len_bytes = file.len_bytes().map_err(io_error)?;
    let damaged = |fault| SmallFileError::Damaged { path: path.to_owned(), fault };
    let len = usize::try_from(len_bytes)
        .ok()
        .filter(|len| *len <= HEADER_BYTES + PAYLOAD_BYTES_MAX + CRC_BYTES)
        .ok_or_else(|| damaged(SmallFileFault::Length { len_bytes }))?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0).map_err(io_error)?;
    decode(kind, &bytes).map(|payload| Some(payload.to_vec())).map_err(damaged)
}

fn encode(kind: SmallFileKind, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len() + CRC_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&kind.number().to_le_bytes());
    bytes.extend_from_slice(&kind.version().to_le_bytes());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(payload);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(kind: SmallFileKind, bytes: &[u8]) -> Result<&[u8], SmallFileFault> {
    let length = SmallFileFault::Length { len_bytes: bytes.len() as u64 };
    let (covered, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or_else(|| length.clone())?;
    let (header, payload) = covered.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| length.clone())?;
    let (stored, computed) = (u32::from_le_bytes(*crc), crc32fast::hash(covered));
    if stored != computed {
        return Err(SmallFileFault::Checksum { stored, computed });
    }
    let [magic @ .., k0, k1, v0, v1, l0, l1, l2, l3] = header;
    let found = (u16::from_le_bytes([*k0, *k1]), u16::from_le_bytes([*v0, *v1]));
    if magic != MAGIC || found != (kind.number(), kind.version()) {
        return Err(SmallFileFault::Kind { kind: found.0, version: found.1 });
    }
    if u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize != payload.len() {
        return Err(length);
    }
    Ok(payload)
}

/// A small file that could not be read.
#[derive(Debug)]
pub enum SmallFileError {
    /// The machine did not give us the bytes.
    Io {
        /// The file.
        path: PathBuf,
        /// What it answered.
        error: io::Error,
    },
    /// The bytes are not what was written.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: SmallFileFault,
    },
}

/// What is wrong with a small file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SmallFileFault {
    /// Too short, too long, or not as long as it says.
    Length {
        /// Length of the file.
        len_bytes: u64,
    },
    /// The checksum.
    Checksum {
        /// As stored.
        stored: u32,
        /// As computed.
        computed: u32,
    },
    /// Sound, but of another kind or version.
    Kind {
        /// Number of the kind.
        kind: u16,
        /// Version.
        version: u16,
    },
    /// A field out of bounds, or of another partition.
    Content,
}

impl fmt::Display for SmallFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Damaged { path, fault } => write!(f, "{}: {fault}", path.display()),
        }
    }
}

impl fmt::Display for SmallFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { len_bytes } => write!(f, "a length of {len_bytes} bytes is wrong"),
            Self::Checksum { stored, computed } => {
                write!(f, "checksum is {computed:#010x} but {stored:#010x} is stored")
            }
            Self::Kind { kind, version } => write!(f, "kind {kind} version {version} is not known here"),
            Self::Content => f.write_str("a field is out of bounds or another partition's"),
        }
    }
}

impl std::error::Error for SmallFileError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_reads_back_and_every_flip_and_cut_is_refused() {
        let bytes = encode(SmallFileKind::Checkpoint, b"payload");
        assert_eq!(decode(SmallFileKind::Checkpoint, &bytes), Ok(b"payload".as_slice()));
        assert!(decode(SmallFileKind::CompactionManifest, &bytes).is_err(), "another kind");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(SmallFileKind::Checkpoint, &flipped).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(decode(SmallFileKind::Checkpoint, &bytes[..len]).is_err(), "{len} bytes");
        }
    }
}
