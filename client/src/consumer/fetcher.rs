//! Decides what a consumer reads from whom, and in which order the application is given it. Pure: a shell moves what it
//! says.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tidelog_proto::api::{IsolationLevel, Position};
use tidelog_proto::batch::{BatchError, RecordBatch};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{Offset, TopicName};

use super::OutOfRange;
use super::assignment::{Assignment, Phase, Ready, Slot, offset_of};
use super::credit::{Credit, StreamId};
use super::fetch_step::{FetchNews, FetchStep, FetchStreams, Stale, Taken};
use crate::ConsumeError;
use crate::backoff::Backoff;

/// How a consumer reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchSettings {
    pub(super) buffer_bytes: u32,
    pub(super) isolation: IsolationLevel,
    pub(super) out_of_range: OutOfRange,
    pub(super) backoff: Backoff,
    /// After how long without an answer to `open` a stream counts as stuck.
    pub(super) open_timeout: Duration,
}

/// What the application is given next.
#[derive(Debug)]
pub(super) enum Popped {
    Batch { slot: Slot, batch: RecordBatch, from: Offset, end: Option<Offset> },
    Failed(ConsumeError),
}

/// All partitions of a consumer.
#[derive(Debug)]
pub(super) struct Fetcher {
    settings: FetchSettings,
    assignments: Vec<Assignment>,
    credit: Credit,
    /// Whose data each fetch id stands for, while it is open and wanted.
    by_fetch_id: HashMap<u32, Slot>,
    next_fetch_id: u32,
    /// What is no longer wanted but open at a broker.
    to_close: Vec<(StreamId, u32)>,
    /// Whose turn it is to be given to the application.
    turn: usize,
}

impl Fetcher {
    pub(super) fn new(settings: FetchSettings, assignments: Vec<Assignment>) -> Self {
        Self {
            settings,
            assignments,
            credit: Credit::new(settings.buffer_bytes),
            by_fetch_id: HashMap::new(),
            next_fetch_id: 0,
            to_close: Vec::new(),
            turn: 0,
        }
    }

    /// Finds an assigned partition.
    pub(super) fn slot(&self, topic: &str, partition: u32) -> Option<Slot> {
        let is_it = |it: &Assignment| it.topic.as_str() == topic && it.partition.get() == partition;
        self.assignments.iter().position(is_it).map(Slot)
    }

    pub(super) fn assignment(&self, slot: Slot) -> &Assignment {
        &self.assignments[slot.0]
    }

    /// Tells whether nothing more comes unless the application seeks.
    pub(super) fn is_finished(&self) -> bool {
        self.assignments.iter().all(Assignment::is_finished)
    }

    /// Tells whether the brokers should be granted more.
    pub(super) fn has_grants(&self) -> bool {
        self.credit.has_grants()
    }

    /// Returns what is buffered.
    #[cfg(test)]
    pub(super) fn buffered_bytes(&self) -> i64 {
        self.credit.buffered_bytes()
    }

    /// Says what is to be sent now, and what else is to be done.
    pub(super) fn step(&mut self, now: Duration, spread: f64, streams: &mut impl FetchStreams) -> FetchStep {
        let mut step = FetchStep::default();
        let (closing, kept) =
            self.to_close.drain(..).partition(|(stream, _)| self.credit.is_open(*stream) && streams.has_room(*stream));
        self.to_close = kept;
        let closing: Vec<(StreamId, u32)> = closing;
        self.to_close.retain(|(stream, _)| self.credit.is_open(*stream));
        for (stream, fetch_id) in closing {
            step.close(stream, fetch_id);
        }
        for place in 0..self.assignments.len() {
            self.step_partition(Slot(place), now, spread, streams, &mut step);
        }
        self.end_idle_streams(&mut step);
        self.credit.set_shares(streams.broker_count().min(self.assignments.len()));
        for stream in self.credit.streams().collect::<Vec<_>>() {
            let is_sending = step.requests.contains_key(&stream);
            if (is_sending || streams.has_room(stream))
                && let Some(bytes) = self.credit.grant(stream)
            {
                step.requests.entry(stream).or_default().credit_bytes = bytes;
            }
        }
        step
    }

    /// Gives up the streams that no partition is read on.
    fn end_idle_streams(&mut self, step: &mut FetchStep) {
        let read_on = |it: &Assignment| match it.phase {
            Phase::Open { stream, .. } => Some(stream),
            Phase::Closed | Phase::Finished | Phase::Failed => None,
        };
        let used: BTreeSet<StreamId> = self.assignments.iter().filter_map(read_on).collect();
        step.idle = self.credit.streams().filter(|stream| !used.contains(stream)).collect();
        for stream in &step.idle {
            self.credit.close(*stream);
            step.requests.remove(stream);
        }
        self.to_close.retain(|(stream, _)| !step.idle.contains(stream));
    }

    fn step_partition(
        &mut self,
        slot: Slot,
        now: Duration,
        spread: f64,
        streams: &mut impl FetchStreams,
        step: &mut FetchStep,
    ) {
        let settings = self.settings;
        let assignment = &mut self.assignments[slot.0];
        match assignment.phase {
            Phase::Finished | Phase::Failed => {}
            Phase::Closed if assignment.is_paused => {}
            Phase::Closed if assignment.is_past_end() => assignment.phase = Phase::Finished,
            Phase::Closed if assignment.retry_at > now => step.wake_at(assignment.retry_at),
            Phase::Closed => self.open(slot, now, spread, streams, step),
            Phase::Open { stream, fetch_id, is_confirmed, sent_at, must_seek } => {
                if must_seek && streams.has_room(stream) {
                    step.seek(stream, fetch_id, assignment);
                    assignment.phase =
                        Phase::Open { stream, fetch_id, is_confirmed: false, sent_at: now, must_seek: false };
                } else if !is_confirmed && sent_at + settings.open_timeout <= now {
                    step.stuck.insert(stream);
                } else if !is_confirmed {
                    step.wake_at(sent_at + settings.open_timeout);
                }
            }
        }
    }

    fn open(&mut self, slot: Slot, now: Duration, spread: f64, streams: &mut impl FetchStreams, step: &mut FetchStep) {
        let assignment = &mut self.assignments[slot.0];
        let Some(route) = streams.route(&assignment.topic, assignment.partition) else {
            step.unrouted.insert(TopicName::clone(&assignment.topic));
            assignment.failures = assignment.failures.saturating_add(1);
            assignment.retry_at = now + self.settings.backoff.delay(assignment.failures, spread);
            return step.wake_at(assignment.retry_at);
        };
        if assignment.topic_id.is_some_and(|id| id != route.topic_id) {
            let (topic, partition) = (TopicName::clone(&assignment.topic), assignment.partition);
            assignment.ready.push_back(Ready::Failed(ConsumeError::TopicRecreated { topic, partition }));
            assignment.phase = Phase::Failed;
            return;
        }
        let Some(stream) = streams.stream(&route) else { return };
        self.credit.open(stream);
        let fetch_id = self.next_fetch_id;
        self.next_fetch_id = self.next_fetch_id.wrapping_add(1);
        self.by_fetch_id.insert(fetch_id, slot);
        assignment.topic_id = Some(route.topic_id);
        assignment.phase = Phase::Open { stream, fetch_id, is_confirmed: false, sent_at: now, must_seek: false };
        step.open(stream, fetch_id, assignment, route.topic_id, self.settings.isolation);
    }

    /// Takes what a broker says of a partition. Tells whether a step should follow, and the partition if what is known of
    /// its leader is out of date.
    pub(super) fn take(
        &mut self,
        stream: StreamId,
        fetch_id: u32,
        generation: u32,
        news: FetchNews,
        now: Duration,
        spread: f64,
    ) -> Taken {
        if let FetchNews::Batches { bytes, .. } = &news {
            self.credit.pushed(stream, *bytes);
        }
        let slot = self.by_fetch_id.get(&fetch_id).copied();
        let Some(slot) = slot.filter(|slot| self.is_open_at(*slot, stream, fetch_id)) else {
            return Taken { needs_step: true, stale: None };
        };
        let is_current = self.assignments[slot.0].generation == generation;
        match news {
            FetchNews::Opened { position, high_watermark } => {
                if is_current {
                    self.opened(slot, position, high_watermark);
                }
                Taken { needs_step: false, stale: None }
            }
            FetchNews::Batches { batches, high_watermark, .. } => {
                if is_current {
                    self.batches(slot, stream, batches, high_watermark);
                }
                Taken { needs_step: true, stale: None }
            }
            FetchNews::EndReached | FetchNews::ClosedAsAsked | FetchNews::Failed(_) => {
                self.by_fetch_id.remove(&fetch_id);
                self.assignments[slot.0].phase = Phase::Closed;
                let stale = if is_current { self.closed(slot, news, now, spread) } else { None };
                Taken { needs_step: true, stale }
            }
        }
    }

    fn is_open_at(&self, slot: Slot, at: StreamId, id: u32) -> bool {
        let phase = self.assignments[slot.0].phase;
        matches!(phase, Phase::Open { stream, fetch_id, .. } if stream == at && fetch_id == id)
    }

    fn opened(&mut self, slot: Slot, position: Offset, high_watermark: Offset) {
        let assignment = &mut self.assignments[slot.0];
        if let Phase::Open { is_confirmed, .. } = &mut assignment.phase {
            *is_confirmed = true;
        }
        // A position by name or time is one place from now on, also if the stream breaks before the first record.
        if offset_of(assignment.next).is_none() {
            assignment.next = Position::Offset(position);
            if assignment.ready.is_empty() {
                assignment.position = Some(position);
            }
        }
        assignment.failures = 0;
        assignment.high_watermark = Some(high_watermark);
    }

    fn batches(
        &mut self,
        slot: Slot,
        stream: StreamId,
        batches: Vec<Result<RecordBatch, BatchError>>,
        high_watermark: Offset,
    ) {
        self.assignments[slot.0].high_watermark = Some(high_watermark);
        for batch in batches {
            let assignment = &mut self.assignments[slot.0];
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return self.corrupt(slot, error),
            };
            let bytes = batch.bytes().len();
            if assignment.take(batch, stream) {
                self.credit.keep(stream, bytes);
            }
            if assignment.is_past_end() {
                self.stop(slot, Phase::Finished);
                return;
            }
        }
    }

    /// Stops a partition because of a damaged batch.
    fn corrupt(&mut self, slot: Slot, error: BatchError) {
        self.stop(slot, Phase::Failed);
        let assignment = &mut self.assignments[slot.0];
        let (topic, partition) = (TopicName::clone(&assignment.topic), assignment.partition);
        let position = offset_of(assignment.next);
        assignment.ready.push_back(Ready::Failed(ConsumeError::Corrupt { topic, partition, position, error }));
    }

    /// Stops reading a partition at its broker.
    fn stop(&mut self, slot: Slot, phase: Phase) {
        let before = std::mem::replace(&mut self.assignments[slot.0].phase, phase);
        if let Phase::Open { stream, fetch_id, .. } = before {
            self.by_fetch_id.remove(&fetch_id);
            self.to_close.push((stream, fetch_id));
        }
    }

    /// Decides about a partition that the broker has closed; returns it if what is known of its leader is out of date.
    fn closed(&mut self, slot: Slot, news: FetchNews, now: Duration, spread: f64) -> Option<Stale> {
        let settings = self.settings;
        let assignment = &mut self.assignments[slot.0];
        let error = match news {
            FetchNews::EndReached => {
                assignment.phase = Phase::Finished;
                return None;
            }
            FetchNews::Failed(error) => error,
            // A close that nobody asked for: it is opened again.
            FetchNews::ClosedAsAsked | FetchNews::Opened { .. } | FetchNews::Batches { .. } => return None,
        };
        let (topic, partition) = (TopicName::clone(&assignment.topic), assignment.partition);
        assignment.failures = assignment.failures.saturating_add(1);
        let delay = settings.backoff.delay_as_asked(error.retry_after, assignment.failures, spread);
        assignment.retry_at = now + delay;
        if error.code == Some(ErrorCode::OffsetOutOfRange) {
            match settings.out_of_range {
                OutOfRange::Earliest => assignment.next = Position::Earliest,
                OutOfRange::Latest => assignment.next = Position::Latest,
                OutOfRange::Error => {
                    let position = offset_of(assignment.next);
                    let range = error.offset_range();
                    let failure = ConsumeError::OffsetOutOfRange { topic, partition, position, range };
                    assignment.ready.push_back(Ready::Failed(failure));
                    assignment.phase = Phase::Failed;
                }
            }
            return None;
        }
        if error.is_retriable() {
            return error.is_stale_metadata().then_some(Stale { topic, partition, error });
        }
        assignment.ready.push_back(Ready::Failed(ConsumeError::Refused { topic, partition, error }));
        assignment.phase = Phase::Failed;
        None
    }

    /// Takes note that a stream is gone; returns the topics that were read on it. They go on behind what is buffered.
    pub(super) fn stream_lost(&mut self, lost: StreamId, now: Duration, spread: f64) -> BTreeSet<TopicName> {
        self.credit.close(lost);
        self.to_close.retain(|(stream, _)| *stream != lost);
        let mut topics = BTreeSet::new();
        for assignment in &mut self.assignments {
            if let Phase::Open { stream, fetch_id, .. } = assignment.phase
                && stream == lost
            {
                self.by_fetch_id.remove(&fetch_id);
                assignment.phase = Phase::Closed;
                assignment.failures = assignment.failures.saturating_add(1);
                assignment.retry_at = now + self.settings.backoff.delay(assignment.failures, spread);
                topics.insert(TopicName::clone(&assignment.topic));
            }
        }
        topics
    }

    /// Takes what the application is given next, the partitions in turn; `None` if nothing is there now.
    pub(super) fn pop(&mut self) -> Option<Popped> {
        let count = self.assignments.len();
        let places = (0..count).map(|step| (self.turn + step) % count.max(1));
        let is_ready = |place: &usize| {
            let assignment = &self.assignments[*place];
            !assignment.is_paused && !assignment.ready.is_empty()
        };
        let place = places.into_iter().find(is_ready)?;
        self.turn = place + 1;
        let assignment = &mut self.assignments[place];
        match assignment.ready.pop_front()? {
            Ready::Failed(error) => Some(Popped::Failed(error)),
            Ready::Batch { batch, from, stream } => {
                self.credit.release(stream, batch.bytes().len());
                let next = batch.header().next_offset();
                let end = assignment.end;
                assignment.position = Some(end.map_or(next, |end| next.min(end)));
                // Control and empty batches behind this one were passed over when they came.
                if assignment.ready.is_empty()
                    && end.is_none()
                    && let Some(next) = offset_of(assignment.next)
                {
                    assignment.position = Some(next);
                }
                Some(Popped::Batch { slot: Slot(place), batch, from, end })
            }
        }
    }

    /// Drops everything that is buffered of a partition.
    fn drop_ready(&mut self, slot: Slot) {
        for ready in std::mem::take(&mut self.assignments[slot.0].ready) {
            if let Ready::Batch { batch, stream, .. } = ready {
                self.credit.release(stream, batch.bytes().len());
            }
        }
    }

    /// Moves a partition to another position.
    pub(super) fn seek(&mut self, slot: Slot, to: Position) {
        self.drop_ready(slot);
        self.assignments[slot.0].seek(to);
    }

    /// Stops reading a partition at `at`, the next offset that the application wants, if it is in the middle of a batch.
    pub(super) fn pause(&mut self, slot: Slot, at: Option<Offset>) {
        let has_batches = self.assignments[slot.0].ready.iter().any(|ready| matches!(ready, Ready::Batch { .. }));
        let is_failed = self.assignments[slot.0].phase == Phase::Failed;
        self.assignments[slot.0].is_paused = true;
        if is_failed && at.is_none() && !has_batches {
            return;
        }
        // Nothing of it stays buffered, or a long pause would take the credit of the others.
        self.drop_ready(slot);
        self.stop(slot, Phase::Closed);
        let assignment = &mut self.assignments[slot.0];
        assignment.position = at.or(assignment.position);
        if let Some(position) = assignment.position {
            assignment.next = Position::Offset(position);
        }
    }

    /// Goes on where a pause began.
    pub(super) fn resume(&mut self, slot: Slot) {
        self.assignments[slot.0].is_paused = false;
    }

    /// Stops a partition at a batch that the application could not be given: it cannot be decoded.
    pub(super) fn undecodable(&mut self, slot: Slot, at: Offset, error: BatchError) -> ConsumeError {
        self.drop_ready(slot);
        self.stop(slot, Phase::Failed);
        let assignment = &mut self.assignments[slot.0];
        assignment.next = Position::Offset(at);
        assignment.position = Some(at);
        let (topic, partition) = (TopicName::clone(&assignment.topic), assignment.partition);
        ConsumeError::Corrupt { topic, partition, position: Some(at), error }
    }

    /// Returns the topic of a partition, to be shared by its records.
    pub(super) fn topic(&self, slot: Slot) -> Arc<TopicName> {
        Arc::clone(&self.assignments[slot.0].topic)
    }
}
