//! What the rest of a broker sees of a partition: a log that is replicated somehow.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tidelog_log::{LogIdentity, LogReader};
use tidelog_proto::batch::RecordBatch;
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{BrokerId, LeaderEpoch, Offset};
use tokio::sync::{oneshot, watch};

use crate::producers::SequenceError;

/// One partition's replicated log: this broker's replica of it, and the way to its leader if that is here.
///
/// Records are read through [`ReplicatedLog::reader`], below the high watermark. All methods may be called at any time from
/// any task.
pub trait ReplicatedLog: fmt::Debug + Send + Sync {
    /// Tells whose log it is.
    fn identity(&self) -> LogIdentity;

    /// Gives what reads this replica's log. What lies at or above the high watermark may still be cut.
    fn reader(&self) -> &LogReader;

    /// Watches the high watermark: the first offset that is not known to be committed. It only rises, and every record below it
    /// can be read here.
    fn high_watermark(&self) -> watch::Receiver<Offset>;

    /// Watches who leads.
    fn leadership(&self) -> watch::Receiver<Leadership>;

    /// Queues a batch behind all that were queued before, waiting for room if need be. Dropped before it is done, it has
    /// queued nothing; afterwards the batch is on its way, whoever waits for it.
    ///
    /// The batch was validated, has base offset 0, and is appended as it is. One of an idempotent producer is appended once
    /// and in order, or refused; one that was appended before is answered with its place.
    fn append(&self, batch: RecordBatch) -> BoxFuture<'_, Result<Pending, ProduceError>>;

    /// Moves the log start to `offset`, on every replica, and gives the log start offset then: one that is higher already
    /// stays.
    ///
    /// # Errors
    /// As [`ProduceError`]; [`ProduceError::OffsetOutOfRange`] above the high watermark.
    fn delete_records(&self, offset: Offset) -> BoxFuture<'_, Result<Offset, ProduceError>>;

    /// Gives a high watermark that no older leader's can exceed: what was acknowledged before the call lies below it.
    ///
    /// # Errors
    /// This replica does not lead.
    fn read_barrier(&self) -> BoxFuture<'_, Result<Offset, ProduceError>>;
}

/// Who leads a partition, as this replica knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The broker that leads; `None` while nobody is known to.
    pub leader: Option<BrokerId>,
    /// The newest leader epoch seen.
    pub epoch: LeaderEpoch,
    /// This replica leads, and everything that was committed before is applied here: it takes batches.
    pub is_serving: bool,
}

impl Leadership {
    /// Tells whether `me` has to wait for nothing: it serves, or somebody else leads.
    #[must_use]
    pub fn is_settled(&self, me: BrokerId) -> bool {
        self.is_serving || self.leader.is_some_and(|leader| leader != me)
    }
}

/// A batch on its way, or a repeat of one. Resolves when it is committed and applied.
#[derive(Debug)]
pub struct Pending(pub(crate) oneshot::Receiver<Result<AppendedBatch, ProduceError>>);

impl Pending {
    /// Answers at once.
    pub(crate) fn done(outcome: Result<AppendedBatch, ProduceError>) -> Self {
        let (sender, pending) = oneshot::channel();
        // The receiver is here.
        drop(sender.send(outcome));
        Self(pending)
    }
}

impl From<oneshot::Receiver<Result<AppendedBatch, ProduceError>>> for Pending {
    /// Waits for the answer of whoever has the other end. Dropped there, it is [`ProduceError::Stopped`].
    fn from(answer: oneshot::Receiver<Result<AppendedBatch, ProduceError>>) -> Self {
        Self(answer)
    }
}

impl Future for Pending {
    type Output = Result<AppendedBatch, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A replica that stops drops what it has not answered.
        Pin::new(&mut self.0).poll(context).map(|outcome| outcome.unwrap_or(Err(ProduceError::Stopped)))
    }
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// It was there already.
    pub is_duplicate: bool,
}

/// A batch, or a change of the log start, that was not taken. Nothing of it is stored, except where this is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProduceError {
    /// Another replica leads, or none is known to, or this one has just begun to.
    NotLeader(Leadership),
    /// The producer's sequence does not fit.
    Sequence(SequenceError),
    /// A batch before it was refused: it is refused with it, so that both can be sent again in order.
    Behind,
    /// The log start may not be moved there.
    OffsetOutOfRange {
        /// Where to.
        offset: Offset,
        /// The log start offset.
        log_start_offset: Offset,
        /// The high watermark.
        high_watermark: Offset,
    },
    /// The disk is full. What was taken before waits for space.
    DiskFull,
    /// The replica failed or was stopped. Whether the batch is stored is not known.
    Stopped,
}

impl ProduceError {
    /// Gives the code by which a client learns of it.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader(Leadership { leader: None, .. }) => ErrorCode::LeaderNotAvailable,
            Self::NotLeader(_) | Self::Behind => ErrorCode::NotLeader,
            Self::Sequence(SequenceError::Fenced { .. }) => ErrorCode::InvalidProducerEpoch,
            Self::Sequence(SequenceError::Gap { .. }) => ErrorCode::OutOfOrderSequence,
            Self::Sequence(SequenceError::Old { .. }) => ErrorCode::DuplicateSequence,
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::DiskFull => ErrorCode::DiskFull,
            Self::Stopped => ErrorCode::StorageError,
        }
    }
}

impl fmt::Display for ProduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader(Leadership { leader: Some(leader), epoch, .. }) => {
                write!(f, "broker {leader} leads the partition in epoch {epoch}, or is about to")
            }
            Self::NotLeader(Leadership { leader: None, epoch, .. }) => {
                write!(f, "the partition has no leader since epoch {epoch}")
            }
            Self::Sequence(error) => error.fmt(f),
            Self::Behind => f.write_str("a batch before this one was refused; send both again in order"),
            Self::OffsetOutOfRange { offset, log_start_offset, high_watermark } => {
                write!(f, "offset {offset} is not within {log_start_offset} to {high_watermark}")
            }
            Self::DiskFull => f.write_str("the disk is full: records are taken again when there is space"),
            Self::Stopped => f.write_str("the replica has stopped; the batch may or may not be stored"),
        }
    }
}

impl std::error::Error for ProduceError {}
