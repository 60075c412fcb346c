//! `Broker.ListOffsets`: the earliest offset, the latest, the first at or after a time.

use futures_util::{StreamExt, stream};
use tidelog_proto::api::{FieldError, IsolationLevel, Position, TopicSelector, v1};
use tidelog_proto::ids::PartitionId;
use tonic::Status;

use crate::data_path::DataPath;
use crate::fetch::locate::{find, find_timestamp, in_time, latest};
use crate::reply_error;

/// Queries of one call.
const QUERIES_MAX: usize = 10_000;

/// Queries of one call that are looked up at once: reads of cold indexes wait for the disk.
const QUERIES_AT_ONCE: usize = 8;

/// Answers one call. All offsets are those of the partitions' leaders.
///
/// # Errors
/// The request is malformed as a whole.
pub async fn list_offsets(path: &DataPath, request: v1::ListOffsetsRequest) -> Result<v1::ListOffsetsResponse, Status> {
    IsolationLevel::from_field(request.isolation_level).map_err(|error| reply_error::refused_field(error, ""))?;
    let count = request.queries.len();
    if count > QUERIES_MAX {
        let limit = reply_error::limit("queries_max", QUERIES_MAX as u64, Some(count as u64), false);
        return Err(reply_error::passed_limit(format!("request has {count} queries"), limit));
    }
    let lookups = request.queries.into_iter().enumerate().map(|(place, query)| async move {
        let result = match list(path, place, query).await {
            Ok(listed) => v1::list_offsets_result::Result::Listed(listed),
            Err(error) => v1::list_offsets_result::Result::Error(error),
        };
        v1::ListOffsetsResult { result: Some(result) }
    });
    let results = stream::iter(lookups).buffered(QUERIES_AT_ONCE).collect().await;
    Ok(v1::ListOffsetsResponse { results })
}

async fn list(path: &DataPath, place: usize, query: v1::ListOffsetsQuery) -> Result<v1::ListedOffset, Box<v1::Error>> {
    let read = || -> Result<_, FieldError> {
        Ok((TopicSelector::from_field(query.topic.as_ref())?, Position::try_from(query.place)?))
    };
    let (topic, position) = read().map_err(|error| Box::new(error.into_error(&format!("queries[{place}]"))))?;
    let partition = find(path, &topic, PartitionId::new(query.partition))?;
    in_time(path, async {
        // Whatever is asked for: only who leads knows what was acknowledged, and what was deleted.
        let latest = latest(path, &partition).await?;
        let found = match position {
            Position::Latest => v1::ListedOffset { offset: Some(latest.get()), timestamp_ms: None },
            Position::Earliest | Position::Offset(_) => {
                let earliest = partition.log().reader().log_start_offset();
                v1::ListedOffset { offset: Some(earliest.get()), timestamp_ms: None }
            }
            Position::Timestamp(timestamp_ms) => {
                let found = find_timestamp(path, &partition, timestamp_ms).await?;
                v1::ListedOffset {
                    offset: found.map(|found| found.offset.get()),
                    timestamp_ms: found.map(|found| found.timestamp),
                }
            }
        };
        Ok(found)
    })
    .await
}
