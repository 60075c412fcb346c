//! `Admin.DeleteRecords`.

use tidelog_proto::api::{TopicSelector, offset, v1};
use tidelog_proto::ids::{Offset, PartitionId};
use tonic::Status;

use super::super::Node;
use super::{check_count, check_distinct, invalid, known_id};
use crate::fetch::locate::{find, in_time};
use crate::reply_error;

/// Answers one call. Each partition is dealt with for itself.
pub(super) async fn delete_records(
    node: &Node,
    request: v1::DeleteRecordsRequest,
) -> Result<v1::DeleteRecordsResponse, Status> {
    check_count("partitions", request.partitions.len())?;
    let state = node.metadata.state().borrow().clone();
    let named = |partition: &v1::DeleteRecordsPartition| {
        Some((known_id(&state, partition.topic.as_ref())?, partition.partition))
    };
    check_distinct("partitions", request.partitions.iter().map(named))?;
    let mut results = Vec::with_capacity(request.partitions.len());
    for (place, partition) in request.partitions.iter().enumerate() {
        let result = match delete(node, place, partition).await {
            Ok(start) => v1::delete_records_result::Result::LogStartOffset(start.get()),
            Err(error) => v1::delete_records_result::Result::Error(error),
        };
        results.push(v1::DeleteRecordsResult { result: Some(result) });
    }
    Ok(v1::DeleteRecordsResponse { results })
}

async fn delete(node: &Node, place: usize, request: &v1::DeleteRecordsPartition) -> Result<Offset, Box<v1::Error>> {
    let path = format!("partitions[{place}]");
    let selector =
        TopicSelector::from_field(request.topic.as_ref()).map_err(|error| Box::new(error.into_error(&path)))?;
    let before = match request.end {
        None => return Err(Box::new(invalid(format!("{path}.end"), "either before_offset or all is wanted"))),
        Some(v1::delete_records_partition::End::All(false)) => {
            return Err(Box::new(invalid(format!("{path}.all"), "all = false says nothing")));
        }
        Some(v1::delete_records_partition::End::All(true)) => None,
        Some(v1::delete_records_partition::End::BeforeOffset(before)) => {
            Some(offset("before_offset", before).map_err(|error| Box::new(error.into_error(&path)))?)
        }
    };
    let partition = find(&node.path, &selector, PartitionId::new(request.partition))?;
    let log = partition.log();
    in_time(&node.path, async {
        let outcome = match before {
            Some(before) => log.delete_records(before).await,
            None => match log.read_barrier().await {
                Ok(high_watermark) => log.delete_records(high_watermark).await,
                Err(error) => Err(error),
            },
        };
        outcome.map_err(|error| {
            let leadership = *log.leadership().borrow();
            Box::new(reply_error::produce_error(&node.path.table.load(), leadership, None, &error))
        })
    })
    .await
}
