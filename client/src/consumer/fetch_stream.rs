//! One `Fetch` stream to each broker that is read from: opened when needed, gone when it breaks.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream;
use tidelog_proto::api::v1;
use tidelog_proto::batch::RecordBatch;
use tidelog_proto::ids::{BrokerId, Offset, PartitionId, TopicName};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::Fetching;
use super::credit::StreamId;
use super::fetch_step::{FetchNews, FetchStreams, Taken};
use crate::client::Shared;
use crate::metadata::{Metadata, Route};
use crate::{BrokerError, CallError};

/// Requests that wait for a stream. They are small; with this many, the step that makes them waits.
const REQUESTS_MAX: usize = 16;

/// The streams that are open now.
pub(super) struct OpenFetchStreams {
    client: Arc<Shared>,
    fetching: Arc<Fetching>,
    lost: mpsc::Sender<(StreamId, CallError)>,
    by_broker: BTreeMap<BrokerId, OpenStream>,
    next_id: u64,
    /// Where partitions are, as of this step.
    picture: Arc<Metadata>,
}

struct OpenStream {
    id: StreamId,
    address: Arc<str>,
    requests: mpsc::Sender<v1::FetchRequest>,
    task: AbortHandle,
}

impl OpenFetchStreams {
    pub(super) fn new(client: Arc<Shared>, fetching: Arc<Fetching>, lost: mpsc::Sender<(StreamId, CallError)>) -> Self {
        Self { client, fetching, lost, by_broker: BTreeMap::new(), next_id: 0, picture: Arc::default() }
    }

    /// Sets where partitions are.
    pub(super) fn set_picture(&mut self, picture: Arc<Metadata>) {
        self.picture = picture;
    }

    /// Hands a request to a stream that said it had room; returns false if the stream is gone.
    pub(super) fn send(&self, stream: StreamId, request: v1::FetchRequest) -> bool {
        let open = self.by_broker.values().find(|open| open.id == stream);
        open.is_some_and(|open| open.requests.try_send(request).is_ok())
    }

    /// Forgets a stream; it is ended if it still runs.
    pub(super) fn forget(&mut self, stream: StreamId) {
        self.by_broker.retain(|_, open| {
            if open.id == stream {
                open.task.abort();
            }
            open.id != stream
        });
    }

    fn open(&mut self, route: &Route) -> StreamId {
        let id = StreamId(self.next_id);
        self.next_id += 1;
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let address = Arc::clone(&route.address);
        let (client, fetching, lost) = (Arc::clone(&self.client), Arc::clone(&self.fetching), self.lost.clone());
        let run = async move {
            let ended = run(&client, &fetching, id, &address, receiver).await;
            let unreachable = || CallError::Unreachable {
                address: address.to_string(),
                reason: "the broker ended the stream".to_owned(),
            };
            // Without a receiver the consumer is gone.
            let _ = lost.send((id, ended.err().unwrap_or_else(unreachable))).await;
        };
        let task = tokio::spawn(run).abort_handle();
        let address = Arc::clone(&route.address);
        if let Some(old) = self.by_broker.insert(route.broker, OpenStream { id, address, requests, task }) {
            old.task.abort();
            let error = CallError::Unreachable { address: old.address.to_string(), reason: MOVED.to_owned() };
            // Room for it is kept: it is told in a task of its own.
            let lost = self.lost.clone();
            tokio::spawn(async move {
                let _ = lost.send((old.id, error)).await;
            });
        }
        id
    }
}

/// What is said of a stream to a broker that has another address now.
const MOVED: &str = "the broker has moved";

impl FetchStreams for OpenFetchStreams {
    fn route(&self, topic: &TopicName, partition: PartitionId) -> Option<Route> {
        self.picture.route(topic, partition)
    }

    fn stream(&mut self, route: &Route) -> Option<StreamId> {
        match self.by_broker.get(&route.broker) {
            // A stream whose receiver is gone is about to be reported as lost.
            Some(open) if open.address == route.address => {
                (!open.requests.is_closed() && open.requests.capacity() > 0).then_some(open.id)
            }
            Some(_) | None => Some(self.open(route)),
        }
    }

    fn has_room(&self, stream: StreamId) -> bool {
        let open = self.by_broker.values().find(|open| open.id == stream);
        open.is_some_and(|open| !open.requests.is_closed() && open.requests.capacity() > 0)
    }

    fn broker_count(&self) -> usize {
        self.picture.brokers().count()
    }
}

impl Drop for OpenFetchStreams {
    fn drop(&mut self) {
        for open in self.by_broker.values() {
            open.task.abort();
        }
    }
}

/// Runs one stream until it ends.
async fn run(
    client: &Shared,
    fetching: &Arc<Fetching>,
    id: StreamId,
    address: &str,
    mut requests: mpsc::Receiver<v1::FetchRequest>,
) -> Result<(), CallError> {
    let taken = Arc::clone(fetching);
    let outgoing = stream::poll_fn(move |context| {
        let polled = requests.poll_recv(context);
        if polled.is_ready() {
            taken.wake.notify_one();
        }
        polled
    });
    let failed = |status| CallError::from_status(address, &status);
    let mut responses = client.connections.broker(address)?.fetch(outgoing).await.map_err(failed)?.into_inner();
    while let Some(response) = responses.message().await.map_err(failed)? {
        for item in response.items {
            let (fetch_id, generation) = (item.fetch_id, item.generation);
            let Some(news) = read(item) else { continue };
            let taken = take(fetching, id, fetch_id, generation, news);
            if taken.needs_step {
                fetching.wake.notify_one();
            }
            if let Some(stale) = taken.stale {
                if let Some(leader) = stale.error.leader() {
                    client.metadata.take_hint(&stale.topic, stale.partition, leader);
                }
                client.metadata.refresh_soon(vec![stale.topic]);
            }
        }
    }
    Ok(())
}

/// Hands news to the fetcher, and wakes whoever waits for a batch.
fn take(fetching: &Fetching, stream: StreamId, fetch_id: u32, generation: u32, news: FetchNews) -> Taken {
    let now = fetching.now();
    let mut state = fetching.lock();
    let taken = state.fetcher.take(stream, fetch_id, generation, news, now, fastrand::f64());
    let reader = state.reader.take();
    drop(state);
    if let Some(reader) = reader {
        reader.wake();
    }
    taken
}

/// Reads what a broker says; batches are checked here, outside any lock. `None` for what this build does not know.
fn read(item: v1::FetchItem) -> Option<FetchNews> {
    match item.item? {
        v1::fetch_item::Item::Opened(opened) => Some(FetchNews::Opened {
            position: Offset::new(opened.position),
            high_watermark: Offset::new(opened.high_watermark),
        }),
        v1::fetch_item::Item::Batches(batches) => {
            let bytes = batches.record_batches.iter().map(bytes::Bytes::len).sum();
            let checked = batches.record_batches.into_iter().map(|batch| RecordBatch::parse(batch)?.verified());
            Some(FetchNews::Batches {
                bytes,
                batches: checked.collect(),
                high_watermark: Offset::new(batches.high_watermark),
            })
        }
        v1::fetch_item::Item::Closed(closed) => match closed.reason() {
            v1::FetchCloseReason::EndReached => Some(FetchNews::EndReached),
            v1::FetchCloseReason::Requested => Some(FetchNews::ClosedAsAsked),
            v1::FetchCloseReason::Failed | v1::FetchCloseReason::Unspecified => {
                Some(FetchNews::Failed(BrokerError::from(closed.error.unwrap_or_default())))
            }
        },
    }
}
