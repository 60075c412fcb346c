//! The task behind a producer: moves what the state machines say.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidelog_proto::api::{self, Acks, FieldError, v1};
use tidelog_proto::ids::{ProducerEpoch, ProducerId, TopicName};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use super::Gathering;
use super::accumulator::BatchNumber;
use super::delivery::Waiting;
use super::dispatch::{Dispatcher, Outgoing, SendSettings};
use super::produce_stream::{ProduceStreams, StreamEvent};
use super::window::{Appended, Completion, Moment, StreamId};
use crate::client::{Shared, Target};
use crate::connections::broker_stub;
use crate::metadata::Metadata;
use crate::{BrokerError, CallError, ProduceError};

/// Events of all streams that wait for the task; a stream with one more waits, and its broker with it.
const EVENTS_MAX: usize = 64;

/// How long the task sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// How soon leaders are asked for again while one is missing.
const UNROUTED_RETRY: Duration = Duration::from_millis(200);

/// What the handles ask for.
#[derive(Debug)]
pub(super) enum Command {
    /// Answer once everything that was taken so far is done.
    Flush(oneshot::Sender<()>),
    /// The same, and take no more.
    Close(oneshot::Sender<()>),
}

/// How an identity was given.
type Identity = Result<(ProducerId, ProducerEpoch), CallError>;

/// The task and all that only it touches.
pub(super) struct SenderTask {
    client: Arc<Shared>,
    gathering: Arc<Gathering>,
    dispatcher: Dispatcher<Waiting>,
    streams: ProduceStreams,
    events: mpsc::Receiver<StreamEvent>,
    commands: mpsc::Receiver<Command>,
    changes: watch::Receiver<Arc<Metadata>>,
    /// The answer to the question for an identity; `None` if there is no question.
    identity: Option<oneshot::Receiver<Identity>>,
    /// Who waits until every batch below a number is done, in the order of those numbers.
    flushes: VecDeque<(BatchNumber, oneshot::Sender<()>)>,
    /// Topics of which a leader was missing in this step.
    unrouted: BTreeSet<TopicName>,
    acks: Acks,
    request_timeout: Duration,
    is_closing: bool,
    /// Whether handles may still come with commands.
    has_handles: bool,
}

impl SenderTask {
    pub(super) fn new(
        client: Arc<Shared>,
        gathering: Arc<Gathering>,
        commands: mpsc::Receiver<Command>,
        settings: SendSettings,
        acks: Acks,
        request_timeout: Duration,
    ) -> Self {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let streams = ProduceStreams::new(Arc::clone(&client.connections), Arc::clone(&gathering), sender);
        Self {
            changes: client.metadata.changes(),
            client,
            gathering,
            dispatcher: Dispatcher::new(settings),
            streams,
            events,
            commands,
            identity: None,
            flushes: VecDeque::new(),
            unrouted: BTreeSet::new(),
            acks,
            request_timeout,
            is_closing: false,
            has_handles: true,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let due = self.step();
            if self.is_closing && self.is_done() {
                return;
            }
            let wakes_at = self.gathering.started + due.unwrap_or_else(|| self.gathering.now() + IDLE);
            let identity = async {
                match &mut self.identity {
                    Some(answer) => answer.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.gathering.wake.notified() => {}
                Some(event) = self.events.recv() => self.take_event(event),
                command = self.commands.recv(), if self.has_handles => self.take_command(command),
                answer = identity => self.take_identity(answer.unwrap_or(Err(CallError::Closed))),
                Ok(()) = self.changes.changed() => {}
                () = sleep_until(wakes_at) => {}
            }
            while let Ok(event) = self.events.try_recv() {
                self.take_event(event);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.dispatcher.oldest(&self.gathering.lock().accumulator).is_none()
    }

    /// Does everything that can be done now; returns when something is due.
    fn step(&mut self) -> Option<Duration> {
        self.streams.set_picture(Arc::clone(&self.changes.borrow_and_update()));
        // One moment for all of it: what is not due yet in one part must not count as done in another.
        let now = self.gathering.now();
        let expired = self.dispatcher.expire(&mut self.gathering.lock().accumulator, now);
        self.complete(expired);
        while self.send_round(now) {}
        let state = self.gathering.lock();
        let (mut unrouted, wants_identity) = self.dispatcher.wants(&state.accumulator, &self.streams);
        let due = self.dispatcher.wakes_at(&state.accumulator, now);
        let oldest = self.dispatcher.oldest(&state.accumulator);
        drop(state);
        let due = if self.unrouted.is_empty() && unrouted.is_empty() {
            due
        } else {
            unrouted.extend(std::mem::take(&mut self.unrouted));
            self.client.metadata.refresh_soon(unrouted.into_iter().collect());
            let again = now + UNROUTED_RETRY;
            Some(due.map_or(again, |due| due.min(again)))
        };
        if wants_identity {
            self.ask_for_identity();
        }
        while self.flushes.front().is_some_and(|(below, _)| oldest.is_none_or(|oldest| oldest >= *below)) {
            if let Some((_, reply)) = self.flushes.pop_front() {
                // Whoever waited may have gone.
                let _ = reply.send(());
            }
        }
        due
    }

    /// Sends what fits into one request for each stream; returns whether there may be more.
    fn send_round(&mut self, now: Duration) -> bool {
        let gathered = self.dispatcher.gather(&mut self.gathering.lock().accumulator, now, &self.streams);
        let mut done = Vec::new();
        for (slot, batch) in gathered {
            done.extend(self.dispatcher.encode(slot, batch));
        }
        let step = self.dispatcher.send(now, &mut self.streams);
        done.extend(step.completions);
        self.complete(done);
        // What a lost stream gives back may be sent at once, if its time has come before.
        let may_be_more = !step.requests.is_empty() || !step.stuck.is_empty();
        for (stream, batches) in step.requests {
            if !self.streams.send(stream, self.request(batches)) {
                let error = CallError::Unreachable { address: String::new(), reason: "the stream is gone".to_owned() };
                self.stream_lost(stream, &error);
            }
        }
        for stream in step.stuck {
            let error = CallError::TimedOut { address: String::new(), after: self.request_timeout };
            self.stream_lost(stream, &error);
        }
        self.unrouted.extend(step.unrouted);
        if step.wants_identity {
            self.ask_for_identity();
        }
        may_be_more
    }

    fn request(&self, batches: Vec<Outgoing>) -> v1::ProduceRequest {
        let batches = batches.into_iter().map(|batch| v1::ProduceBatch {
            correlation_id: batch.correlation,
            topic: Some(v1::TopicRef {
                by: Some(v1::topic_ref::By::Id(Bytes::copy_from_slice(batch.topic_id.as_bytes()))),
            }),
            partition: batch.partition.get(),
            record_batch: batch.record_batch,
        });
        v1::ProduceRequest {
            acks: v1::Acks::from(self.acks).into(),
            timeout_ms: Some(u32::try_from(self.request_timeout.as_millis()).unwrap_or(u32::MAX)),
            batches: batches.collect(),
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: self.gathering.now(), spread: fastrand::f64() }
    }

    fn take_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Acks(acks) => {
                for ack in acks {
                    self.take_ack(ack);
                }
            }
            StreamEvent::Lost(stream, error) => self.stream_lost(stream, &error),
        }
    }

    fn take_ack(&mut self, ack: v1::ProduceAck) {
        let result = read_ack(ack.result);
        let refusal = result.as_ref().err().cloned();
        let (partition, done) = self.dispatcher.acked(ack.correlation_id, result, self.moment());
        self.complete(done);
        let Some(error) = refusal else { return };
        let Some((topic, partition)) = partition else {
            // Without acks nobody remembers which batch that was; a refusal only says that a leader has moved.
            if self.acks == Acks::None && error.is_stale_metadata() {
                self.client.metadata.refresh_soon(self.dispatcher.topics());
            }
            return;
        };
        if let Some(leader) = error.leader() {
            self.client.metadata.take_hint(&topic, partition, leader);
        }
        if error.is_stale_metadata() {
            self.client.metadata.refresh_soon(vec![topic]);
        }
    }

    fn stream_lost(&mut self, stream: StreamId, error: &CallError) {
        self.streams.forget(stream);
        let (topics, done) = self.dispatcher.stream_lost(stream, error, self.moment());
        self.complete(done);
        if !topics.is_empty() {
            self.client.metadata.refresh_soon(topics.into_iter().collect());
        }
    }

    fn take_command(&mut self, command: Option<Command>) {
        let reply = match command {
            Some(Command::Flush(reply)) => Some(reply),
            Some(Command::Close(reply)) => {
                self.is_closing = true;
                Some(reply)
            }
            None => {
                self.has_handles = false;
                self.is_closing = true;
                None
            }
        };
        let mut state = self.gathering.lock();
        state.is_closed |= self.is_closing;
        let below = state.accumulator.close_batches();
        drop(state);
        self.flushes.extend(reply.map(|reply| (below, reply)));
    }

    /// Asks for an identity, unless that is under way.
    fn ask_for_identity(&mut self) {
        if self.identity.is_some() {
            return;
        }
        let (sender, answer) = oneshot::channel();
        self.identity = Some(answer);
        let client = Arc::clone(&self.client);
        tokio::spawn(async move {
            // Without a receiver the producer is gone.
            let _ = sender.send(init_producer_id(&client).await);
        });
    }

    /// Takes the answer. After a failure that may pass, the next step asks again; the deadline of the records ends that.
    fn take_identity(&mut self, answer: Identity) {
        self.identity = None;
        match answer {
            Ok((id, epoch)) => self.dispatcher.take_identity(id, epoch),
            Err(error) if error.is_retriable() => {}
            Err(error) => {
                let mut state = self.gathering.lock();
                let waiting = state.accumulator.take_begun_until(Duration::MAX);
                let failed = waiting.into_iter().map(|(slot, batch)| {
                    let (topic, partition) = state.accumulator.partition(slot);
                    let (topic, error) = (topic.clone(), error.clone());
                    let result = Err(ProduceError::Call { topic, partition, error });
                    Completion { tokens: batch.tokens, buffered_bytes: batch.buffered_bytes, result }
                });
                let failed = failed.collect();
                drop(state);
                self.complete(failed);
            }
        }
    }

    /// Tells everybody who waits, and gives the room back.
    fn complete(&self, done: Vec<Completion<Waiting>>) {
        let mut bytes = 0;
        for completion in done {
            bytes += completion.buffered_bytes;
            completion.tokens.resolve(completion.result);
        }
        if bytes > 0 {
            self.gathering.lock().accumulator.release(bytes);
            self.gathering.room.add_permits(bytes);
        }
    }
}

/// Reads what an ack says.
fn read_ack(result: Option<v1::produce_ack::Result>) -> Result<Appended, BrokerError> {
    match result {
        Some(v1::produce_ack::Result::Appended(appended)) => {
            // A base offset out of range cannot be told to anybody; the batch is stored all the same.
            let base_offset = api::offset("base_offset", appended.base_offset).ok();
            Ok(Appended { base_offset, log_append_time_ms: appended.log_append_time_ms })
        }
        Some(v1::produce_ack::Result::Error(error)) => Err((*error).into()),
        None => {
            let error = FieldError::Missing { field: "acks.result" }.into_error("");
            Err(error.into())
        }
    }
}

/// Asks any broker for an identity.
async fn init_producer_id(client: &Shared) -> Identity {
    let call = |channel| async move { broker_stub(channel).init_producer_id(v1::InitProducerIdRequest {}).await };
    client
        .retried(|tries| async move {
            let response = client.call_once(Target::Any, tries, call).await?;
            match response.result {
                Some(v1::init_producer_id_response::Result::Producer(identity)) => api::producer(&identity)
                    .map_err(|error| CallError::Malformed { address: client.bootstrap_text(), error }),
                Some(v1::init_producer_id_response::Result::Error(error)) => {
                    Err(CallError::Refused { address: client.bootstrap_text(), error: (*error).into() })
                }
                None => {
                    let error = FieldError::Missing { field: "result" };
                    Err(CallError::Malformed { address: client.bootstrap_text(), error })
                }
            }
        })
        .await
}
