//! What the configs in force mean to those who act by them.

use tidelog_log::{CleanupPolicy, LogConfig};
use tidelog_proto::batch::{DecodeLimits, ProduceLimits, TimestampType};

use super::{ConfigValue, TopicConfigKey, TopicConfigs};

/// All configs of a topic as they are in force on a broker.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSettings {
    /// The largest batch as produced, header included.
    pub batch_bytes_max: u32,
    /// What happens to old records.
    pub cleanup_policy: CleanupPolicy,
    /// The most bytes that the records of one batch may decompress to.
    pub decompressed_batch_bytes_max: u32,
    /// How long a tombstone stays readable after the first compaction that saw it.
    pub delete_retention_ms: u64,
    /// When a replica counts a record.
    pub flush_mode: FlushMode,
    /// The most headers of one record.
    pub headers_max: u32,
    /// Log bytes between two index entries.
    pub index_interval_bytes: u32,
    /// Compaction starts at this share, 0 to 1, of sealed bytes that were never compacted.
    pub min_cleanable_dirty_ratio: f64,
    /// Compaction leaves younger segments alone.
    pub min_compaction_lag_ms: u64,
    /// How many bytes of a partition are kept at least; `None` keeps all.
    pub retention_bytes: Option<u64>,
    /// How long records are kept at least; `None` keeps them for ever.
    pub retention_ms: Option<u64>,
    /// A segment is sealed before it grows past this.
    pub segment_bytes: u64,
    /// A segment is sealed when it is this old.
    pub segment_ms: u64,
    /// How far ahead a record's timestamp may be; `None` for any time.
    pub timestamp_ahead_max_ms: Option<u64>,
    /// Whose time a record carries.
    pub timestamp_type: TimestampType,
}

/// When a replica counts a record as its own (`flush_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushMode {
    /// When it is synced.
    Commit,
    /// When it is written; it is synced later, and a loss of power may take it.
    Interval,
}

impl TopicConfigs {
    /// Gives the configs as they are in force on a broker that sets `broker` for all its topics.
    #[must_use]
    pub fn settings(&self, broker: &Self) -> TopicSettings {
        let value = |key| self.in_force(key, broker).value;
        let number = |key| limit(value(key)).unwrap_or(u64::MAX);
        let small = |key| u32::try_from(number(key)).unwrap_or(u32::MAX);
        TopicSettings {
            batch_bytes_max: small(TopicConfigKey::BatchBytesMax),
            cleanup_policy: match value(TopicConfigKey::CleanupPolicy) {
                ConfigValue::Word("compact") => CleanupPolicy::Compact,
                ConfigValue::Word("compact,delete") => CleanupPolicy::CompactDelete,
                _ => CleanupPolicy::Delete,
            },
            decompressed_batch_bytes_max: small(TopicConfigKey::DecompressedBatchBytesMax),
            delete_retention_ms: number(TopicConfigKey::DeleteRetentionMs),
            flush_mode: match value(TopicConfigKey::FlushMode) {
                ConfigValue::Word("interval") => FlushMode::Interval,
                _ => FlushMode::Commit,
            },
            headers_max: small(TopicConfigKey::HeadersMax),
            index_interval_bytes: small(TopicConfigKey::IndexIntervalBytes),
            min_cleanable_dirty_ratio: share(value(TopicConfigKey::MinCleanableDirtyRatio)),
            min_compaction_lag_ms: number(TopicConfigKey::MinCompactionLagMs),
            retention_bytes: limit(value(TopicConfigKey::RetentionBytes)),
            retention_ms: limit(value(TopicConfigKey::RetentionMs)),
            segment_bytes: number(TopicConfigKey::SegmentBytes),
            segment_ms: number(TopicConfigKey::SegmentMs),
            timestamp_ahead_max_ms: limit(value(TopicConfigKey::TimestampAheadMaxMs)),
            timestamp_type: match value(TopicConfigKey::TimestampType) {
                ConfigValue::Word("log_append_time") => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
        }
    }
}

/// Reads a value that counts something; `None` for no limit. Which keys have numbers is fixed by their kind, and a test
/// reads each of them.
fn limit(value: ConfigValue) -> Option<u64> {
    match value {
        ConfigValue::Number(number) => Some(number),
        ConfigValue::Unlimited | ConfigValue::Millionths(_) | ConfigValue::Word(_) => None,
    }
}

fn share(value: ConfigValue) -> f64 {
    match value {
        ConfigValue::Millionths(millionths) => f64::from(millionths) / 1_000_000.0,
        ConfigValue::Number(_) | ConfigValue::Unlimited | ConfigValue::Word(_) => 1.0,
    }
}

impl TopicSettings {
    /// Gives what a partition's log is told. What is not the topic's to say stays as in `engine`.
    #[must_use]
    pub fn log_config(&self, engine: &LogConfig) -> LogConfig {
        LogConfig {
            segment_bytes: self.segment_bytes,
            segment_ms: self.segment_ms,
            index_interval_bytes: self.index_interval_bytes,
            allocation_bytes_max: engine.allocation_bytes_max,
            retention_ms: self.retention_ms,
            retention_bytes: self.retention_bytes,
            cleanup_policy: self.cleanup_policy,
            delete_retention_ms: self.delete_retention_ms,
            min_cleanable_dirty_ratio: self.min_cleanable_dirty_ratio,
            min_compaction_lag_ms: self.min_compaction_lag_ms,
            compaction_buffer_bytes: engine.compaction_buffer_bytes,
        }
    }

    /// Gives what is asked of a batch that is produced at `now_ms` by the broker's clock.
    ///
    /// A compacted topic needs keys, so its compressed batches are walked too.
    #[must_use]
    pub fn produce_limits(&self, now_ms: i64) -> ProduceLimits {
        let ahead_ms = match self.timestamp_type {
            TimestampType::CreateTime => self.timestamp_ahead_max_ms.and_then(|ahead_ms| i64::try_from(ahead_ms).ok()),
            TimestampType::LogAppendTime => None,
        };
        ProduceLimits {
            batch_bytes_max: self.batch_bytes_max,
            headers_max: self.headers_max,
            timestamp_ms_max: ahead_ms.map_or(i64::MAX, |ahead_ms| now_ms.saturating_add(ahead_ms)),
            keys_required: self.cleanup_policy.compacts(),
            walk_compressed: self.cleanup_policy.compacts(),
            decode: DecodeLimits {
                decompressed_bytes_max: self.decompressed_batch_bytes_max,
                ..DecodeLimits::default()
            },
        }
    }
}
