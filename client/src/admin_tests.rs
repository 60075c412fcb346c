//! Administration against a real server that answers by a script.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidelog_proto::api::v1;
use tidelog_proto::api::v1::admin_server::{Admin as AdminService, AdminServer};
use tidelog_proto::error_code::ErrorCode;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::admin::{Admin, AdminError, NewTopic};
use crate::client::Shared;
use crate::{Backoff, Client};

/// Answers `CreateTopics` with these errors first, then with success. Knows no other topic.
struct Scripted {
    refusals: Arc<Mutex<Vec<ErrorCode>>>,
}

/// Implements the calls that the script has no answer for.
macro_rules! unscripted {
    ($($call:ident($request:ty) -> $response:ty;)*) => {
        #[tonic::async_trait]
        impl AdminService for Scripted {
            async fn create_topics(
                &self,
                request: Request<v1::CreateTopicsRequest>,
            ) -> Result<Response<v1::CreateTopicsResponse>, Status> {
                let topic = request.into_inner().topics.remove(0);
                let result = match self.refusals.lock().unwrap().pop() {
                    Some(code) => v1::create_topics_result::Result::Error(Box::new(v1::Error::new(code, "scripted"))),
                    None => v1::create_topics_result::Result::Created(v1::CreatedTopic {
                        topic_id: bytes::Bytes::from_static(&[3; 16]),
                        partition_count: topic.partition_count.unwrap_or(1),
                        replication_factor: 1,
                    }),
                };
                let results = vec![v1::CreateTopicsResult { result: Some(result) }];
                Ok(Response::new(v1::CreateTopicsResponse { results }))
            }

            async fn describe_topics(
                &self,
                _: Request<v1::DescribeTopicsRequest>,
            ) -> Result<Response<v1::DescribeTopicsResponse>, Status> {
                let error = v1::Error::new(ErrorCode::UnknownTopicOrPartition, "scripted");
                let result = Some(v1::describe_topics_result::Result::Error(Box::new(error)));
                let results = vec![v1::DescribeTopicsResult { result }];
                Ok(Response::new(v1::DescribeTopicsResponse { results }))
            }

            $(
                async fn $call(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                    Err(Status::unimplemented("not in the script"))
                }
            )*
        }
    };
}

unscripted! {
    list_topics(v1::ListTopicsRequest) -> v1::ListTopicsResponse;
    delete_topics(v1::DeleteTopicsRequest) -> v1::DeleteTopicsResponse;
    alter_topic_configs(v1::AlterTopicConfigsRequest) -> v1::AlterTopicConfigsResponse;
    create_partitions(v1::CreatePartitionsRequest) -> v1::CreatePartitionsResponse;
    delete_records(v1::DeleteRecordsRequest) -> v1::DeleteRecordsResponse;
    describe_configs(v1::DescribeConfigsRequest) -> v1::DescribeConfigsResponse;
    describe_cluster(v1::DescribeClusterRequest) -> v1::DescribeClusterResponse;
    describe_broker(v1::DescribeBrokerRequest) -> v1::DescribeBrokerResponse;
}

/// Starts a server with these refusals, last one first, and looks after it.
async fn start(refusals: Vec<ErrorCode>) -> (Admin, Arc<Mutex<Vec<ErrorCode>>>) {
    let refusals = Arc::new(Mutex::new(refusals));
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap().to_string();
    let service = AdminServer::new(Scripted { refusals: Arc::clone(&refusals) });
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    let backoff = Backoff { initial: Duration::from_millis(1), max: Duration::from_millis(1) };
    let shared: Arc<Shared> = Client::builder(address).backoff(backoff).retries_max(2).unconnected().unwrap();
    (Admin::new(shared), refusals)
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_told() {
    let (admin, _) = start(vec![ErrorCode::NotController]).await;
    let created = admin.create_topic(NewTopic::new("orders").partitions(6)).await.unwrap();
    assert_eq!(created.partition_count, 6);

    let (admin, refusals) = start(vec![ErrorCode::Overloaded, ErrorCode::TopicAlreadyExists]).await;
    let error = admin.create_topic(NewTopic::new("orders")).await.unwrap_err();
    let AdminError::Refused { error, .. } = &error else { panic!("{error}") };
    assert_eq!(error.code, Some(ErrorCode::TopicAlreadyExists));
    assert_eq!(refusals.lock().unwrap().len(), 1, "asked once");
}

#[tokio::test]
async fn tries_are_bounded_and_an_unknown_topic_is_told_at_once() {
    let (admin, refusals) = start(vec![ErrorCode::NotController; 9]).await;
    assert!(admin.create_topic(NewTopic::new("orders")).await.unwrap_err().is_retriable());
    assert_eq!(refusals.lock().unwrap().len(), 6, "one try and two more");
    let error = admin.describe_topic("orders").await.unwrap_err();
    assert_eq!(error.to_string(), "topic orders: UNKNOWN_TOPIC_OR_PARTITION: scripted");
    assert!(matches!(admin.describe_topic("a/b").await, Err(AdminError::TopicName { .. })));
}
