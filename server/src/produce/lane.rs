//! The batches of one partition that one stream sent: appended one after another, answered in order.

use std::collections::VecDeque;
use std::sync::Arc;

use tidelog_proto::api::{Acks, TopicSelector, v1};
use tidelog_proto::batch::{ProducerStamp, RecordBatch};
use tidelog_proto::ids::PartitionId;
use tokio::time::Instant;

use super::ack_order::{AckOrder, Ticket};
use crate::hosted_partition::HostedPartition;
use crate::in_flight::BytesInFlight;

/// What waits and what is on its way.
#[derive(Debug)]
pub(super) struct Lane {
    /// As the client called it first.
    topic: TopicSelector,
    partition: Arc<HostedPartition>,
    /// Batches that were not handed to the log yet, in order.
    waiting: VecDeque<(Ticket, Job)>,
    /// One is being handed to the log now. Never two, or they could overtake each other.
    is_appending: bool,
    /// `None` as an answer: its client wants none.
    acks: AckOrder<Option<v1::ProduceAck>>,
}

/// One batch of a request.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) about: About,
    /// What is to be appended, or why it is refused already.
    pub(super) work: Result<RecordBatch, Box<v1::Error>>,
    pub(super) partition: Arc<HostedPartition>,
    /// Given back when the batch was answered.
    pub(super) bytes: BytesInFlight,
}

/// Whose batch it is.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) correlation_id: u64,
    pub(super) acks: Acks,
    pub(super) deadline: Instant,
    /// As the client calls it.
    pub(super) topic: TopicSelector,
    pub(super) partition: PartitionId,
    pub(super) stamp: Option<ProducerStamp>,
}

impl Lane {
    pub(super) fn new(topic: TopicSelector, partition: Arc<HostedPartition>) -> Self {
        Self { topic, partition, waiting: VecDeque::new(), is_appending: false, acks: AckOrder::default() }
    }

    /// Gives the partition, which may have left the broker since.
    pub(super) fn partition(&self) -> &Arc<HostedPartition> {
        &self.partition
    }

    /// Tells whether a batch of this partition belongs behind those that are here.
    pub(super) fn is_of(&self, topic: &TopicSelector, partition: PartitionId) -> bool {
        let identity = self.partition.log().identity();
        let is_topic = match topic {
            TopicSelector::Id(id) => *id == identity.topic_id,
            TopicSelector::Name(_) => *topic == self.topic,
        };
        is_topic && partition == identity.partition
    }

    /// Takes a batch behind all that came before.
    pub(super) fn accept(&mut self, job: Job) {
        let ticket = self.acks.push();
        self.waiting.push_back((ticket, job));
    }

    /// Gives the batch whose turn it is, unless one is being handed to the log.
    pub(super) fn next(&mut self) -> Option<(Ticket, Job)> {
        if self.is_appending {
            return None;
        }
        self.waiting.pop_front()
    }

    /// Notes that the batch that [`Lane::next`] gave is being handed to the log.
    pub(super) fn begin_append(&mut self) {
        debug_assert!(!self.is_appending, "one batch at a time");
        self.is_appending = true;
    }

    /// Notes that the log has it, or refused it: the next one's turn has come.
    pub(super) fn end_append(&mut self) {
        self.is_appending = false;
    }

    /// Notes what became of a batch.
    pub(super) fn settle(&mut self, ticket: Ticket, ack: Option<v1::ProduceAck>) {
        self.acks.settle(ticket, ack);
    }

    /// Takes the acks that may leave.
    pub(super) fn ready(&mut self) -> impl Iterator<Item = v1::ProduceAck> {
        std::iter::from_fn(|| self.acks.pop()).flatten()
    }

    /// Tells whether every batch was answered.
    pub(super) fn is_done(&self) -> bool {
        self.acks.is_empty()
    }
}
