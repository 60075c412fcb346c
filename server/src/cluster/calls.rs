//! The calls of the service `Broker` that are about the cluster: `Metadata` and `InitProducerId`.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tidelog_proto::api::{TopicSelector, v1};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::TopicName;
use tidelog_raft::metadata::MetadataState;
use tonic::Status;

use super::{Node, admin, describe};
use crate::broker_service::ClusterCalls;
use crate::reply_error;

/// Topics that one call may name.
const TOPICS_MAX: usize = 10_000;

impl ClusterCalls for Node {
    fn metadata(&self, request: v1::MetadataRequest) -> BoxFuture<'_, Result<v1::MetadataResponse, Status>> {
        metadata(self, request).boxed()
    }

    fn init_producer_id(
        &self,
        _: v1::InitProducerIdRequest,
    ) -> BoxFuture<'_, Result<v1::InitProducerIdResponse, Status>> {
        async move {
            let result = match self.producer_ids.next(self.config.broker_id, &self.metadata).await {
                Ok(id) => v1::init_producer_id_response::Result::Producer(v1::ProducerIdentity {
                    producer_id: id.get(),
                    producer_epoch: 0,
                }),
                Err(error) => v1::init_producer_id_response::Result::Error(Box::new(describe::propose_error(&error))),
            };
            Ok(v1::InitProducerIdResponse { result: Some(result) })
        }
        .boxed()
    }
}

impl ClusterCalls for Arc<Node> {
    fn metadata(&self, request: v1::MetadataRequest) -> BoxFuture<'_, Result<v1::MetadataResponse, Status>> {
        ClusterCalls::metadata(self.as_ref(), request)
    }

    fn init_producer_id(
        &self,
        request: v1::InitProducerIdRequest,
    ) -> BoxFuture<'_, Result<v1::InitProducerIdResponse, Status>> {
        self.as_ref().init_producer_id(request)
    }
}

async fn metadata(node: &Node, request: v1::MetadataRequest) -> Result<v1::MetadataResponse, Status> {
    let count = request.topics.len();
    if count > TOPICS_MAX {
        let limit = reply_error::limit("topics_max", TOPICS_MAX as u64, Some(count as u64), false);
        return Err(reply_error::passed_limit(format!("request names {count} topics"), limit));
    }
    if request.all_topics && count > 0 {
        let field = Some("topics".to_owned());
        return Err(reply_error::invalid_request("topics must be empty with all_topics", field));
    }
    let selectors = request.topics.iter().enumerate().map(|(place, topic)| {
        let selector = TopicSelector::from_field(Some(topic));
        selector.map_err(|error| error.into_error(&format!("topics[{place}]")))
    });
    let selectors: Vec<Result<TopicSelector, v1::Error>> = selectors.collect();
    if request.allow_auto_topic_creation && node.config.topics.auto_create_topics {
        create_missing(node, &selectors).await;
    }
    let state = node.metadata.state().borrow().clone();
    describe::check_partitions(&state, selectors.iter().filter_map(|selector| selector.as_ref().ok().cloned()))?;
    let topics = if request.all_topics {
        state.topics().map(|topic| describe::topic_metadata(node, topic)).collect()
    } else {
        selectors.into_iter().map(|selector| topic_or_error(node, &state, selector)).collect()
    };
    Ok(v1::MetadataResponse {
        cluster_id: describe::cluster_id(&state),
        brokers: describe::brokers(&state),
        controller_id: describe::controller(node),
        metadata_version: state.metadata_version().get(),
        topics,
    })
}

fn topic_or_error(node: &Node, state: &MetadataState, selector: Result<TopicSelector, v1::Error>) -> v1::TopicMetadata {
    let (name, id) = match &selector {
        Ok(TopicSelector::Name(name)) => (name.as_str().to_owned(), bytes::Bytes::new()),
        Ok(TopicSelector::Id(id)) => (String::new(), describe::id_bytes(*id)),
        Err(_) => Default::default(),
    };
    match selector
        .and_then(|selector| describe::topic(state, &selector).map(|topic| describe::topic_metadata(node, topic)))
    {
        Ok(topic) => topic,
        Err(error) => v1::TopicMetadata { name, topic_id: id, error: Some(error), ..Default::default() },
    }
}

/// Creates topics that are named and missing. What cannot be created is an error of the answer, as a missing topic.
async fn create_missing(node: &Node, selectors: &[Result<TopicSelector, v1::Error>]) {
    let is_missing = |name: &&TopicName| node.metadata.state().borrow().topic_by_name(name).is_none();
    let names: Vec<TopicName> = selectors
        .iter()
        .filter_map(|selector| match selector {
            Ok(TopicSelector::Name(name)) => Some(name),
            _ => None,
        })
        .filter(is_missing)
        .cloned()
        .collect();
    for name in &names {
        let topic = v1::NewTopic { name: name.as_str().to_owned(), ..Default::default() };
        let created = admin::create_topics::create(node, &topic, false).await;
        let is_refused =
            |error: &v1::Error| error.known_code().is_none_or(|code| code != ErrorCode::TopicAlreadyExists);
        if let Err(error) = created
            && is_refused(&error)
        {
            tracing::warn!(topic = %name, error = %error.message, "a topic that was asked for could not be created");
        }
    }
    // Also of those that somebody else has just created.
    let meant: Vec<TopicSelector> = selectors.iter().filter_map(|selector| selector.as_ref().ok().cloned()).collect();
    node.wait_until_led(&meant).await;
}
