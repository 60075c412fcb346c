//! One partition that this broker holds a replica of.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tidelog_proto::batch::{DecodeLimits, ProduceLimits, TimestampType};
use tidelog_raft::ReplicatedLog;
use tokio::sync::watch;

/// A replica on this broker, and by which rules it is written and read.
#[derive(Debug)]
pub struct HostedPartition {
    log: Arc<dyn ReplicatedLog>,
    /// Swapped when the topic's configs change.
    settings: ArcSwap<PartitionSettings>,
    /// Becomes `true` once, when the partition leaves the table, and ends every session on it.
    removed: watch::Sender<bool>,
}

/// What a topic's configs say about its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionSettings {
    /// The largest batch as sent, header included: the topic's `batch_bytes_max`.
    pub batch_bytes_max: u32,
    /// The most headers of a record.
    pub headers_max: u32,
    /// Whose time the records carry. The leader's: the producer's is not looked at.
    pub timestamp_type: TimestampType,
    /// How far a record's timestamp may lie ahead of the broker's clock; `None` for any distance.
    pub timestamp_ahead_ms_max: Option<u64>,
    /// The topic is compacted: records need keys, and compressed batches are looked into.
    pub is_compacted: bool,
    /// The caps on decompression.
    pub decode: DecodeLimits,
}

impl Default for PartitionSettings {
    /// Batches of 1 MiB, 64 headers, the producer's timestamps up to an hour ahead, not compacted.
    fn default() -> Self {
        Self {
            batch_bytes_max: 1024 * 1024,
            headers_max: 64,
            timestamp_type: TimestampType::CreateTime,
            timestamp_ahead_ms_max: Some(60 * 60 * 1000),
            is_compacted: false,
            decode: DecodeLimits::DEFAULT,
        }
    }
}

impl PartitionSettings {
    /// Gives what a batch that arrives now must fulfil.
    #[must_use]
    pub fn produce_limits(&self, now_ms: i64) -> ProduceLimits {
        let timestamp_ms_max = match self.timestamp_type {
            TimestampType::CreateTime => self
                .timestamp_ahead_ms_max
                .and_then(|ahead_ms| i64::try_from(ahead_ms).ok())
                .map_or(i64::MAX, |ahead_ms| now_ms.saturating_add(ahead_ms)),
            TimestampType::LogAppendTime => i64::MAX,
        };
        ProduceLimits {
            batch_bytes_max: self.batch_bytes_max,
            headers_max: self.headers_max,
            timestamp_ms_max,
            keys_required: self.is_compacted,
            walk_compressed: self.is_compacted,
            decode: self.decode,
        }
    }
}

impl HostedPartition {
    /// Hosts a replica.
    #[must_use]
    pub fn new(log: Arc<dyn ReplicatedLog>, settings: PartitionSettings) -> Self {
        Self { log, settings: ArcSwap::from_pointee(settings), removed: watch::Sender::new(false) }
    }

    /// Gives the replica.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn ReplicatedLog> {
        &self.log
    }

    /// Gives the rules as they are now.
    #[must_use]
    pub fn settings(&self) -> PartitionSettings {
        **self.settings.load()
    }

    /// Puts other rules in place; batches that were taken before are not looked at again.
    pub fn set_settings(&self, settings: PartitionSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// Tells whether it has left the table.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        *self.removed.borrow()
    }

    /// Ends every session on it.
    pub(crate) fn remove(&self) {
        self.removed.send_replace(true);
    }

    /// Resolves when it leaves the table.
    pub(crate) fn removal(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut removed = self.removed.subscribe();
        async move {
            // Gone altogether, it has left the table as well.
            drop(removed.wait_for(|removed| *removed).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_bounded_only_where_the_producers_count() {
        let settings = PartitionSettings::default();
        assert_eq!(settings.produce_limits(5).timestamp_ms_max, 5 + 3_600_000);
        assert_eq!(settings.produce_limits(i64::MAX).timestamp_ms_max, i64::MAX);
        let stamped = PartitionSettings { timestamp_type: TimestampType::LogAppendTime, ..settings };
        assert_eq!(stamped.produce_limits(5).timestamp_ms_max, i64::MAX);
    }

    #[test]
    fn compacted_topics_need_keys_and_are_looked_into() {
        let limits = PartitionSettings { is_compacted: true, ..PartitionSettings::default() }.produce_limits(0);
        assert!(limits.keys_required && limits.walk_compressed);
    }
}
