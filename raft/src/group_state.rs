//! The state of a group, as openraft drives it: entries are applied, written down now and then, and read back.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use openraft::RaftSnapshotBuilder;
use openraft::entry::RaftEntry;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use tidelog_proto::frame::FrameType;
use tidelog_proto::ids::{RaftIndex, RaftTerm};
use tokio::task::JoinHandle;

use crate::applied::{Applied, Outcome};
use crate::entry::LogEntry;
use crate::machine::Machine;
use crate::replica::ReplicaLog;
use crate::state_files::StateFiles;
use crate::stored_state::StoredState;
use crate::types::{LogId, StoredMembership, TypeConfig};

/// Entries that are applied before readers and proposers are told: they are told at once, so this bounds only how much is
/// on the way in between.
const APPLIED_TOGETHER_MAX: usize = 256;

/// A group's state up to its last applied entry.
#[derive(Debug)]
pub(crate) struct GroupState {
    applied: Option<LogId>,
    membership: StoredMembership,
    machine: Machine,
    log: Arc<ReplicaLog>,
    /// The term of a leader's first entry that was applied and not yet told.
    begun_term: Option<RaftTerm>,
    files: StateFiles,
    snapshots: Arc<Snapshots>,
    /// The file that is being written. Only one at a time: a state that comes meanwhile gets none.
    writing: Option<JoinHandle<io::Result<()>>>,
    /// The first segment behind the last applied entry; looked up again when it is reached.
    next_segment: Option<RaftIndex>,
}

/// Which of the written states stands for the entries that are gone.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    chosen: Mutex<Option<RaftIndex>>,
}

/// A state on its way: [`StoredState`] as bytes.
#[derive(Clone, Debug)]
pub(crate) struct StateSnapshot(pub(crate) Bytes);

/// Reads a written state as a snapshot.
#[derive(Debug)]
pub(crate) struct StateReader {
    files: StateFiles,
    snapshots: Arc<Snapshots>,
}

impl Snapshots {
    /// Lets the state as of entry `index`, which is written, stand for everything up to there.
    pub(crate) fn choose(&self, index: RaftIndex) {
        *self.chosen() = Some(index);
    }

    fn chosen(&self) -> MutexGuard<'_, Option<RaftIndex>> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GroupState {
    /// Goes on from a written state, or from the log's first entry.
    pub(crate) fn new(
        stored: Option<(LogId, StoredMembership)>,
        machine: Machine,
        log: Arc<ReplicaLog>,
        files: StateFiles,
        snapshots: Arc<Snapshots>,
    ) -> Self {
        let (applied, membership) = stored.map_or_else(Default::default, |(applied, members)| (Some(applied), members));
        let mut state = Self {
            applied,
            membership,
            machine,
            log,
            begun_term: None,
            files,
            snapshots,
            writing: None,
            next_segment: None,
        };
        state.next_segment = state.segment_behind_applied();
        state
    }

    async fn apply_all(&mut self, entries: Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let mut answers = Vec::with_capacity(entries.len());
        for (entry, responder) in entries {
            let log_id = entry.log_id();
            let index = RaftIndex::new(log_id.index());
            if self.next_segment.is_none_or(|start| start <= index) {
                self.note_segment(index);
            }
            let outcome = self.apply_one(&entry, index).await?;
            self.applied = Some(log_id);
            answers.extend(responder.map(|responder| (responder, log_id, outcome)));
        }
        self.publish()?;
        answers.into_iter().for_each(|(responder, log_id, outcome)| answer(responder, &log_id, outcome));
        Ok(())
    }

    async fn apply_one(&mut self, entry: &LogEntry, index: RaftIndex) -> io::Result<Outcome> {
        let frame = entry.frame().ok_or(io::ErrorKind::InvalidData)?;
        match frame.frame_type() {
            FrameType::NoOp => self.begun_term = Some(frame.stamp().term),
            FrameType::Membership => {
                let membership = entry.get_membership().ok_or(io::ErrorKind::InvalidData)?;
                self.membership = StoredMembership::new(Some(entry.log_id()), membership);
            }
            FrameType::LogStart => {
                // Nothing is deleted that is not known to be committed.
                self.log.reader.advance_committed(index).map_err(io::Error::other)?;
                return self.machine.apply(frame).await;
            }
            FrameType::Data | FrameType::TransactionMarker | FrameType::CoordinatorCommand => {
                return self.machine.apply(frame).await;
            }
        }
        Ok(Outcome::None)
    }

    /// Tells everyone of what was applied.
    fn publish(&mut self) -> io::Result<()> {
        let Some(applied) = self.applied else { return Ok(()) };
        self.log.reader.advance_committed(RaftIndex::new(applied.index() + 1)).map_err(io::Error::other)?;
        self.machine.publish();
        // Nobody else will ask for what is applied here.
        if self.membership.nodes().nth(1).is_none() {
            let written_end = self.log.reader.end_index().get();
            self.log.tail.lock().forget(written_end.min(applied.index() + 1));
        }
        if let Some(term) = self.begun_term.take() {
            self.log.begun_term.send_replace(Some(term));
        }
        Ok(())
    }

    /// Gives the first segment that starts behind the last applied entry, as it is now.
    fn segment_behind_applied(&self) -> Option<RaftIndex> {
        self.applied.and_then(|applied| self.log.reader.segment_start_after(RaftIndex::new(applied.index())))
    }

    /// Writes the state down if entry `index`, the next one, begins a segment: then everything before is in sealed ones.
    fn note_segment(&mut self, index: RaftIndex) {
        if self.segment_behind_applied() == Some(index) {
            self.write_in_background();
        }
        self.next_segment = self.log.reader.segment_start_after(index);
    }

    fn write_in_background(&mut self) {
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        let Some((index, state)) = self.stored() else { return };
        let files = self.files.clone();
        self.writing = Some(tokio::task::spawn_blocking(move || files.write(index, &state)));
    }

    /// Writes the state down as it is, and waits for that.
    ///
    /// # Errors
    /// It could not be written. The log has everything that is in it.
    pub(crate) async fn write(&mut self) -> io::Result<()> {
        if let Some(writing) = self.writing.take() {
            writing.await.map_err(io::Error::other)??;
        }
        self.write_in_background();
        match self.writing.take() {
            Some(writing) => writing.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }

    fn stored(&self) -> Option<(RaftIndex, Vec<u8>)> {
        let applied = self.applied?;
        let state = StoredState { applied, membership: self.membership.clone(), content: self.machine.content() };
        Some((RaftIndex::new(applied.index()), state.encode()))
    }
}

fn answer(responder: ApplyResponder<TypeConfig>, log_id: &LogId, outcome: Outcome) {
    let (term, index) = (RaftTerm::new(**log_id.committed_leader_id()), RaftIndex::new(log_id.index()));
    responder.send(Applied { term, index, outcome });
}

impl StateReader {
    async fn read(&self) -> io::Result<Option<SnapshotOf<TypeConfig, StateSnapshot>>> {
        let Some(index) = *self.snapshots.chosen() else { return Ok(None) };
        let files = self.files.clone();
        let read = tokio::task::spawn_blocking(move || files.read(index)).await.map_err(io::Error::other)?;
        let Some(bytes) = read.map_err(io::Error::other)?.map(Bytes::from) else { return Ok(None) };
        let state = StoredState::decode(bytes.clone()).map_err(io::Error::other)?;
        let meta = SnapshotMetaOf::<TypeConfig> { last_log_id: Some(state.applied), last_membership: state.membership };
        Ok(Some(SnapshotOf::<TypeConfig, _> { meta, snapshot: StateSnapshot(bytes) }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for StateReader {
    type SnapshotData = StateSnapshot;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, StateSnapshot>> {
        self.read().await?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl RaftStateMachine<TypeConfig> for GroupState {
    type SnapshotData = StateSnapshot;
    type SnapshotBuilder = StateReader;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + Send,
    {
        let mut ready = entries.ready_chunks(APPLIED_TOGETHER_MAX);
        while let Some(entries) = ready.next().await {
            self.apply_all(entries.into_iter().collect::<io::Result<_>>()?).await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> StateReader {
        StateReader { files: self.files.clone(), snapshots: Arc::clone(&self.snapshots) }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<TypeConfig>,
        StateSnapshot(bytes): StateSnapshot,
    ) -> io::Result<()> {
        let state = StoredState::decode(bytes.clone()).map_err(io::Error::other)?;
        if meta.last_log_id != Some(state.applied) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a snapshot is not of the entry that it names"));
        }
        let index = RaftIndex::new(state.applied.index());
        let files = self.files.clone();
        tokio::task::spawn_blocking(move || files.write(index, &bytes)).await.map_err(io::Error::other)??;
        self.snapshots.choose(index);
        (self.applied, self.membership) = (Some(state.applied), state.membership);
        self.machine.install(state.content)?;
        self.next_segment = self.segment_behind_applied();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<TypeConfig, StateSnapshot>>> {
        self.get_snapshot_builder().await.read().await
    }
}
