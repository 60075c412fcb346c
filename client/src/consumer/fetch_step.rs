//! What goes between a fetcher and its surroundings: questions, news, and what is to be done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidelog_proto::api::{IsolationLevel, TopicSelector, v1};
use tidelog_proto::batch::{BatchError, RecordBatch};
use tidelog_proto::ids::{Offset, PartitionId, TopicId, TopicName};

use super::assignment::Assignment;
use super::credit::StreamId;
use crate::BrokerError;
use crate::metadata::Route;

/// What a fetcher asks of its surroundings while it decides.
pub(super) trait FetchStreams {
    /// Tells where a partition is read now, if that is known.
    fn route(&self, topic: &TopicName, partition: PartitionId) -> Option<Route>;

    /// Returns the stream to the broker of a route if it can take one more request; opens one if there is none.
    fn stream(&mut self, route: &Route) -> Option<StreamId>;

    /// Tells whether a stream can take one more request.
    fn has_room(&self, stream: StreamId) -> bool;

    /// Returns how many brokers there are.
    fn broker_count(&self) -> usize;
}

/// What a broker says of a partition, decoded.
#[derive(Debug)]
pub(super) enum FetchNews {
    Opened { position: Offset, high_watermark: Offset },
    Batches { batches: Vec<Result<RecordBatch, BatchError>>, high_watermark: Offset, bytes: usize },
    EndReached,
    ClosedAsAsked,
    Failed(BrokerError),
}

/// What is to be done after a step.
#[derive(Debug, Default)]
pub(super) struct FetchStep {
    /// One request for each of these streams.
    pub(super) requests: BTreeMap<StreamId, v1::FetchRequest>,
    /// Topics of which a leader is missing.
    pub(super) unrouted: BTreeSet<TopicName>,
    /// Streams that have been silent for too long.
    pub(super) stuck: BTreeSet<StreamId>,
    /// Streams on which nothing is read any more: to be ended, with their credit.
    pub(super) idle: BTreeSet<StreamId>,
    /// When something is to be done, if nothing happens before.
    pub(super) wakes_at: Option<Duration>,
}

/// What came of news.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) needs_step: bool,
    pub(super) stale: Option<Stale>,
}

/// A partition whose leader is another than was known.
#[derive(Debug)]
pub(super) struct Stale {
    pub(super) topic: TopicName,
    pub(super) partition: PartitionId,
    pub(super) error: BrokerError,
}

impl FetchStep {
    /// Asks for another step at `at`, or before.
    pub(super) fn wake_at(&mut self, at: Duration) {
        self.wakes_at = Some(self.wakes_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Adds the command that opens a partition where it stands.
    pub(super) fn open(
        &mut self,
        stream: StreamId,
        fetch_id: u32,
        assignment: &Assignment,
        topic_id: TopicId,
        isolation: IsolationLevel,
    ) {
        let open = v1::FetchOpen {
            topic: Some(v1::TopicRef::from(&TopicSelector::Id(topic_id))),
            partition: assignment.partition.get(),
            position: Some(assignment.next.into()),
            end_offset: assignment.end.map(Offset::get),
            isolation_level: v1::IsolationLevel::from(isolation).into(),
            generation: assignment.generation,
            paused: false,
        };
        self.push(stream, fetch_id, v1::fetch_command::Command::Open(open));
    }

    /// Adds the command that moves a partition to where it stands.
    pub(super) fn seek(&mut self, stream: StreamId, fetch_id: u32, assignment: &Assignment) {
        let seek = v1::FetchSeek {
            position: Some(assignment.next.into()),
            end_offset: assignment.end.map(Offset::get),
            generation: assignment.generation,
        };
        self.push(stream, fetch_id, v1::fetch_command::Command::Seek(seek));
    }

    /// Adds the command that closes a partition.
    pub(super) fn close(&mut self, stream: StreamId, fetch_id: u32) {
        self.push(stream, fetch_id, v1::fetch_command::Command::Close(v1::FetchClose {}));
    }

    fn push(&mut self, stream: StreamId, fetch_id: u32, command: v1::fetch_command::Command) {
        let request = self.requests.entry(stream).or_default();
        request.commands.push(v1::FetchCommand { fetch_id, command: Some(command) });
    }
}
