//! Whose data directory it is: written once, checked at every start.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tidelog_log::environment::Environment;
use tidelog_log::small_file::{self, SmallFileError, SmallFileKind};
use tidelog_proto::ids::BrokerId;

const FILE: &str = "identity";

/// Length of the file's payload: `cluster_id [16] | broker_id u32`, little-endian.
const PAYLOAD_BYTES: usize = 20;

/// A broker of a cluster. Its data directory bears it, so that no broker ever votes with another's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryIdentity {
    /// The cluster: random, fixed for its life. A broker that starts alone and new makes one.
    pub cluster_id: [u8; 16],
    /// The broker.
    pub broker_id: BrokerId,
}

impl DirectoryIdentity {
    /// Reads whose directory it is; `None` where it is new.
    ///
    /// # Errors
    /// The file could not be read, or is damaged.
    pub fn read(environment: &dyn Environment, dir: &Path) -> Result<Option<Self>, DirectoryError> {
        let path = dir.join(FILE);
        let payload = small_file::read(environment, &path, SmallFileKind::DirectoryIdentity);
        let Some(payload) = payload.map_err(DirectoryError::File)? else { return Ok(None) };
        let Ok(payload) = <[u8; PAYLOAD_BYTES]>::try_from(payload.as_slice()) else {
            return Err(DirectoryError::Length { path, len_bytes: payload.len() });
        };
        let [cluster_id @ .., a, b, c, d] = payload;
        Ok(Some(Self { cluster_id, broker_id: BrokerId::new(u32::from_le_bytes([a, b, c, d])) }))
    }

    /// Writes it into a new directory, durably.
    pub(crate) fn write(&self, environment: &dyn Environment, dir: &Path) -> io::Result<()> {
        let mut payload = self.cluster_id.to_vec();
        payload.extend_from_slice(&self.broker_id.get().to_le_bytes());
        small_file::write(environment, &dir.join(FILE), SmallFileKind::DirectoryIdentity, &payload)
    }

    /// Gives itself if it is what was wanted.
    pub(crate) fn expect(self, wanted: Self, dir: &Path) -> Result<Self, DirectoryError> {
        if self == wanted {
            return Ok(self);
        }
        Err(DirectoryError::Foreign { path: dir.to_owned(), found: self, wanted })
    }
}

impl fmt::Display for DirectoryIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broker {} of cluster ", self.broker_id)?;
        self.cluster_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A directory that does not say that it is ours.
#[derive(Debug)]
pub enum DirectoryError {
    /// The file could not be read.
    File(SmallFileError),
    /// The file is sound and not what we write.
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes in it, instead of 20.
        len_bytes: usize,
    },
    /// It belongs to somebody else.
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: DirectoryIdentity,
        /// Who wanted it.
        wanted: DirectoryIdentity,
    },
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Length { path, len_bytes } => {
                write!(f, "{}: {len_bytes} bytes of identity where {PAYLOAD_BYTES} are written", path.display())
            }
            Self::Foreign { path, found, wanted } => write!(
                f,
                "data directory {} belongs to {found}, not to {wanted}; start with its own node id, or with another \
                 data directory",
                path.display()
            ),
        }
    }
}

impl std::error::Error for DirectoryError {}
