//! A record to be sent.

use bytes::Bytes;
use tidelog_proto::ids::PartitionId;

/// A record to be sent: topic, and whatever of the rest is set.
///
/// Null and empty differ: a record without a key or a value has none, and a value of no bytes is empty. Without a value
/// it is a tombstone where the topic is compacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub(crate) topic: String,
    pub(crate) partition: Option<PartitionId>,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(String, Option<Bytes>)>,
    /// `None`: the time at which it is sent.
    pub(crate) timestamp_ms: Option<i64>,
}

impl Record {
    /// Starts a record without key, value and headers for this topic.
    #[must_use]
    pub fn to(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), partition: None, key: None, value: None, headers: Vec::new(), timestamp_ms: None }
    }

    /// Sets the key, which decides the partition unless one is set.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Adds a header; keys may repeat.
    #[must_use]
    pub fn header(mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((key.into(), Some(value.into())));
        self
    }

    /// Adds a header without a value, which differs from an empty one.
    #[must_use]
    pub fn null_header(mut self, key: impl Into<String>) -> Self {
        self.headers.push((key.into(), None));
        self
    }

    /// Sets the partition; the partitioner is not asked.
    #[must_use]
    pub const fn partition(mut self, partition: u32) -> Self {
        self.partition = Some(PartitionId::new(partition));
        self
    }

    /// Sets the time, in milliseconds since the start of 1970 UTC; the time at which it is sent if never called.
    #[must_use]
    pub const fn timestamp(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// Returns how much of the producer's buffer the record takes: its bytes and what keeping it costs.
    pub(crate) fn buffered_bytes(&self) -> usize {
        let bytes = |field: &Option<Bytes>| field.as_ref().map_or(0, Bytes::len);
        let headers = self.headers.iter().map(|(key, value)| key.len() + bytes(value) + HEADER_OVERHEAD_BYTES);
        RECORD_OVERHEAD_BYTES + bytes(&self.key) + bytes(&self.value) + headers.sum::<usize>()
    }
}

/// What a record costs beside its bytes: its encoded fields, and who waits for it.
const RECORD_OVERHEAD_BYTES: usize = 192;

/// What the lengths of a header take at most.
const HEADER_OVERHEAD_BYTES: usize = 10;
