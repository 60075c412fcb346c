//! One replica of a Raft group, of whatever kind: opened over its log and closed in order.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::raft::ClientWriteResult;
use openraft::{Config, Raft, ReadPolicy, ServerState, SnapshotPolicy};
use tidelog_log::environment::Environment;
use tidelog_log::small_file::SmallFileError;
use tidelog_log::storage::{Durability, LogHandle};
use tidelog_log::{LogIdentity, LogReader};
use tidelog_proto::ids::{LeaderEpoch, RaftIndex, RaftTerm};
use tokio::sync::{oneshot, watch};

use crate::answer::Answer;
use crate::applied::{Applied, Outcome};
use crate::entry::Proposal;
use crate::group_state::{GroupState, Snapshots};
use crate::hard_state::HardState;
use crate::journal::JournalHandle;
use crate::log_store::{FlushMode, LogParts, LogStore};
use crate::machine::Machine;
use crate::no_peers::NoPeers;
use crate::replica_id::ReplicaId;
use crate::replicated_log::{Leadership, ProduceError};
use crate::stalls::Stalls;
use crate::state_files::StateFiles;
use crate::stored_state::{StateContent, StateError, StoredState};
use crate::tail_cache::{SharedTail, TailBudget};
use crate::types::{LogId, TypeConfig};

/// What a replica is opened with.
pub(crate) struct ReplicaParts {
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

/// A replica's log, shared by its state machine and its handles.
#[derive(Debug)]
pub(crate) struct ReplicaLog {
    pub(crate) identity: LogIdentity,
    pub(crate) reader: LogReader,
    pub(crate) handle: LogHandle,
    pub(crate) flush_mode: Arc<FlushMode>,
    pub(crate) stalls: Arc<Stalls>,
    pub(crate) tail: SharedTail,
    /// The newest term of which the leader's first entry is applied. Sent by the state machine.
    pub(crate) begun_term: watch::Sender<Option<RaftTerm>>,
}

/// A running replica.
pub(crate) struct Replica {
    pub(crate) log: Arc<ReplicaLog>,
    pub(crate) raft: RaftHandle,
    pub(crate) leadership: watch::Receiver<Leadership>,
    files: StateFiles,
    snapshots: Arc<Snapshots>,
}

/// A group's Raft.
pub(crate) type RaftHandle = Raft<TypeConfig, GroupState>;

/// How far the oldest segments of a log may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// Those below the log start offset.
    BelowLogStart,
    /// All that a written state stands for: the entries themselves are not wanted any more, or only compacted.
    Applied,
}

impl Replica {
    /// Opens a replica of a group that has no other, and lets it elect itself. It serves as soon as its leadership says so.
    ///
    /// `machine` gets what was written down of the state, if anything was.
    ///
    /// # Errors
    /// The log or the written state could not be read, or the group did not start.
    pub(crate) async fn open(
        parts: ReplicaParts,
        machine: impl FnOnce(Option<StateContent>, &ReplicaLog) -> Result<Machine, OpenGroupError>,
    ) -> Result<Self, OpenGroupError> {
        let files = StateFiles::open(Arc::clone(&parts.environment), &parts.dir).map_err(OpenGroupError::Io)?;
        let purged = parts.hard_state.purged.map(|mark| mark.index);
        let stored = newest_state(files.clone(), parts.reader.end_index(), purged).await?;
        let (applied, content) = stored.map(|stored| ((stored.applied, stored.membership), stored.content)).unzip();
        let log = Arc::new(ReplicaLog {
            identity: parts.identity,
            reader: parts.reader.clone(),
            handle: parts.handle.clone(),
            flush_mode: FlushMode::new(parts.durability),
            stalls: Stalls::new(),
            tail: SharedTail::new(parts.tail_budget),
            begun_term: watch::Sender::new(None),
        });
        let snapshots = Arc::new(Snapshots::default());
        purged.into_iter().for_each(|index| snapshots.choose(index));
        let machine = machine(content, &log)?;
        let state = GroupState::new(applied, machine, Arc::clone(&log), files.clone(), Arc::clone(&snapshots));

        let store = LogStore::open(LogParts {
            identity: parts.identity,
            environment: parts.environment,
            handle: parts.handle,
            reader: parts.reader,
            journal: parts.journal,
            hard_state: parts.hard_state,
            flush_mode: Arc::clone(&log.flush_mode),
            stalls: Arc::clone(&log.stalls),
            tail: log.tail.clone(),
        });
        let mut store = store.map_err(OpenGroupError::Io)?;
        store.begin(parts.replica).await.map_err(OpenGroupError::Io)?;
        let raft = Raft::new(parts.replica, Arc::new(group_config()?), NoPeers, store, state).await;
        let raft = raft.map_err(|error| OpenGroupError::Raft(error.to_string()))?;

        let unled = Leadership { leader: None, epoch: LeaderEpoch::new(0), is_serving: false };
        let (sender, leadership) = watch::channel(unled);
        tokio::spawn(follow_leadership(raft.clone(), parts.replica, log.begun_term.subscribe(), sender));
        // Nobody else can be elected, so nobody is asked first.
        raft.trigger().elect(false).await.map_err(|error| OpenGroupError::Raft(error.to_string()))?;
        Ok(Self { log, raft, leadership, files, snapshots })
    }

    /// Writes down what was applied, stops the group and closes its log. What was not answered by then is not answered.
    ///
    /// # Errors
    /// The log could not be closed. Everything acknowledged is in it nevertheless.
    pub(crate) async fn close(&self) -> io::Result<()> {
        self.log.stalls.close();
        // Without it more is applied again at the next start, and nothing is lost.
        let written = self.raft.with_state_machine(|state| state.write().boxed()).await;
        self.raft.shutdown().await.map_err(io::Error::other)?;
        let (sender, closed) = oneshot::channel();
        let completion = move |outcome| drop(sender.send(outcome));
        self.log.handle.close(completion).map_err(|error| io::Error::other(error.to_string()))?;
        closed.await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?.map_err(io::Error::other)?;
        written.map_err(io::Error::other)?
    }

    /// Lets go of the oldest segments, as far as `release` says and a written state stands for them.
    ///
    /// # Errors
    /// The state files could not be read, or the group has stopped.
    pub(crate) async fn release_segments(&self, release: Release) -> io::Result<()> {
        let reader = &self.log.reader;
        let (log_start_offset, raft_start, segments) =
            (reader.log_start_offset(), reader.raft_start(), reader.segments());
        let files = self.files.clone();
        let written = tokio::task::spawn_blocking(move || files.list()).await.map_err(io::Error::other)??;
        let ends = segments
            .iter()
            .filter_map(|segment| segment.summary)
            .take_while(|summary| release == Release::Applied || summary.end_offset <= log_start_offset)
            .map(|summary| summary.end_index)
            .filter(|end| *end > raft_start)
            .filter_map(|end| end.get().checked_sub(1).map(RaftIndex::new));
        let Some(last) = ends.filter(|last| written.binary_search(last).is_ok()).last() else { return Ok(()) };
        self.snapshots.choose(last);
        let trigger = self.raft.trigger();
        trigger.snapshot().await.map_err(io::Error::other)?;
        let is_reached = |snapshot: &Option<LogId>| snapshot.is_some_and(|snapshot| snapshot.index() >= last.get());
        let mut snapshot = self.raft.watch_snapshot_progress();
        if snapshot.wait_until(is_reached).await.is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        trigger.purge_log(last.get()).await.map_err(io::Error::other)?;
        let files = self.files.clone();
        tokio::task::spawn_blocking(move || files.remove_below(last)).await.map_err(io::Error::other)?
    }

    /// Proposes something, and waits for its outcome, but not for space on a disk that is full: then it may be carried out
    /// later.
    pub(crate) async fn propose(&self, proposal: Proposal) -> Result<Outcome, ProduceError> {
        self.accepting()?;
        let (sender, outcome) = oneshot::channel();
        let answer = Answer::new(move |outcome| drop(sender.send(outcome)));
        self.raft.client_write_ff(proposal, Some(answer)).await.map_err(|_| ProduceError::Stopped)?;
        let outcome = match select(outcome, Box::pin(self.log.stalls.began())).await {
            Either::Left((outcome, _)) => outcome.map_err(|_| ProduceError::Stopped)?,
            Either::Right(((), _)) => return Err(ProduceError::DiskFull),
        };
        Ok(applied(outcome, &self.leadership)?.outcome)
    }

    /// Waits until everything that any leader has acknowledged before is applied here.
    pub(crate) async fn read_barrier(&self) -> Result<(), ProduceError> {
        self.serving()?;
        match self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(_)) => Err(ProduceError::NotLeader(*self.leadership.borrow())),
            Err(RaftError::Fatal(_)) => Err(ProduceError::Stopped),
        }
    }

    pub(crate) fn serving(&self) -> Result<(), ProduceError> {
        let leadership = *self.leadership.borrow();
        if leadership.is_serving { Ok(()) } else { Err(ProduceError::NotLeader(leadership)) }
    }

    /// Tells whether something may be proposed now.
    pub(crate) fn accepting(&self) -> Result<(), ProduceError> {
        self.serving()?;
        if self.log.stalls.is_stalled() { Err(ProduceError::DiskFull) } else { Ok(()) }
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("identity", &self.log.identity).finish_non_exhaustive()
    }
}

/// Tells who leads, until the group stops: then nobody does.
async fn follow_leadership(
    raft: RaftHandle,
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
        let changed = select(Box::pin(metrics.changed()), Box::pin(begun_term.changed())).await;
        let has_ended = match changed {
            Either::Left((outcome, _)) => outcome.is_err(),
            Either::Right((outcome, _)) => outcome.is_err(),
        };
        if has_ended {
            break;
        }
    }
    sender.send_modify(|leadership| *leadership = Leadership { leader: None, is_serving: false, ..*leadership });
}

/// Reads what came of a proposal.
pub(crate) fn applied(
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
                StoredState::decode(Bytes::from(bytes)).map_err(OpenGroupError::State)
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
    /// The state file is of another kind of group.
    OtherKind,
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
            Self::OtherKind => f.write_str("the state file is of another kind of group"),
            Self::Raft(error) => write!(f, "the group did not start: {error}"),
        }
    }
}

impl std::error::Error for OpenGroupError {}
