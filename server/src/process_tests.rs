//! A whole process over real Raft groups of one replica: from its config to its end, and again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tidelog_log::environment::{Environment, RealEnvironment};
use tidelog_log::storage::Durability;
use tidelog_log::{LogConfig, LogIdentity};
use tidelog_proto::api::v1;
use tidelog_proto::api::v1::broker_client::BrokerClient;
use tidelog_proto::batch::{DecodeLimits, RecordBatch};
use tidelog_proto::ids::{BrokerId, PartitionId, TopicName};
use tidelog_raft::{Group, Host, HostConfig, ReplicatedLog};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::broker_service::{BrokerService, ClusterCalls};
use crate::config::{BrokerConfig, Settings};
use crate::data_path::DataPath;
use crate::disk_watch::DiskWatch;
use crate::grpc_server::routes;
use crate::hosted_partition::HostedPartition;
use crate::partition_table::{Placement, Topic, Topology};
use crate::process::{Ended, Ports, Process};
use crate::test_logs::{TOPIC_ID, batch_from, settings};
use crate::test_server::{PATIENCE, topic_ref};

const PARTITIONS: u32 = 2;

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

/// A broker of two partitions.
struct Running {
    process: Process,
    host: Host,
    groups: Vec<Arc<Group>>,
    path: Arc<DataPath>,
    http: std::net::SocketAddr,
    channel: Channel,
}

async fn start(dir: &Path) -> Running {
    let mut read = Settings::default();
    let file = format!(
        "data_dir = {:?}\nlisten = \"127.0.0.1:0\"\nhttp_listen = \"127.0.0.1:0\"\ndisk_reserve_bytes = 0\n\
         shutdown_timeout_ms = 20000\n",
        dir.display().to_string()
    );
    read.read_file("tidelog.toml", &file).unwrap();
    let config = BrokerConfig::new(&read).unwrap();
    let ports = Ports::bind(&config).unwrap();
    let (grpc, http) = (ports.grpc_address().unwrap(), ports.http_address().unwrap());

    let environment: Arc<dyn Environment> = Arc::new(RealEnvironment::new());
    let host = Host::open(Arc::clone(&environment), &config.data_dir, BrokerId::new(1), HostConfig::default()).unwrap();
    let mut groups = Vec::new();
    for partition in 0..PARTITIONS {
        let identity = LogIdentity { topic_id: TOPIC_ID, partition: PartitionId::new(partition) };
        let group = host.open_group(identity, 1, LogConfig::default(), Durability::Synced).await.unwrap();
        let mut leadership = group.leadership();
        leadership.wait_for(|leadership| leadership.is_serving).await.unwrap();
        groups.push(Arc::new(group));
    }
    let path = Arc::new(DataPath::new(config.data_path));
    let place = |group: &Arc<Group>| {
        let log: Arc<dyn ReplicatedLog> = Arc::clone(group) as _;
        Placement::Here(Arc::new(HostedPartition::new(log, settings(&[]))))
    };
    let mut topology = Topology::default();
    let partitions = groups.iter().map(place).collect();
    let name = TopicName::new("t").unwrap();
    topology.put_topic(Arc::new(Topic { id: TOPIC_ID, name, is_internal: false, partitions }));
    path.table.replace(topology);

    let routes = routes(BrokerService::new(Arc::clone(&path), Arc::new(NoCluster)));
    let disk = DiskWatch { environment, dir: dir.to_owned(), reserve_bytes: config.disk_reserve_bytes };
    let process = Process::start(ports, routes, Arc::clone(&path), disk, &config);
    let channel = Endpoint::from_shared(format!("http://{grpc}")).unwrap().connect().await.unwrap();
    Running { process, host, groups, path, http, channel }
}

async fn stop(running: Running) {
    let Running { process, host, groups, path, channel, .. } = running;
    drop(channel);
    assert!(matches!(process.shutdown().await, Ended::Drained));
    path.table.replace(Topology::default());
    for group in &groups {
        group.close().await.unwrap();
    }
    drop((path, groups));
    tokio::task::spawn_blocking(move || host.shutdown()).await.unwrap().unwrap();
}

async fn health(address: std::net::SocketAddr) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Sends batches of one producer to both partitions in turn; gives what was told of each: base offset and repeat.
async fn produce(channel: &Channel, sequences: std::ops::Range<u32>) -> Vec<(u64, bool)> {
    let batches = sequences.clone().flat_map(|sequence| {
        (0..PARTITIONS).map(move |partition| v1::ProduceBatch {
            correlation_id: u64::from(sequence * PARTITIONS + partition),
            topic: topic_ref(),
            partition,
            record_batch: batch_from(5, sequence, &[&format!("{partition}/{sequence}")]).into_bytes(),
        })
    });
    let request = v1::ProduceRequest { acks: 0, timeout_ms: None, batches: batches.collect() };
    let mut client = BrokerClient::new(channel.clone());
    let requests = futures_util::stream::iter([request]);
    let mut responses = client.produce(requests).await.unwrap().into_inner();
    let mut told = Vec::new();
    while let Some(response) = tokio::time::timeout(PATIENCE, responses.message()).await.unwrap().unwrap() {
        told.extend(response.acks.into_iter().map(|ack| match ack.result {
            Some(v1::produce_ack::Result::Appended(appended)) => {
                (ack.correlation_id, appended.base_offset, appended.duplicate)
            }
            other => panic!("{other:?}"),
        }));
    }
    told.sort_unstable();
    told.into_iter().map(|(_, base_offset, duplicate)| (base_offset, duplicate)).collect()
}

/// Reads both partitions from their start to their end, over one stream.
async fn fetch(channel: &Channel, count: u64) -> Vec<Vec<Bytes>> {
    let open = |partition| v1::FetchCommand {
        fetch_id: partition,
        command: Some(v1::fetch_command::Command::Open(v1::FetchOpen {
            topic: topic_ref(),
            partition,
            position: Some(v1::fetch_open::Position::Offset(0)),
            end_offset: Some(count),
            ..Default::default()
        })),
    };
    let request = v1::FetchRequest { credit_bytes: 1 << 20, commands: (0..PARTITIONS).map(open).collect() };
    let mut client = BrokerClient::new(channel.clone());
    let requests = futures_util::stream::iter([request]).chain(futures_util::stream::pending());
    let mut responses = client.fetch(requests).await.unwrap().into_inner();
    let (mut values, mut ended) = (vec![Vec::new(); PARTITIONS as usize], 0);
    while ended < PARTITIONS {
        let response = tokio::time::timeout(PATIENCE, responses.message()).await.unwrap().unwrap().unwrap();
        for item in response.items {
            match item.item.unwrap() {
                v1::fetch_item::Item::Batches(batches) => {
                    for batch in batches.record_batches {
                        let batch = RecordBatch::parse(batch).unwrap().verified().unwrap();
                        let records = batch.records(DecodeLimits::DEFAULT).unwrap();
                        values[item.fetch_id as usize].extend(records.map(|record| record.unwrap().value.unwrap()));
                    }
                }
                v1::fetch_item::Item::Closed(closed) => {
                    assert_eq!(closed.reason(), v1::FetchCloseReason::EndReached, "{closed:?}");
                    ended += 1;
                }
                v1::fetch_item::Item::Opened(_) => {}
            }
        }
    }
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acked_is_there_once_and_in_order_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    assert!(health(running.http).await.contains("503"), "not ready yet");
    running.process.set_ready().await;
    assert!(health(running.http).await.contains("200 OK"));

    // As many as a producer may have in flight.
    let first: Vec<_> = (0..5).flat_map(|offset| [(offset, false); PARTITIONS as usize]).collect();
    assert_eq!(produce(&running.channel, 0..5).await, first);
    let again: Vec<_> = first.iter().map(|(offset, _)| (*offset, true)).collect();
    assert_eq!(produce(&running.channel, 0..5).await, again, "a repeat is told where it stands");
    stop(running).await;

    let running = start(dir.path()).await;
    assert_eq!(produce(&running.channel, 0..5).await, again, "also by the next process");
    let next: Vec<_> = (5..8).flat_map(|offset| [(offset, false); PARTITIONS as usize]).collect();
    assert_eq!(produce(&running.channel, 5..8).await, next);
    let values = fetch(&running.channel, 8).await;
    for (partition, values) in values.iter().enumerate() {
        let expected: Vec<_> = (0..8).map(|sequence| Bytes::from(format!("{partition}/{sequence}"))).collect();
        assert_eq!(*values, expected);
    }
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_lets_go_of_streams_that_are_open() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let mut client = BrokerClient::new(running.channel.clone());
    let mut responses = client.fetch(futures_util::stream::pending()).await.unwrap().into_inner();
    let waiting = tokio::spawn(async move { responses.message().await.unwrap_err().code() });
    let ended = tokio::time::timeout(Duration::from_secs(20), stop(running));
    ended.await.expect("it does not wait for idle streams");
    assert_eq!(waiting.await.unwrap(), tonic::Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_the_health_of_a_process_does_not_keep_it() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let mut health = HealthClient::new(running.channel.clone());
    let mut watched = health.watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status, 1, "serving");
    let watching = tokio::spawn(async move { while let Ok(Some(_)) = watched.message().await {} });
    drop(health);
    let ended = tokio::time::timeout(Duration::from_secs(20), stop(running));
    ended.await.expect("it does not wait for those who watch");
    watching.await.unwrap();
}
