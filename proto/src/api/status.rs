//! Errors of a whole call: the gRPC status, and the trailer that carries the typed error with it.

use bytes::Bytes;
use prost::Message;

use super::v1;
use crate::error_code::ErrorCode;

/// What names the type of a detail; a prefix up to a slash is free.
const ERROR_TYPE: &str = "type.googleapis.com/tidelog.v1.Error";

/// `google.rpc.Status`, in which the libraries of gRPC expect details.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// Returns the number of the gRPC status for an error of a whole call.
#[must_use]
pub const fn grpc_status(code: ErrorCode) -> i32 {
    match code {
        ErrorCode::OffsetMetadataTooLarge
        | ErrorCode::BatchTooLarge
        | ErrorCode::InvalidTopic
        | ErrorCode::InvalidGroupId
        | ErrorCode::InvalidSessionTimeout
        | ErrorCode::InvalidTimestamp
        | ErrorCode::InvalidPartitions
        | ErrorCode::InvalidReplicationFactor
        | ErrorCode::InvalidReplicaAssignment
        | ErrorCode::InvalidConfig
        | ErrorCode::InvalidRequest
        | ErrorCode::UnsupportedCompressionType
        | ErrorCode::InvalidRecord => INVALID_ARGUMENT,
        ErrorCode::RequestTimedOut => DEADLINE_EXCEEDED,
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::UnknownTopicId
        | ErrorCode::UnknownMemberId
        | ErrorCode::GroupIdNotFound => NOT_FOUND,
        ErrorCode::TopicAlreadyExists => ALREADY_EXISTS,
        ErrorCode::ThrottlingQuotaExceeded | ErrorCode::DiskFull | ErrorCode::Overloaded => RESOURCE_EXHAUSTED,
        // A retry at this broker is no use, and generic clients retry what is unavailable.
        ErrorCode::NotLeader
        | ErrorCode::NotCoordinator
        | ErrorCode::NotController
        | ErrorCode::FetchFromLeader
        | ErrorCode::NonEmptyGroup => FAILED_PRECONDITION,
        ErrorCode::OutOfOrderSequence
        | ErrorCode::DuplicateSequence
        | ErrorCode::InvalidProducerEpoch
        | ErrorCode::ReassignmentInProgress
        | ErrorCode::FencedLeaderEpoch
        | ErrorCode::UnknownLeaderEpoch
        | ErrorCode::FencedInstanceId
        | ErrorCode::FencedMemberEpoch
        | ErrorCode::StaleMemberEpoch => ABORTED,
        ErrorCode::OffsetOutOfRange => OUT_OF_RANGE,
        ErrorCode::UnsupportedVersion => UNIMPLEMENTED,
        ErrorCode::LeaderNotAvailable
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::StorageError
        | ErrorCode::OffsetNotAvailable => UNAVAILABLE,
        ErrorCode::CorruptBatch | ErrorCode::CorruptLog => DATA_LOSS,
    }
}

const INVALID_ARGUMENT: i32 = 3;
const DEADLINE_EXCEEDED: i32 = 4;
const NOT_FOUND: i32 = 5;
const ALREADY_EXISTS: i32 = 6;
const RESOURCE_EXHAUSTED: i32 = 8;
const FAILED_PRECONDITION: i32 = 9;
const ABORTED: i32 = 10;
const OUT_OF_RANGE: i32 = 11;
const UNIMPLEMENTED: i32 = 12;
const UNAVAILABLE: i32 = 14;
const DATA_LOSS: i32 = 15;

/// Encodes an error as the trailer `grpc-status-details-bin` of a call that ends with `grpc_status`.
#[must_use]
pub fn encode_status_details(grpc_status: i32, error: &v1::Error) -> Bytes {
    let detail = Detail { type_url: ERROR_TYPE.to_owned(), value: error.encode_to_vec().into() };
    let status = RpcStatus { code: grpc_status, message: error.message.clone(), details: vec![detail] };
    status.encode_to_vec().into()
}

/// Finds the error in the trailer `grpc-status-details-bin`, or `None` if there is no such error, whatever else stands
/// there.
#[must_use]
pub fn decode_status_details(trailer: Bytes) -> Option<v1::Error> {
    let status = RpcStatus::decode(trailer).ok()?;
    let type_name = |url: &str| url.rsplit('/').next() == ERROR_TYPE.rsplit('/').next();
    let detail = status.details.into_iter().find(|detail| type_name(&detail.type_url))?;
    v1::Error::decode(detail.value).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_codes_worth_a_retry_have_a_status_that_generic_clients_retry() {
        for code in ErrorCode::ALL {
            if grpc_status(*code) == UNAVAILABLE {
                assert!(code.retriable(), "{code}");
            }
        }
    }

    #[test]
    fn golden_trailer() {
        let error = v1::Error::new(ErrorCode::NotLeader, "m");
        let expected = b"\x08\x09\x12\x01m\x1a\x2f\x0a\x24type.googleapis.com/tidelog.v1.Error\x12\x07\
            \x08\x06\x12\x01m\x18\x01";
        let trailer = encode_status_details(9, &error);
        assert_eq!(trailer[..], expected[..]);
        assert_eq!(decode_status_details(trailer), Some(error));
    }

    #[test]
    fn other_details_are_passed_over() {
        let other = Detail { type_url: "type.googleapis.com/google.rpc.Help".to_owned(), value: Bytes::new() };
        let status = RpcStatus { code: 3, message: String::new(), details: vec![other] };
        assert_eq!(decode_status_details(status.encode_to_vec().into()), None);
        assert_eq!(decode_status_details(Bytes::new()), None);
    }

    proptest! {
        #[test]
        fn errors_round_trip(code: i32, message: String, retry_after_ms: Option<u32>, field: Option<String>) {
            let error = v1::Error { code, message, retry_after_ms, field, ..v1::Error::default() };
            prop_assert_eq!(decode_status_details(encode_status_details(2, &error)), Some(error));
        }

        #[test]
        fn any_trailer_is_decoded_or_passed_over(trailer: Vec<u8>) {
            let _ = decode_status_details(trailer.into());
        }
    }
}
