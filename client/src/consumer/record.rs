//! What a consumer is given.

use std::sync::Arc;

use bytes::Bytes;
use tidelog_proto::batch::{BatchError, DecodeLimits, Headers, RecordBatch, Records, TimestampType};
use tidelog_proto::ids::{LeaderEpoch, Offset, PartitionId, TopicName};

/// A record, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// The topic, shared by all its records.
    pub topic: Arc<TopicName>,
    /// The partition.
    pub partition: PartitionId,
    /// Its place in the partition.
    pub offset: Offset,
    /// The epoch of the leader that appended it, if one has stamped it.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Its time, in milliseconds since the start of 1970 UTC.
    pub timestamp_ms: i64,
    /// Whose time that is.
    pub timestamp_type: TimestampType,
    /// Its key; null and empty differ. Shares the memory of its batch.
    pub key: Option<Bytes>,
    /// Its value; null and empty differ. Shares the memory of its batch.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Headers,
}

/// Some records of one partition that were stored together.
#[derive(Clone, Debug)]
pub struct ConsumedBatch {
    pub(super) topic: Arc<TopicName>,
    pub(super) partition: PartitionId,
    pub(super) batch: RecordBatch,
    /// Records below are left out: they were given before, or not asked for.
    pub(super) from: Offset,
    /// Records from here on are left out.
    pub(super) end: Option<Offset>,
    pub(super) limits: DecodeLimits,
}

impl ConsumedBatch {
    /// Returns the topic.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Returns the partition.
    #[must_use]
    pub const fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Returns the batch as it is stored. It may hold records below and above those that were asked for.
    #[must_use]
    pub const fn stored(&self) -> &RecordBatch {
        &self.batch
    }

    /// Returns the offset after the last record of this batch that was asked for: where reading goes on behind it.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        let next = self.batch.header().next_offset();
        self.end.map_or(next, |end| next.min(end))
    }

    /// Decodes the records that were asked for, in order.
    ///
    /// # Errors
    /// If the records cannot be decompressed within the consumer's limits; the iterator says what is wrong with a single
    /// one.
    pub fn records(&self) -> Result<ConsumedRecords, BatchError> {
        let header = self.batch.header();
        Ok(ConsumedRecords {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            leader_epoch: header.leader_epoch(),
            timestamp_type: header.attributes().timestamp_type(),
            records: self.batch.records(self.limits)?,
            from: self.from,
            end: self.end,
        })
    }
}

/// The records of a [`ConsumedBatch`].
#[derive(Clone, Debug)]
pub struct ConsumedRecords {
    topic: Arc<TopicName>,
    partition: PartitionId,
    leader_epoch: Option<LeaderEpoch>,
    timestamp_type: TimestampType,
    records: Records,
    from: Offset,
    end: Option<Offset>,
}

impl Iterator for ConsumedRecords {
    type Item = Result<ConsumedRecord, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let record = match self.records.next()? {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            if record.offset < self.from {
                continue;
            }
            if self.end.is_some_and(|end| record.offset >= end) {
                return None;
            }
            return Some(Ok(ConsumedRecord {
                topic: Arc::clone(&self.topic),
                partition: self.partition,
                offset: record.offset,
                leader_epoch: self.leader_epoch,
                timestamp_ms: record.timestamp,
                timestamp_type: self.timestamp_type,
                key: record.key,
                value: record.value,
                headers: record.headers,
            }));
        }
    }
}
