//! Why a call to a broker failed as a whole.

use std::fmt;
use std::time::Duration;

use tidelog_proto::api::{FieldError, decode_status_details};
use tonic::{Code, Status};

use crate::BrokerError;

/// The trailer that carries a typed error with a gRPC status.
const DETAILS_TRAILER: &str = "grpc-status-details-bin";

/// A call to a broker failed as a whole; whether it took effect is known only where it was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// No broker answered within the deadline.
    TimedOut {
        /// Whom the last try was sent to: `host:port`.
        address: String,
        /// The deadline.
        after: Duration,
    },
    /// The broker cannot be reached, or the connection broke.
    Unreachable {
        /// The broker: `host:port`.
        address: String,
        /// What the transport says.
        reason: String,
    },
    /// The broker refused the call and says why.
    Refused {
        /// The broker: `host:port`.
        address: String,
        /// Why.
        error: BrokerError,
    },
    /// The call ended with a gRPC status of this number and nothing more specific.
    Status {
        /// The broker: `host:port`.
        address: String,
        /// The number of the gRPC status.
        grpc_status: i32,
        /// What came with it.
        message: String,
    },
    /// The answer is not what the protocol says it must be.
    Malformed {
        /// The broker: `host:port`.
        address: String,
        /// What is wrong with it.
        error: FieldError,
    },
    /// The address is not `host:port`.
    Address {
        /// As given.
        address: String,
    },
    /// The broker belongs to another cluster than the one that the client is connected to.
    WrongCluster {
        /// The broker: `host:port`.
        address: String,
        /// The id of the client's cluster.
        expected: String,
        /// The id of the broker's cluster.
        found: String,
    },
    /// The partition has no leader now, or the broker that leads it is not known.
    NoLeader,
    /// The client is shut down.
    Closed,
}

impl CallError {
    /// Makes the error of a call that ended with `status`.
    pub(crate) fn from_status(address: &str, status: &Status) -> Self {
        let address = address.to_owned();
        let details = status.metadata().get_bin(DETAILS_TRAILER).and_then(|value| value.to_bytes().ok());
        let details = details.filter(|details| !details.is_empty()).and_then(decode_status_details);
        if let Some(error) = details {
            return Self::Refused { address, error: error.into() };
        }
        if status.code() == Code::Unavailable {
            return Self::Unreachable { address, reason: deepest_reason(status) };
        }
        Self::Status { address, grpc_status: status.code() as i32, message: deepest_reason(status) }
    }

    /// Tells whether the same call may succeed later or at another broker.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Unreachable { .. } | Self::WrongCluster { .. } | Self::NoLeader => true,
            Self::Refused { error, .. } => error.is_retriable(),
            // A connection that breaks in the middle of an answer shows as one of these.
            Self::Status { grpc_status, .. } => matches!(
                Code::from_i32(*grpc_status),
                Code::Cancelled
                    | Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::ResourceExhausted
                    | Code::Aborted
                    | Code::Internal
                    | Code::Unavailable
            ),
            Self::Malformed { .. } | Self::Address { .. } | Self::Closed => false,
        }
    }

    /// Returns how long the broker wants the caller to wait, if it says so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { error, .. } => error.retry_after,
            _ => None,
        }
    }
}

/// Returns the message of a status, or of what caused it where that says more.
fn deepest_reason(status: &Status) -> String {
    let mut source = std::error::Error::source(status);
    let mut reason = status.message().to_owned();
    while let Some(error) = source {
        reason = error.to_string();
        source = error.source();
    }
    reason
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { address, after } => {
                write!(f, "broker {address} did not answer within {} ms", after.as_millis())
            }
            Self::Unreachable { address, reason } => write!(f, "broker {address} cannot be reached: {reason}"),
            Self::Refused { address, error } => write!(f, "broker {address} refused the call: {error}"),
            Self::Status { address, grpc_status, message } => {
                write!(f, "call to broker {address} ended with gRPC status {grpc_status}: {message}")
            }
            Self::Malformed { address, error } => write!(f, "answer of broker {address} is malformed: {error}"),
            Self::Address { address } => write!(f, "address {address:?} is not host:port"),
            Self::WrongCluster { address, expected, found } => {
                write!(f, "broker {address} belongs to cluster {found}, the client to {expected}")
            }
            Self::NoLeader => f.write_str("the partition has no known leader now"),
            Self::Closed => f.write_str("the client is shut down"),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused { error, .. } => Some(error),
            Self::Malformed { error, .. } => Some(error),
            Self::TimedOut { .. }
            | Self::Unreachable { .. }
            | Self::Status { .. }
            | Self::Address { .. }
            | Self::WrongCluster { .. }
            | Self::NoLeader
            | Self::Closed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tidelog_proto::api::{encode_status_details, grpc_status, v1};
    use tidelog_proto::error_code::ErrorCode;
    use tonic::metadata::{MetadataMap, MetadataValue};

    use super::*;

    #[test]
    fn a_typed_error_in_the_trailer_wins_over_the_status() {
        let code = ErrorCode::NotController;
        let trailer = encode_status_details(grpc_status(code), &v1::Error::new(code, "ask broker 2"));
        let mut metadata = MetadataMap::new();
        metadata.insert_bin(DETAILS_TRAILER, MetadataValue::from_bytes(&trailer));
        let status = Status::with_metadata(Code::FailedPrecondition, "ask broker 2", metadata);
        let CallError::Refused { error, .. } = CallError::from_status("h:1", &status) else { panic!("not refused") };
        assert_eq!(error.code, Some(code));
    }

    #[test]
    fn what_may_be_tried_again_is_told_apart() {
        let of = |code| CallError::from_status("h:1", &Status::new(code, "m")).is_retriable();
        assert!(of(Code::Unavailable) && of(Code::Internal) && of(Code::DeadlineExceeded));
        assert!(!of(Code::InvalidArgument) && !of(Code::Unimplemented) && !of(Code::PermissionDenied));
    }
}
