//! The producer: takes records, gathers them into batches, and sends them in order.
//!
//! - `accumulator`: records that wait, by partition; `window`: batches under way, by partition; `dispatch`: what goes where
//!   and when. Pure state machines.
//! - `sender_task`, `produce_stream`: the shell that moves what they say
//! - `builder`, `delivery`, `error`: what applications meet

mod accumulator;
mod builder;
mod delivery;
mod dispatch;
mod error;
#[cfg(test)]
mod model_tests;
mod produce_stream;
mod sender_task;
mod window;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use accumulator::{Accumulator, AppendError};
use builder::ProducerSettings;
pub use builder::{Partitioning, ProducerBuilder};
use delivery::Waiting;
pub use delivery::{Delivery, RecordMetadata};
pub use error::{ProduceError, ProducerConfigError, SendError};
use sender_task::{Command, SenderTask};
use tidelog_proto::batch::{NewRecord, RecordHeader};
use tidelog_proto::ids::{PartitionId, TopicName};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, TryAcquireError, mpsc, oneshot};
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, timeout_at};

use crate::client::Shared;
use crate::metadata::Topic;
use crate::metadata_cache::MetadataError;
use crate::partitioner::{PartitionRequest, Partitioner};
use crate::{CallError, Record};

/// Flushes and closes that may wait for the sender at once; more wait for their turn.
const COMMANDS_MAX: usize = 16;

/// Sends records to any topics.
///
/// Cheap to clone; clones share buffer, order and connections. Records of one partition are appended in the order in which
/// `send` took them.
///
/// By default each record is stored exactly once, as long as the producer lives: brokers know batches by producer, epoch
/// and sequence and recognise repeats. Where a batch fails for good, or a broker says that a batch before is missing though
/// it was acked, the producer goes on under the next epoch, as Kafka's clients do since KIP-360; batches that may be stored
/// by then are not sent again but fail with [`ProduceError::OutcomeUnknown`], so that nothing is ever stored twice. Without
/// idempotence (switched off, or with acks other than all) batches are sent again all the same, so a record may be stored
/// more than once, and a batch that is sent again may come behind later ones.
///
/// [`Producer::close`] waits for every record. Dropping the last clone does not wait: what was taken is still sent in the
/// background, for as long as the runtime lives and the delivery timeout allows.
#[derive(Clone, Debug)]
pub struct Producer {
    client: Arc<Shared>,
    gathering: Arc<Gathering>,
    commands: mpsc::Sender<Command>,
    buffer_bytes: usize,
    max_block: Duration,
}

/// What senders of records and the task share.
#[derive(Debug)]
struct Gathering {
    /// Held for one record, or for one step of the task, never across an await.
    state: Mutex<GatheringState>,
    /// Room in the buffer, in bytes, given to those who wait in their order. Together with what the accumulator has
    /// counted, and with what senders hold for a moment, always the whole buffer.
    room: Semaphore,
    /// Tells the task that there may be something to do.
    wake: Notify,
    /// What the accumulator's times count from.
    started: Instant,
}

#[derive(Debug)]
struct GatheringState {
    accumulator: Accumulator<Waiting>,
    /// `None` if records must name their partition.
    partitioner: Option<Box<dyn Partitioner>>,
    is_closed: bool,
}

impl Producer {
    fn start(client: Arc<Shared>, settings: ProducerSettings) -> Self {
        let buffer_bytes = settings.batches.buffer_bytes;
        let state = GatheringState {
            accumulator: Accumulator::new(settings.batches),
            partitioner: settings.partitioner,
            is_closed: false,
        };
        let gathering = Arc::new(Gathering {
            state: Mutex::new(state),
            room: Semaphore::new(buffer_bytes),
            wake: Notify::new(),
            started: Instant::now(),
        });
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let max_block = settings.max_block;
        let task = SenderTask::new(
            Arc::clone(&client),
            Arc::clone(&gathering),
            receiver,
            settings.sending,
            settings.acks,
            settings.request_timeout,
        );
        tokio::spawn(task.run());
        Self { client, gathering, commands, buffer_bytes, max_block }
    }

    /// Takes a record, once there is room for it; the [`Delivery`] tells what became of it.
    ///
    /// Dropping this future before it is ready means that the record was not taken.
    ///
    /// # Errors
    /// If the record cannot be taken; nothing of it is sent.
    pub async fn send(&self, record: Record) -> Result<Delivery, SendError> {
        // Where nothing else waits, a task that only sends would never let others run.
        consume_budget().await;
        let mut deadline = Deadline { max_block: self.max_block, at: None };
        let topic = match self.client.metadata.known_topic(&record.topic) {
            Some(topic) => topic,
            None => self.find_topic(&record.topic, deadline.at()).await?,
        };
        let bytes = record.buffered_bytes();
        let too_large =
            |limit, bytes, bytes_max| SendError::RecordTooLarge { topic: topic.name.clone(), limit, bytes, bytes_max };
        let permits = u32::try_from(bytes).ok().filter(|_| bytes <= self.buffer_bytes);
        let Some(permits) = permits else {
            return Err(too_large("buffer_bytes", bytes as u64, self.buffer_bytes as u64));
        };
        let room = match self.gathering.room.try_acquire_many(permits) {
            Ok(room) => room,
            Err(TryAcquireError::Closed) => return Err(SendError::Closed),
            Err(TryAcquireError::NoPermits) => self.wait_for_room(permits, deadline.at(), &topic.name).await?,
        };
        let delivery = self.gathering.append(&topic, &record, bytes).map_err(|error| match error {
            Refused::Closed => SendError::Closed,
            Refused::NoPartition => SendError::NoPartition { topic: topic.name.clone() },
            Refused::Partition { partition, partition_count } => {
                SendError::Partition { topic: topic.name.clone(), partition, partition_count }
            }
            Refused::Append(AppendError::TooLarge { batch_bytes, batch_bytes_max }) => {
                too_large("batch_bytes_max", batch_bytes, batch_bytes_max.into())
            }
            Refused::Append(AppendError::BufferFull) => SendError::BufferFull {
                topic: topic.name.clone(),
                buffer_bytes: self.buffer_bytes,
                waited: Duration::ZERO,
            },
        })?;
        // The task gives the room back once the record is done.
        room.forget();
        Ok(delivery)
    }

    /// Waits until every record that was taken before is acked or has failed, without lingering.
    ///
    /// # Errors
    /// [`SendError::Closed`] if the producer was closed before.
    pub async fn flush(&self) -> Result<(), SendError> {
        self.command(Command::Flush).await
    }

    /// Takes no more records and waits until every record that was taken is acked or has failed.
    ///
    /// Other clones are closed too.
    ///
    /// # Errors
    /// [`SendError::Closed`] if the producer was closed before.
    pub async fn close(self) -> Result<(), SendError> {
        self.command(Command::Close).await
    }

    async fn command(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) -> Result<(), SendError> {
        let (reply, done) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| SendError::Closed)?;
        done.await.map_err(|_| SendError::Closed)
    }

    /// Waits for room in the buffer, behind those who have waited longer.
    async fn wait_for_room(
        &self,
        permits: u32,
        deadline: Instant,
        topic: &TopicName,
    ) -> Result<SemaphorePermit<'_>, SendError> {
        match timeout_at(deadline, self.gathering.room.acquire_many(permits)).await {
            Ok(room) => room.map_err(|_| SendError::Closed),
            Err(_) => {
                let (buffer_bytes, waited) = (self.buffer_bytes, self.max_block);
                Err(SendError::BufferFull { topic: topic.clone(), buffer_bytes, waited })
            }
        }
    }

    /// Finds the partitions of a topic that is not known yet.
    async fn find_topic(&self, name: &str, deadline: Instant) -> Result<Arc<Topic>, SendError> {
        let name = TopicName::new(name).map_err(|error| SendError::TopicName { topic: name.to_owned(), error })?;
        match timeout_at(deadline, self.client.metadata.topic(&name, deadline)).await {
            Ok(Ok(topic)) => Ok(topic),
            Ok(Err(MetadataError::Topic(error))) => Err(SendError::Topic { topic: name, error }),
            Ok(Err(MetadataError::Call(error))) => Err(SendError::Metadata { topic: name, error }),
            Err(_) => {
                let error = CallError::TimedOut { address: self.client.bootstrap_text(), after: self.max_block };
                Err(SendError::Metadata { topic: name, error })
            }
        }
    }
}

/// Until when one `send` may wait; the clock is read when it first has to.
struct Deadline {
    max_block: Duration,
    at: Option<Instant>,
}

impl Deadline {
    fn at(&mut self) -> Instant {
        *self.at.get_or_insert_with(|| Instant::now() + self.max_block)
    }
}

/// A record was not appended to the accumulator.
enum Refused {
    Closed,
    NoPartition,
    Partition { partition: PartitionId, partition_count: u32 },
    Append(AppendError),
}

impl Gathering {
    fn lock(&self) -> MutexGuard<'_, GatheringState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time since the producer started.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Puts a record into the batch of its partition.
    fn append(&self, topic: &Topic, record: &Record, bytes: usize) -> Result<Delivery, Refused> {
        let headers: Vec<RecordHeader<'_>> =
            record.headers.iter().map(|(key, value)| RecordHeader { key, value: value.as_deref() }).collect();
        let timestamp_ms = record.timestamp_ms.unwrap_or_else(wall_clock_ms);
        let new = NewRecord {
            timestamp: timestamp_ms,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        let mut state = self.lock();
        if state.is_closed {
            return Err(Refused::Closed);
        }
        let partition = state.partition(topic, record, bytes)?;
        let slot = state.accumulator.slot(&topic.name, partition);
        let join = |waiting: &mut Waiting| waiting.join(&topic.name, partition, timestamp_ms);
        let appended = state.accumulator.append(slot, &new, bytes, || self.now(), join);
        let (delivery, wakes) = appended.map_err(Refused::Append)?;
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
        Ok(delivery)
    }
}

impl GatheringState {
    /// Finds the partition of a record.
    fn partition(&mut self, topic: &Topic, record: &Record, record_bytes: usize) -> Result<PartitionId, Refused> {
        let partition_count = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        let partition = match (record.partition, &mut self.partitioner) {
            (Some(partition), _) => partition,
            (None, None) => return Err(Refused::NoPartition),
            (None, Some(partitioner)) => partitioner.partition(&PartitionRequest {
                topic: &topic.name,
                key: record.key.as_deref(),
                record_bytes,
                partition_count,
                available: &topic.available,
            }),
        };
        if partition.get() < partition_count {
            Ok(partition)
        } else {
            Err(Refused::Partition { partition, partition_count })
        }
    }
}

/// Returns the milliseconds since the start of 1970 UTC by this machine's clock.
fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
