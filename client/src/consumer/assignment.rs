//! One assigned partition of a consumer: where it stands, and what of it is buffered. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tidelog_proto::api::Position;
use tidelog_proto::batch::RecordBatch;
use tidelog_proto::ids::{Offset, PartitionId, TopicId, TopicName};

use super::credit::StreamId;
use crate::ConsumeError;

/// The place of a partition among those of its consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) usize);

/// What waits to be given to the application.
#[derive(Debug)]
pub(super) enum Ready {
    /// A batch; records below `from` are left out.
    Batch {
        batch: RecordBatch,
        from: Offset,
        /// Whose credit it holds.
        stream: StreamId,
    },
    /// The partition stopped.
    Failed(ConsumeError),
}

/// Whether a partition is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not open: to be opened once that is possible.
    Closed,
    /// `open` was sent.
    Open {
        stream: StreamId,
        fetch_id: u32,
        /// Whether the broker has answered since the last `open`.
        is_confirmed: bool,
        /// When the `open` was sent.
        sent_at: Duration,
        /// Whether a `seek` is to be sent.
        must_seek: bool,
    },
    /// Everything below the end was pushed.
    Finished,
    /// Stopped until the application seeks.
    Failed,
}

/// An assigned partition.
///
/// Invariants: `ready` holds batches whose offsets rise and that follow `position`; `next` is where reading goes on behind
/// them, so that after any interruption nothing comes twice and nothing is left out.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) topic: Arc<TopicName>,
    pub(super) partition: PartitionId,
    /// The topic as it was when the partition was first opened.
    pub(super) topic_id: Option<TopicId>,
    /// Where to stop, exclusive; `None`: never.
    pub(super) end: Option<Offset>,
    /// Where the next `open` or `seek` starts.
    pub(super) next: Position,
    /// The next offset that the application is given; `None` until a broker has told where the start is.
    pub(super) position: Option<Offset>,
    pub(super) phase: Phase,
    /// Tells what was pushed before the last `seek` from what comes after it.
    pub(super) generation: u32,
    pub(super) is_paused: bool,
    pub(super) ready: VecDeque<Ready>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Before this, it is not opened.
    pub(super) retry_at: Duration,
    /// The first offset that is not committed, as a broker said last.
    pub(super) high_watermark: Option<Offset>,
}

impl Assignment {
    pub(super) fn new(topic: Arc<TopicName>, partition: PartitionId, start: Position, end: Option<Offset>) -> Self {
        Self {
            topic,
            partition,
            topic_id: None,
            end,
            next: start,
            position: offset_of(start),
            phase: Phase::Closed,
            generation: 0,
            is_paused: false,
            ready: VecDeque::new(),
            failures: 0,
            retry_at: Duration::ZERO,
            high_watermark: None,
        }
    }

    /// Tells whether reading would start at or past the end.
    pub(super) fn is_past_end(&self) -> bool {
        offset_of(self.next).zip(self.end).is_some_and(|(next, end)| next >= end)
    }

    /// Tells whether nothing more comes unless the application seeks.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished | Phase::Failed) && self.ready.is_empty()
    }

    /// Takes a pushed batch; tells whether it is kept. What lies before the next offset, or at or behind the end, is not.
    pub(super) fn take(&mut self, batch: RecordBatch, stream: StreamId) -> bool {
        let header = batch.header();
        let from = offset_of(self.next).unwrap_or_else(|| header.base_offset());
        let next = header.next_offset();
        if next <= from {
            return false;
        }
        let is_behind_end = self.end.is_some_and(|end| header.base_offset() >= end);
        let has_records = header.record_count() > 0 && !header.is_control();
        self.next = Position::Offset(next);
        if is_behind_end || !has_records {
            if self.ready.is_empty() && !is_behind_end {
                self.position = Some(next);
            }
            return false;
        }
        self.ready.push_back(Ready::Batch { batch, from, stream });
        true
    }

    /// Moves to another position: what is buffered is dropped by the caller.
    pub(super) fn seek(&mut self, to: Position) {
        self.next = to;
        self.position = offset_of(to);
        self.failures = 0;
        self.retry_at = Duration::ZERO;
        self.generation = self.generation.wrapping_add(1);
        match &mut self.phase {
            Phase::Open { must_seek, .. } => *must_seek = true,
            Phase::Closed | Phase::Finished | Phase::Failed => {
                self.phase = Phase::Closed;
                // Whoever seeks after the topic was created anew means the new one.
                self.topic_id = None;
            }
        }
    }
}

/// Returns the offset of a position that is one.
pub(super) const fn offset_of(position: Position) -> Option<Offset> {
    match position {
        Position::Offset(offset) => Some(offset),
        Position::Earliest | Position::Latest | Position::Timestamp(_) => None,
    }
}
