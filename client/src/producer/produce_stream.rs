//! One `Produce` stream to each broker that leads something: opened when needed, gone when it breaks.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream;
use tidelog_proto::api::v1;
use tidelog_proto::ids::{BrokerId, PartitionId, TopicName};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::Gathering;
use super::dispatch::Streams;
use super::window::StreamId;
use crate::CallError;
use crate::connections::Connections;
use crate::metadata::{Metadata, Route};

/// Requests that wait for a stream: enough to keep the connection busy while the sender is woken, few enough that a slow
/// broker holds its partitions back and no others.
const REQUESTS_MAX: usize = 4;

/// What the streams tell the sender.
#[derive(Debug)]
pub(super) enum StreamEvent {
    Acks(Vec<v1::ProduceAck>),
    /// The stream is gone; nothing more comes of it.
    Lost(StreamId, CallError),
}

/// The streams that are open now.
#[derive(Debug)]
pub(super) struct ProduceStreams {
    connections: Arc<Connections>,
    /// Woken whenever a stream has room for one more request.
    gathering: Arc<Gathering>,
    events: mpsc::Sender<StreamEvent>,
    by_broker: BTreeMap<BrokerId, OpenStream>,
    next_id: u64,
    /// Where partitions are, as of this step.
    picture: Arc<Metadata>,
}

#[derive(Debug)]
struct OpenStream {
    id: StreamId,
    address: Arc<str>,
    requests: mpsc::Sender<v1::ProduceRequest>,
    task: AbortHandle,
}

impl ProduceStreams {
    pub(super) fn new(
        connections: Arc<Connections>,
        gathering: Arc<Gathering>,
        events: mpsc::Sender<StreamEvent>,
    ) -> Self {
        Self { connections, gathering, events, by_broker: BTreeMap::new(), next_id: 0, picture: Arc::default() }
    }

    /// Sets where partitions are.
    pub(super) fn set_picture(&mut self, picture: Arc<Metadata>) {
        self.picture = picture;
    }

    /// Hands a request to a stream that said it had room; returns false if the stream is gone.
    pub(super) fn send(&self, stream: StreamId, request: v1::ProduceRequest) -> bool {
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
        let (connections, gathering) = (Arc::clone(&self.connections), Arc::clone(&self.gathering));
        let events = self.events.clone();
        let run = {
            let address = Arc::clone(&address);
            async move {
                let ended = run(&connections, &address, receiver, gathering, &events).await;
                let unreachable =
                    || CallError::Unreachable { address: address.to_string(), reason: ENDED_BY_BROKER.to_owned() };
                let error = ended.err().unwrap_or_else(unreachable);
                // Without a receiver the producer is gone.
                let _ = events.send(StreamEvent::Lost(id, error)).await;
            }
        };
        let task = tokio::spawn(run).abort_handle();
        self.by_broker.insert(route.broker, OpenStream { id, address, requests, task });
        id
    }
}

/// What is said of a stream that a broker ended without an error.
const ENDED_BY_BROKER: &str = "the broker ended the stream";

impl Streams for ProduceStreams {
    fn route(&self, topic: &TopicName, partition: PartitionId) -> Option<Route> {
        self.picture.route(topic, partition)
    }

    fn stream(&mut self, route: &Route) -> Option<StreamId> {
        match self.by_broker.get(&route.broker) {
            // A stream whose receiver is gone is about to be reported as lost.
            Some(open) if open.address == route.address => {
                (!open.requests.is_closed() && open.requests.capacity() > 0).then_some(open.id)
            }
            // The broker has moved. What is on the way to its old address ends by itself.
            Some(_) | None => Some(self.open(route)),
        }
    }
}

impl Drop for ProduceStreams {
    fn drop(&mut self) {
        for open in self.by_broker.values() {
            open.task.abort();
        }
    }
}

/// Runs one stream until it ends.
async fn run(
    connections: &Connections,
    address: &str,
    mut requests: mpsc::Receiver<v1::ProduceRequest>,
    gathering: Arc<Gathering>,
    events: &mpsc::Sender<StreamEvent>,
) -> Result<(), CallError> {
    let outgoing = stream::poll_fn(move |context| {
        let polled = requests.poll_recv(context);
        if polled.is_ready() {
            gathering.wake.notify_one();
        }
        polled
    });
    let failed = |status| CallError::from_status(address, &status);
    let mut acks = connections.broker(address)?.produce(outgoing).await.map_err(failed)?.into_inner();
    while let Some(response) = acks.message().await.map_err(failed)? {
        if events.send(StreamEvent::Acks(response.acks)).await.is_err() {
            break;
        }
    }
    Ok(())
}
