//! From a place in a partition to an offset.

use std::sync::Arc;

use tidelog_log::TimestampOffset;
use tidelog_proto::api::{Position, TopicSelector, v1};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{Offset, PartitionId};
use tidelog_raft::ProduceError;
use tokio::time::timeout;

use super::state::Located;
use crate::data_path::DataPath;
use crate::hosted_partition::HostedPartition;
use crate::reply_error;

/// Finds a partition's replica on this broker.
pub(crate) fn find(
    path: &DataPath,
    topic: &TopicSelector,
    partition: PartitionId,
) -> Result<Arc<HostedPartition>, Box<v1::Error>> {
    let topology = path.table.load();
    match topology.partition(topic, partition) {
        Ok(hosted) => Ok(Arc::clone(hosted)),
        Err(error) => Err(Box::new(reply_error::lookup_error(&topology, &error))),
    }
}

/// Finds where reading starts.
pub(crate) async fn locate(
    path: &DataPath,
    partition: &Arc<HostedPartition>,
    position: Position,
) -> Result<Located, Box<v1::Error>> {
    in_time(path, async {
        let position = match position {
            Position::Offset(offset) => check_offset(path, partition, offset).await?,
            Position::Earliest => partition.log().reader().log_start_offset(),
            Position::Latest => latest(path, partition).await?,
            Position::Timestamp(timestamp_ms) => match find_timestamp(path, partition, timestamp_ms).await? {
                Some(found) => found.offset,
                None => latest(path, partition).await?,
            },
        };
        Ok(Located {
            topic_id: partition.log().identity().topic_id,
            position,
            high_watermark: high_watermark(partition),
            log_start_offset: partition.log().reader().log_start_offset(),
        })
    })
    .await
}

/// Gives the high watermark below which lies everything that was acknowledged before. Known to the leader only.
pub(crate) async fn latest(path: &DataPath, partition: &HostedPartition) -> Result<Offset, Box<v1::Error>> {
    partition.log().read_barrier().await.map_err(|error| log_error(path, partition, &error))
}

/// Finds the first committed record of this timestamp or a later one.
pub(crate) async fn find_timestamp(
    path: &DataPath,
    partition: &Arc<HostedPartition>,
    timestamp_ms: i64,
) -> Result<Option<TimestampOffset>, Box<v1::Error>> {
    let (searched, limit) = (Arc::clone(partition), high_watermark(partition));
    let search = move || searched.log().reader().offset_for_timestamp(timestamp_ms, limit, searched.decode_limits());
    let found = path.blocking.run(search).await.map_err(|_| ending())?;
    found.map_err(|error| {
        let leadership = *partition.log().leadership().borrow();
        Box::new(reply_error::read_error(&path.table.load(), leadership, limit, &error))
    })
}

/// Runs a lookup, for as long as any call may take.
pub(crate) async fn in_time<T>(
    path: &DataPath,
    lookup: impl Future<Output = Result<T, Box<v1::Error>>>,
) -> Result<T, Box<v1::Error>> {
    let out_of_time = |_| {
        let message = "the offset could not be looked up in time";
        Box::new(v1::Error::new(ErrorCode::RequestTimedOut, message))
    };
    timeout(path.config.request_timeout, lookup).await.map_err(out_of_time)?
}

/// The broker ended before something was read.
pub(crate) fn ending() -> Box<v1::Error> {
    Box::new(v1::Error::new(ErrorCode::StorageError, "the broker is shutting down"))
}

fn high_watermark(partition: &HostedPartition) -> Offset {
    *partition.log().high_watermark().borrow()
}

/// Refuses an offset that is not kept. One above the high watermark may only be new to this replica: the leader knows.
async fn check_offset(path: &DataPath, partition: &HostedPartition, offset: Offset) -> Result<Offset, Box<v1::Error>> {
    let log_start_offset = partition.log().reader().log_start_offset();
    let mut known = high_watermark(partition);
    let mut is_kept = offset >= log_start_offset;
    if offset > known {
        // Anybody else waits for the records to come.
        if let Ok(barrier) = partition.log().read_barrier().await {
            known = barrier;
            is_kept = offset <= barrier;
        }
    }
    if is_kept {
        return Ok(offset);
    }
    let leadership = *partition.log().leadership().borrow();
    Err(Box::new(reply_error::out_of_range(&path.table.load(), leadership, offset, log_start_offset, known)))
}

fn log_error(path: &DataPath, partition: &HostedPartition, error: &ProduceError) -> Box<v1::Error> {
    let leadership = *partition.log().leadership().borrow();
    Box::new(reply_error::produce_error(&path.table.load(), leadership, None, error))
}
