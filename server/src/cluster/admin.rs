//! The service `tidelog.v1.Admin`: one line for each call, which its own file answers.

mod alter_topic_configs;
mod create_partitions;
pub(super) mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_broker;
mod describe_cluster;
mod describe_configs;
mod describe_topics;
mod list_topics;

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use tidelog_proto::api::v1::admin_server::{Admin, AdminServer};
use tidelog_proto::api::{TopicSelector, v1};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::TopicId;
use tidelog_raft::metadata::MetadataState;
use tonic::{Request, Response, Status};

use super::Node;
use crate::message_limits::MESSAGE_BYTES_MAX;
use crate::reply_error;

/// Topics, partitions or resources of one call.
const ITEMS_MAX: usize = 1000;

/// Administers the cluster that this broker belongs to.
#[derive(Clone, Debug)]
pub struct AdminService {
    node: Arc<Node>,
}

impl AdminService {
    /// Answers by what `node` knows.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Makes it a service, with every limit said.
    #[must_use]
    pub fn into_server(self) -> AdminServer<Self> {
        AdminServer::new(self).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn create_topics(
        &self,
        request: Request<v1::CreateTopicsRequest>,
    ) -> Result<Response<v1::CreateTopicsResponse>, Status> {
        create_topics::create_topics(&self.node, request.into_inner()).await.map(Response::new)
    }

    async fn list_topics(
        &self,
        request: Request<v1::ListTopicsRequest>,
    ) -> Result<Response<v1::ListTopicsResponse>, Status> {
        Ok(Response::new(list_topics::list_topics(&self.node, &request.into_inner())))
    }

    async fn describe_topics(
        &self,
        request: Request<v1::DescribeTopicsRequest>,
    ) -> Result<Response<v1::DescribeTopicsResponse>, Status> {
        describe_topics::describe_topics(&self.node, &request.into_inner()).map(Response::new)
    }

    async fn delete_topics(
        &self,
        request: Request<v1::DeleteTopicsRequest>,
    ) -> Result<Response<v1::DeleteTopicsResponse>, Status> {
        delete_topics::delete_topics(&self.node, request.into_inner()).await.map(Response::new)
    }

    async fn alter_topic_configs(
        &self,
        request: Request<v1::AlterTopicConfigsRequest>,
    ) -> Result<Response<v1::AlterTopicConfigsResponse>, Status> {
        alter_topic_configs::alter_topic_configs(&self.node, request.into_inner()).await.map(Response::new)
    }

    async fn create_partitions(
        &self,
        request: Request<v1::CreatePartitionsRequest>,
    ) -> Result<Response<v1::CreatePartitionsResponse>, Status> {
        create_partitions::create_partitions(&self.node, request.into_inner()).await.map(Response::new)
    }

    async fn delete_records(
        &self,
        request: Request<v1::DeleteRecordsRequest>,
    ) -> Result<Response<v1::DeleteRecordsResponse>, Status> {
        delete_records::delete_records(&self.node, request.into_inner()).await.map(Response::new)
    }

    async fn describe_configs(
        &self,
        request: Request<v1::DescribeConfigsRequest>,
    ) -> Result<Response<v1::DescribeConfigsResponse>, Status> {
        describe_configs::describe_configs(&self.node, &request.into_inner()).map(Response::new)
    }

    async fn describe_cluster(
        &self,
        _: Request<v1::DescribeClusterRequest>,
    ) -> Result<Response<v1::DescribeClusterResponse>, Status> {
        Ok(Response::new(describe_cluster::describe_cluster(&self.node)))
    }

    async fn describe_broker(
        &self,
        _: Request<v1::DescribeBrokerRequest>,
    ) -> Result<Response<v1::DescribeBrokerResponse>, Status> {
        describe_broker::describe_broker(&self.node).await.map(Response::new)
    }
}

/// Refuses a call that is about too many things.
fn check_count(field: &str, count: usize) -> Result<(), Status> {
    if count <= ITEMS_MAX {
        return Ok(());
    }
    let limit = reply_error::limit("items_max", ITEMS_MAX as u64, Some(count as u64), false);
    Err(reply_error::passed_limit(format!("{field} has {count} items"), limit))
}

/// Refuses a call that is about the same thing twice. `None` is about nothing, and is refused where it stands.
fn check_distinct<T: Eq + Hash>(field: &str, items: impl Iterator<Item = Option<T>>) -> Result<(), Status> {
    let mut seen = HashSet::new();
    for (place, item) in items.enumerate() {
        if item.is_some_and(|item| !seen.insert(item)) {
            let path = format!("{field}[{place}]");
            return Err(reply_error::invalid_request(format!("{path} stands in the request twice"), Some(path)));
        }
    }
    Ok(())
}

/// Gives the id of a topic that is there, so that one that is named by id and by name is known as the same.
fn known_id(state: &MetadataState, topic: Option<&v1::TopicRef>) -> Option<TopicId> {
    let selector = TopicSelector::from_field(topic).ok()?;
    state.select(&selector).map(|topic| topic.id)
}

fn invalid(field: String, message: impl Into<String>) -> v1::Error {
    v1::Error { field: Some(field), ..v1::Error::new(ErrorCode::InvalidRequest, message) }
}
