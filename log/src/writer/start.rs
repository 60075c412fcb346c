//! Moving the start of the log, and deleting what lies before it.

use std::sync::Arc;

use tidelog_proto::ids::{Offset, RaftIndex};

use super::{LogWriter, WriteError};
use crate::checkpoint::Checkpoint;
use crate::locate::cursor_at_index;
use crate::segment::remove_files;
use crate::segment_scan::ScanError;

impl LogWriter {
    /// Moves the log start offset and the first index that is kept, and deletes the segments that lie before both.
    ///
    /// Both only rise: lower values change nothing. The new start is durable before the first file goes, so no reader
    /// ever finds a hole, and no crash brings an old start back.
    ///
    /// # Errors
    /// [`WriteError::StartOutOfRange`] where the start lies past the end, or something would go that is not committed,
    /// with nothing changed; a failed write, which poisons the log.
    pub fn advance_start(&mut self, log_start_offset: Offset, raft_start: RaftIndex) -> Result<(), WriteError> {
        self.usable()?;
        let committed_end = self.shared.stable.load().index;
        let committed_offset = self.committed_offset_at_most()?;
        if log_start_offset > committed_offset || raft_start > committed_end {
            return Err(WriteError::StartOutOfRange {
                log_start_offset,
                raft_start,
                end_offset: self.end_offset(),
                committed_end,
            });
        }
        // What the start lies behind must not be lost by a crash: the log would end before it starts.
        self.sync()?;
        let moved = Checkpoint {
            log_start_offset: self.checkpoint.log_start_offset.max(log_start_offset),
            raft_start: self.checkpoint.raft_start.max(raft_start),
            durable_end: self.durable_end,
            ..self.checkpoint
        };
        if (moved.log_start_offset, moved.raft_start) != (self.checkpoint.log_start_offset, self.checkpoint.raft_start)
        {
            self.replace_checkpoint(moved)?;
            self.publish();
        }
        self.delete_before_start()
    }

    /// Deletes the segments that lie before the durable start.
    pub(crate) fn delete_before_start(&mut self) -> Result<(), WriteError> {
        let kept = self.first_kept();
        if kept == 0 {
            return Ok(());
        }
        let dropped: Vec<_> = self.segments.drain(..kept).collect();
        self.publish();
        for segment in &dropped {
            segment.retire();
            let outcome = remove_files(self.context.environment.as_ref(), &self.context.dir, segment.name);
            self.or_poison(outcome)?;
        }
        let outcome = self.context.environment.sync_dir(&self.context.dir);
        self.or_poison(outcome)
    }

    /// Counts the sealed segments that lie before the start.
    fn first_kept(&self) -> usize {
        let lies_before = |segment: &&Arc<crate::segment::Segment>| {
            segment.summary.is_some_and(|summary| {
                summary.end_offset <= self.checkpoint.log_start_offset
                    && summary.end_index <= self.checkpoint.raft_start
            })
        };
        self.segments.iter().take_while(lies_before).count()
    }

    /// Gives an offset that is certainly committed: exactly the end where everything is, else the start of the segment
    /// that holds the committed mark.
    fn committed_offset_at_most(&self) -> Result<Offset, ScanError> {
        let stable = **self.shared.stable.load();
        if stable.index >= self.end_index() {
            return Ok(self.end_offset());
        }
        let view = self.shared.view.load();
        let cursor = cursor_at_index(&view, stable, view.segment_of_index(stable.index), stable.index)?;
        Ok(cursor.map_or(self.checkpoint.log_start_offset, |cursor| cursor.place().1.next_offset))
    }
}
