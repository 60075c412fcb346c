//! `Admin.DescribeBroker`.

use std::io;
use std::sync::Arc;

use tidelog_proto::api::v1;
use tidelog_proto::error_code::ErrorCode;
use tidelog_raft::ReplicatedLog;
use tonic::Status;

use super::super::Node;
use super::super::reconcile::OpenPartition;
use crate::reply_error;

/// Answers one call.
pub(super) async fn describe_broker(node: &Node) -> Result<v1::DescribeBrokerResponse, Status> {
    let open: Vec<_> = node.partitions().values().cloned().collect();
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let leads = open.iter().filter(|partition| partition.group.leadership().borrow().is_serving).count();
    let bytes_of = |partition: &Arc<OpenPartition>| -> u64 {
        partition.group.reader().segments().iter().map(|segment| segment.log_bytes).sum()
    };
    let environment = Arc::clone(node.host.environment());
    let dir = node.host.path().to_owned();
    let space = tokio::task::spawn_blocking(move || {
        Ok::<_, io::Error>((environment.total_bytes(&dir)?, environment.free_bytes(&dir)?))
    })
    .await;
    let (total_bytes, free_bytes) = space.map_err(io::Error::other).and_then(|space| space).map_err(|error| {
        let message = format!("the data directory's file system does not answer: {error}");
        reply_error::status(&v1::Error::new(ErrorCode::StorageError, message))
    })?;
    Ok(v1::DescribeBrokerResponse {
        broker: Some(v1::BrokerAddress {
            broker_id: node.config.broker_id.get(),
            address: node.config.address.to_string(),
            rack: node.config.rack.as_ref().map(ToString::to_string),
        }),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: node.started_ms,
        replica_count: count(open.len()),
        leader_count: count(leads),
        data_dir: Some(v1::DataDirDescription {
            total_bytes,
            free_bytes,
            reserve_bytes: node.config.disk_reserve_bytes,
            log_bytes: open.iter().map(bytes_of).sum(),
        }),
    })
}
