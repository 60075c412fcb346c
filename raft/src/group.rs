//! A partition's Raft group, as [`ReplicatedLog`] promises it.

use std::fmt;
use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openraft::raft::ClientWriteResult;
use tidelog_log::storage::Durability;
use tidelog_log::{CompactionError, LogConfig, LogIdentity, LogReader, LogWriter, retention};
use tidelog_proto::batch::{DecodeLimits, RecordBatch};
use tidelog_proto::ids::Offset;
use tokio::sync::{mpsc, oneshot, watch};

use crate::answer::Answer;
use crate::applied::Outcome;
use crate::data_machine::{DataMachine, Partition};
use crate::entry::Proposal;
use crate::machine::Machine;
use crate::replica::{OpenGroupError, RaftHandle, Release, Replica, ReplicaLog, ReplicaParts, applied};
use crate::replicated_log::{AppendedBatch, Leadership, Pending, ProduceError, ReplicatedLog};
use crate::sequencer::{Decision, Sequenced};
use crate::storage_access::with_writer;
use crate::stored_state::{DataContent, StateContent};
use crate::types::TypeConfig;

/// Batches that were judged and are not yet in the group's log: enough to be appended together, few enough to be failed
/// together. Their bytes are bounded by whoever sends them.
const PROPOSALS_MAX: usize = 1024;

/// A replica of a partition.
pub struct Group {
    replica: Replica,
    partition: Arc<Partition>,
    proposals: mpsc::Sender<Proposed>,
}

struct Proposed {
    proposal: Proposal,
    answer: Answer<ClientWriteResult<TypeConfig>>,
}

impl Group {
    /// Opens a replica of a partition, as [`Replica::open`] does.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn open(parts: ReplicaParts) -> Result<Self, OpenGroupError> {
        let mut partition = None;
        let machine = |content: Option<StateContent>, log: &ReplicaLog| {
            let content = match content {
                None => DataContent::empty(),
                Some(StateContent::Data(content)) => content,
                Some(StateContent::Metadata(_)) => return Err(OpenGroupError::OtherKind),
            };
            let machine = DataMachine::new(&content, log.handle.clone(), Arc::clone(&log.stalls));
            partition = Some(Arc::clone(machine.partition()));
            Ok(Machine::Data(machine))
        };
        let replica = Replica::open(parts, machine).await?;
        let partition = partition.ok_or(OpenGroupError::OtherKind)?;
        let (proposals, queue) = mpsc::channel(PROPOSALS_MAX);
        tokio::spawn(propose_in_order(replica.raft.clone(), queue));
        Ok(Self { replica, partition, proposals })
    }

    /// Writes down what was applied, stops the group and closes its log. What was not answered by then fails with
    /// [`ProduceError::Stopped`].
    ///
    /// # Errors
    /// The log could not be closed. Everything acknowledged is in it nevertheless.
    pub async fn close(&self) -> io::Result<()> {
        self.replica.close().await
    }

    /// Puts another configuration of the log in force, and how far an entry must have come to count, for everything that is
    /// appended from now on.
    ///
    /// # Errors
    /// A key out of bounds, or the log was closed.
    pub async fn set_config(&self, config: LogConfig, durability: Durability) -> io::Result<()> {
        self.replica.log.flush_mode.set(durability);
        with_writer(&self.replica.log.handle, move |writer| writer.set_config(config)).await
    }

    /// Does what is due of retention and compaction: where this replica leads, the log start moves as `config` says; what
    /// lies below it is deleted here, and what may be compacted is. Waits until it is done.
    ///
    /// # Errors
    /// The group or the log has stopped, or a file could not be read or written.
    pub async fn clean_up(&self, config: &LogConfig, now_ms: i64, limits: DecodeLimits) -> Result<(), CleanUpError> {
        let reader = &self.replica.log.reader;
        let start = retention::new_start(&reader.segments(), config, now_ms, reader.committed_end());
        if let Some(start) = start.map(|start| start.log_start_offset)
            && start > reader.log_start_offset()
            && self.replica.accepting().is_ok()
        {
            self.delete_records(start).await.map_err(CleanUpError::Retention)?;
        }
        let release = if config.cleanup_policy.compacts() { Release::Applied } else { Release::BelowLogStart };
        self.replica.release_segments(release).await.map_err(CleanUpError::Io)?;
        if config.cleanup_policy.compacts() { self.compact(now_ms, limits).await } else { Ok(()) }
    }

    /// Runs a round of compaction, if one is due.
    async fn compact(&self, now_ms: i64, limits: DecodeLimits) -> Result<(), CleanUpError> {
        let handle = &self.replica.log.handle;
        let (sender, plan) = oneshot::channel();
        let propose = move |writer: &mut LogWriter| {
            drop(sender.send(writer.plan_compaction(now_ms, limits)));
            io::Result::Ok(())
        };
        with_writer(handle, propose).await.map_err(CleanUpError::Io)?;
        let Ok(Some(plan)) = plan.await else { return Ok(()) };
        let run = tokio::task::spawn_blocking(move || plan.run()).await;
        let compaction = run.map_err(|error| CleanUpError::Io(io::Error::other(error)))?;
        let compaction = compaction.map_err(CleanUpError::Compaction)?;
        let install = move |writer: &mut LogWriter| writer.install_compaction(compaction).map(drop);
        with_writer(handle, install).await.map_err(CleanUpError::Io)
    }

    /// Gives who is to be told what becomes of a batch.
    fn answer(
        &self,
        batch: Option<Sequenced>,
        waiter: oneshot::Sender<Result<AppendedBatch, ProduceError>>,
    ) -> Answer<ClientWriteResult<TypeConfig>> {
        let (partition, leadership) = (Arc::clone(&self.partition), self.replica.leadership.clone());
        Answer::new(move |outcome| {
            let outcome = applied(outcome, &leadership).and_then(|applied| match applied.outcome {
                Outcome::Batch(base_offset) => Ok(AppendedBatch { base_offset, is_duplicate: false }),
                Outcome::None | Outcome::LogStart(_) | Outcome::Metadata(_) => Err(ProduceError::Stopped),
            });
            if let Some(batch) = batch {
                let repeats = partition.sequencer().answered(batch, outcome.is_ok());
                let repeated = outcome.clone().map(|appended| AppendedBatch { is_duplicate: true, ..appended });
                // Whoever no longer waits is not told.
                repeats.into_iter().for_each(|repeat| drop(repeat.send(repeated.clone())));
            }
            drop(waiter.send(outcome));
        })
    }
}

impl ReplicatedLog for Group {
    fn identity(&self) -> LogIdentity {
        self.replica.log.identity
    }

    fn reader(&self) -> &LogReader {
        &self.replica.log.reader
    }

    fn high_watermark(&self) -> watch::Receiver<Offset> {
        self.partition.high_watermark.subscribe()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.replica.leadership.clone()
    }

    fn append(&self, batch: RecordBatch) -> BoxFuture<'_, Result<Pending, ProduceError>> {
        async move {
            let permit = self.proposals.reserve().await.map_err(|_| ProduceError::Stopped)?;
            self.replica.accepting()?;
            let (waiter, pending) = oneshot::channel();
            let Some(sequenced) = Sequenced::of(&batch) else {
                permit.send(Proposed { proposal: Proposal::Batch(batch), answer: self.answer(None, waiter) });
                return Ok(Pending(pending));
            };
            // Held until the batch is queued: batches are queued in the order in which they were judged.
            let mut sequencer = self.partition.sequencer();
            match sequencer.judge(sequenced, waiter) {
                Decision::Propose(waiter) => {
                    let answer = self.answer(Some(sequenced), waiter);
                    permit.send(Proposed { proposal: Proposal::Batch(batch), answer });
                    Ok(Pending(pending))
                }
                Decision::Wait => Ok(Pending(pending)),
                Decision::Repeat(known) => {
                    Ok(Pending::done(Ok(AppendedBatch { base_offset: known.base_offset, is_duplicate: true })))
                }
                Decision::Refuse(error) => Err(error),
            }
        }
        .boxed()
    }

    fn delete_records(&self, offset: Offset) -> BoxFuture<'_, Result<Offset, ProduceError>> {
        async move {
            self.replica.serving()?;
            let high_watermark = *self.partition.high_watermark.borrow();
            if offset > high_watermark {
                let log_start_offset = self.replica.log.reader.log_start_offset();
                return Err(ProduceError::OffsetOutOfRange { offset, log_start_offset, high_watermark });
            }
            match self.replica.propose(Proposal::LogStart(offset)).await? {
                Outcome::LogStart(start) => Ok(start),
                Outcome::None | Outcome::Batch(_) | Outcome::Metadata(_) => Err(ProduceError::Stopped),
            }
        }
        .boxed()
    }

    fn read_barrier(&self) -> BoxFuture<'_, Result<Offset, ProduceError>> {
        async move {
            self.replica.read_barrier().await?;
            Ok(*self.partition.high_watermark.borrow())
        }
        .boxed()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("identity", &self.replica.log.identity).finish_non_exhaustive()
    }
}

/// Clean-up that could not be done now. The log is as it was, or as a part of it was done.
#[derive(Debug)]
pub enum CleanUpError {
    /// The log start could not be moved.
    Retention(ProduceError),
    /// Segments could not be compacted.
    Compaction(CompactionError),
    /// A file could not be read or written, or the group has stopped.
    Io(io::Error),
}

impl fmt::Display for CleanUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retention(error) => write!(f, "the log start could not be moved: {error}"),
            Self::Compaction(error) => write!(f, "segments could not be compacted: {error}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CleanUpError {}

/// Hands proposals to the group one after the other, which keeps them in order.
async fn propose_in_order(raft: RaftHandle, mut proposals: mpsc::Receiver<Proposed>) {
    while let Some(Proposed { proposal, answer }) = proposals.recv().await {
        if raft.client_write_ff(proposal, Some(answer)).await.is_err() {
            // The group has stopped. Who waits learns of it when the queue is dropped.
            break;
        }
    }
}
