//! Beginning a log anew, where a snapshot stands for all that it held.

use std::io;
use std::sync::{Arc, PoisonError};

use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

use super::{ActiveSegment, LogWriter, WriteError};
use crate::checkpoint::Checkpoint;
use crate::frame_chain::FrameChain;
use crate::identity::SegmentName;
use crate::segment::{Segment, SegmentIndexes, remove_files};
use crate::segment_scan::create_file;
use crate::segment_tail::SegmentTail;
use crate::view::StableEnd;

impl LogWriter {
    /// Gives up everything that the log holds, and begins it anew at `start`. Durable when it returns: a crash leaves
    /// either the log as it was or an empty one at `start`.
    ///
    /// The caller has no sync of this log under way. What readers hold stays valid.
    ///
    /// # Errors
    /// [`WriteError::StartOutOfRange`] where `start` lies before the end of the log in entries, or before its start in
    /// offsets, and a full disk, with nothing changed; a failed write or sync, which poisons the log.
    pub fn start_anew(&mut self, start: SegmentName) -> Result<(), WriteError> {
        self.usable()?;
        let shared = Arc::clone(&self.shared);
        let _moving = shared.moving.lock().unwrap_or_else(PoisonError::into_inner);
        if start.base_index < self.end_index() || start.base_offset < self.checkpoint.log_start_offset {
            return Err(WriteError::StartOutOfRange {
                log_start_offset: start.base_offset,
                raft_start: start.base_index,
                end_offset: self.end_offset(),
                committed_end: shared.stable.load().index,
            });
        }
        let checkpoint = Checkpoint::new(self.context.identity, start);
        self.replace_checkpoint(Checkpoint { starts_anew: true, ..checkpoint })?;
        let outcome = self.replace_segments(start);
        self.or_poison(outcome)?;
        let outcome = checkpoint.write(self.context.environment.as_ref(), &self.context.dir);
        self.or_poison(outcome)?;
        self.checkpoint = checkpoint;
        Ok(())
    }

    /// Makes an empty segment at `start` the only one.
    fn replace_segments(&mut self, start: SegmentName) -> io::Result<()> {
        let mut dropped = std::mem::take(&mut self.segments);
        if self.active.tail.is_empty() && dropped.last().is_some_and(|active| active.name == start) {
            self.segments.extend(dropped.pop());
        } else {
            let indexes = Arc::new(SegmentIndexes::create(&self.context, start)?);
            let file = create_file(&self.context, start)?;
            let tail = SegmentTail::new(
                self.context.header(start),
                FrameChain::starting_at(start.base_offset, start.base_index),
            );
            let segment = Segment::active(
                Arc::clone(&self.context),
                start,
                Arc::clone(&file),
                Arc::clone(&indexes),
                self.config.segment_bytes,
            );
            self.segments.push(Arc::new(segment));
            self.active = ActiveSegment { file, indexes, tail, allocated_bytes: SEGMENT_HEADER_BYTES as u64 };
        }
        self.durable_end = start.base_index;
        self.truncations += 1;
        self.publish();
        // Everything before it counts as stable: it never changes any more.
        self.shared.stable.store(Arc::new(StableEnd {
            index: start.base_index,
            segment_base_index: start.base_index,
            position_bytes: SEGMENT_HEADER_BYTES as u64,
        }));
        for segment in &dropped {
            segment.retire();
            remove_files(self.context.environment.as_ref(), &self.context.dir, segment.name)?;
        }
        self.context.environment.sync_dir(&self.context.dir)
    }
}
