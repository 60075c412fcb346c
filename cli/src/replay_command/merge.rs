//! Records of many partitions in the order of their times.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use tidelog_client::{Client, ConsumedRecord, Consumer, Position};

use super::state::ReplayState;
use crate::command_error::CommandError;
use crate::running::Interrupt;

/// Bytes that may be buffered over all partitions, and at least for each.
const BUFFER_BYTES: u32 = 16 * 1024 * 1024;
const PARTITION_BUFFER_BYTES_MIN: u32 = 256 * 1024;

/// Records of each partition in its order, and, of their next ones, the earliest first.
#[derive(Debug)]
pub(super) struct Merge {
    /// The next record of each partition that has any, and where the rest comes from.
    next: BTreeMap<u32, (ConsumedRecord, Consumer)>,
    /// The times of those records.
    times: BinaryHeap<Reverse<(i64, u32)>>,
    /// Partitions of which the next record is still to come.
    open: Vec<(u32, Consumer)>,
}

impl Merge {
    /// Starts to read what a replay has left.
    pub(super) async fn start(client: &Client, topic: &str, state: &ReplayState) -> Result<Self, CommandError> {
        let left: Vec<_> = state.partitions.iter().filter(|partition| partition.next < partition.end).collect();
        let count = u32::try_from(left.len()).unwrap_or(u32::MAX).max(1);
        let buffer_bytes = (BUFFER_BYTES / count).max(PARTITION_BUFFER_BYTES_MIN);
        let mut open = Vec::with_capacity(left.len());
        for partition in left {
            let from = Position::Offset(partition.next);
            let builder = client.consumer().buffer_bytes(buffer_bytes);
            let builder = builder.assign_until(topic, partition.partition, from, partition.end);
            open.push((partition.partition, builder.build().await.map_err(CommandError::ConsumerConfig)?));
        }
        Ok(Self { next: BTreeMap::new(), times: BinaryHeap::new(), open })
    }

    /// Gives the next record; none at the end, or when asked to end.
    pub(super) async fn next(&mut self, interrupt: &mut Interrupt) -> Result<Option<ConsumedRecord>, CommandError> {
        while let Some((_, consumer)) = self.open.last_mut() {
            let record = tokio::select! {
                biased;
                record = consumer.next() => record.transpose().map_err(CommandError::Consume)?,
                () = interrupt.asked() => return Ok(None),
            };
            let Some((partition, consumer)) = self.open.pop() else { break };
            if let Some(record) = record {
                self.times.push(Reverse((record.timestamp_ms, partition)));
                self.next.insert(partition, (record, consumer));
            }
        }
        let Some(Reverse((_, partition))) = self.times.pop() else { return Ok(None) };
        Ok(self.next.remove(&partition).map(|(record, consumer)| {
            self.open.push((partition, consumer));
            record
        }))
    }
}
