//! What a storage thread is told: how much may wait, how much is made durable at once, and by which calls.

use crate::config::ConfigError;

/// Bytes in a mebibyte.
const MIB: u64 = 1024 * 1024;

/// Bounds and times of one [`Storage`](super::Storage).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// Frames of all logs that wait to be written, in bytes; a log may have a quarter of them. An append is taken while
    /// less is waiting, so the queue holds at most this and one append more. It bounds the memory that a slow disk
    /// binds, and with the disk's speed how long an append waits.
    pub queue_bytes_max: u64,
    /// Requests of all logs that wait, of which a log may have a quarter. It bounds what small requests cost beside
    /// their frames.
    pub queue_requests_max: usize,
    /// Bytes that are written for the next round while a sync runs. More makes each sync larger and each append wait
    /// longer; less leaves the disk idle between two syncs.
    pub round_bytes_max: u64,
    /// A round of at least this many logs is made durable by one `syncfs` instead of an `fdatasync` each; `None` for
    /// never.
    ///
    /// Used on ext4 and btrfs only, where it is known to empty the drive's cache too.
    ///
    /// `syncfs` also writes what every other process has dirty on the file system, and a failure of it poisons every
    /// log, since nobody can tell what it hit. Switch it off where the file system is shared with something that writes much.
    pub syncfs_files_min: Option<usize>,
    /// How long after a change, at least, a log notes how far it is durable, and how long what was appended with
    /// [`Durability::Written`](super::Durability::Written) may stay volatile. Only looked at after a round and at
    /// [`Storage::tick`](super::Storage::tick).
    pub checkpoint_interval_ms: u64,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            queue_bytes_max: 64 * MIB,
            queue_requests_max: 16 * 1024,
            round_bytes_max: 64 * MIB,
            syncfs_files_min: Some(8),
            checkpoint_interval_ms: 10_000,
        }
    }
}

impl StorageConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first key out of bounds, with its value and limits.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let at_least_one = |key, value: u64| {
            let (min, max) = (1, u64::MAX);
            if value >= min { Ok(()) } else { Err(ConfigError::OutOfBounds { key, value, min, max }) }
        };
        at_least_one("queue_bytes_max", self.queue_bytes_max)?;
        at_least_one("queue_requests_max", self.queue_requests_max as u64)?;
        at_least_one("round_bytes_max", self.round_bytes_max)?;
        at_least_one("syncfs_files_min", self.syncfs_files_min.map_or(1, |files| files as u64))?;
        at_least_one("checkpoint_interval_ms", self.checkpoint_interval_ms)
    }
}
