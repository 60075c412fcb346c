//! A row of the table, and what can come back.

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tidelog_proto::api::{decode_status_details, grpc_status, v1};
use tidelog_proto::error_code::ErrorCode;
use tonic::{Code, Status};

use super::host::Host;

/// What is sent; gives what came back.
pub(super) type Sent = Box<dyn for<'a> FnOnce(&'a Host) -> LocalBoxFuture<'a, Seen>>;

/// One row of the table.
pub(super) struct Row {
    /// The row as a sentence.
    pub(super) says: String,
    /// What must come back.
    pub(super) must: Seen,
    pub(super) sent: Sent,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// What was asked for, without an error.
    Answered,
    /// An error beside what it is about, in the body of an answer.
    Body(Refused),
    /// The call ended with a status that carries this error.
    Call(Refused),
    /// The call ended with a status of gRPC's own.
    Status(Code),
    /// The connection was closed.
    ConnectionEnds,
    /// Nothing, for as long as the connection had anything to say.
    Nothing,
}

/// A typed error: its code, and the limit that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: ErrorCode,
    pub(super) limit: Option<String>,
}

impl Row {
    pub(super) fn new<F>(says: impl Into<String>, must: Seen, sent: F) -> Self
    where
        F: for<'a> AsyncFnOnce(&'a Host) -> Seen + 'static,
    {
        Self { says: says.into(), must, sent: boxed(sent) }
    }
}

fn boxed<F>(sent: F) -> Sent
where
    F: for<'a> AsyncFnOnce(&'a Host) -> Seen + 'static,
{
    Box::new(move |host| async move { sent(host).await }.boxed_local())
}

/// Expects an error in the body.
pub(super) fn body(code: ErrorCode) -> Seen {
    Seen::Body(Refused { code, limit: None })
}

/// Expects that the call ends with an error.
pub(super) fn call(code: ErrorCode) -> Seen {
    Seen::Call(Refused { code, limit: None })
}

impl Seen {
    /// Expects that the error names a limit.
    pub(super) fn of_limit(mut self, name: &str) -> Self {
        match &mut self {
            Self::Body(refused) | Self::Call(refused) => refused.limit = Some(name.to_owned()),
            _ => panic!("only an error names a limit"),
        }
        self
    }

    /// Takes an error of a body, or that there is none.
    pub(super) fn of_body(error: Option<&v1::Error>) -> Self {
        error.map_or(Self::Answered, |error| Self::Body(Refused::of(error)))
    }

    /// Takes the status that a call ended with.
    pub(super) fn of_status(status: &Status) -> Self {
        let details = bytes::Bytes::copy_from_slice(status.details());
        match decode_status_details(details) {
            Some(error) => {
                let refused = Refused::of(&error);
                assert_eq!(status.code() as i32, grpc_status(refused.code), "the status of {refused:?}");
                Self::Call(refused)
            }
            None => Self::Status(status.code()),
        }
    }
}

impl Refused {
    /// Takes an error, and checks what every error must tell.
    fn of(error: &v1::Error) -> Self {
        let code = error.known_code().expect("a code of the table");
        assert_eq!(error.retriable, code.retriable(), "{error}");
        assert!(!error.message.is_empty(), "words for people");
        if let Some(limit) = &error.limit {
            assert!(limit.actual.is_none_or(|actual| actual > limit.allowed), "{limit:?} is not passed");
        }
        Self { code, limit: error.limit.as_ref().map(|limit| limit.name.clone()) }
    }
}
