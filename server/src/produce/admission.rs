//! From a batch on the wire to one that may be appended.

use std::sync::Arc;

use bytes::Bytes;
use tidelog_proto::api::v1;
use tidelog_proto::batch::{self, Compression, ProduceLimits, ProducerStamp, RecordBatch, validate_produced};
use tidelog_proto::error_code::ErrorCode;
use tidelog_raft::{Pending, ProduceError};

use crate::blocking_pool::BlockingPool;
use crate::data_path::{DataPath, DiskShortage, now_ms};
use crate::hosted_partition::HostedPartition;
use crate::message_limits::BATCH_BYTES_CEILING;
use crate::reply_error;

/// A batch whose check reads more than this is checked off the runtime's workers.
const CHECKED_INLINE_BYTES_MAX: usize = 256 * 1024;

/// Why a batch was not taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is not what the topic demands.
    Batch(batch::ProduceError),
    /// The log did not take it.
    Log(ProduceError),
    /// There is too little space.
    DiskFull(DiskShortage),
    /// Its time was over before it was committed. It may be stored.
    OutOfTime,
    /// The broker ended before it was looked at.
    NotChecked,
}

impl Refusal {
    /// Makes the error of the reply.
    pub(crate) fn to_error(
        &self,
        path: &DataPath,
        partition: &HostedPartition,
        stamp: Option<ProducerStamp>,
    ) -> v1::Error {
        match self {
            Self::Batch(error) => reply_error::refused_batch(error),
            Self::Log(error) => {
                let leadership = *partition.log().leadership().borrow();
                reply_error::produce_error(&path.table.load(), leadership, stamp.map(|stamp| stamp.epoch), error)
            }
            Self::DiskFull(shortage) => reply_error::disk_full(shortage.to_string()),
            Self::OutOfTime => {
                let message = "the batch was not committed in time; it may or may not be appended";
                v1::Error::new(ErrorCode::RequestTimedOut, message)
            }
            Self::NotChecked => v1::Error::new(ErrorCode::StorageError, "the broker is shutting down"),
        }
    }
}

/// Takes bytes as one batch.
pub(crate) fn parse(bytes: Bytes) -> Result<RecordBatch, Refusal> {
    RecordBatch::parse(bytes).map_err(|error| Refusal::Batch(batch::ProduceError::Batch(error)))
}

/// Checks a batch and queues it behind all that were queued before.
pub(crate) async fn append(
    path: &DataPath,
    partition: &Arc<HostedPartition>,
    batch: RecordBatch,
) -> Result<Pending, Refusal> {
    // Cheap, and spares the check where another broker will make it.
    let leadership = *partition.log().leadership().borrow();
    if !leadership.is_serving {
        return Err(Refusal::Log(ProduceError::NotLeader(leadership)));
    }
    if let Some(shortage) = path.disk_shortage() {
        return Err(Refusal::DiskFull(shortage));
    }
    let mut limits = partition.settings().produce_limits(now_ms());
    limits.batch_bytes_max = limits.batch_bytes_max.min(BATCH_BYTES_CEILING);
    let batch = check(&path.blocking, batch, limits).await?;
    partition.log().append(batch).await.map_err(Refusal::Log)
}

async fn check(pool: &BlockingPool, batch: RecordBatch, limits: ProduceLimits) -> Result<RecordBatch, Refusal> {
    let is_compressed = batch.header().compression() != Compression::None;
    let is_long = batch.bytes().len() > CHECKED_INLINE_BYTES_MAX;
    let checked = if is_long || (is_compressed && limits.walk_compressed) {
        pool.run(move || validate_produced(batch, &limits)).await.map_err(|_| Refusal::NotChecked)?
    } else {
        validate_produced(batch, &limits)
    };
    checked.map_err(Refusal::Batch)
}
