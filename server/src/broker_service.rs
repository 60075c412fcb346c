//! The service `tidelog.v1.Broker`: one line for each call, which its own file answers.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use tidelog_proto::api::v1;
use tidelog_proto::api::v1::broker_server::Broker;
use tonic::{Request, Response, Status, Streaming};

use crate::data_path::DataPath;
use crate::{fetch, list_offsets, produce, produce_records};

/// What the cluster as a whole answers: the metadata group, behind the calls that are about it.
pub trait ClusterCalls: fmt::Debug + Send + Sync + 'static {
    /// Answers `Broker.Metadata`.
    fn metadata(&self, request: v1::MetadataRequest) -> BoxFuture<'_, Result<v1::MetadataResponse, Status>>;

    /// Answers `Broker.InitProducerId`.
    fn init_producer_id(
        &self,
        request: v1::InitProducerIdRequest,
    ) -> BoxFuture<'_, Result<v1::InitProducerIdResponse, Status>>;
}

/// Writing and reading records.
#[derive(Clone, Debug)]
pub struct BrokerService {
    path: Arc<DataPath>,
    cluster: Arc<dyn ClusterCalls>,
}

impl BrokerService {
    /// Serves the partitions of `path`, and answers for the cluster by `cluster`.
    #[must_use]
    pub fn new(path: Arc<DataPath>, cluster: Arc<dyn ClusterCalls>) -> Self {
        Self { path, cluster }
    }
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Broker for BrokerService {
    type ProduceStream = Responses<v1::ProduceResponse>;
    type FetchStream = Responses<v1::FetchResponse>;
    type FetchRecordsStream = Responses<v1::FetchRecordsResponse>;

    async fn produce(
        &self,
        request: Request<Streaming<v1::ProduceRequest>>,
    ) -> Result<Response<Self::ProduceStream>, Status> {
        Ok(Response::new(Box::pin(produce::serve(Arc::clone(&self.path), request))))
    }

    async fn fetch(
        &self,
        request: Request<Streaming<v1::FetchRequest>>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        Ok(Response::new(Box::pin(fetch::serve(Arc::clone(&self.path), request))))
    }

    async fn list_offsets(
        &self,
        request: Request<v1::ListOffsetsRequest>,
    ) -> Result<Response<v1::ListOffsetsResponse>, Status> {
        list_offsets::list_offsets(&self.path, request.into_inner()).await.map(Response::new)
    }

    async fn metadata(&self, request: Request<v1::MetadataRequest>) -> Result<Response<v1::MetadataResponse>, Status> {
        self.cluster.metadata(request.into_inner()).await.map(Response::new)
    }

    async fn init_producer_id(
        &self,
        request: Request<v1::InitProducerIdRequest>,
    ) -> Result<Response<v1::InitProducerIdResponse>, Status> {
        self.cluster.init_producer_id(request.into_inner()).await.map(Response::new)
    }

    async fn produce_records(
        &self,
        request: Request<v1::ProduceRecordsRequest>,
    ) -> Result<Response<v1::ProduceRecordsResponse>, Status> {
        produce_records::produce_records(Arc::clone(&self.path), request).await.map(Response::new)
    }

    async fn fetch_records(
        &self,
        request: Request<v1::FetchRecordsRequest>,
    ) -> Result<Response<Self::FetchRecordsStream>, Status> {
        let records = fetch::serve_records(Arc::clone(&self.path), request.into_inner()).await?;
        Ok(Response::new(Box::pin(records)))
    }
}
