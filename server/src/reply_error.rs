//! Errors of this broker's insides as the errors of its replies.

use bytes::Bytes;
use tidelog_log::ReadError;
use tidelog_proto::api::{FieldError, encode_status_details, grpc_status, v1};
use tidelog_proto::batch;
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{Offset, ProducerEpoch};
use tidelog_raft::{Leadership, ProduceError, SequenceError};

use crate::partition_table::{LookupError, Topology};

/// Tells why a partition is not here.
pub(crate) fn lookup_error(topology: &Topology, error: &LookupError) -> v1::Error {
    match error {
        LookupError::TopicId(_) => v1::Error::new(ErrorCode::UnknownTopicId, error.to_string()),
        LookupError::TopicName(_) | LookupError::Partition { .. } => {
            v1::Error::new(ErrorCode::UnknownTopicOrPartition, error.to_string())
        }
        LookupError::Elsewhere(leadership) => v1::Error {
            leader: leader_hint(topology, *leadership),
            ..v1::Error::new(ErrorCode::NotLeader, error.to_string())
        },
    }
}

/// How soon a producer may ask again whether there is space, in milliseconds. It seldom comes back by itself.
const DISK_FULL_RETRY_MS: u32 = 1_000;

/// How soon what was refused for want of memory may be sent again, in milliseconds.
const OVERLOADED_RETRY_MS: u32 = 100;

/// Tells why a partition took no batch, which a producer sent under `epoch`, or moved no log start.
pub(crate) fn produce_error(
    topology: &Topology,
    leadership: Leadership,
    epoch: Option<ProducerEpoch>,
    error: &ProduceError,
) -> v1::Error {
    let mut reply = v1::Error::new(error.code(), error.to_string());
    match error {
        ProduceError::NotLeader(leadership) => reply.leader = leader_hint(topology, *leadership),
        ProduceError::Behind => reply.leader = leader_hint(topology, leadership),
        ProduceError::Sequence(error) => reply.sequence = expected_sequence(epoch, error),
        ProduceError::OffsetOutOfRange { log_start_offset, high_watermark, .. } => {
            reply.offset_range = Some(offset_range(*log_start_offset, *high_watermark));
        }
        ProduceError::DiskFull => return disk_full(error.to_string()),
        ProduceError::Stopped => {}
    }
    reply
}

/// Tells that there is too little space, and when to look again.
pub(crate) fn disk_full(message: String) -> v1::Error {
    v1::Error { retry_after_ms: Some(DISK_FULL_RETRY_MS), ..v1::Error::new(ErrorCode::DiskFull, message) }
}

/// Tells that there is too much to do now, and when to ask again.
pub(crate) fn overloaded(message: &str) -> v1::Error {
    v1::Error { retry_after_ms: Some(OVERLOADED_RETRY_MS), ..v1::Error::new(ErrorCode::Overloaded, message) }
}

/// Tells what is wrong with a batch. `record_index` of the reply counts within the batch.
pub(crate) fn refused_batch(error: &batch::ProduceError) -> v1::Error {
    let mut reply = v1::Error::new(error.error_code(), error.to_string());
    match *error {
        batch::ProduceError::TooLarge { batch_bytes, batch_bytes_max } => {
            reply.limit = Some(limit("batch_bytes_max", batch_bytes_max.into(), Some(batch_bytes.into()), true));
        }
        batch::ProduceError::TooManyHeaders { record, headers, headers_max } => {
            reply.record_index = Some(record);
            reply.limit = Some(limit("headers_max", headers_max.into(), Some(headers.into()), false));
        }
        batch::ProduceError::NoKey { record }
        | batch::ProduceError::Batch(batch::BatchError::Record { record, .. }) => reply.record_index = Some(record),
        batch::ProduceError::Batch(batch::BatchError::Decompress(batch::DecompressError::OutputLimit {
            output_bytes_max,
        })) => reply.limit = Some(limit("decompressed_bytes_max", output_bytes_max, None, false)),
        _ => {}
    }
    reply
}

/// Tells why a read failed. Only a leader knows which offsets there are.
pub(crate) fn read_error(
    topology: &Topology,
    leadership: Leadership,
    high_watermark: Offset,
    error: &ReadError,
) -> v1::Error {
    match error {
        ReadError::OffsetOutOfRange { offset, log_start_offset, .. } => {
            out_of_range(topology, leadership, *offset, *log_start_offset, high_watermark)
        }
        ReadError::Damaged(_) | ReadError::Batch { .. } | ReadError::IndexOutOfRange { .. } => {
            v1::Error::new(ErrorCode::CorruptLog, error.to_string())
        }
        ReadError::Io { .. } => v1::Error::new(ErrorCode::StorageError, error.to_string()),
    }
}

/// Tells that an offset is not kept: for good if this replica leads, or here only.
pub(crate) fn out_of_range(
    topology: &Topology,
    leadership: Leadership,
    offset: Offset,
    log_start_offset: Offset,
    high_watermark: Offset,
) -> v1::Error {
    if leadership.is_serving {
        let message = format!("offset {offset} is not within {log_start_offset} to {high_watermark}");
        let mut reply = v1::Error::new(ErrorCode::OffsetOutOfRange, message);
        reply.offset_range = Some(offset_range(log_start_offset, high_watermark));
        reply
    } else {
        let message = format!("offset {offset} is not kept by this follower");
        let mut reply = v1::Error::new(ErrorCode::FetchFromLeader, message);
        reply.leader = leader_hint(topology, leadership);
        reply
    }
}

/// Tells who leads, if that broker's address is known.
pub(crate) fn leader_hint(topology: &Topology, leadership: Leadership) -> Option<v1::LeaderHint> {
    let leader = leadership.leader?;
    let address = topology.address(leader)?.to_owned();
    Some(v1::LeaderHint { broker_id: leader.get(), address, leader_epoch: Some(leadership.epoch.get()) })
}

/// Describes a limit; one that a config sets has the config's name.
pub(crate) fn limit(name: &str, allowed: u64, actual: Option<u64>, is_config: bool) -> v1::ExceededLimit {
    let config_key = is_config.then(|| name.to_owned());
    v1::ExceededLimit { name: name.to_owned(), allowed, actual, config_key }
}

/// Ends a call because of a field of its request.
pub(crate) fn refused_field(error: FieldError, message_path: &str) -> tonic::Status {
    status(&error.into_error(message_path))
}

/// Ends a call because of its request.
pub(crate) fn invalid_request(message: impl Into<String>, field: Option<String>) -> tonic::Status {
    status(&v1::Error { field, ..v1::Error::new(ErrorCode::InvalidRequest, message) })
}

/// Ends a call because its request passes a limit.
pub(crate) fn passed_limit(message: impl Into<String>, limit: v1::ExceededLimit) -> tonic::Status {
    status(&v1::Error { limit: Some(limit), ..v1::Error::new(ErrorCode::InvalidRequest, message) })
}

/// Ends a call because the broker does.
pub(crate) fn shutting_down() -> tonic::Status {
    status(&v1::Error::new(
        ErrorCode::LeaderNotAvailable,
        "the broker is shutting down; its partitions get other leaders",
    ))
}

/// Makes the status of a call that fails with this error.
pub(crate) fn status(error: &v1::Error) -> tonic::Status {
    let code = grpc_status(error.known_code().unwrap_or(ErrorCode::InvalidRequest));
    let details: Bytes = encode_status_details(code, error);
    tonic::Status::with_details(tonic::Code::from_i32(code), error.message.clone(), details)
}

fn offset_range(log_start_offset: Offset, high_watermark: Offset) -> v1::OffsetRange {
    v1::OffsetRange { log_start_offset: log_start_offset.get(), high_watermark: high_watermark.get() }
}

/// Tells what was expected of a producer that is known under `epoch`, or under a newer one.
fn expected_sequence(epoch: Option<ProducerEpoch>, error: &SequenceError) -> Option<v1::ExpectedSequence> {
    let (next_sequence, epoch) = match *error {
        // The newer epoch began with 0, as every one does.
        SequenceError::Fenced { current, .. } => (0, Some(current)),
        SequenceError::Gap { expected, .. } | SequenceError::Old { expected, .. } => (expected.get(), epoch),
    };
    Some(v1::ExpectedSequence { next_sequence, producer_epoch: u32::from(epoch?.get()) })
}
