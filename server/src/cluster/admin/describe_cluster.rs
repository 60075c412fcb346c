//! `Admin.DescribeCluster`.

use tidelog_proto::api::v1;

use super::super::{Node, describe};

/// Answers one call.
pub(super) fn describe_cluster(node: &Node) -> v1::DescribeClusterResponse {
    let state = node.metadata.state().borrow().clone();
    v1::DescribeClusterResponse {
        cluster_id: describe::cluster_id(&state),
        controller_id: describe::controller(node),
        brokers: describe::brokers(&state),
        metadata_version: state.metadata_version().get(),
    }
}
