//! The other end of `bare_server.rs`: pushes or takes messages as fast as gRPC alone moves them.

use std::env;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tidelog_benches::Outcome;
use tidelog_benches::child_process::ChildProcess;
use tidelog_proto::api::v1;
use tidelog_proto::api::v1::broker_client::BrokerClient;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tonic::transport::{Channel, Endpoint};

/// The largest frame, as brokers and clients have it.
pub(crate) const FRAME_BYTES: u32 = 256 * 1024;

/// The largest message, as brokers and clients have it.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What may be on the way to a client on one stream and on all, as the client crate has it.
const CLIENT_WINDOWS: (u32, u32) = (4 * 1024 * 1024, 16 * 1024 * 1024);

/// How long the server may take to be ready, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The size of messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageSize {
    pub(crate) batch_bytes: usize,
    /// How many batches a reader is sent at once; each is produced alone.
    pub(crate) batches_per_message: usize,
}

/// How much may be on the way to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Windows {
    /// As much as the client crate allows.
    ClientCrate,
    /// As much as HTTP/2 allows where nobody says anything.
    Http2,
}

/// The server, and connections to it.
#[derive(Debug)]
pub(crate) struct BareServer {
    process: ChildProcess,
    size: MessageSize,
    client_crate: BrokerClient<Channel>,
    http2: BrokerClient<Channel>,
}

impl BareServer {
    pub(crate) fn start(runtime: &Runtime, size: MessageSize) -> Outcome<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("serve-bare");
        command.args(["--batch-bytes", &size.batch_bytes.to_string()]);
        command.args(["--batches-per-message", &size.batches_per_message.to_string()]);
        let (process, line) = ChildProcess::spawn(&mut command, PATIENCE)?;
        let address = format!("http://{}", line.trim());
        let endpoint = Endpoint::from_shared(address)?.tcp_nodelay(true).max_frame_size(FRAME_BYTES);
        let (of_stream, of_connection) = CLIENT_WINDOWS;
        let wide = endpoint.clone().initial_stream_window_size(of_stream).initial_connection_window_size(of_connection);
        let connect = |endpoint: Endpoint| -> Outcome<BrokerClient<Channel>> {
            let channel = runtime.block_on(endpoint.connect())?;
            Ok(BrokerClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX))
        };
        Ok(Self { process, size, client_crate: connect(wide)?, http2: connect(endpoint)? })
    }

    /// Sends that many batches, each in a message of its own, with that many not acked; tells when all are.
    pub(crate) fn produce(&self, runtime: &Runtime, batches: u64, in_flight: usize) -> Outcome<Duration> {
        let batch = Bytes::from(vec![b'x'; self.size.batch_bytes]);
        runtime.block_on(async { tokio::spawn(produce(self.client_crate.clone(), batch, batches, in_flight)).await? })
    }

    /// Takes at least that many bytes of batches; tells how many they were and how long it took.
    pub(crate) fn fetch(&self, runtime: &Runtime, bytes: u64, windows: Windows) -> Outcome<(u64, Duration)> {
        let client = match windows {
            Windows::ClientCrate => &self.client_crate,
            Windows::Http2 => &self.http2,
        };
        let credit_bytes = u32::try_from(bytes)?;
        runtime.block_on(async { tokio::spawn(fetch(client.clone(), credit_bytes)).await? })
    }

    /// Returns the processor time of the server so far.
    pub(crate) fn cpu_seconds(&self) -> Outcome<f64> {
        Ok(self.process.usage()?.cpu_seconds)
    }

    pub(crate) fn stop(self) -> Outcome<()> {
        self.process.stop(PATIENCE)?;
        Ok(())
    }
}

async fn produce(mut client: BrokerClient<Channel>, batch: Bytes, batches: u64, in_flight: usize) -> Outcome<Duration> {
    let room = Arc::new(Semaphore::new(in_flight));
    let first = (0, Arc::clone(&room), batch);
    let requests = stream::unfold(first, move |(number, room, batch)| async move {
        if number == batches {
            return None;
        }
        room.acquire().await.ok()?.forget();
        Some((request(number, batch.clone()), (number + 1, room, batch)))
    });
    let start = Instant::now();
    let mut responses = client.produce(requests).await?.into_inner();
    let mut acked = 0;
    while acked < batches {
        let response = responses.message().await?.ok_or("the server ended the stream")?;
        room.add_permits(response.acks.len());
        acked += response.acks.len() as u64;
    }
    Ok(start.elapsed())
}

/// Makes a message as the producer makes it.
fn request(number: u64, record_batch: Bytes) -> v1::ProduceRequest {
    let by = Some(v1::topic_ref::By::Id(Bytes::from_static(b"tidelog benches!")));
    let topic = Some(v1::TopicRef { by });
    let batch = v1::ProduceBatch { correlation_id: number, topic, partition: 0, record_batch };
    v1::ProduceRequest { acks: v1::Acks::All.into(), timeout_ms: Some(30_000), batches: vec![batch] }
}

async fn fetch(mut client: BrokerClient<Channel>, credit_bytes: u32) -> Outcome<(u64, Duration)> {
    let request = v1::FetchRequest { credit_bytes, commands: Vec::new() };
    // The stream stays open, as a consumer's does.
    let requests = stream::iter([request]).chain(stream::pending());
    let start = Instant::now();
    let mut responses = client.fetch(requests).await?.into_inner();
    let mut bytes = 0;
    while let Some(response) = responses.message().await? {
        for item in response.items {
            if let Some(v1::fetch_item::Item::Batches(batches)) = item.item {
                bytes += batches.record_batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
            }
        }
    }
    Ok((bytes, start.elapsed()))
}
