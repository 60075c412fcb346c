//! How a consumer is set up.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidelog_proto::api::IsolationLevel;
use tidelog_proto::batch::DecodeLimits;
use tidelog_proto::ids::{Offset, PartitionId, TopicName};
use tokio::time::Instant;

use super::assignment::Assignment;
use super::fetcher::FetchSettings;
use crate::client::Shared;
use crate::metadata_cache::MetadataError;
use crate::{Consumer, ConsumerConfigError, OutOfRange, Position};

/// Sets what a [`Consumer`] reads and how.
#[derive(Debug)]
#[must_use = "nothing is started before `build`"]
pub struct ConsumerBuilder {
    client: Arc<Shared>,
    assigned: Vec<Assigned>,
    isolation: IsolationLevel,
    out_of_range: OutOfRange,
    buffer_bytes: u32,
    decode_limits: DecodeLimits,
}

/// A partition to be read, as it was given.
#[derive(Debug)]
struct Assigned {
    topic: String,
    partition: u32,
    start: Position,
    end: Option<u64>,
}

impl ConsumerBuilder {
    pub(crate) const fn new(client: Arc<Shared>) -> Self {
        Self {
            client,
            assigned: Vec::new(),
            isolation: IsolationLevel::ReadUncommitted,
            out_of_range: OutOfRange::Error,
            buffer_bytes: 16 * 1024 * 1024,
            decode_limits: DecodeLimits::DEFAULT,
        }
    }

    /// Adds partitions to be read without an end: topic, number, and where to start.
    pub fn assign<T: Into<String>>(mut self, partitions: impl IntoIterator<Item = (T, u32, Position)>) -> Self {
        let assigned = partitions.into_iter();
        self.assigned.extend(assigned.map(|(topic, partition, start)| Assigned {
            topic: topic.into(),
            partition,
            start,
            end: None,
        }));
        self
    }

    /// Adds a partition to be read up to `end`, exclusive. The consumer ends once every partition has reached its end.
    pub fn assign_until(mut self, topic: impl Into<String>, partition: u32, start: Position, end: Offset) -> Self {
        self.assigned.push(Assigned { topic: topic.into(), partition, start, end: Some(end.get()) });
        self
    }

    /// Sets which records are seen; all that are committed to the log by default.
    pub const fn isolation_level(mut self, isolation: IsolationLevel) -> Self {
        self.isolation = isolation;
        self
    }

    /// Sets what to do where a position is not in the log (any more); an error by default.
    pub const fn out_of_range(mut self, out_of_range: OutOfRange) -> Self {
        self.out_of_range = out_of_range;
        self
    }

    /// Sets how many bytes of batches may be buffered or on their way, over all partitions; 16 MiB. One batch more for each
    /// broker may come.
    pub const fn buffer_bytes(mut self, buffer_bytes: u32) -> Self {
        self.buffer_bytes = buffer_bytes;
        self
    }

    /// Sets how much a decoder may make of a compressed batch; 64 MiB and 1000:1.
    pub const fn decode_limits(mut self, decode_limits: DecodeLimits) -> Self {
        self.decode_limits = decode_limits;
        self
    }

    /// Looks the topics up and starts to read.
    ///
    /// # Errors
    /// If nothing is assigned, a setting is out of its range, or a topic or partition is not there.
    pub async fn build(self) -> Result<Consumer, ConsumerConfigError> {
        if self.assigned.is_empty() {
            return Err(ConsumerConfigError::NothingAssigned);
        }
        let (min, max) = (1, i32::MAX.unsigned_abs());
        if !(min..=max).contains(&self.buffer_bytes) {
            let (name, value) = ("buffer_bytes", self.buffer_bytes.into());
            return Err(ConsumerConfigError::OutOfRange { name, value, min: min.into(), max: max.into() });
        }
        let deadline = Instant::now() + self.client.request_timeout;
        let mut seen = BTreeSet::new();
        let mut assignments = Vec::with_capacity(self.assigned.len());
        for assigned in &self.assigned {
            let assignment = check(&self.client, assigned, deadline).await?;
            let (topic, partition) = (Arc::clone(&assignment.topic), assignment.partition);
            if !seen.insert((Arc::clone(&topic), partition)) {
                return Err(ConsumerConfigError::AssignedTwice { topic: TopicName::clone(&topic), partition });
            }
            assignments.push(assignment);
        }
        let settings = FetchSettings {
            buffer_bytes: self.buffer_bytes,
            isolation: self.isolation,
            out_of_range: self.out_of_range,
            backoff: self.client.backoff,
            open_timeout: self.client.request_timeout,
        };
        Ok(Consumer::start(self.client, settings, assignments, self.decode_limits))
    }
}

/// Checks a partition against the numbers' bounds and against what is known of its topic.
async fn check(client: &Shared, assigned: &Assigned, deadline: Instant) -> Result<Assignment, ConsumerConfigError> {
    let topic = TopicName::new(assigned.topic.as_str())
        .map_err(|error| ConsumerConfigError::TopicName { topic: assigned.topic.clone(), error })?;
    let offset = |name, offset: u64| {
        let max = Offset::MAX.get();
        let out_of_range = ConsumerConfigError::OutOfRange { name, value: offset, min: 0, max };
        if offset <= max { Ok(Offset::new(offset)) } else { Err(out_of_range) }
    };
    if let Position::Offset(start) = assigned.start {
        offset("position", start.get())?;
    }
    let end = assigned.end.map(|end| offset("end_offset", end)).transpose()?;
    let known = client.metadata.topic(&topic, deadline).await.map_err(|error| match error {
        MetadataError::Topic(error) => ConsumerConfigError::Topic { topic: topic.clone(), error },
        MetadataError::Call(error) => ConsumerConfigError::Metadata { topic: topic.clone(), error },
    })?;
    let partition = PartitionId::new(assigned.partition);
    let partition_count = known.partitions.len();
    if assigned.partition as usize >= partition_count {
        return Err(ConsumerConfigError::Partition { topic, partition, partition_count });
    }
    Ok(Assignment::new(Arc::new(topic), partition, assigned.start.into(), end))
}
