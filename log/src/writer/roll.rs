//! Sealing the active segment and starting the next.

use std::io;
use std::sync::Arc;

use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

use super::{ActiveSegment, LogWriter, WriteError};
use crate::identity::SegmentName;
use crate::index_header::SegmentSummary;
use crate::segment::{Segment, SegmentIndexes};
use crate::segment_scan::create_file;
use crate::segment_tail::SegmentTail;

impl LogWriter {
    /// Seals the active segment and starts a new one, unless it is empty. Everything appended so far is durable after it.
    ///
    /// The old segment is durable and its indexes are whole before the new one gets its name, so only the last segment
    /// of a log can be torn.
    ///
    /// # Errors
    /// A full disk, with the old segment still active; a failed write or sync, which poisons the log.
    pub fn roll(&mut self) -> Result<(), WriteError> {
        self.usable()?;
        if self.active.tail.is_empty() {
            return Ok(());
        }
        self.leave_clean_end()?;
        let outcome = self.start_next();
        self.or_full(outcome)?;
        self.publish();
        Ok(())
    }

    fn start_next(&mut self) -> io::Result<()> {
        let summary = self.active.tail.summary();
        self.finish_active(summary)?;
        self.durable_end = summary.end_index;
        let name = SegmentName { base_offset: summary.end_offset, base_index: summary.end_index };
        // The segment last: once it has its name, the old one may not be appended to again.
        let indexes = Arc::new(SegmentIndexes::create(&self.context, name)?);
        let file = create_file(&self.context, name)?;
        let tail = SegmentTail::new(self.context.header(name), self.active.tail.chain);
        let segment = Segment::active(
            Arc::clone(&self.context),
            name,
            Arc::clone(&file),
            Arc::clone(&indexes),
            self.config.segment_bytes,
        );
        if let Some(last) = self.segments.last_mut() {
            // Readers open what they need of it: a log of many segments holds no descriptors that nobody uses.
            *last = Arc::new(Segment::sealed(Arc::clone(&self.context), last.name, summary));
        }
        self.segments.push(Arc::new(segment));
        self.active = ActiveSegment { file, indexes, tail, allocated_bytes: SEGMENT_HEADER_BYTES as u64 };
        Ok(())
    }

    /// Cuts the active segment's file to its frames and makes it and its indexes durable.
    pub(super) fn finish_active(&mut self, summary: SegmentSummary) -> io::Result<()> {
        let name = self.active_name();
        self.active.file.set_len(summary.log_bytes)?;
        self.active.allocated_bytes = summary.log_bytes;
        self.active.file.sync_data()?;
        self.active.indexes.close(self.context.identity, name, summary)
    }
}
