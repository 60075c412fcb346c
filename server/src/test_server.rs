//! A real server on a port of its own, with partitions of real logs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tidelog_proto::api::v1;
use tidelog_proto::api::v1::broker_client::BrokerClient;
use tidelog_proto::ids::{LeaderEpoch, TopicName};
use tidelog_raft::Leadership;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::broker_service::{BrokerService, ClusterCalls};
use crate::data_path::{DataPath, DataPathConfig};
use crate::grpc_server::{GrpcConfig, routes, serve};
use crate::hosted_partition::HostedPartition;
use crate::partition_table::{Placement, Topic, Topology};
use crate::test_logs::{LocalLog, OTHER_BROKER, THIS_BROKER, TOPIC_ID, hosted_on};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Answers nothing.
#[derive(Debug)]
struct NoCluster;

impl ClusterCalls for NoCluster {
    fn metadata(&self, _: v1::MetadataRequest) -> BoxFuture<'_, Result<v1::MetadataResponse, Status>> {
        async { Err(Status::unavailable("no cluster")) }.boxed()
    }

    fn init_producer_id(
        &self,
        _: v1::InitProducerIdRequest,
    ) -> BoxFuture<'_, Result<v1::InitProducerIdResponse, Status>> {
        async { Err(Status::unavailable("no cluster")) }.boxed()
    }
}

pub(crate) struct TestServer {
    pub(crate) path: Arc<DataPath>,
    pub(crate) logs: Vec<Arc<LocalLog>>,
    pub(crate) hosted: Vec<Arc<HostedPartition>>,
    pub(crate) client: BrokerClient<Channel>,
    pub(crate) channel: Channel,
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl TestServer {
    /// Starts a server with as many partitions of the topic `t`.
    pub(crate) async fn start(partitions: u32) -> Self {
        Self::start_with(partitions, DataPathConfig::default(), GrpcConfig::default()).await
    }

    pub(crate) async fn start_with(partitions: u32, config: DataPathConfig, grpc: GrpcConfig) -> Self {
        let path = Arc::new(DataPath::new(config));
        let logs: Vec<_> = (0..partitions).map(LocalLog::open_partition).collect();
        let hosted: Vec<_> = logs.iter().map(|log| hosted_on(Arc::clone(log))).collect();
        path.table.replace(topology(&hosted, false));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (routes, _) = routes(BrokerService::new(Arc::clone(&path), Arc::new(NoCluster)));
        let (stop, stopped) = oneshot::channel();
        let stopped = stopped.map(drop);
        let server = tokio::spawn(serve(listener, routes, Arc::clone(&path), grpc, stopped));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let client = BrokerClient::new(channel.clone()).max_decoding_message_size(8 * 1024 * 1024);
        Self { path, logs, hosted, client, channel, address, stop, server }
    }

    /// Stops, when everything that is open has ended.
    pub(crate) async fn stop(self) {
        drop((self.client, self.channel, self.stop));
        tokio::time::timeout(PATIENCE, self.server).await.unwrap().unwrap().unwrap();
    }

    pub(crate) async fn produce(&mut self) -> (mpsc::Sender<v1::ProduceRequest>, Streaming<v1::ProduceResponse>) {
        let (sender, requests) = requests();
        let responses = self.client.produce(requests).await.unwrap().into_inner();
        (sender, responses)
    }

    pub(crate) async fn fetch(&mut self) -> (mpsc::Sender<v1::FetchRequest>, Streaming<v1::FetchResponse>) {
        let (sender, requests) = requests();
        let responses = self.client.fetch(requests).await.unwrap().into_inner();
        (sender, responses)
    }
}

/// The topic `t` of these partitions; one more is elsewhere.
pub(crate) fn topology(hosted: &[Arc<HostedPartition>], is_internal: bool) -> Topology {
    let elsewhere = Leadership { leader: Some(OTHER_BROKER), epoch: LeaderEpoch::new(3), is_serving: false };
    let mut partitions: Vec<_> = hosted.iter().cloned().map(Placement::Here).collect();
    partitions.push(Placement::Elsewhere(elsewhere));
    let name = TopicName::new("t").unwrap();
    let mut topology = Topology::default();
    topology.put_topic(Arc::new(Topic { id: TOPIC_ID, name, is_internal, partitions }));
    topology.put_broker(THIS_BROKER, "127.0.0.1:1");
    topology.put_broker(OTHER_BROKER, "127.0.0.1:2");
    topology
}

pub(crate) fn topic_ref() -> Option<v1::TopicRef> {
    Some(v1::TopicRef { by: Some(v1::topic_ref::By::Name("t".to_owned())) })
}

fn requests<T: Send + 'static>() -> (mpsc::Sender<T>, Request<impl futures_util::Stream<Item = T> + Send + 'static>) {
    let (sender, receiver) = mpsc::channel(64);
    let stream =
        futures_util::stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    (sender, Request::new(stream))
}

/// Gives the next response of a stream, which must come.
pub(crate) async fn next<T>(responses: &mut Streaming<T>) -> T {
    try_next(responses).await.unwrap().expect("a response")
}

pub(crate) async fn try_next<T>(responses: &mut Streaming<T>) -> Result<Option<T>, Status> {
    tokio::time::timeout(PATIENCE, responses.message()).await.expect("in time")
}
