//! Which configs a topic has: one table of keys, bounds and defaults.

use std::fmt;

use tidelog_log::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use tidelog_proto::batch::{BATCH_BYTES_MAX, BATCH_HEADER_BYTES};

use super::value::{ConfigKind, ConfigValue};
use crate::metadata::nearest;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const SECOND_MS: u64 = 1000;
const HOUR_MS: u64 = 60 * 60 * SECOND_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The largest number where there is no nearer bound. Numbers near it still add up.
const NUMBER_MAX: u64 = i64::MAX.unsigned_abs();

/// The largest `batch_bytes_max`: a message of 8 MiB, without the room for what stands around a batch in it.
pub const TOPIC_BATCH_BYTES_MAX: u64 = 8 * MIB - 64 * KIB;

const _: () = assert!(TOPIC_BATCH_BYTES_MAX <= BATCH_BYTES_MAX as u64, "every batch fits a frame");

/// Most headers that a record may be allowed.
const HEADERS_MAX: u64 = 4096;

/// Defines the configs from one table, so that no list of them can fall behind. In the order of their keys.
macro_rules! topic_config_keys {
    ($($name:ident = $text:literal, $unit:expr, $kind:expr, $default:expr, $description:literal;)*) => {
        /// A config that a topic has. Ordered by key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TopicConfigKey {
            $(
                #[doc = $description]
                $name,
            )*
        }

        impl TopicConfigKey {
            /// Every config, by key.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the key as users write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Returns what values it takes.
            #[must_use]
            pub const fn kind(self) -> ConfigKind {
                match self {
                    $(Self::$name => $kind,)*
                }
            }

            /// Returns the value where neither the topic nor the broker sets one.
            #[must_use]
            pub const fn default_value(self) -> ConfigValue {
                match self {
                    $(Self::$name => $default,)*
                }
            }

            /// Returns what its number counts; `None` where it is no number.
            #[must_use]
            pub const fn unit(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => $unit,)*
                }
            }

            /// Returns what it does, in one sentence.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$name => $description,)*
                }
            }
        }
    };
}

topic_config_keys! {
    BatchBytesMax = "batch_bytes_max", Some("bytes"),
        ConfigKind::Number { min: BATCH_HEADER_BYTES as u64, max: TOPIC_BATCH_BYTES_MAX }, ConfigValue::Number(MIB),
        "The largest batch that a producer may send, as sent, header included.";
    CleanupPolicy = "cleanup_policy", None,
        ConfigKind::Word(&["compact", "compact,delete", "delete"]), ConfigValue::Word("delete"),
        "What happens to old records: segments are deleted by age and size, the last record of every key is kept, or both.";
    DecompressedBatchBytesMax = "decompressed_batch_bytes_max", Some("bytes"),
        ConfigKind::Number { min: KIB, max: BATCH_BYTES_MAX as u64 }, ConfigValue::Number(BATCH_BYTES_MAX as u64),
        "The most bytes that the records of one batch may decompress to, where the broker decompresses them.";
    DeleteRetentionMs = "delete_retention_ms", Some("milliseconds"),
        ConfigKind::Number { min: 0, max: NUMBER_MAX }, ConfigValue::Number(DAY_MS),
        "How long a tombstone stays readable after the first compaction that saw it.";
    FlushMode = "flush_mode", None,
        ConfigKind::Word(&["commit", "interval"]), ConfigValue::Word("commit"),
        "When a replica counts a record: commit, synced to its disk; interval, written, and synced within some 10 seconds: weaker.";
    HeadersMax = "headers_max", Some("headers"),
        ConfigKind::Number { min: 0, max: HEADERS_MAX }, ConfigValue::Number(64),
        "The most headers of one record.";
    IndexIntervalBytes = "index_interval_bytes", Some("bytes"),
        ConfigKind::Number { min: 512, max: 64 * MIB }, ConfigValue::Number(4 * KIB),
        "Log bytes between two index entries.";
    MinCleanableDirtyRatio = "min_cleanable_dirty_ratio", None,
        ConfigKind::Share, ConfigValue::Millionths(500_000),
        "Compaction starts when at least this share of the sealed bytes was never compacted.";
    MinCompactionLagMs = "min_compaction_lag_ms", Some("milliseconds"),
        ConfigKind::Number { min: 0, max: NUMBER_MAX }, ConfigValue::Number(0),
        "Compaction leaves segments alone whose last record is younger than this.";
    RetentionBytes = "retention_bytes", Some("bytes"),
        ConfigKind::NumberOrNone { min: 0, max: NUMBER_MAX }, ConfigValue::Unlimited,
        "The oldest segments of a partition are deleted while the rest holds at least this many bytes.";
    RetentionMs = "retention_ms", Some("milliseconds"),
        ConfigKind::NumberOrNone { min: 0, max: NUMBER_MAX }, ConfigValue::Number(7 * DAY_MS),
        "Segments whose last record was appended longer ago than this are deleted.";
    SegmentBytes = "segment_bytes", Some("bytes"),
        ConfigKind::Number { min: SEGMENT_BYTES_MIN, max: SEGMENT_BYTES_MAX }, ConfigValue::Number(1024 * MIB),
        "A segment that would grow past this is sealed first; only whole segments are deleted or compacted.";
    SegmentMs = "segment_ms", Some("milliseconds"),
        ConfigKind::Number { min: 1, max: NUMBER_MAX }, ConfigValue::Number(7 * DAY_MS),
        "A segment is sealed when a record is appended this much later than its first.";
    TimestampAheadMaxMs = "timestamp_ahead_max_ms", Some("milliseconds"),
        ConfigKind::NumberOrNone { min: 0, max: NUMBER_MAX }, ConfigValue::Number(HOUR_MS),
        "How far ahead of the broker's clock a record's timestamp may be.";
    TimestampType = "timestamp_type", None,
        ConfigKind::Word(&["create_time", "log_append_time"]), ConfigValue::Word("create_time"),
        "Whose time a record carries: the producer's, or that of its append.";
}

/// Kafka's keys for what is called otherwise here, written with underscores.
const ALIASES: [(&str, TopicConfigKey); 3] = [
    ("max_message_bytes", TopicConfigKey::BatchBytesMax),
    ("message_timestamp_after_max_ms", TopicConfigKey::TimestampAheadMaxMs),
    ("message_timestamp_type", TopicConfigKey::TimestampType),
];

impl TopicConfigKey {
    /// Finds the config that is called exactly this.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == key)
    }

    /// Finds the config that somebody who wrote `key` may have meant: Kafka's spelling, or the fewest typing errors.
    #[must_use]
    pub fn nearest(key: &str) -> Self {
        let names = || Self::ALL.iter().map(|key| (key.as_str(), *key)).chain(ALIASES);
        let nearest = nearest(key, names().map(|(name, _)| name));
        names().find(|(name, _)| Some(*name) == nearest).map_or(Self::RetentionMs, |(_, key)| key)
    }
}

impl fmt::Display for TopicConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_keys() {
        assert!(TopicConfigKey::ALL.is_sorted_by(|a, b| a < b && a.as_str() < b.as_str()));
        for key in TopicConfigKey::ALL {
            assert_eq!(TopicConfigKey::from_key(key.as_str()), Some(*key));
            assert!(key.description().ends_with('.'), "{key}");
        }
    }

    #[test]
    fn an_unknown_key_finds_its_neighbour() {
        for (key, nearest) in [
            ("retention.ms", TopicConfigKey::RetentionMs),
            ("RETENTION_BYTE", TopicConfigKey::RetentionBytes),
            ("max.message.bytes", TopicConfigKey::BatchBytesMax),
            ("message.timestamp.type", TopicConfigKey::TimestampType),
            ("cleanup", TopicConfigKey::CleanupPolicy),
            ("segmentms", TopicConfigKey::SegmentMs),
        ] {
            assert_eq!(TopicConfigKey::from_key(key), None);
            assert_eq!(TopicConfigKey::nearest(key), nearest, "{key}");
        }
        let _ = TopicConfigKey::nearest(&"é".repeat(100_000));
        let _ = TopicConfigKey::nearest("");
    }
}
