//! Which partition a record goes to.

mod key_hash;
mod round_robin;
mod sticky;

use std::fmt::Debug;

pub use key_hash::KeyHash;
pub use round_robin::RoundRobin;
pub use sticky::Sticky;
use tidelog_proto::ids::{PartitionId, TopicName};
pub use tidelog_proto::key_hash::murmur2;

/// What a partitioner is told of a record.
#[derive(Clone, Copy, Debug)]
pub struct PartitionRequest<'a> {
    /// The topic.
    pub topic: &'a TopicName,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// About how many bytes the record takes in its batch.
    pub record_bytes: usize,
    /// How many partitions the topic has, at least 1: they are numbered from 0.
    pub partition_count: u32,
    /// The partitions that have a leader now, rising; empty if none has.
    pub available: &'a [PartitionId],
}

/// Chooses a partition for every record that does not name one.
///
/// A producer owns one and asks it while it holds its own lock: an answer must come at once, without waiting for anything.
pub trait Partitioner: Debug + Send + 'static {
    /// Chooses the partition, below `partition_count`; a higher number is an error of the record.
    fn partition(&mut self, request: &PartitionRequest<'_>) -> PartitionId;
}

/// Returns the partition at `place` of those that have a leader, or of all where none has.
fn at_place(request: &PartitionRequest<'_>, place: u64) -> PartitionId {
    let available = request.available;
    if available.is_empty() {
        let number = place % u64::from(request.partition_count.max(1));
        return PartitionId::new(u32::try_from(number).unwrap_or(0));
    }
    let place = place % available.len() as u64;
    usize::try_from(place).ok().and_then(|place| available.get(place).copied()).unwrap_or(available[0])
}
