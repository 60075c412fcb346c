//! A partition's Raft group, as [`ReplicatedLog`] promises it.

use std::fmt;
use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openraft::raft::ClientWriteResult;
use tidelog_log::storage::LogHandle;
use tidelog_log::{LogIdentity, LogReader};
use tidelog_proto::batch::RecordBatch;
use tidelog_proto::ids::Offset;
use tokio::sync::{mpsc, oneshot, watch};

use crate::answer::Answer;
use crate::applied::Outcome;
use crate::data_machine::{DataMachine, Partition};
use crate::entry::Proposal;
use crate::machine::Machine;
use crate::replica::{OpenGroupError, RaftHandle, Release, Replica, ReplicaParts, applied};
use crate::replicated_log::{AppendedBatch, Leadership, Pending, ProduceError, ReplicatedLog};
use crate::sequencer::{Decision, Sequenced};
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
        let machine = |content: Option<StateContent>, handle: &LogHandle| {
            let content = match content {
                None => DataContent::empty(),
                Some(StateContent::Data(content)) => content,
                Some(StateContent::Metadata(_)) => return Err(OpenGroupError::OtherKind),
            };
            let machine = DataMachine::new(&content, handle.clone());
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

    /// Deletes the segments below the log start, as far as a written state stands for what is gone with them.
    ///
    /// # Errors
    /// The state files could not be read, or the group has stopped.
    pub async fn release_segments(&self) -> io::Result<()> {
        self.replica.release_segments(Release::BelowLogStart).await
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
            self.replica.serving()?;
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

/// Hands proposals to the group one after the other, which keeps them in order.
async fn propose_in_order(raft: RaftHandle, mut proposals: mpsc::Receiver<Proposed>) {
    while let Some(Proposed { proposal, answer }) = proposals.recv().await {
        if raft.client_write_ff(proposal, Some(answer)).await.is_err() {
            // The group has stopped. Who waits learns of it when the queue is dropped.
            break;
        }
    }
}
