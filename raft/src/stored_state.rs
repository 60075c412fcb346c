//! The state of a group as bytes: in a file, and on the way to another replica.

use std::fmt;

use bytes::Bytes;
use prost::Message;
use tidelog_proto::ids::{Offset, ProducerEpoch, ProducerId, RaftIndex, Sequence};

use crate::membership::{MembershipError, decode_membership, encode_membership};
use crate::metadata::{MetadataState, SnapshotError};
use crate::producers::{BATCHES_MAX, ProducedBatch, Producer, Producers, ProducersConfig};
use crate::types::{CommittedLeaderId, LogId, StoredMembership};

/// The state of a group as of an entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredState {
    /// The entry.
    pub(crate) applied: LogId,
    /// The newest members at or before it.
    pub(crate) membership: StoredMembership,
    /// What is particular to the kind of group.
    pub(crate) content: StateContent,
}

/// What is particular to a kind of group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StateContent {
    /// A partition.
    Data(DataContent),
    /// The metadata of the cluster.
    Metadata(MetadataState),
}

/// What is remembered of a partition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DataContent {
    /// The first offset behind the entry.
    pub(crate) high_watermark: Offset,
    /// The log start offset.
    pub(crate) log_start_offset: Offset,
    /// Its idempotent producers.
    pub(crate) producers: Producers,
}

impl DataContent {
    /// A partition without records.
    pub(crate) fn empty() -> Self {
        let producers = Producers::new(ProducersConfig::default());
        Self { high_watermark: Offset::ZERO, log_start_offset: Offset::ZERO, producers }
    }
}

/// The stored form. Field numbers are never reused.
#[derive(Clone, PartialEq, Message)]
struct State {
    #[prost(message, required, tag = "1")]
    applied: EntryId,
    /// Absent before the first members were applied.
    #[prost(message, optional, tag = "2")]
    members_at: Option<EntryId>,
    #[prost(bytes = "vec", tag = "3")]
    members: Vec<u8>,
    #[prost(oneof = "Content", tags = "4, 5")]
    content: Option<Content>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Content {
    #[prost(message, tag = "4")]
    Data(Data),
    /// [`MetadataState`] as its own bytes.
    #[prost(bytes = "bytes", tag = "5")]
    Metadata(Bytes),
}

#[derive(Clone, Copy, PartialEq, Message)]
struct EntryId {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    index: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Data {
    #[prost(uint64, tag = "1")]
    high_watermark: u64,
    #[prost(uint64, tag = "2")]
    log_start_offset: u64,
    /// The one that has been silent for longest first.
    #[prost(message, repeated, tag = "3")]
    producers: Vec<StoredProducer>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredProducer {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint32, tag = "2")]
    epoch: u32,
    #[prost(uint64, tag = "3")]
    last_index: u64,
    #[prost(sint64, tag = "4")]
    last_append_time_ms: i64,
    /// Oldest first.
    #[prost(message, repeated, tag = "5")]
    batches: Vec<StoredBatch>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct StoredBatch {
    #[prost(uint32, tag = "1")]
    base_sequence: u32,
    #[prost(uint32, tag = "2")]
    offset_count: u32,
    #[prost(uint64, tag = "3")]
    base_offset: u64,
}

impl StoredState {
    /// Gives the state as bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let content = match &self.content {
            StateContent::Data(content) => Content::Data(Data::of(content)),
            StateContent::Metadata(state) => Content::Metadata(state.encode()),
        };
        State {
            applied: EntryId::of(&self.applied),
            members_at: self.membership.log_id().as_ref().map(EntryId::of),
            members: encode_membership(self.membership.membership()),
            content: Some(content),
        }
        .encode_to_vec()
    }

    /// Reads back what [`StoredState::encode`] gave.
    ///
    /// # Errors
    /// The bytes are something else, or contradict themselves.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, StateError> {
        let state = State::decode(bytes).map_err(|_| StateError::Encoding)?;
        let membership = match state.members_at {
            Some(at) => StoredMembership::new(Some(at.log_id()), decode_membership(&state.members)?),
            None => StoredMembership::default(),
        };
        let content = match state.content.ok_or(StateError::Encoding)? {
            Content::Data(data) => StateContent::Data(data.content()?),
            Content::Metadata(bytes) => StateContent::Metadata(MetadataState::decode(bytes)?),
        };
        Ok(Self { applied: state.applied.log_id(), membership, content })
    }
}

impl Data {
    fn of(content: &DataContent) -> Self {
        Self {
            high_watermark: content.high_watermark.get(),
            log_start_offset: content.log_start_offset.get(),
            producers: content.producers.iter().map(|(id, producer)| StoredProducer::of(id, producer)).collect(),
        }
    }

    fn content(self) -> Result<DataContent, StateError> {
        let mut producers = Producers::new(ProducersConfig::default());
        for stored in self.producers {
            let (id, producer) = stored.producer()?;
            producers.restore(id, producer);
        }
        Ok(DataContent {
            high_watermark: offset(self.high_watermark)?,
            log_start_offset: offset(self.log_start_offset)?,
            producers,
        })
    }
}

impl EntryId {
    fn of(log_id: &LogId) -> Self {
        Self { term: **log_id.committed_leader_id(), index: log_id.index() }
    }

    fn log_id(self) -> LogId {
        LogId::new(CommittedLeaderId::new(self.term), self.index)
    }
}

impl StoredProducer {
    fn of(id: ProducerId, producer: &Producer) -> Self {
        let stored = |batch: &ProducedBatch| StoredBatch {
            base_sequence: batch.base_sequence.get(),
            offset_count: batch.offset_count,
            base_offset: batch.base_offset.get(),
        };
        Self {
            id: id.get(),
            epoch: producer.epoch.get().into(),
            last_index: producer.last_index.get(),
            last_append_time_ms: producer.last_append_time_ms,
            batches: producer.batches.iter().map(stored).collect(),
        }
    }

    fn producer(self) -> Result<(ProducerId, Producer), StateError> {
        let out_of_bounds = || StateError::Producer { id: self.id };
        let epoch = ProducerEpoch::new(u16::try_from(self.epoch).map_err(|_| out_of_bounds())?);
        if self.batches.is_empty() || self.batches.len() > BATCHES_MAX {
            return Err(out_of_bounds());
        }
        let mut producer = Producer::new(epoch);
        producer.last_index = RaftIndex::new(self.last_index);
        producer.last_append_time_ms = self.last_append_time_ms;
        for batch in self.batches {
            let base_sequence = Sequence::new(batch.base_sequence);
            if base_sequence > Sequence::MAX || batch.offset_count == 0 {
                return Err(out_of_bounds());
            }
            let base_offset = offset(batch.base_offset)?;
            producer.note(epoch, ProducedBatch { base_sequence, offset_count: batch.offset_count, base_offset });
        }
        Ok((ProducerId::new(self.id), producer))
    }
}

fn offset(number: u64) -> Result<Offset, StateError> {
    Some(Offset::new(number)).filter(|offset| *offset <= Offset::MAX).ok_or(StateError::Offset(number))
}

/// A stored state that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateError {
    /// The bytes are no state.
    Encoding,
    /// The members cannot be read.
    Membership(MembershipError),
    /// The metadata cannot be read.
    Metadata(SnapshotError),
    /// An offset is out of bounds.
    Offset(u64),
    /// A number of this producer is out of bounds.
    Producer {
        /// The producer.
        id: u64,
    },
}

impl From<MembershipError> for StateError {
    fn from(error: MembershipError) -> Self {
        Self::Membership(error)
    }
}

impl From<SnapshotError> for StateError {
    fn from(error: SnapshotError) -> Self {
        Self::Metadata(error)
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding => f.write_str("the state of the group cannot be decoded"),
            Self::Membership(error) => error.fmt(f),
            Self::Metadata(error) => error.fmt(f),
            Self::Offset(offset) => write!(f, "offset {offset} in the state of the group is above {}", Offset::MAX),
            Self::Producer { id } => write!(f, "a number of producer {id} in the state of the group is out of bounds"),
        }
    }
}

impl std::error::Error for StateError {}
