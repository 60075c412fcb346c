//! Noting how far the log is durable.

use std::io;
use std::sync::Arc;

use tidelog_proto::ids::RaftIndex;

use super::{LogWriter, WriteError};
use crate::checkpoint::Checkpoint;
use crate::segment::SegmentContext;

/// A checkpoint to be written outside the writer, so that it can go on writing meanwhile.
#[derive(Debug)]
pub(crate) struct PendingCheckpoint {
    context: Arc<SegmentContext>,
    checkpoint: Checkpoint,
}

impl PendingCheckpoint {
    /// Replaces the checkpoint on disk. Once per value: a failed sync is never retried.
    pub(crate) fn run(&self) -> io::Result<()> {
        self.checkpoint.write(self.context.environment.as_ref(), &self.context.dir)
    }

    /// Gives the first index that the checkpoint does not call durable.
    pub(crate) fn durable_end(&self) -> RaftIndex {
        self.checkpoint.durable_end
    }
}

impl LogWriter {
    /// Notes durably how far the log is durable, so that damage below is told from a torn tail.
    ///
    /// # Errors
    /// The checkpoint could not be written: the log is poisoned.
    pub fn write_checkpoint(&mut self) -> Result<(), WriteError> {
        self.usable()?;
        if self.checkpoint.durable_end == self.durable_end {
            return Ok(());
        }
        self.replace_checkpoint(Checkpoint { durable_end: self.durable_end, ..self.checkpoint })
    }

    /// Makes the same checkpoint, to be written elsewhere; `None` where there is nothing new to note, or a note that the
    /// log was closed would have to go first.
    ///
    /// Until [`LogWriter::finish_checkpoint`] the caller appends within the active segment and syncs, and does nothing
    /// else to the log: everything else may write a checkpoint too.
    pub(crate) fn begin_checkpoint(&self) -> Option<PendingCheckpoint> {
        let is_new = self.checkpoint.durable_end < self.durable_end;
        if self.poisoned || !is_new || self.checkpoint.clean_end.is_some() {
            return None;
        }
        let checkpoint = Checkpoint { durable_end: self.durable_end, ..self.checkpoint };
        Some(PendingCheckpoint { context: Arc::clone(&self.context), checkpoint })
    }

    /// Takes the outcome of a checkpoint begun earlier.
    ///
    /// # Errors
    /// It could not be written, or an earlier write or sync failed: the log is poisoned.
    pub(crate) fn finish_checkpoint(
        &mut self,
        pending: &PendingCheckpoint,
        outcome: io::Result<()>,
    ) -> Result<(), WriteError> {
        self.or_full(outcome)?;
        self.checkpoint = pending.checkpoint;
        self.usable()
    }
}
