//! The consumer: reads partitions as a stream that goes on by itself after whatever passes.
//!
//! - `assignment`: one partition; `credit`: how much brokers may push; `fetcher`: what is read from whom;
//!   `fetch_step`: what goes in and out of it. Pure state machines.
//! - `fetch_task`, `fetch_stream`: the shell that moves what they say
//! - `builder`, `position`, `record`, `error`: what applications meet

mod assignment;
mod builder;
mod credit;
mod error;
mod fetch_step;
mod fetch_stream;
mod fetch_task;
mod fetcher;
#[cfg(test)]
mod model_tests;
mod position;
mod record;

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use assignment::{Assignment, Slot};
pub use builder::ConsumerBuilder;
pub use error::{ConsumeError, ConsumerConfigError, NotAssigned};
use fetch_task::FetchTask;
use fetcher::{FetchSettings, Fetcher, Popped};
use futures_util::Stream;
pub use position::{OutOfRange, Position};
pub use record::{ConsumedBatch, ConsumedRecord, ConsumedRecords};
use tidelog_proto::batch::{BatchError, DecodeLimits};
use tidelog_proto::ids::Offset;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::CallError;
use crate::client::Shared;

/// Reads some partitions: a stream of records, or of batches.
///
/// Records of one partition come in the order of their offsets, each once, whatever happens to brokers and leaders: after
/// a break the stream goes on with the next offset. Partitions take turns, batch by batch.
///
/// An error stops one partition until [`Consumer::seek`]; the others go on. The stream ends (`None`) when nothing more can
/// come without a seek: every partition has reached its end or is stopped.
///
/// Dropping it stops reading without waiting; [`Consumer::close`] waits.
#[derive(Debug)]
pub struct Consumer {
    fetching: Arc<Fetching>,
    /// The batch whose records are being given out.
    current: Option<Current>,
    limits: DecodeLimits,
    /// Taken by `close`.
    task: Option<JoinHandle<()>>,
}

/// A batch that is given out record by record.
#[derive(Debug)]
struct Current {
    slot: Slot,
    batch: ConsumedBatch,
    records: ConsumedRecords,
    /// The next offset that the application is given.
    next: Offset,
}

/// What the consumer, its task and its streams share.
#[derive(Debug)]
struct Fetching {
    /// Held for one batch or one step, never across an await.
    state: Mutex<FetchingState>,
    /// Tells the task that there is something to do.
    wake: Notify,
    /// What the fetcher's times count from.
    started: Instant,
}

#[derive(Debug)]
struct FetchingState {
    fetcher: Fetcher,
    /// Who waits for a batch; `None` if nobody does.
    reader: Option<Waker>,
    is_closed: bool,
}

impl Fetching {
    fn lock(&self) -> MutexGuard<'_, FetchingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time since the consumer started.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Consumer {
    fn start(client: Arc<Shared>, settings: FetchSettings, assignments: Vec<Assignment>, limits: DecodeLimits) -> Self {
        let state = FetchingState { fetcher: Fetcher::new(settings, assignments), reader: None, is_closed: false };
        let fetching = Arc::new(Fetching { state: Mutex::new(state), wake: Notify::new(), started: Instant::now() });
        let task = tokio::spawn(FetchTask::new(client, Arc::clone(&fetching)).run());
        Self { fetching, current: None, limits, task: Some(task) }
    }

    /// Returns the next record; `None` if nothing more comes without a seek.
    ///
    /// Dropping this future before it is ready loses nothing.
    pub async fn next(&mut self) -> Option<Result<ConsumedRecord, ConsumeError>> {
        std::future::poll_fn(|context| self.poll_record(context)).await
    }

    /// Returns the next batch, or what is left of the one whose records are being given out.
    ///
    /// Dropping this future before it is ready loses nothing.
    pub async fn next_batch(&mut self) -> Option<Result<ConsumedBatch, ConsumeError>> {
        std::future::poll_fn(|context| self.poll_rest(context)).await
    }

    /// Turns the consumer into a stream of batches.
    #[must_use]
    pub const fn into_batches(self) -> ConsumerBatches {
        ConsumerBatches { consumer: self }
    }

    /// Moves a partition to another position; what is buffered of it is dropped. Its end stays.
    ///
    /// # Errors
    /// If the partition is not assigned.
    pub fn seek(&mut self, topic: &str, partition: u32, to: Position) -> Result<(), NotAssigned> {
        let slot = self.slot(topic, partition)?;
        self.current = self.current.take().filter(|current| current.slot != slot);
        self.fetching.lock().fetcher.seek(slot, to.into());
        self.fetching.wake.notify_one();
        Ok(())
    }

    /// Stops giving out records of a partition, until [`Consumer::resume`]. Nothing of it stays buffered meanwhile.
    ///
    /// # Errors
    /// If the partition is not assigned.
    pub fn pause(&mut self, topic: &str, partition: u32) -> Result<(), NotAssigned> {
        let slot = self.slot(topic, partition)?;
        let in_batch = self.current.take_if(|current| current.slot == slot).map(|current| current.next);
        self.fetching.lock().fetcher.pause(slot, in_batch);
        self.fetching.wake.notify_one();
        Ok(())
    }

    /// Goes on with a partition where it was paused.
    ///
    /// # Errors
    /// If the partition is not assigned.
    pub fn resume(&mut self, topic: &str, partition: u32) -> Result<(), NotAssigned> {
        let slot = self.slot(topic, partition)?;
        self.fetching.lock().fetcher.resume(slot);
        self.fetching.wake.notify_one();
        Ok(())
    }

    /// Returns the next offset of a partition that the application will be given; `None` until a broker has told where
    /// reading starts.
    ///
    /// # Errors
    /// If the partition is not assigned.
    pub fn position(&self, topic: &str, partition: u32) -> Result<Option<Offset>, NotAssigned> {
        let slot = self.slot(topic, partition)?;
        let in_batch = self.current.as_ref().filter(|current| current.slot == slot).map(|current| current.next);
        Ok(in_batch.or_else(|| self.fetching.lock().fetcher.assignment(slot).position))
    }

    /// Returns the first offset of a partition that is not committed, as a broker said last; `None` before it did.
    ///
    /// # Errors
    /// If the partition is not assigned.
    pub fn high_watermark(&self, topic: &str, partition: u32) -> Result<Option<Offset>, NotAssigned> {
        let slot = self.slot(topic, partition)?;
        Ok(self.fetching.lock().fetcher.assignment(slot).high_watermark)
    }

    /// Stops reading and waits until the streams are ended.
    ///
    /// # Errors
    /// [`CallError::Closed`] if the runtime ended the consumer's task before.
    pub async fn close(mut self) -> Result<(), CallError> {
        self.stop();
        match self.task.take() {
            Some(task) => task.await.map_err(|_| CallError::Closed),
            None => Ok(()),
        }
    }

    fn stop(&self) {
        self.fetching.lock().is_closed = true;
        self.fetching.wake.notify_one();
    }

    fn slot(&self, topic: &str, partition: u32) -> Result<Slot, NotAssigned> {
        let slot = self.fetching.lock().fetcher.slot(topic, partition);
        slot.ok_or_else(|| NotAssigned { topic: topic.to_owned(), partition })
    }

    fn poll_record(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<ConsumedRecord, ConsumeError>>> {
        loop {
            if let Some(current) = &mut self.current {
                match current.records.next() {
                    Some(Ok(record)) => {
                        current.next = record.offset.next();
                        return Poll::Ready(Some(Ok(record)));
                    }
                    Some(Err(error)) => {
                        let (slot, at) = (current.slot, current.next);
                        return Poll::Ready(Some(Err(self.undecodable(slot, at, error))));
                    }
                    None => self.current = None,
                }
            }
            let (slot, batch) = match ready!(self.poll_batch(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(found)) => found,
            };
            match batch.records() {
                Ok(records) => self.current = Some(Current { slot, next: batch.from, batch, records }),
                Err(error) => return Poll::Ready(Some(Err(self.undecodable(slot, batch.from, error)))),
            }
        }
    }

    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<ConsumedBatch, ConsumeError>>> {
        if let Some(current) = self.current.take()
            && current.next < current.batch.next_offset()
        {
            return Poll::Ready(Some(Ok(ConsumedBatch { from: current.next, ..current.batch })));
        }
        self.poll_batch(context).map(|found| found.map(|found| found.map(|(_, batch)| batch)))
    }

    fn poll_batch(&self, context: &mut Context<'_>) -> Poll<Option<Result<(Slot, ConsumedBatch), ConsumeError>>> {
        let mut state = self.fetching.lock();
        let popped = state.fetcher.pop();
        if popped.is_some() && state.fetcher.has_grants() {
            self.fetching.wake.notify_one();
        }
        match popped {
            Some(Popped::Failed(error)) => Poll::Ready(Some(Err(error))),
            Some(Popped::Batch { slot, batch, from, end }) => {
                let (topic, partition) = (state.fetcher.topic(slot), state.fetcher.assignment(slot).partition);
                let limits = self.limits;
                Poll::Ready(Some(Ok((slot, ConsumedBatch { topic, partition, batch, from, end, limits }))))
            }
            None if state.fetcher.is_finished() => Poll::Ready(None),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Stops a partition whose batch cannot be decoded.
    fn undecodable(&mut self, slot: Slot, at: Offset, error: BatchError) -> ConsumeError {
        self.current = None;
        let error = self.fetching.lock().fetcher.undecodable(slot, at, error);
        self.fetching.wake.notify_one();
        error
    }
}

impl Stream for Consumer {
    type Item = Result<ConsumedRecord, ConsumeError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_record(context)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A consumer as a stream of batches.
#[derive(Debug)]
pub struct ConsumerBatches {
    consumer: Consumer,
}

impl ConsumerBatches {
    /// Turns it back into a stream of records.
    #[must_use]
    pub fn into_records(self) -> Consumer {
        self.consumer
    }
}

impl Stream for ConsumerBatches {
    type Item = Result<ConsumedBatch, ConsumeError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.consumer.poll_rest(context)
    }
}
