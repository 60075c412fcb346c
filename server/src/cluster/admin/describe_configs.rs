//! `Admin.DescribeConfigs`.

use tidelog_proto::api::{TopicSelector, v1};
use tidelog_proto::error_code::ErrorCode;
use tonic::Status;

use super::super::{Node, describe};
use super::{check_count, invalid};

/// Answers one call.
pub(super) fn describe_configs(
    node: &Node,
    request: &v1::DescribeConfigsRequest,
) -> Result<v1::DescribeConfigsResponse, Status> {
    check_count("resources", request.resources.len())?;
    let describe_one = |(place, resource): (usize, &v1::ConfigResource)| match configs(node, place, resource) {
        Ok(configs) => v1::DescribeConfigsResult { configs, error: None },
        Err(error) => v1::DescribeConfigsResult { configs: Vec::new(), error: Some(error) },
    };
    Ok(v1::DescribeConfigsResponse { results: request.resources.iter().enumerate().map(describe_one).collect() })
}

fn configs(node: &Node, place: usize, resource: &v1::ConfigResource) -> Result<Vec<v1::Config>, v1::Error> {
    let path = format!("resources[{place}]");
    match &resource.resource {
        None => Err(invalid(path, "either a topic or a broker is wanted")),
        Some(v1::config_resource::Resource::Topic(topic)) => {
            let selector = TopicSelector::from_field(Some(topic)).map_err(|error| error.into_error(&path))?;
            let state = node.metadata.state().borrow().clone();
            let topic = describe::topic(&state, &selector)?;
            Ok(topic.configs.describe(&node.config.topics.configs).map(v1::Config::from).collect())
        }
        Some(v1::config_resource::Resource::BrokerId(broker_id)) => {
            let me = node.config.broker_id.get();
            if *broker_id != me {
                let message = format!("this is broker {me}; only broker {broker_id} knows its configs");
                return Err(v1::Error {
                    field: Some(format!("{path}.broker_id")),
                    ..v1::Error::new(ErrorCode::InvalidRequest, message)
                });
            }
            Ok(node.config.described.clone())
        }
    }
}
