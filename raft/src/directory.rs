//! Whose data directory it is: written once, checked at every start.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tidelog_log::environment::Environment;
use tidelog_log::small_file::{self, SmallFileError, SmallFileKind};
use tidelog_proto::ids::BrokerId;

use crate::metadata::{ClusterId, DirectoryId};

const FILE: &str = "identity";

/// Length of the file's payload: `cluster_id [16] | directory_id [16] | broker_id u32`, little-endian.
const PAYLOAD_BYTES: usize = 36;

const BOOT_FILE: &str = "boot";

/// A broker's data directory. It bears this, so that no broker ever votes with another's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryIdentity {
    /// The cluster: random, fixed for its life. A broker that starts alone and new makes one.
    pub cluster_id: ClusterId,
    /// The directory: random, so that one that was wiped is not taken for the old one.
    pub directory_id: DirectoryId,
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
        let [a, b, c, d] = [payload[32], payload[33], payload[34], payload[35]];
        let id_at = |start: usize| std::array::from_fn(|at| payload[start + at]);
        Ok(Some(Self {
            cluster_id: ClusterId::new(id_at(0)),
            directory_id: DirectoryId::new(id_at(16)),
            broker_id: BrokerId::new(u32::from_le_bytes([a, b, c, d])),
        }))
    }

    /// Makes up a new one, for a cluster of its own.
    pub(crate) fn new(environment: &dyn Environment, broker_id: BrokerId) -> Self {
        let (cluster_id, directory_id) = (random_id(environment), random_id(environment));
        Self { cluster_id: ClusterId::new(cluster_id), directory_id: DirectoryId::new(directory_id), broker_id }
    }

    /// Writes it into a new directory, durably.
    pub(crate) fn write(&self, environment: &dyn Environment, dir: &Path) -> io::Result<()> {
        let mut payload = Vec::with_capacity(PAYLOAD_BYTES);
        payload.extend_from_slice(&self.cluster_id.get());
        payload.extend_from_slice(&self.directory_id.get());
        payload.extend_from_slice(&self.broker_id.get().to_le_bytes());
        small_file::write(environment, &dir.join(FILE), SmallFileKind::DirectoryIdentity, &payload)
    }

    /// Gives itself if it is the broker's that wants it.
    pub(crate) fn of(self, broker_id: BrokerId, dir: &Path) -> Result<Self, DirectoryError> {
        if self.broker_id == broker_id {
            return Ok(self);
        }
        Err(DirectoryError::Foreign { path: dir.to_owned(), found: self.broker_id, wanted: broker_id })
    }
}

/// Counts one more start of a directory, durably, and gives how many there were with it.
///
/// # Errors
/// The file could not be read or written, or is damaged.
pub(crate) fn count_boot(environment: &dyn Environment, dir: &Path) -> Result<u64, DirectoryError> {
    let path = dir.join(BOOT_FILE);
    let payload = small_file::read(environment, &path, SmallFileKind::BootCounter).map_err(DirectoryError::File)?;
    let counter = match payload.as_deref() {
        None => 0,
        Some(payload) => u64::from_le_bytes(
            payload.try_into().map_err(|_| DirectoryError::Length { path: path.clone(), len_bytes: payload.len() })?,
        ),
    };
    let counter = counter.saturating_add(1);
    small_file::write(environment, &path, SmallFileKind::BootCounter, &counter.to_le_bytes())
        .map_err(|error| DirectoryError::File(SmallFileError::Io { path, error }))?;
    Ok(counter)
}

fn random_id(environment: &dyn Environment) -> [u8; 16] {
    let number = u128::from(environment.random_u64()) << 64 | u128::from(environment.random_u64());
    number.to_le_bytes()
}

impl fmt::Display for DirectoryIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broker {} of cluster {}", self.broker_id, self.cluster_id)
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
        /// Bytes in it.
        len_bytes: usize,
    },
    /// It belongs to somebody else.
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: BrokerId,
        /// Who wanted it.
        wanted: BrokerId,
    },
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Length { path, len_bytes } => {
                write!(f, "{}: a payload of {len_bytes} bytes is not what is written there", path.display())
            }
            Self::Foreign { path, found, wanted } => write!(
                f,
                "data directory {} belongs to broker {found}, not to broker {wanted}; start it with node_id {found}, or \
                 give broker {wanted} a directory of its own",
                path.display()
            ),
        }
    }
}

impl std::error::Error for DirectoryError {}
