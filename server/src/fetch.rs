//! `Broker.Fetch` and `Broker.FetchRecords`: reading.
//!
//! - `state.rs`: what a stream does next, without I/O
//! - `session.rs`: the shell around it; reads, waits, sends
//! - `command.rs`, `stream_error.rs`: what the client says, and what it must not
//! - `locate.rs`: from a place by name or time to an offset, also for `ListOffsets`
//! - `records.rs`: plain records of one partition

mod command;
pub(crate) mod locate;
mod records;
mod session;
#[cfg(test)]
mod session_tests;
mod state;
#[cfg(test)]
mod state_tests;
mod stream_error;

use std::sync::Arc;

use futures_util::Stream;
use tidelog_proto::api::v1;
use tonic::{Request, Status};

use crate::assembly::Assembly;
use crate::data_path::DataPath;
use session::FetchSession;

pub use records::serve_records;

/// Serves one `Fetch` stream. Whoever drops what it gives ends it.
pub fn serve<R>(
    path: Arc<DataPath>,
    request: Request<R>,
) -> impl Stream<Item = Result<v1::FetchResponse, Status>> + Send + use<R>
where
    R: Stream<Item = Result<v1::FetchRequest, Status>> + Send + Unpin + 'static,
{
    let assembly = request.extensions().get::<Arc<Assembly>>().cloned().unwrap_or_default();
    FetchSession::new(path, assembly, request.into_inner()).responses()
}
