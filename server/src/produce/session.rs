//! One `Produce` stream.
//!
//! The session is driven by whoever reads its responses: nothing runs on its own, so a client that takes no acks is held back
//! like one that sends too much, and a stream without traffic costs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tidelog_log::LogIdentity;
use tidelog_proto::api::{Acks, TopicSelector, v1};
use tidelog_proto::batch::TimestampType;
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::PartitionId;
use tidelog_raft::{AppendedBatch, Pending, ProduceError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use super::ack_order::Ticket;
use super::admission::{self, Refusal};
use super::failed_producers::{FailedProducers, TooManyProducers};
use super::lane::{About, Job, Lane};
use crate::assembly::Assembly;
use crate::data_path::{DataPath, ended};
use crate::hosted_partition::HostedPartition;
use crate::in_flight::{BytesInFlight, InFlightBudget, batch_cost};
use crate::metrics::OpenStream;
use crate::reply_error;

/// Acks of one response: what is ready at once, but a small message even where all are errors.
const ACKS_PER_RESPONSE_MAX: usize = 1024;

/// One stream: what was read from it and not answered yet.
pub(super) struct ProduceSession<R> {
    path: Arc<DataPath>,
    budget: InFlightBudget,
    /// Of the request that was read last, until it has its share of the budgets.
    assembly: Arc<Assembly>,
    requests: R,
    /// More may come: the client has not closed its side, the broker does not end.
    is_reading: bool,
    ending: watch::Receiver<bool>,
    /// A request that waits for the budgets. While there is one, nothing more is read.
    admitting: Option<BoxFuture<'static, (v1::ProduceRequest, BytesInFlight)>>,
    lanes: BTreeMap<LogIdentity, Lane>,
    /// Appends and commits that are waited for: at most one append of each lane, and as many commits as batches are in flight.
    steps: FuturesUnordered<BoxFuture<'static, Step>>,
    failed: FailedProducers,
    ready: Vec<v1::ProduceAck>,
    _counted: OpenStream,
}

/// Something that was waited for has happened.
enum Step {
    /// The log has a batch, or will never have it.
    Appended(InLane, Result<Pending, Refusal>),
    /// A batch is committed, or was refused after all, or its time is over.
    Completed(InLane, Result<AppendedBatch, Refusal>),
}

/// A batch and its place.
struct InLane {
    key: LogIdentity,
    ticket: Ticket,
    about: About,
    partition: Arc<HostedPartition>,
    /// Given back with the answer.
    _bytes: BytesInFlight,
}

impl<R> ProduceSession<R>
where
    R: Stream<Item = Result<v1::ProduceRequest, Status>> + Send + Unpin + 'static,
{
    pub(super) fn new(path: Arc<DataPath>, budget: InFlightBudget, assembly: Arc<Assembly>, requests: R) -> Self {
        let (ending, counted) = (path.ending(), path.metrics.stream("Produce"));
        Self {
            path,
            budget,
            assembly,
            requests,
            is_reading: true,
            ending,
            admitting: None,
            lanes: BTreeMap::new(),
            steps: FuturesUnordered::new(),
            failed: FailedProducers::default(),
            ready: Vec::new(),
            _counted: counted,
        }
    }

    /// Runs the session.
    pub(super) fn responses(self) -> impl Stream<Item = Result<v1::ProduceResponse, Status>> + Send {
        stream::unfold(Some(self), |session| async move {
            let mut session = session?;
            let response = session.next_response().await?;
            // After an error the call is over.
            let session = response.is_ok().then_some(session);
            Some((response, session))
        })
    }

    async fn next_response(&mut self) -> Option<Result<v1::ProduceResponse, Status>> {
        loop {
            if !self.ready.is_empty() {
                let count = self.ready.len().min(ACKS_PER_RESPONSE_MAX);
                let acks = self.ready.drain(..count).collect();
                return Some(Ok(v1::ProduceResponse { acks }));
            }
            if !self.is_reading && self.admitting.is_none() && self.steps.is_empty() {
                let is_ending = *self.ending.borrow();
                return is_ending.then(|| Err(reply_error::shutting_down()));
            }
            let handled = tokio::select! {
                Some(step) = self.steps.next(), if !self.steps.is_empty() => self.steps_done(step),
                (request, bytes) = waiting(&mut self.admitting), if self.admitting.is_some() => {
                    self.admitting = None;
                    self.assembly.end();
                    self.take(request, bytes)
                }
                request = self.requests.next(), if self.is_reading && self.admitting.is_none() => match request {
                    Some(Ok(request)) => self.begin_admission(request),
                    Some(Err(status)) => Err(status),
                    None => {
                        self.is_reading = false;
                        Ok(())
                    }
                },
                () = ended(&mut self.ending), if self.is_reading => {
                    self.is_reading = false;
                    Ok(())
                }
            };
            if let Err(status) = handled {
                return Some(Err(status));
            }
        }
    }

    /// Checks what concerns the whole request, and queues it for the budgets.
    fn begin_admission(&mut self, request: v1::ProduceRequest) -> Result<(), Status> {
        Acks::from_field(request.acks).map_err(|error| reply_error::refused_field(error, ""))?;
        let costs = request.batches.iter().map(|batch| batch_cost(batch.record_batch.len()));
        let bytes = costs.fold(0, u32::saturating_add);
        if bytes > 0 {
            let budget = self.budget.clone();
            self.admitting = Some(async move { (request, budget.acquire(bytes).await) }.boxed());
        } else {
            self.assembly.end();
        }
        Ok(())
    }

    fn take(&mut self, request: v1::ProduceRequest, mut bytes: BytesInFlight) -> Result<(), Status> {
        let acks = Acks::from_field(request.acks).map_err(|error| reply_error::refused_field(error, ""))?;
        let timeout = request.timeout_ms.map_or(Duration::MAX, |ms| Duration::from_millis(ms.into()));
        let deadline = Instant::now() + timeout.min(self.path.config.request_timeout);
        for (place, batch) in request.batches.into_iter().enumerate() {
            let bytes = bytes.split(batch_cost(batch.record_batch.len()));
            self.take_batch(place, batch, acks, deadline, bytes)?;
        }
        Ok(())
    }

    fn take_batch(
        &mut self,
        place: usize,
        batch: v1::ProduceBatch,
        acks: Acks,
        deadline: Instant,
        bytes: BytesInFlight,
    ) -> Result<(), Status> {
        let correlation_id = batch.correlation_id;
        let topic = match TopicSelector::from_field(batch.topic.as_ref()) {
            Ok(topic) => topic,
            Err(error) => {
                let error = error.into_error(&format!("batches[{place}]"));
                self.ready.push(refused(correlation_id, error));
                return Ok(());
            }
        };
        let partition = PartitionId::new(batch.partition);
        let parsed = admission::parse(batch.record_batch);
        let stamp = parsed.as_ref().ok().and_then(|batch| batch.header().producer());
        let about = About { correlation_id, acks, deadline, topic, partition, stamp };

        let topology = self.path.table.snapshot();
        let found = topology.topic(&about.topic).and_then(|topic| {
            let hosted = topology.partition(&about.topic, partition)?;
            Ok((topic.is_internal, Arc::clone(hosted)))
        });
        let (is_internal, hosted) = match found {
            Ok(found) => found,
            Err(error) => {
                let error = reply_error::lookup_error(&topology, &error);
                return self.refuse(about, error, bytes);
            }
        };
        let work = match parsed {
            _ if is_internal => {
                let message = "the topic belongs to the brokers: clients only read it";
                Err(Box::new(v1::Error::new(ErrorCode::InvalidTopic, message)))
            }
            Ok(batch) => Ok(batch),
            Err(refusal) => Err(Box::new(refusal.to_error(&self.path, &hosted, stamp))),
        };
        let key = hosted.log().identity();
        let new_lane = || Lane::new(about.topic.clone(), Arc::clone(&hosted));
        let lane = self.lanes.entry(key).or_insert_with(new_lane);
        lane.accept(Job { about, work, partition: hosted, bytes });
        self.start_next(key)
    }

    /// Answers a batch of a partition that is not here: at once, or behind those from when it was.
    fn refuse(&mut self, about: About, error: v1::Error, bytes: BytesInFlight) -> Result<(), Status> {
        let mut lanes = self.lanes.iter_mut();
        if let Some((key, lane)) = lanes.find(|(_, lane)| lane.is_of(&about.topic, about.partition)) {
            let (key, partition) = (*key, Arc::clone(lane.partition()));
            lane.accept(Job { about, work: Err(Box::new(error)), partition, bytes });
            return self.start_next(key);
        }
        self.note_failure(&about)?;
        self.path.metrics.batch_refused(&error);
        self.ready.push(refused(about.correlation_id, error));
        Ok(())
    }

    /// Hands the next batches of a lane to its log.
    fn start_next(&mut self, key: LogIdentity) -> Result<(), Status> {
        while let Some((ticket, job)) = self.lanes.get_mut(&key).and_then(Lane::next) {
            let Job { about, work, partition, bytes } = job;
            let is_behind = self.failed.is_behind(&about.topic, about.partition, about.stamp);
            let work = work.and_then(|batch| {
                let behind = Refusal::Log(ProduceError::Behind);
                if is_behind { Err(Box::new(behind.to_error(&self.path, &partition, about.stamp))) } else { Ok(batch) }
            });
            let place = InLane { key, ticket, about, partition, _bytes: bytes };
            match work {
                Err(error) => self.settle_refused(&place, *error)?,
                Ok(batch) => {
                    let path = Arc::clone(&self.path);
                    let append = async move {
                        let append = admission::append(&path, &place.partition, batch);
                        let appended = timeout_at(place.about.deadline, append).await;
                        Step::Appended(place, appended.unwrap_or(Err(Refusal::OutOfTime)))
                    };
                    if let Some(lane) = self.lanes.get_mut(&key) {
                        lane.begin_append();
                    }
                    self.steps.push(append.boxed());
                }
            }
        }
        self.emit(key);
        Ok(())
    }

    /// Does what follows from a step, and from all others that are done by now: their acks leave together.
    fn steps_done(&mut self, first: Step) -> Result<(), Status> {
        self.step_done(first)?;
        while self.ready.len() < ACKS_PER_RESPONSE_MAX {
            let Some(Some(step)) = self.steps.next().now_or_never() else { break };
            self.step_done(step)?;
        }
        Ok(())
    }

    fn step_done(&mut self, step: Step) -> Result<(), Status> {
        match step {
            Step::Appended(place, appended) => {
                let key = place.key;
                if let Some(lane) = self.lanes.get_mut(&key) {
                    lane.end_append();
                }
                match appended {
                    Ok(pending) => self.wait_for_commit(place, pending),
                    Err(refusal) => {
                        let error = refusal.to_error(&self.path, &place.partition, place.about.stamp);
                        self.settle_refused(&place, error)?;
                    }
                }
                self.start_next(key)
            }
            Step::Completed(place, completed) => {
                match completed {
                    Ok(appended) => self.settle_appended(&place, appended),
                    // Not refused: it may still be appended, and those behind it are not concerned.
                    Err(Refusal::OutOfTime) => {
                        let error = Refusal::OutOfTime.to_error(&self.path, &place.partition, place.about.stamp);
                        self.settle(&place, Some(refused(place.about.correlation_id, error)));
                    }
                    Err(refusal) => {
                        let error = refusal.to_error(&self.path, &place.partition, place.about.stamp);
                        self.settle_refused(&place, error)?;
                    }
                }
                self.emit(place.key);
                Ok(())
            }
        }
    }

    fn wait_for_commit(&mut self, place: InLane, pending: Pending) {
        let commit = async move {
            let completed = match timeout_at(place.about.deadline, pending).await {
                Ok(completed) => completed.map_err(Refusal::Log),
                Err(_) => Err(Refusal::OutOfTime),
            };
            Step::Completed(place, completed)
        };
        self.steps.push(commit.boxed());
    }

    fn settle_appended(&mut self, place: &InLane, batch: AppendedBatch) {
        self.failed.forget(&place.about.topic, place.about.partition, place.about.stamp);
        self.path.metrics.batch_appended();
        let ack = match place.about.acks {
            Acks::None => None,
            // What is waited for is the commit, which is more than the leader's sync.
            Acks::Leader | Acks::All => Some(appended(&place.partition, place.about.correlation_id, batch)),
        };
        self.settle(place, ack);
    }

    fn settle_refused(&mut self, place: &InLane, error: v1::Error) -> Result<(), Status> {
        self.note_failure(&place.about)?;
        self.path.metrics.batch_refused(&error);
        self.settle(place, Some(refused(place.about.correlation_id, error)));
        Ok(())
    }

    fn settle(&mut self, place: &InLane, ack: Option<v1::ProduceAck>) {
        if let Some(lane) = self.lanes.get_mut(&place.key) {
            lane.settle(place.ticket, ack);
        }
    }

    fn note_failure(&mut self, about: &About) -> Result<(), Status> {
        let noted = self.failed.note(&about.topic, about.partition, about.stamp);
        noted.map_err(|TooManyProducers| {
            let allowed = FailedProducers::PRODUCERS_MAX as u64;
            let limit = reply_error::limit("failed_producers_max", allowed, None, false);
            reply_error::passed_limit("the stream has failed batches of too many producers", limit)
        })
    }

    /// Moves the acks of a lane that may leave to the next response, and forgets a lane that is done.
    fn emit(&mut self, key: LogIdentity) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            self.ready.extend(lane.ready());
            if lane.is_done() {
                self.lanes.remove(&key);
            }
        }
    }
}

/// Waits for what is there, and never ends where nothing is.
async fn waiting<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

fn refused(correlation_id: u64, error: v1::Error) -> v1::ProduceAck {
    v1::ProduceAck { correlation_id, result: Some(v1::produce_ack::Result::Error(Box::new(error))) }
}

fn appended(partition: &HostedPartition, correlation_id: u64, batch: AppendedBatch) -> v1::ProduceAck {
    let appended = v1::AppendedBatch {
        base_offset: batch.base_offset.get(),
        acks_reached: v1::Acks::All.into(),
        log_append_time_ms: log_append_time_ms(partition, batch),
        log_start_offset: partition.log().reader().log_start_offset().get(),
        duplicate: batch.is_duplicate,
    };
    v1::ProduceAck { correlation_id, result: Some(v1::produce_ack::Result::Appended(appended)) }
}

/// Reads the time that the leader gave a batch from the log, where the leader gives one.
pub(crate) fn log_append_time_ms(partition: &HostedPartition, appended: AppendedBatch) -> Option<i64> {
    if partition.settings().timestamp_type != TimestampType::LogAppendTime {
        return None;
    }
    let read = partition.log().reader().read(appended.base_offset, appended.base_offset.next(), 1).ok()?;
    let batch = read.batches.first()?;
    let header = batch.header();
    let is_stamped = header.attributes().timestamp_type() == TimestampType::LogAppendTime;
    is_stamped.then(|| header.max_timestamp())
}
