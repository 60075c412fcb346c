//! `Broker.Produce`: record batches in, acks out.
//!
//! - `session.rs`: one stream; reads, starts and answers
//! - `lane.rs`: the batches of one partition of one stream, in order
//! - `ack_order.rs`, `failed_producers.rs`: the rules of that, without I/O
//! - `admission.rs`: the check of a batch, shared with `ProduceRecords`

mod ack_order;
pub(crate) mod admission;
mod failed_producers;
mod lane;
mod session;
#[cfg(test)]
mod session_tests;

use std::sync::Arc;

use futures_util::Stream;
use tidelog_proto::api::v1;
use tonic::{Request, Status};

use crate::assembly::Assembly;
use crate::data_path::DataPath;
use crate::in_flight::ConnectionBudget;
use session::ProduceSession;
pub(crate) use session::log_append_time_ms;

/// Serves one `Produce` stream. Whoever drops what it gives ends it.
pub fn serve<R>(
    path: Arc<DataPath>,
    request: Request<R>,
) -> impl Stream<Item = Result<v1::ProduceResponse, Status>> + Send + use<R>
where
    R: Stream<Item = Result<v1::ProduceRequest, Status>> + Send + Unpin + 'static,
{
    let budget = path.in_flight_budget(request.extensions().get::<ConnectionBudget>());
    let assembly = request.extensions().get::<Arc<Assembly>>().cloned().unwrap_or_default();
    ProduceSession::new(path, budget, assembly, request.into_inner()).responses()
}
