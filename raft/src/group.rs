//! One replica of a partition's Raft group: opened over its log, served through [`ReplicatedLog`], closed in order.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::raft::ClientWriteResult;
use openraft::{Config, Raft, ReadPolicy, ServerState, SnapshotPolicy};
use tidelog_log::environment::Environment;
use tidelog_log::small_file::SmallFileError;
use tidelog_log::storage::{Durability, LogHandle};
use tidelog_log::{LogIdentity, LogReader};
use tidelog_proto::batch::RecordBatch;
use tidelog_proto::ids::{LeaderEpoch, Offset, RaftIndex, RaftTerm};
use tokio::sync::{mpsc, oneshot, watch};

use crate::answer::Answer;
use crate::applied::{Applied, Outcome};
use crate::data_machine::{DataMachine, Partition};
use crate::entry::Proposal;
use crate::group_state::{GroupState, Snapshots};
use crate::hard_state::HardState;
use crate::journal::JournalHandle;
use crate::log_store::{LogParts, LogStore};
use crate::no_peers::NoPeers;
use crate::producers::{Producers, ProducersConfig};
use crate::replica_id::ReplicaId;
use crate::replicated_log::{AppendedBatch, Leadership, Pending, ProduceError, ReplicatedLog};
use crate::sequencer::{Decision, Sequenced};
use crate::state_files::StateFiles;
use crate::stored_state::{StateContent, StateError, StoredState};
use crate::tail_cache::TailBudget;
use crate::types::TypeConfig;

/// Batches that were judged and are not yet in the group's log: enough to be appended together, few enough to be failed
/// together. Their bytes are bounded by whoever sends them.
const PROPOSALS_MAX: usize = 1024;

/// What a replica of a partition is opened with.
pub(crate) struct GroupParts {
    pub(crate) identity: LogIdentity,
    pub(crate) replica: ReplicaId,
    pub(crate) environment: Arc<dyn Environment>,
    /// Where the log's files lie.
    pub(crate) dir: PathBuf,
    pub(crate) handle: LogHandle,
    pub(crate) reader: LogReader,
    pub(crate) journal: JournalHandle,
    pub(crate) hard_state: HardState,
    pub(crate) durability: Durability,
    pub(crate) tail_budget: Arc<TailBudget>,
}

/// A replica of a partition.
pub struct Group {
    identity: LogIdentity,
    raft: Raft<TypeConfig, GroupState>,
    partition: Arc<Partition>,
    proposals: mpsc::Sender<Proposed>,
    leadership: watch::Receiver<Leadership>,
    files: StateFiles,
    snapshots: Arc<Snapshots>,
}

struct Proposed {
    proposal: Proposal,
    answer: Answer<ClientWriteResult<TypeConfig>>,
}

impl Group {
    /// Opens a replica of a group that has no other, and lets it elect itself. It serves as soon as its leadership says so.
    ///
    /// # Errors
    /// The log or the written state could not be read, or the group did not start.
    pub(crate) async fn open(parts: GroupParts) -> Result<Self, OpenGroupError> {
        let GroupParts { identity, replica, reader, handle, .. } = &parts;
        let (identity, replica) = (*identity, *replica);
        let files = StateFiles::open(Arc::clone(&parts.environment), &parts.dir).map_err(OpenGroupError::Io)?;
        let purged = parts.hard_state.purged.map(|mark| mark.index);
        let stored = newest_state(files.clone(), reader.end_index(), purged).await?;

        let (applied, high_watermark, log_start_offset, producers) = match stored {
            Some(StoredState { applied, membership, content }) => {
                let StateContent::Data { high_watermark, log_start_offset, producers } = content;
                (Some((applied, membership)), high_watermark, log_start_offset, producers)
            }
            None => (None, Offset::ZERO, Offset::ZERO, Producers::new(ProducersConfig::default())),
        };
        let partition = Partition::new(reader.clone(), handle.clone(), high_watermark, producers);
        let partition = Arc::new(partition);
        let snapshots = Arc::new(Snapshots::default());
        purged.into_iter().for_each(|index| snapshots.choose(index));
        let machine = DataMachine::new(Arc::clone(&partition), log_start_offset);
        let state = GroupState::new(applied, machine, files.clone(), Arc::clone(&snapshots));

        let store = LogStore::open(LogParts {
            identity,
            environment: parts.environment,
            handle: parts.handle,
            reader: parts.reader,
            journal: parts.journal,
            hard_state: parts.hard_state,
            durability: parts.durability,
            tail_budget: parts.tail_budget,
        });
        let mut store = store.map_err(OpenGroupError::Io)?;
        store.begin(replica).await.map_err(OpenGroupError::Io)?;
        let raft = Raft::new(replica, Arc::new(group_config()?), NoPeers, store, state).await;
        let raft = raft.map_err(|error| OpenGroupError::Raft(error.to_string()))?;

        let (proposals, queue) = mpsc::channel(PROPOSALS_MAX);
        tokio::spawn(propose_in_order(raft.clone(), queue));
        let unled = Leadership { leader: None, epoch: LeaderEpoch::new(0), is_serving: false };
        let (sender, leadership) = watch::channel(unled);
        tokio::spawn(follow_leadership(raft.clone(), replica, partition.begun_term.subscribe(), sender));
        // Nobody else can be elected, so nobody is asked first.
        raft.trigger().elect(false).await.map_err(|error| OpenGroupError::Raft(error.to_string()))?;
        Ok(Self { identity, raft, partition, proposals, leadership, files, snapshots })
    }

    /// Writes down what was applied, stops the group and closes its log. What was not answered by then fails with
    /// [`ProduceError::Stopped`].
    ///
    /// # Errors
    /// The log could not be closed. Everything acknowledged is in it nevertheless.
    pub async fn close(&self) -> io::Result<()> {
        // Without it more is applied again at the next start, and nothing is lost.
        let written = self.raft.with_state_machine(|state| state.write().boxed()).await;
        self.raft.shutdown().await.map_err(io::Error::other)?;
        let (sender, closed) = oneshot::channel();
        let completion = move |outcome| drop(sender.send(outcome));
        self.partition.handle.close(completion).map_err(|error| io::Error::other(error.to_string()))?;
        closed.await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?.map_err(io::Error::other)?;
        written.map_err(io::Error::other)?
    }

    /// Lets go of the segments below the log start, as far as the state that stands for them is written.
    ///
    /// # Errors
    /// The state files could not be read, or the group has stopped.
    pub async fn release_segments(&self) -> io::Result<()> {
        let log_start_offset = self.partition.reader.log_start_offset();
        let raft_start = self.partition.reader.raft_start();
        let segments = self.partition.reader.segments();
        let files = self.files.clone();
        let written = tokio::task::spawn_blocking(move || files.list()).await.map_err(io::Error::other)??;
        let can_start = |start: RaftIndex| {
            start > raft_start
                && start.get().checked_sub(1).is_some_and(|last| written.binary_search(&RaftIndex::new(last)).is_ok())
        };
        let start = segments
            .iter()
            .filter_map(|segment| segment.summary)
            .take_while(|summary| summary.end_offset <= log_start_offset)
            .map(|summary| summary.end_index)
            .filter(|start| can_start(*start))
            .last();
        let Some(last) = start.and_then(|start| start.get().checked_sub(1)) else { return Ok(()) };
        self.snapshots.choose(RaftIndex::new(last));
        let trigger = self.raft.trigger();
        trigger.snapshot().await.map_err(io::Error::other)?;
        let is_chosen = |snapshot: &Option<crate::types::LogId>| snapshot.is_some_and(|id| id.index() >= last);
        let mut snapshot = self.raft.watch_snapshot_progress();
        if snapshot.wait_until(is_chosen).await.is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        trigger.purge_log(last).await.map_err(io::Error::other)?;
        let files = self.files.clone();
        tokio::task::spawn_blocking(move || files.remove_below(RaftIndex::new(last))).await.map_err(io::Error::other)?
    }

    /// Proposes something that is not judged, and waits for its outcome.
    async fn propose(&self, proposal: Proposal) -> Result<Outcome, ProduceError> {
        self.serving()?;
        let (sender, outcome) = oneshot::channel();
        let answer = Answer::new(move |outcome| drop(sender.send(outcome)));
        let proposed = Proposed { proposal, answer };
        self.proposals.send(proposed).await.map_err(|_| ProduceError::Stopped)?;
        let outcome = outcome.await.map_err(|_| ProduceError::Stopped)?;
        Ok(applied(outcome, &self.leadership)?.outcome)
    }

    fn serving(&self) -> Result<(), ProduceError> {
        let leadership = *self.leadership.borrow();
        if leadership.is_serving { Ok(()) } else { Err(ProduceError::NotLeader(leadership)) }
    }

    /// Gives who is to be told what becomes of a batch.
    fn answer(
        &self,
        batch: Option<Sequenced>,
        waiter: oneshot::Sender<Result<AppendedBatch, ProduceError>>,
    ) -> Answer<ClientWriteResult<TypeConfig>> {
        let (partition, leadership) = (Arc::clone(&self.partition), self.leadership.clone());
        Answer::new(move |outcome| {
            let outcome = applied(outcome, &leadership).and_then(|applied| match applied.outcome {
                Outcome::Batch(base_offset) => Ok(AppendedBatch { base_offset, is_duplicate: false }),
                Outcome::None | Outcome::LogStart(_) => Err(ProduceError::Stopped),
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
        self.identity
    }

    fn reader(&self) -> &LogReader {
        &self.partition.reader
    }

    fn high_watermark(&self) -> watch::Receiver<Offset> {
        self.partition.high_watermark.subscribe()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    fn append(&self, batch: RecordBatch) -> BoxFuture<'_, Result<Pending, ProduceError>> {
        async move {
            let permit = self.proposals.reserve().await.map_err(|_| ProduceError::Stopped)?;
            self.serving()?;
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
            self.serving()?;
            let high_watermark = *self.partition.high_watermark.borrow();
            if offset > high_watermark {
                let log_start_offset = self.partition.reader.log_start_offset();
                return Err(ProduceError::OffsetOutOfRange { offset, log_start_offset, high_watermark });
            }
            match self.propose(Proposal::LogStart(offset)).await? {
                Outcome::LogStart(start) => Ok(start),
                Outcome::None | Outcome::Batch(_) => Err(ProduceError::Stopped),
            }
        }
        .boxed()
    }

    fn read_barrier(&self) -> BoxFuture<'_, Result<Offset, ProduceError>> {
        async move {
            self.serving()?;
            match self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
                Ok(_) => Ok(*self.partition.high_watermark.borrow()),
                Err(RaftError::APIError(_)) => Err(ProduceError::NotLeader(*self.leadership.borrow())),
                Err(RaftError::Fatal(_)) => Err(ProduceError::Stopped),
            }
        }
        .boxed()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Hands proposals to the group one after the other, which keeps them in order.
async fn propose_in_order(raft: Raft<TypeConfig, GroupState>, mut proposals: mpsc::Receiver<Proposed>) {
    while let Some(Proposed { proposal, answer }) = proposals.recv().await {
        if raft.client_write_ff(proposal, Some(answer)).await.is_err() {
            // The group has stopped. Who waits learns of it when the queue is dropped.
            break;
        }
    }
}

/// Tells who leads, until the group stops: then nobody does.
async fn follow_leadership(
    raft: Raft<TypeConfig, GroupState>,
    replica: ReplicaId,
    mut begun_term: watch::Receiver<Option<RaftTerm>>,
    sender: watch::Sender<Leadership>,
) {
    let mut metrics = raft.server_metrics();
    drop(raft);
    loop {
        let leadership = {
            let metrics = metrics.borrow_watched();
            let term = metrics.vote.leader_id.term;
            let begun = begun_term.borrow_and_update().map(RaftTerm::get);
            Leadership {
                leader: metrics.current_leader.map(ReplicaId::broker),
                epoch: LeaderEpoch::new(u32::try_from(term).unwrap_or(u32::MAX)),
                is_serving: metrics.state == ServerState::Leader
                    && metrics.current_leader == Some(replica)
                    && begun == Some(term),
            }
        };
        sender.send_if_modified(|old| std::mem::replace(old, leadership) != leadership);
        let changed = futures_util::future::select(Box::pin(metrics.changed()), Box::pin(begun_term.changed())).await;
        let has_ended = match changed {
            futures_util::future::Either::Left((outcome, _)) => outcome.is_err(),
            futures_util::future::Either::Right((outcome, _)) => outcome.is_err(),
        };
        if has_ended {
            break;
        }
    }
    sender.send_modify(|leadership| *leadership = Leadership { leader: None, is_serving: false, ..*leadership });
}

fn applied(
    outcome: ClientWriteResult<TypeConfig>,
    leadership: &watch::Receiver<Leadership>,
) -> Result<Applied, ProduceError> {
    match outcome {
        Ok(response) => Ok(response.data),
        Err(ClientWriteError::ForwardToLeader(_)) => Err(ProduceError::NotLeader(*leadership.borrow())),
        Err(_) => Err(ProduceError::Stopped),
    }
}

/// Finds the newest written state that the log reaches, or the one that stands for what is gone from the log.
async fn newest_state(
    files: StateFiles,
    end_index: RaftIndex,
    purged: Option<RaftIndex>,
) -> Result<Option<StoredState>, OpenGroupError> {
    let find = move || {
        let mut damaged = None;
        for index in files.list().map_err(OpenGroupError::Io)?.into_iter().rev() {
            let is_reached = index < end_index || purged == Some(index);
            if !is_reached || purged.is_some_and(|purged| index < purged) {
                continue;
            }
            let state = files.read(index).map_err(OpenGroupError::File).and_then(|bytes| {
                let bytes = bytes.ok_or(OpenGroupError::Io(io::ErrorKind::NotFound.into()))?;
                StoredState::decode(&bytes, ProducersConfig::default()).map_err(OpenGroupError::State)
            });
            match state {
                Ok(state) => return Ok(Some(state)),
                // An older one does as well, and more is applied again.
                Err(error) => damaged = damaged.or(Some(error)),
            }
        }
        match (purged, damaged) {
            (None, _) => Ok(None),
            (Some(_), Some(error)) => Err(error),
            (Some(purged), None) => Err(OpenGroupError::StateMissing { purged }),
        }
    };
    tokio::task::spawn_blocking(find).await.map_err(|error| OpenGroupError::Io(io::Error::other(error)))?
}

fn group_config() -> Result<Config, OpenGroupError> {
    let config = Config {
        cluster_name: "tidelog".to_owned(),
        // A group of one has nobody to beat for.
        enable_tick: false,
        // Which segments may go is decided by retention, not by how many entries there are.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        enable_pre_vote: Some(true),
        // A leader that lost what it had only written would use its places in the log for something else.
        enable_leader_restore: Some(false),
        log_stage_capacity: Some(1),
        ..Config::default()
    };
    config.validate().map_err(|error| OpenGroupError::Raft(error.to_string()))
}

/// A replica that could not be opened.
#[derive(Debug)]
pub enum OpenGroupError {
    /// The machine did not give us what we asked for.
    Io(io::Error),
    /// A state file could not be read, and no other will do.
    File(SmallFileError),
    /// The content of a state file could not be read, and no other will do.
    State(StateError),
    /// There is no state that stands for the entries that are gone from the log.
    StateMissing {
        /// The last of these entries.
        purged: RaftIndex,
    },
    /// The group did not start.
    Raft(String),
}

impl fmt::Display for OpenGroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
            Self::State(error) => error.fmt(f),
            Self::StateMissing { purged } => {
                write!(f, "the entries up to {purged} are gone, and no state file stands for them")
            }
            Self::Raft(error) => write!(f, "the group did not start: {error}"),
        }
    }
}

impl std::error::Error for OpenGroupError {}
