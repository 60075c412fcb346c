//! The broker under attack, and the checks after each row.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tempfile::TempDir;
use tidelog_proto::api::v1;
use tidelog_proto::api::v1::admin_client::AdminClient;
use tidelog_proto::api::v1::broker_client::BrokerClient;
use tidelog_server::Broker;
use tidelog_server::config::Settings;
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use super::PATIENCE;
use super::batches::good_batch;
use super::row::Seen;

/// What the client may send and take: more than the broker does.
const CLIENT_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A topic without special configs, with two partitions.
pub(super) const PLAIN: &str = "plain";
/// A topic that is compacted.
pub(super) const COMPACTED: &str = "compacted";
/// A topic whose batches have at most [`SMALL_BATCH_BYTES`].
pub(super) const SMALL: &str = "small";
/// The `batch_bytes_max` of [`SMALL`].
pub(super) const SMALL_BATCH_BYTES: usize = 1024;

const PARTITIONS: [(&str, u32); 4] = [(PLAIN, 0), (PLAIN, 1), (COMPACTED, 0), (SMALL, 0)];

/// The broker under attack.
pub(super) struct Host {
    broker: Broker,
    _dir: TempDir,
    channel: Channel,
    /// The high watermark that each partition must have.
    ends: RefCell<BTreeMap<(&'static str, u32), u64>>,
}

/// What the process holds of the machine.
pub(super) struct Resources {
    /// Descriptors for connections to or from the broker.
    pub(super) connections: usize,
    pub(super) resident_bytes: u64,
}

impl Host {
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut settings = Settings::default();
        let path = dir.path().join("data").display().to_string();
        let configs = [("data_dir", path.as_str()), ("listen", "127.0.0.1:0"), ("http_listen", "127.0.0.1:0")];
        for (key, value) in configs.into_iter().chain([("disk_reserve_bytes", "0")]) {
            settings.set_flag(key, value).expect("there is such a config");
        }
        let broker = Broker::start(&settings).await.expect("it starts");
        let channel = connect(broker.address()).await;
        let ends = PARTITIONS.into_iter().map(|partition| (partition, 0)).collect();
        let host = Self { broker, _dir: dir, channel, ends: RefCell::new(ends) };
        host.create(PLAIN, 2, &[]).await;
        host.create(COMPACTED, 1, &[("cleanup_policy", "compact")]).await;
        host.create(SMALL, 1, &[("batch_bytes_max", &SMALL_BATCH_BYTES.to_string())]).await;
        host
    }

    async fn create(&self, name: &str, partition_count: u32, configs: &[(&str, &str)]) {
        let config = |(key, value): &(&str, &str)| v1::NewConfig { key: (*key).to_owned(), value: (*value).to_owned() };
        let topic = v1::NewTopic {
            name: name.to_owned(),
            partition_count: Some(partition_count),
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let request = v1::CreateTopicsRequest { topics: vec![topic], validate_only: false };
        let created = self.admin().create_topics(request).await.expect("it answers").into_inner();
        assert!(matches!(created.results[0].result, Some(v1::create_topics_result::Result::Created(_))), "{created:?}");
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.broker.address()
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Opens a connection of its own.
    pub(super) async fn connect(&self) -> Channel {
        connect(self.address()).await
    }

    pub(super) fn broker(&self) -> BrokerClient<Channel> {
        broker_client(self.channel())
    }

    pub(super) fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel())
            .max_decoding_message_size(CLIENT_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(CLIENT_MESSAGE_BYTES_MAX)
    }

    /// Notes records that a row stores by right.
    pub(super) fn stored(&self, topic: &'static str, partition: u32, records: u64) {
        *self.ends.borrow_mut().get_mut(&(topic, partition)).expect("a partition of the table") += records;
    }

    /// Produces one batch and gives what became of it.
    pub(super) async fn produce(&self, topic: v1::TopicRef, partition: u32, record_batch: Bytes) -> Seen {
        let batch = v1::ProduceBatch { correlation_id: 1, topic: Some(topic), partition, record_batch };
        self.produce_request(v1::ProduceRequest { batches: vec![batch], ..Default::default() }).await
    }

    /// Sends one request on a stream of its own, half-closes it, and gives what became of the last batch.
    pub(super) async fn produce_request(&self, request: v1::ProduceRequest) -> Seen {
        let expected = request.batches.len();
        let mut acks = match self.broker().produce(stream::iter([request])).await {
            Ok(acks) => acks.into_inner(),
            Err(status) => return Seen::of_status(&status),
        };
        let mut seen = Vec::new();
        loop {
            match acks.message().await {
                Ok(Some(response)) => seen.extend(response.acks.iter().map(ack)),
                Ok(None) => break,
                Err(status) => return Seen::of_status(&status),
            }
        }
        assert_eq!(seen.len(), expected, "one ack for each batch");
        seen.pop().unwrap_or(Seen::Answered)
    }

    /// Opens a `Fetch` stream that sends these requests and stays open.
    pub(super) async fn fetch(&self, requests: Vec<v1::FetchRequest>) -> Result<Pushed, Status> {
        let (requests, hold) = and_then_nothing(requests);
        Ok(Pushed { responses: self.broker().fetch(requests).await?.into_inner(), _hold: hold })
    }

    /// Checks that nothing is stored that should not be, and that good requests are served.
    pub(super) async fn check(&self, after: &str) {
        let checked = async {
            self.check_topics(after).await;
            self.check_ends(after).await;
            self.check_produce_and_fetch(after).await;
        };
        tokio::time::timeout(PATIENCE, checked).await.unwrap_or_else(|_| panic!("{after}: the broker does not serve"));
    }

    async fn check_topics(&self, after: &str) {
        let request = v1::ListTopicsRequest { include_internal: true };
        let listed = self.admin().list_topics(request).await.expect(after).into_inner();
        let listed: Vec<(&str, u32)> =
            listed.topics.iter().map(|topic| (topic.name.as_str(), topic.partition_count)).collect();
        assert_eq!(listed, [(COMPACTED, 1), (PLAIN, 2), (SMALL, 1)], "after: {after}");
    }

    /// Looks up the high watermark of every partition.
    async fn list_ends(&self) -> Vec<v1::ListOffsetsResult> {
        let query = |(topic, partition): (&str, u32)| v1::ListOffsetsQuery {
            topic: Some(by_name(topic)),
            partition,
            place: Some(v1::list_offsets_query::Place::Named(v1::NamedOffset::Latest.into())),
        };
        let request =
            v1::ListOffsetsRequest { queries: PARTITIONS.into_iter().map(query).collect(), isolation_level: 0 };
        self.broker().list_offsets(request).await.expect("it answers").into_inner().results
    }

    async fn check_ends(&self, after: &str) {
        for (partition, result) in PARTITIONS.into_iter().zip(self.list_ends().await) {
            let Some(v1::list_offsets_result::Result::Listed(found)) = result.result else {
                panic!("after: {after}: {result:?}")
            };
            assert_eq!(found.offset, Some(self.ends.borrow()[&partition]), "end of {partition:?} after: {after}");
        }
    }

    async fn check_produce_and_fetch(&self, after: &str) {
        let offset = self.ends.borrow()[&(PLAIN, 0)];
        let seen = self.produce(by_name(PLAIN), 0, good_batch()).await;
        assert_eq!(seen, Seen::Answered, "a good batch after: {after}");
        self.stored(PLAIN, 0, 1);
        let request = v1::FetchRequest {
            credit_bytes: 1 << 20,
            commands: vec![open(1, PLAIN, 0, v1::fetch_open::Position::Offset(offset))],
        };
        let mut pushed = self.fetch(vec![request]).await.expect(after);
        loop {
            let response = pushed.message().await.expect(after).expect("the stream is open");
            for item in response.items {
                match item.item {
                    Some(v1::fetch_item::Item::Opened(opened)) => assert_eq!(opened.position, offset),
                    Some(v1::fetch_item::Item::Batches(batches)) => {
                        assert_eq!(batches.record_batches.len(), 1, "after: {after}");
                        assert_eq!(batches.record_batches[0][21..], good_batch()[21..], "after: {after}");
                        return;
                    }
                    other => panic!("after: {after}: {other:?}"),
                }
            }
        }
    }

    /// Waits until the process has no more connections to the broker than this.
    pub(super) async fn wait_for_connections(&self, count: usize) {
        let fewer = async {
            while connections(self.address()) > count {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, fewer).await.is_err() {
            panic!("{} connections are still open, {count} at the start", connections(self.address()));
        }
    }

    pub(super) async fn stop(self) {
        drop(self.channel);
        tokio::time::timeout(PATIENCE, self.broker.stop()).await.expect("in time").expect("it stops");
    }
}

impl Resources {
    pub(super) fn of_this_process(host: &Host) -> Self {
        let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("two numbers at least");
        Self { connections: connections(host.address()), resident_bytes: pages * 4096 }
    }
}

pub(super) fn broker_client(channel: Channel) -> BrokerClient<Channel> {
    BrokerClient::new(channel)
        .max_decoding_message_size(CLIENT_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(CLIENT_MESSAGE_BYTES_MAX)
}

async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.expect("it listens")
}

/// A `Fetch` stream that stays open until this is dropped.
pub(super) struct Pushed {
    responses: Streaming<v1::FetchResponse>,
    _hold: oneshot::Sender<()>,
}

impl Pushed {
    pub(super) async fn message(&mut self) -> Result<Option<v1::FetchResponse>, Status> {
        self.responses.message().await
    }
}

/// Sends these and stays open until the other half is dropped. A stream that never ends would never let its call go: the
/// client resets a call when both of its sides are dropped, and has the sending one itself.
pub(super) fn and_then_nothing<T: Send + 'static>(
    requests: Vec<T>,
) -> (impl Stream<Item = T> + Send + 'static, oneshot::Sender<()>) {
    let (hold, held) = oneshot::channel();
    let nothing = stream::once(held).filter_map(|_| std::future::ready(None));
    (stream::iter(requests).chain(nothing), hold)
}

/// Counts the sockets of this process that belong to connections with the broker: other tests have their own.
fn connections(address: SocketAddr) -> usize {
    let port = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/self/net/tcp").expect("Linux");
    let mut inodes = Vec::new();
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields[1].ends_with(&port) || fields[2].ends_with(&port) {
            inodes.push(format!("socket:[{}]", fields[9]));
        }
    }
    let entries = std::fs::read_dir("/proc/self/fd").expect("Linux");
    let targets = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str())).count()
}

pub(super) fn by_name(name: &str) -> v1::TopicRef {
    v1::TopicRef { by: Some(v1::topic_ref::By::Name(name.to_owned())) }
}

/// A command that opens a partition.
pub(super) fn open(fetch_id: u32, topic: &str, partition: u32, position: v1::fetch_open::Position) -> v1::FetchCommand {
    let open = v1::FetchOpen { topic: Some(by_name(topic)), partition, position: Some(position), ..Default::default() };
    v1::FetchCommand { fetch_id, command: Some(v1::fetch_command::Command::Open(open)) }
}

fn ack(ack: &v1::ProduceAck) -> Seen {
    match &ack.result {
        Some(v1::produce_ack::Result::Appended(_)) => Seen::Answered,
        Some(v1::produce_ack::Result::Error(error)) => Seen::of_body(Some(error)),
        None => panic!("an ack without a result"),
    }
}
