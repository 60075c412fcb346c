//! How frames must follow each other.

use std::fmt;

use tidelog_proto::frame::{Frame, FrameStamp, FrameView};
use tidelog_proto::ids::{Offset, RaftIndex, RaftTerm};

/// What the log needs to know of a frame, whether it is about to be written or was just read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameMeta {
    pub(crate) stamp: FrameStamp,
    pub(crate) base_offset: Offset,
    pub(crate) next_offset: Offset,
    /// Largest record timestamp; `None` for a frame without records.
    pub(crate) max_timestamp: Option<i64>,
    pub(crate) frame_bytes: u64,
}

impl FrameMeta {
    pub(crate) fn of_view(view: &FrameView<'_>) -> Self {
        Self {
            stamp: view.header.stamp,
            base_offset: view.base_offset(),
            next_offset: view.next_offset(),
            max_timestamp: view
                .batch()
                .filter(|batch| batch.record_count() > 0 && !batch.is_control())
                .map(|batch| batch.max_timestamp()),
            frame_bytes: view.frame_bytes() as u64,
        }
    }

    pub(crate) fn of_frame(frame: &Frame) -> Self {
        Self::of_view(&frame.view())
    }
}

/// Whether entries may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Density {
    /// Every index and every offset follows its predecessor's.
    Dense,
    /// Compaction may have removed entries and records: both only rise.
    Rising,
}

/// The end of a run of frames: what the next one must connect to.
///
/// Invariant: offsets and indexes never go back, and are dense where nothing was compacted; terms and append times never
/// go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameChain {
    pub(crate) next_offset: Offset,
    pub(crate) next_index: RaftIndex,
    pub(crate) last_term: RaftTerm,
    pub(crate) last_append_time_ms: i64,
}

impl FrameChain {
    /// Starts before the first entry of a log: any term and append time may follow.
    pub(crate) fn starting_at(next_offset: Offset, next_index: RaftIndex) -> Self {
        Self { next_offset, next_index, last_term: RaftTerm::new(0), last_append_time_ms: i64::MIN }
    }

    /// Checks that `frame` may come next.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(crate) fn check(&self, frame: &FrameMeta, density: Density) -> Result<(), ChainError> {
        let FrameStamp { term, index, commit_lag, append_time_ms } = frame.stamp;
        let (index_follows, offset_follows) = match density {
            Density::Dense => (index == self.next_index, frame.base_offset == self.next_offset),
            Density::Rising => (index >= self.next_index, frame.base_offset >= self.next_offset),
        };
        if !index_follows {
            return Err(ChainError::Index { expected: self.next_index, found: index });
        }
        if !offset_follows {
            return Err(ChainError::Offset { expected: self.next_offset, found: frame.base_offset });
        }
        if term < self.last_term {
            return Err(ChainError::Term { last: self.last_term, found: term });
        }
        if append_time_ms < self.last_append_time_ms {
            return Err(ChainError::AppendTime { last_ms: self.last_append_time_ms, found_ms: append_time_ms });
        }
        if commit_lag == 0 {
            return Err(ChainError::CommitLag { index });
        }
        Ok(())
    }

    /// Moves the end past `frame`.
    pub(crate) fn advance(&mut self, frame: &FrameMeta) {
        self.next_offset = frame.next_offset;
        self.next_index = frame.stamp.index.next();
        self.last_term = frame.stamp.term;
        self.last_append_time_ms = frame.stamp.append_time_ms;
    }
}

/// A frame that does not follow its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainError {
    /// The Raft index is not the next one.
    Index {
        /// The index after the last entry.
        expected: RaftIndex,
        /// The frame's.
        found: RaftIndex,
    },
    /// The base offset is not the next one.
    Offset {
        /// The log end offset.
        expected: Offset,
        /// The frame's.
        found: Offset,
    },
    /// The term is below its predecessor's.
    Term {
        /// The predecessor's.
        last: RaftTerm,
        /// The frame's.
        found: RaftTerm,
    },
    /// The append time is below its predecessor's.
    AppendTime {
        /// The predecessor's.
        last_ms: i64,
        /// The frame's.
        found_ms: i64,
    },
    /// The commit lag is 0: the entry says that it was committed before it was written.
    CommitLag {
        /// The frame's index.
        index: RaftIndex,
    },
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index { expected, found } => write!(f, "raft index {found} where {expected} comes next"),
            Self::Offset { expected, found } => write!(f, "base offset {found} where {expected} comes next"),
            Self::Term { last, found } => write!(f, "term {found} after term {last}"),
            Self::AppendTime { last_ms, found_ms } => write!(f, "append time {found_ms} ms after {last_ms} ms"),
            Self::CommitLag { index } => write!(f, "commit lag 0 at raft index {index}"),
        }
    }
}

impl std::error::Error for ChainError {}
