//! `Broker.ProduceRecords`: plain records in, batches into the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tidelog_proto::api::{Acks, TopicSelector, v1};
use tidelog_proto::batch::{BatchBuilder, BuildError, Compression, PushError, RecordBatch, TimestampType};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{Offset, PartitionId};
use tidelog_proto::key_hash::partition_for_key;
use tidelog_raft::AppendedBatch;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Status};

use crate::data_path::{DataPath, now_ms};
use crate::hosted_partition::HostedPartition;
use crate::in_flight::{ConnectionBudget, batch_cost};
use crate::message_limits::BATCH_BYTES_CEILING;
use crate::partition_table::{Placement, Topic, Topology};
use crate::produce::admission::{self, Refusal};
use crate::produce::log_append_time_ms;
use crate::reply_error;

/// Records of one call: one refusal that is told for each of them stays within a message.
const RECORDS_MAX: usize = 10_000;

/// The records of one partition, by their places in the request.
type Shares = BTreeMap<u32, Vec<usize>>;

/// Answers one call. It holds its share of the bytes in flight until then.
///
/// # Errors
/// The request is malformed as a whole.
pub async fn produce_records(
    path: Arc<DataPath>,
    request: Request<v1::ProduceRecordsRequest>,
) -> Result<v1::ProduceRecordsResponse, Status> {
    let budget = path.in_flight_budget(request.extensions().get::<ConnectionBudget>());
    let request = request.into_inner();
    let acks = Acks::from_field(request.acks).map_err(|error| reply_error::refused_field(error, ""))?;
    if acks == Acks::None {
        let field = Some("acks".to_owned());
        return Err(reply_error::invalid_request("acks is ACKS_NONE, but this call always answers", field));
    }
    let topic = TopicSelector::from_field(request.topic.as_ref());
    let topic = topic.map_err(|error| reply_error::refused_field(error, ""))?;
    if request.records.is_empty() {
        return Err(reply_error::invalid_request("records is empty", Some("records".to_owned())));
    }
    let count = request.records.len();
    if count > RECORDS_MAX {
        let limit = reply_error::limit("records_max", RECORDS_MAX as u64, Some(count as u64), false);
        return Err(reply_error::passed_limit(format!("request has {count} records"), limit));
    }
    // Its size is taken as that of its message: records in their batch are hardly ever longer.
    let bytes = batch_cost(prost::Message::encoded_len(&request));
    let deadline = Instant::now() + path.config.request_timeout;
    let Ok(_bytes) = timeout_at(deadline, budget.acquire(bytes)).await else {
        let message = "too many bytes are in flight on the connection or the broker";
        return Ok(all(&request, request.partition, &reply_error::overloaded(message)));
    };
    Ok(answer(&path, &topic, &request, deadline).await)
}

async fn answer(
    path: &Arc<DataPath>,
    topic: &TopicSelector,
    request: &v1::ProduceRecordsRequest,
    deadline: Instant,
) -> v1::ProduceRecordsResponse {
    let topology = path.table.snapshot();
    let topic = match topology.topic(topic) {
        Ok(topic) => topic,
        Err(error) => return all(request, None, &reply_error::lookup_error(&topology, &error)),
    };
    if topic.is_internal {
        let error = v1::Error::new(ErrorCode::InvalidTopic, "the topic belongs to the brokers: clients only read it");
        return all(request, request.partition, &error);
    }
    let shares = match shares(topic, request) {
        Ok(shares) => shares,
        Err(error) => return all(request, request.partition, &error),
    };
    let appends = shares.iter().map(|(partition, places)| {
        let share = Share { topology: &topology, topic, request, partition: *partition, places };
        async move { append(path, share, deadline).await }
    });
    let outcomes = join_all(appends).await;
    let mut results = vec![v1::ProduceRecordsResult::default(); request.records.len()];
    for ((partition, places), outcome) in shares.iter().zip(outcomes) {
        for (rank, place) in (0..).zip(places) {
            results[*place] = outcome.result(*partition, rank, &request.records[*place]);
        }
    }
    v1::ProduceRecordsResponse { results }
}

/// What became of the records of one partition.
enum Outcome {
    Appended { base_offset: Offset, append_time_ms: Option<i64>, now_ms: i64 },
    Refused(Box<v1::Error>),
}

impl Outcome {
    /// Gives the result of the record that is `rank` places behind the first of its partition.
    fn result(&self, partition: u32, rank: u64, record: &v1::NewRecord) -> v1::ProduceRecordsResult {
        let result = match self {
            Self::Appended { base_offset, append_time_ms, now_ms } => {
                v1::produce_records_result::Result::Appended(v1::AppendedRecord {
                    offset: (*base_offset + rank).get(),
                    timestamp_ms: append_time_ms.or(record.timestamp_ms).unwrap_or(*now_ms),
                    acks_reached: v1::Acks::All.into(),
                })
            }
            Self::Refused(error) => v1::produce_records_result::Result::Error(error.clone()),
        };
        v1::ProduceRecordsResult { partition: Some(partition), result: Some(result) }
    }
}

/// Gives each record its partition.
fn shares(topic: &Topic, request: &v1::ProduceRecordsRequest) -> Result<Shares, Box<v1::Error>> {
    let mut shares = Shares::new();
    let partition_count = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
    if partition_count == 0 {
        let message = format!("topic {} has no partitions here yet", topic.name);
        return Err(Box::new(v1::Error::new(ErrorCode::UnknownTopicOrPartition, message)));
    }
    // Chosen once: records without a key stay together and in order.
    let keyless = || keyless_partition(topic).unwrap_or(0);
    let mut chosen = None;
    for (place, record) in request.records.iter().enumerate() {
        let partition = match (request.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, partition_count).get(),
            (None, None) => *chosen.get_or_insert_with(keyless),
        };
        shares.entry(partition).or_default().push(place);
    }
    Ok(shares)
}

/// Chooses among the partitions that this broker leads, by the time, so that calls spread over them.
fn keyless_partition(topic: &Topic) -> Option<u32> {
    let leads = |placement: &Placement| match placement {
        Placement::Here(hosted) => hosted.log().leadership().borrow().is_serving,
        Placement::Elsewhere(_) => false,
    };
    let led: Vec<u32> =
        (0..).zip(&topic.partitions).filter(|(_, placement)| leads(placement)).map(|(number, _)| number).collect();
    let turn = usize::try_from(now_ms().unsigned_abs() % u64::try_from(led.len().max(1)).ok()?).ok()?;
    led.get(turn).copied()
}

/// The records of a request that go to one partition.
#[derive(Clone, Copy)]
struct Share<'a> {
    topology: &'a Topology,
    topic: &'a Topic,
    request: &'a v1::ProduceRecordsRequest,
    partition: u32,
    places: &'a [usize],
}

async fn append(path: &DataPath, share: Share<'_>, deadline: Instant) -> Outcome {
    let Share { topology, topic, request, partition, places } = share;
    let selector = TopicSelector::Id(topic.id);
    let hosted = match topology.partition(&selector, PartitionId::new(partition)) {
        Ok(hosted) => hosted,
        Err(error) => return Outcome::Refused(Box::new(reply_error::lookup_error(topology, &error))),
    };
    let now_ms = now_ms();
    let batch = match build(hosted, request, places, now_ms) {
        Ok(batch) => batch,
        Err(error) => return Outcome::Refused(error),
    };
    let commit = async {
        let pending = admission::append(path, hosted, batch).await?;
        pending.await.map_err(Refusal::Log)
    };
    match timeout_at(deadline, commit).await.unwrap_or(Err(Refusal::OutOfTime)) {
        Ok(appended) => {
            path.metrics.batch_appended();
            let AppendedBatch { base_offset, .. } = appended;
            Outcome::Appended { base_offset, append_time_ms: log_append_time_ms(hosted, appended), now_ms }
        }
        Err(refusal) => {
            let mut error = refusal.to_error(path, hosted, None);
            error.record_index = error.record_index.and_then(|record| in_request(places, record));
            path.metrics.batch_refused(&error);
            Outcome::Refused(Box::new(error))
        }
    }
}

/// Puts the records of one partition into one batch: they are stored together or not at all.
fn build(
    partition: &HostedPartition,
    request: &v1::ProduceRecordsRequest,
    places: &[usize],
    now_ms: i64,
) -> Result<RecordBatch, Box<v1::Error>> {
    let settings = partition.settings();
    let batch_bytes_max = settings.batch_bytes_max.min(BATCH_BYTES_CEILING);
    let mut builder = BatchBuilder::new(Compression::None).batch_bytes_max(batch_bytes_max);
    for (rank, place) in (0..).zip(places) {
        let mut headers = Vec::new();
        let mut record = request.records[*place].as_new(&mut headers, now_ms);
        if settings.timestamp_type == TimestampType::LogAppendTime {
            record.timestamp = now_ms;
        }
        builder.push(&record).map_err(|error| Box::new(refused_record(&error, in_request(places, rank))))?;
    }
    let unbuilt = |error: BuildError| Box::new(v1::Error::new(ErrorCode::InvalidRecord, error.to_string()));
    builder.finish().map_err(unbuilt)
}

fn refused_record(error: &PushError, record_index: Option<u32>) -> v1::Error {
    match *error {
        PushError::Full { batch_bytes, batch_bytes_max }
        | PushError::RecordTooLarge { batch_bytes, batch_bytes_max } => {
            let limit = reply_error::limit("batch_bytes_max", batch_bytes_max.into(), Some(batch_bytes), true);
            let message = format!("the records of one partition make one batch: {error}");
            v1::Error { record_index, limit: Some(limit), ..v1::Error::new(ErrorCode::BatchTooLarge, message) }
        }
        PushError::TimestampDelta { .. } => {
            v1::Error { record_index, ..v1::Error::new(ErrorCode::InvalidTimestamp, error.to_string()) }
        }
    }
}

/// Gives the place in the request of the record that is `rank` places behind the first of its partition.
fn in_request(places: &[usize], rank: u32) -> Option<u32> {
    let place = places.get(usize::try_from(rank).ok()?)?;
    u32::try_from(*place).ok()
}

/// Answers every record alike.
fn all(request: &v1::ProduceRecordsRequest, partition: Option<u32>, error: &v1::Error) -> v1::ProduceRecordsResponse {
    let result = v1::ProduceRecordsResult {
        partition,
        result: Some(v1::produce_records_result::Result::Error(Box::new(error.clone()))),
    };
    v1::ProduceRecordsResponse { results: vec![result; request.records.len()] }
}
