//! Why a `Fetch` stream ends.

use tonic::Status;

use crate::reply_error;

/// The client broke a rule of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamError {
    /// A grant carries the balance past its maximum.
    Credit { balance: i64, credit_bytes: u32 },
    /// A command is none of those there are.
    NoCommand { place: usize },
    /// The number of a partition is in use.
    AlreadyOpen { fetch_id: u32 },
    /// A request has too many commands.
    Commands { count: usize },
}

/// Commands of one request: as many as a stream may have partitions open, and more than any client needs.
pub(super) const COMMANDS_MAX: usize = 10_000;

impl StreamError {
    pub(super) fn to_status(self) -> Status {
        match self {
            Self::Credit { balance, credit_bytes } => {
                let message = format!("a balance of {balance} and a grant of {credit_bytes} are above the limit");
                let actual = u64::try_from(balance.saturating_add(credit_bytes.into())).ok();
                let allowed = u64::from(i32::MAX.unsigned_abs());
                reply_error::passed_limit(message, reply_error::limit("balance_bytes_max", allowed, actual, false))
            }
            Self::NoCommand { place } => {
                reply_error::invalid_request("command is missing", Some(format!("commands[{place}].command")))
            }
            Self::AlreadyOpen { fetch_id } => {
                reply_error::invalid_request(format!("fetch_id {fetch_id} is open already"), None)
            }
            Self::Commands { count } => {
                let limit = reply_error::limit("commands_max", COMMANDS_MAX as u64, Some(count as u64), false);
                reply_error::passed_limit(format!("request has {count} commands"), limit)
            }
        }
    }
}
