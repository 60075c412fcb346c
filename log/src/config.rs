//! What a partition's log is told: sizes, times and the clean-up policy, under Kafka's names.

use std::fmt;

/// Bytes in a mebibyte.
const MIB: u64 = 1024 * 1024;

/// Largest `segment_bytes`. Positions in the index are `u32`; the rest is room for one frame past the roll limit.
pub const SEGMENT_BYTES_MAX: u64 = 2048 * MIB;

/// Smallest `segment_bytes`: the segment header and one small frame.
pub const SEGMENT_BYTES_MIN: u64 = 512;

/// Smallest step by which disk space is allocated ahead.
pub(crate) const ALLOCATION_BYTES_MIN: u64 = 64 * 1024;

/// Sizes, times and clean-up policy of one partition's log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// A segment that would grow past this many bytes is sealed first. A single larger frame still gets a segment.
    pub segment_bytes: u64,
    /// A segment is sealed when an entry is this much younger than its first, by append time.
    pub segment_ms: u64,
    /// Log bytes between two index entries.
    pub index_interval_bytes: u32,
    /// Most bytes of disk space allocated ahead in one step. Steps start at 64 KiB and double.
    pub allocation_bytes_max: u64,
    /// Segments whose last entry is older than this may be deleted; `None` keeps them for ever.
    pub retention_ms: Option<u64>,
    /// Oldest segments may be deleted while the rest holds at least this many bytes; `None` keeps them for ever.
    pub retention_bytes: Option<u64>,
    /// What clean-up does.
    pub cleanup_policy: CleanupPolicy,
    /// How long a tombstone stays readable after the first compaction that saw it.
    pub delete_retention_ms: u64,
    /// Compaction starts when at least this share (0 to 1) of the sealed bytes was never compacted.
    pub min_cleanable_dirty_ratio: f64,
    /// Compaction leaves segments alone whose last entry is younger than this.
    pub min_compaction_lag_ms: u64,
    /// Memory for the key table of one compaction; more keys take more rounds.
    pub compaction_buffer_bytes: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1024 * MIB,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            index_interval_bytes: 4096,
            allocation_bytes_max: 16 * MIB,
            retention_ms: Some(7 * 24 * 60 * 60 * 1000),
            retention_bytes: None,
            cleanup_policy: CleanupPolicy::Delete,
            delete_retention_ms: 24 * 60 * 60 * 1000,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            compaction_buffer_bytes: 32 * 1024 * 1024,
        }
    }
}

/// What happens to old records (`cleanup_policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanupPolicy {
    /// Old segments are deleted.
    Delete,
    /// The last record of every key is kept.
    Compact,
    /// Both.
    CompactDelete,
}

impl CleanupPolicy {
    /// Tells whether old segments are deleted by age and size.
    #[must_use]
    pub fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::CompactDelete)
    }

    /// Tells whether superseded records are removed.
    #[must_use]
    pub fn compacts(self) -> bool {
        matches!(self, Self::Compact | Self::CompactDelete)
    }
}

impl LogConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first key out of bounds, with its value and limits.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let within = |key, value: u64, min: u64, max: u64| {
            if (min..=max).contains(&value) { Ok(()) } else { Err(ConfigError::OutOfBounds { key, value, min, max }) }
        };
        within("segment_bytes", self.segment_bytes, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)?;
        within("segment_ms", self.segment_ms, 1, i64::MAX.unsigned_abs())?;
        within("index_interval_bytes", u64::from(self.index_interval_bytes), 1, SEGMENT_BYTES_MAX)?;
        within("allocation_bytes_max", self.allocation_bytes_max, ALLOCATION_BYTES_MIN, SEGMENT_BYTES_MAX)?;
        within("delete_retention_ms", self.delete_retention_ms, 0, i64::MAX.unsigned_abs())?;
        within("compaction_buffer_bytes", self.compaction_buffer_bytes as u64, 1024, 1 << 40)?;
        if !(0.0..=1.0).contains(&self.min_cleanable_dirty_ratio) {
            return Err(ConfigError::NotAShare {
                key: "min_cleanable_dirty_ratio",
                value: self.min_cleanable_dirty_ratio,
            });
        }
        Ok(())
    }
}

/// A configuration value out of bounds.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigError {
    /// `value` of `key` is not within `min..=max`.
    OutOfBounds {
        /// The configuration key.
        key: &'static str,
        /// What was given.
        value: u64,
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
    },
    /// `value` of `key` is not between 0 and 1.
    NotAShare {
        /// The configuration key.
        key: &'static str,
        /// What was given.
        value: f64,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { key, value, min, max } => write!(f, "{key} = {value} is not within {min} to {max}"),
            Self::NotAShare { key, value } => write!(f, "{key} = {value} is not within 0 and 1"),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert_eq!(LogConfig::default().validate(), Ok(()));
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        let config = LogConfig { segment_bytes: 1, ..LogConfig::default() };
        let error = config.validate().expect_err("too small");
        assert_eq!(error.to_string(), "segment_bytes = 1 is not within 512 to 2147483648");
        let config = LogConfig { min_cleanable_dirty_ratio: f64::NAN, ..LogConfig::default() };
        assert!(config.validate().is_err());
    }
}
