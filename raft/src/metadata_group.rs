//! The metadata group: the state of the cluster, replicated by Raft like everything else.

use std::fmt;
use std::io;

use futures_util::FutureExt;
use tidelog_log::LogIdentity;
use tidelog_proto::ids::PartitionId;
use tokio::sync::watch;

use crate::applied::Outcome;
use crate::entry::Proposal;
use crate::machine::Machine;
use crate::metadata::{METADATA_TOPIC_ID, MetadataCommand, MetadataError, MetadataOutcome, MetadataState, StoredError};
use crate::metadata_machine::MetadataMachine;
use crate::replica::{OpenGroupError, Release, Replica, ReplicaLog, ReplicaParts};
use crate::replicated_log::{Leadership, ProduceError};
use crate::stored_state::StateContent;

/// Whose log the metadata group's is.
pub const METADATA_LOG: LogIdentity = LogIdentity { topic_id: METADATA_TOPIC_ID, partition: PartitionId::new(0) };

/// A replica of the metadata group.
pub struct MetadataGroup {
    replica: Replica,
    state: watch::Receiver<MetadataState>,
}

impl MetadataGroup {
    /// Opens a replica of the metadata group, as [`Replica::open`] does.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn open(parts: ReplicaParts) -> Result<Self, OpenGroupError> {
        let mut state = None;
        let machine = |content: Option<StateContent>, _: &ReplicaLog| {
            let written = match content {
                None => MetadataState::new(),
                Some(StateContent::Metadata(written)) => written,
                Some(StateContent::Data(_)) => return Err(OpenGroupError::OtherKind),
            };
            let (sender, receiver) = watch::channel(written);
            state = Some(receiver);
            Ok(Machine::Metadata(MetadataMachine::new(sender)))
        };
        let replica = Replica::open(parts, machine).await?;
        let state = state.ok_or(OpenGroupError::OtherKind)?;
        Ok(Self { replica, state })
    }

    /// Watches the metadata, as far as it was applied here: it may lag behind the leader's.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<MetadataState> {
        self.state.clone()
    }

    /// Watches who leads the group.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.replica.leadership.clone()
    }

    /// Proposes a command and waits until it is applied here. What it changed is then seen by [`MetadataGroup::state`].
    /// Dropped before that, it may or may not be carried out.
    ///
    /// # Errors
    /// The command was refused, or whether it was carried out is not known: see [`ProposeError`].
    pub async fn propose(&self, command: &MetadataCommand) -> Result<MetadataOutcome, ProposeError> {
        let bytes = command.encode().map_err(ProposeError::TooLarge)?;
        match self.replica.propose(Proposal::Command(bytes)).await.map_err(ProposeError::Group)? {
            Outcome::Metadata(outcome) => outcome.map_err(ProposeError::Refused),
            Outcome::None | Outcome::Batch(_) | Outcome::LogStart(_) => Err(ProposeError::Group(ProduceError::Stopped)),
        }
    }

    /// Waits until everything that was acknowledged before is seen by [`MetadataGroup::state`].
    ///
    /// # Errors
    /// This replica does not lead.
    pub async fn read_barrier(&self) -> Result<(), ProduceError> {
        self.replica.read_barrier().await
    }

    /// Deletes the segments that a written state stands for.
    ///
    /// # Errors
    /// The state files could not be read, or the group has stopped.
    pub async fn release_segments(&self) -> io::Result<()> {
        self.replica.release_segments(Release::Applied).boxed().await
    }

    /// Writes down what was applied, stops the group and closes its log.
    ///
    /// # Errors
    /// The log could not be closed. Everything acknowledged is in it nevertheless.
    pub async fn close(&self) -> io::Result<()> {
        self.replica.close().await
    }
}

impl fmt::Debug for MetadataGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataGroup").finish_non_exhaustive()
    }
}

/// A command that was not carried out, or of which that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// The command is too large to be replicated.
    TooLarge(StoredError),
    /// The metadata do not allow it. Nothing has changed.
    Refused(MetadataError),
    /// The group did not take it, or has stopped: then it may be carried out or not.
    Group(ProduceError),
}

impl fmt::Display for ProposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
            Self::Group(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ProposeError {}
