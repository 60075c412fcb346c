//! What gRPC alone can do: a server with the messages and transport settings of a broker that stores nothing.
//!
//! It runs in a process of its own, as a broker does: this program again, with a hidden command.

use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use clap::Args;
use futures_util::{Stream, StreamExt, stream};
use tidelog_benches::Outcome;
use tidelog_proto::api::v1;
use tidelog_proto::api::v1::broker_server::{Broker, BrokerServer};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::bare_client::{FRAME_BYTES, MESSAGE_BYTES_MAX};

/// Serves until it is asked to end.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ServeBare {
    /// Bytes of each batch that is pushed to readers.
    #[arg(long)]
    pub(crate) batch_bytes: usize,
    /// Batches of each message to readers.
    #[arg(long)]
    pub(crate) batches_per_message: usize,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Acks whatever is produced, and pushes the same batch over and over.
#[derive(Clone, Debug)]
struct BareBroker {
    response: v1::FetchResponse,
    response_batch_bytes: u64,
}

impl ServeBare {
    pub(crate) fn run(self) -> Outcome<()> {
        // As a broker has it.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Outcome<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        println!("{}", listener.local_addr()?);
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let broker = BrokerServer::new(BareBroker::new(self))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let server = Server::builder().accept_http1(false).max_frame_size(FRAME_BYTES).add_service(broker);
        tokio::select! {
            served = server.serve_with_incoming(incoming) => Ok(served?),
            _ = terminate.recv() => Ok(()),
        }
    }
}

impl BareBroker {
    fn new(sizes: ServeBare) -> Self {
        let batch = Bytes::from(vec![b'x'; sizes.batch_bytes]);
        let batches =
            v1::FetchBatches { record_batches: vec![batch; sizes.batches_per_message], ..v1::FetchBatches::default() };
        let item = Some(v1::fetch_item::Item::Batches(batches));
        let response = v1::FetchResponse { items: vec![v1::FetchItem { fetch_id: 1, generation: 1, item }] };
        Self { response, response_batch_bytes: (sizes.batch_bytes * sizes.batches_per_message) as u64 }
    }
}

#[tonic::async_trait]
impl Broker for BareBroker {
    type ProduceStream = Responses<v1::ProduceResponse>;
    type FetchStream = Responses<v1::FetchResponse>;
    type FetchRecordsStream = Responses<v1::FetchRecordsResponse>;

    async fn produce(
        &self,
        request: Request<Streaming<v1::ProduceRequest>>,
    ) -> Result<Response<Self::ProduceStream>, Status> {
        let acks = request.into_inner().map(|request| request.map(acks));
        Ok(Response::new(Box::pin(acks)))
    }

    /// Pushes until the credit of the first request is used up.
    async fn fetch(
        &self,
        request: Request<Streaming<v1::FetchRequest>>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let first = request.into_inner().message().await?.unwrap_or_default();
        let count = u64::from(first.credit_bytes).div_ceil(self.response_batch_bytes.max(1));
        let responses = stream::repeat(self.response.clone()).take(usize::try_from(count).unwrap_or(usize::MAX));
        Ok(Response::new(Box::pin(responses.map(Ok))))
    }

    async fn list_offsets(
        &self,
        _: Request<v1::ListOffsetsRequest>,
    ) -> Result<Response<v1::ListOffsetsResponse>, Status> {
        Err(Status::unimplemented(STORES_NOTHING))
    }

    async fn metadata(&self, _: Request<v1::MetadataRequest>) -> Result<Response<v1::MetadataResponse>, Status> {
        Err(Status::unimplemented(STORES_NOTHING))
    }

    async fn init_producer_id(
        &self,
        _: Request<v1::InitProducerIdRequest>,
    ) -> Result<Response<v1::InitProducerIdResponse>, Status> {
        Err(Status::unimplemented(STORES_NOTHING))
    }

    async fn produce_records(
        &self,
        _: Request<v1::ProduceRecordsRequest>,
    ) -> Result<Response<v1::ProduceRecordsResponse>, Status> {
        Err(Status::unimplemented(STORES_NOTHING))
    }

    async fn fetch_records(
        &self,
        _: Request<v1::FetchRecordsRequest>,
    ) -> Result<Response<Self::FetchRecordsStream>, Status> {
        Err(Status::unimplemented(STORES_NOTHING))
    }
}

/// What is said to those who take this for a broker.
const STORES_NOTHING: &str = "this server only moves bytes";

fn acks(request: v1::ProduceRequest) -> v1::ProduceResponse {
    let ack = |batch: v1::ProduceBatch| {
        let appended = v1::AppendedBatch { acks_reached: v1::Acks::All.into(), ..v1::AppendedBatch::default() };
        let result = Some(v1::produce_ack::Result::Appended(appended));
        v1::ProduceAck { correlation_id: batch.correlation_id, result }
    };
    v1::ProduceResponse { acks: request.batches.into_iter().map(ack).collect() }
}
