//! The task behind a consumer: moves what the state machines say.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::Fetching;
use super::credit::StreamId;
use super::fetch_stream::OpenFetchStreams;
use crate::CallError;
use crate::client::Shared;
use crate::metadata::Metadata;

/// Lost streams that wait for the task; one for each broker, so a few are enough.
const LOST_MAX: usize = 16;

/// How long the task sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// The task and all that only it touches.
pub(super) struct FetchTask {
    client: Arc<Shared>,
    fetching: Arc<Fetching>,
    streams: OpenFetchStreams,
    lost: mpsc::Receiver<(StreamId, CallError)>,
    changes: watch::Receiver<Arc<Metadata>>,
}

impl FetchTask {
    pub(super) fn new(client: Arc<Shared>, fetching: Arc<Fetching>) -> Self {
        let (sender, lost) = mpsc::channel(LOST_MAX);
        let streams = OpenFetchStreams::new(Arc::clone(&client), Arc::clone(&fetching), sender);
        Self { changes: client.metadata.changes(), client, fetching, streams, lost }
    }

    pub(super) async fn run(mut self) {
        while !self.fetching.lock().is_closed {
            let due = self.step();
            let wakes_at = due.map_or_else(|| Instant::now() + IDLE, |due| self.fetching.started + due);
            tokio::select! {
                () = self.fetching.wake.notified() => {}
                Some((stream, _)) = self.lost.recv() => self.stream_lost(stream),
                Ok(()) = self.changes.changed() => {}
                () = sleep_until(wakes_at) => {}
            }
        }
    }

    /// Does everything that can be done now; returns when something is due.
    fn step(&mut self) -> Option<Duration> {
        self.streams.set_picture(Arc::clone(&self.changes.borrow_and_update()));
        let now = self.fetching.now();
        let mut state = self.fetching.lock();
        let step = state.fetcher.step(now, fastrand::f64(), &mut self.streams);
        // A partition may have reached its end, or failed, without a word from a broker.
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        for (stream, request) in step.requests {
            if !self.streams.send(stream, request) {
                self.stream_lost(stream);
            }
        }
        for stream in step.idle {
            self.streams.forget(stream);
        }
        for stream in step.stuck {
            self.stream_lost(stream);
        }
        if !step.unrouted.is_empty() {
            self.client.metadata.refresh_soon(step.unrouted.into_iter().collect());
        }
        step.wakes_at
    }

    /// Takes note that a stream is gone; the wait before the next try is part of the next step.
    fn stream_lost(&mut self, stream: StreamId) {
        self.streams.forget(stream);
        let now = self.fetching.now();
        let topics = self.fetching.lock().fetcher.stream_lost(stream, now, fastrand::f64());
        self.fetching.wake.notify_one();
        if !topics.is_empty() {
            self.client.metadata.refresh_soon(topics.into_iter().collect());
        }
    }
}
