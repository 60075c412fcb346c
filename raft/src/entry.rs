//! An entry of a group's log: proposed, or as it stands in the partition's log.

use std::fmt;

use bytes::Bytes;
use openraft::entry::{RaftEntry, RaftPayload};
use tidelog_proto::batch::{AssignError, RecordBatch};
use tidelog_proto::frame::{Frame, FrameError, FrameSeed, FrameStamp, FrameType};
use tidelog_proto::ids::{LeaderEpoch, Offset, RaftIndex, RaftTerm};

use crate::membership::{MembershipError, decode_membership, encode_membership};
use crate::replica_id::ReplicaId;
use crate::types::{CommittedLeaderId, LogId, Membership};

/// What may be proposed to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proposal {
    /// A producer's batch, checked. The leader assigns its offsets when it is appended.
    Batch(RecordBatch),
    /// A new log start offset.
    LogStart(Offset),
    /// A command to the group's state machine.
    Command(Bytes),
}

/// What an entry carries before it has its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Nothing: a new leader's first entry.
    Blank,
    /// What was proposed.
    Proposal(Proposal),
    /// The members of the group.
    Membership(Membership),
}

/// One entry. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogEntry {
    leader_id: CommittedLeaderId,
    index: u64,
    body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    /// As this leader proposed it.
    New(Payload),
    /// As it stands in the log, or was received from its leader. Membership is decoded once.
    Framed(Frame, Option<Membership>),
}

/// Where an entry comes to stand, and what is known there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The log end offset before it.
    pub(crate) next_offset: Offset,
    /// The append time of the entry before it: this one's is no lower.
    pub(crate) last_append_time_ms: i64,
    /// The wall clock.
    pub(crate) now_ms: i64,
    /// Every entry below is known to be committed, and durable on this disk.
    pub(crate) safe_end: RaftIndex,
}

impl LogEntry {
    /// Takes an entry as it stands in a log.
    ///
    /// # Errors
    /// A membership entry that cannot be read.
    pub(crate) fn from_frame(frame: Frame) -> Result<Self, MembershipError> {
        let stamp = frame.stamp();
        let membership = match (frame.frame_type(), frame.payload()) {
            (FrameType::Membership, Some(payload)) => Some(decode_membership(&payload)?),
            _ => None,
        };
        let leader_id = CommittedLeaderId::new(stamp.term.get());
        Ok(Self { leader_id, index: stamp.index.get(), body: Body::Framed(frame, membership) })
    }

    /// Gives the entry as it stands in the log; `None` before it has its place.
    pub(crate) fn frame(&self) -> Option<&Frame> {
        match &self.body {
            Body::New(_) => None,
            Body::Framed(frame, _) => Some(frame),
        }
    }

    /// Gives the entry its place in the log of `seed`. An entry of another leader keeps its offsets and its time; what it
    /// says of durability becomes what is true of this disk.
    ///
    /// # Errors
    /// The numbers do not fit, or the payload is too large.
    pub(crate) fn placed(self, seed: FrameSeed, place: Place) -> Result<Self, PlaceError> {
        let index = RaftIndex::new(self.index);
        let safe_index = place.safe_end.get().checked_sub(1);
        let commit_lag = safe_index
            .and_then(|safe_index| self.index.checked_sub(safe_index))
            .and_then(|lag| u32::try_from(lag.max(1)).ok())
            .unwrap_or(u32::MAX);
        let append_time_ms = place.now_ms.max(place.last_append_time_ms);
        let stamp = FrameStamp { term: RaftTerm::new(*self.leader_id), index, commit_lag, append_time_ms };
        let (frame, membership) = match self.body {
            Body::Framed(frame, membership) => (frame.with_commit_lag(seed, commit_lag), membership),
            Body::New(payload) => frame_new(seed, stamp, place.next_offset, payload)?,
        };
        Ok(Self { body: Body::Framed(frame, membership), ..self })
    }
}

fn frame_new(
    seed: FrameSeed,
    stamp: FrameStamp,
    next_offset: Offset,
    payload: Payload,
) -> Result<(Frame, Option<Membership>), PlaceError> {
    let internal = |frame_type, bytes: &[u8]| Frame::internal(seed, frame_type, stamp, next_offset, bytes);
    Ok(match payload {
        Payload::Blank => (internal(FrameType::NoOp, &[])?, None),
        Payload::Membership(membership) => {
            (internal(FrameType::Membership, &encode_membership(&membership))?, Some(membership))
        }
        Payload::Proposal(Proposal::Command(bytes)) => (internal(FrameType::CoordinatorCommand, &bytes)?, None),
        Payload::Proposal(Proposal::LogStart(offset)) => (Frame::log_start(seed, stamp, next_offset, offset)?, None),
        Payload::Proposal(Proposal::Batch(batch)) => {
            let epoch = u32::try_from(stamp.term.get()).map_err(|_| PlaceError::Term(stamp.term))?;
            let batch = batch.assigned(next_offset, LeaderEpoch::new(epoch))?;
            (Frame::data(seed, stamp, batch), None)
        }
    })
}

impl RaftEntry for LogEntry {
    type CommittedLeaderId = CommittedLeaderId;
    type Payload = Payload;

    fn new(log_id: LogId, payload: Payload) -> Self {
        Self { leader_id: *log_id.committed_leader_id(), index: log_id.index(), body: Body::New(payload) }
    }

    fn log_id_parts(&self) -> (&CommittedLeaderId, u64) {
        (&self.leader_id, self.index)
    }

    fn set_log_id(&mut self, new: LogId) {
        self.leader_id = *new.committed_leader_id();
        self.index = new.index();
    }

    fn get_membership(&self) -> Option<Membership> {
        match &self.body {
            Body::New(payload) => payload.get_membership(),
            Body::Framed(_, membership) => membership.clone(),
        }
    }
}

impl RaftPayload for Payload {
    type D = Proposal;
    type NodeId = ReplicaId;
    type Node = ();

    fn blank() -> Self {
        Self::Blank
    }

    fn with_normal(self, data: Proposal) -> Self {
        Self::Proposal(data)
    }

    fn with_membership(self, membership: Membership) -> Self {
        Self::Membership(membership)
    }

    fn get_membership(&self) -> Option<Membership> {
        match self {
            Self::Membership(membership) => Some(membership.clone()),
            Self::Blank | Self::Proposal(_) => None,
        }
    }
}

impl fmt::Display for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} of term {}: ", self.index, *self.leader_id)?;
        match &self.body {
            Body::New(payload) => payload.fmt(f),
            Body::Framed(frame, _) => write!(f, "{:?}, {} bytes", frame.frame_type(), frame.frame_bytes()),
        }
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("blank"),
            Self::Proposal(proposal) => proposal.fmt(f),
            Self::Membership(membership) => membership.fmt(f),
        }
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(batch) => write!(f, "batch of {} bytes", batch.bytes().len()),
            Self::LogStart(offset) => write!(f, "log start {offset}"),
            Self::Command(bytes) => write!(f, "command of {} bytes", bytes.len()),
        }
    }
}

/// An entry that cannot be given a place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlaceError {
    /// The term does not fit a leader epoch.
    Term(RaftTerm),
    /// The batch does not fit behind the log's end.
    Batch(AssignError),
    /// The payload does not fit a frame.
    Frame(FrameError),
}

impl From<AssignError> for PlaceError {
    fn from(error: AssignError) -> Self {
        Self::Batch(error)
    }
}

impl From<FrameError> for PlaceError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Term(term) => write!(f, "term {term} does not fit a leader epoch"),
            Self::Batch(error) => error.fmt(f),
            Self::Frame(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PlaceError {}
