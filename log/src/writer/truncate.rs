//! Cutting a suffix: entries that were never committed and that another leader's will replace.

use std::io;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use crc32fast::Hasher;
use tidelog_proto::ids::RaftIndex;

use super::{ActiveSegment, LogWriter, WriteError};
use crate::checkpoint::Checkpoint;
use crate::damage::{Damage, Fault};
use crate::environment::OpenMode;
use crate::frame_chain::{Density, FrameChain};
use crate::frame_cursor::FrameCursor;
use crate::identity::LOG_ENDING;
use crate::locate::{index_key, sound_entry};
use crate::segment::{Segment, SegmentIndexes, remove_files};
use crate::segment_scan::{ScanError, sound_frame};
use crate::segment_tail::SegmentTail;

/// Bytes read at once.
const READ_BYTES: u64 = 256 * 1024;

impl LogWriter {
    /// Cuts every entry from index `from` on. Durable when it returns: no later crash brings a cut entry back.
    ///
    /// The caller has no sync of this log under way. Cutting nothing is fine.
    ///
    /// # Errors
    /// [`WriteError::Committed`] where `from` is below the committed mark, with nothing changed; a failed write or sync,
    /// which poisons the log.
    pub fn truncate_suffix(&mut self, from: RaftIndex) -> Result<(), WriteError> {
        self.usable()?;
        let shared = Arc::clone(&self.shared);
        let moving = shared.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let committed_end = self.shared.stable.load().index;
        if from < committed_end {
            return Err(WriteError::Committed { from, committed_end });
        }
        if from >= self.end_index() {
            return Ok(());
        }
        let number = self.shared.view.load().segment_of_index(from);
        let cut = self.tail_before(number, from)?;
        self.leave_clean_end()?;
        if self.checkpoint.durable_end > from {
            self.replace_checkpoint(Checkpoint { durable_end: from, ..self.checkpoint })?;
        }
        self.durable_end = self.durable_end.min(from);
        let outcome = self.publish_cut(number, cut);
        // What is below was never committed, and readers see it no more.
        drop(moving);
        let outcome = outcome.and_then(|(dropped, old_end_bytes)| self.erase(&dropped, old_end_bytes));
        self.or_poison(outcome)
    }

    /// Makes segment `number` the active one, its end at the cut. Gives the segments behind it and where it ended.
    fn publish_cut(&mut self, number: usize, cut: Cut) -> io::Result<(Vec<Arc<Segment>>, u64)> {
        let mut old_end_bytes = self.shared.view.load().segment_bytes(number);
        let dropped: Vec<Arc<Segment>> = self.segments.drain(number + 1..).collect();
        let segment = Arc::clone(&self.segments[number]);
        if segment.summary.is_some() {
            self.reopen(number, cut)?;
            // What somebody added to the sealed file was never read, and now would be.
            old_end_bytes = old_end_bytes.max(self.active.allocated_bytes);
        } else {
            self.active.indexes.cut(cut.index_entries);
            self.active.tail = cut.tail;
        }
        // Readers stop before any byte changes; those that were copying notice by the count.
        self.truncations += 1;
        self.publish();
        Ok((dropped, old_end_bytes))
    }

    /// Removes what was cut from the disk.
    fn erase(&self, dropped: &[Arc<Segment>], old_end_bytes: u64) -> io::Result<()> {
        for segment in dropped.iter().rev() {
            segment.retire();
            remove_files(self.context.environment.as_ref(), &self.context.dir, segment.name)?;
        }
        if !dropped.is_empty() {
            self.context.environment.sync_dir(&self.context.dir)?;
        }
        let start_bytes = self.active.tail.position_bytes;
        self.active.file.zero(start_bytes..old_end_bytes)?;
        self.active.file.sync_data()
    }

    /// Opens a sealed segment for writing again, its end at the cut.
    fn reopen(&mut self, number: usize, cut: Cut) -> io::Result<()> {
        let name = self.segments[number].name;
        let path = self.context.path(name, LOG_ENDING);
        let file = self.context.environment.open_file(&path, OpenMode::ReadWrite)?;
        let allocated_bytes = file.len_bytes()?;
        // A reader that the cut overtakes must not make the indexes of what it finds here.
        self.segments[number].retire();
        // New files: readers of the view before may be searching the old ones.
        let indexes = Arc::new(cut.indexes.copy(&self.context, name, cut.index_entries)?);
        let segment = Segment::active(
            Arc::clone(&self.context),
            name,
            Arc::clone(&file),
            Arc::clone(&indexes),
            self.config.segment_bytes,
        );
        self.segments[number] = Arc::new(segment);
        self.active = ActiveSegment { file, indexes, tail: cut.tail, allocated_bytes };
        Ok(())
    }

    /// Finds out what the tail of segment `number` was before entry `from` was added.
    fn tail_before(&self, number: usize, from: RaftIndex) -> Result<Cut, ScanError> {
        let segment = &self.segments[number];
        let indexes = segment.indexes()?;
        let io_error = |error| ScanError::io(segment.log_path(), error);
        let header = self.context.header(segment.name);
        let before_from = index_key(from.distance_from(segment.base_index())) - 1;
        let whole = match segment.summary {
            Some(summary) => SegmentTail::at_end(header, &summary, None),
            None => self.active.tail.clone(),
        };
        // Strictly before, so that one frame at least is read again and term and append time are exact.
        let find = || match indexes.offsets.last_up_to(before_from, |entry| entry.relative_index.into())? {
            Some((at, entry)) => Ok(indexes.times.get(at)?.map(|time| (at, entry, time))),
            None => Ok(None),
        };
        let before = self.chain_before(number);
        let from_index = sound_entry(segment, find()).map_err(io_error)?.and_then(|(at, entry, time)| {
            let tail = whole.at_entry(entry, Some(time), before);
            // Where no frame bears the entry out, the segment is read from its start.
            self.walked_to(from, segment, tail, &whole).ok().map(|tail| (tail, at + 1))
        });
        let (mut tail, index_entries) = match from_index {
            Some(found) => found,
            None => (self.walked_to(from, segment, SegmentTail::new(header, before), &whole)?, 0),
        };
        tail.cut_from(&whole, rest_crc(segment, tail.position_bytes..whole.position_bytes).map_err(io_error)?);
        Ok(Cut { tail, indexes, index_entries })
    }

    /// Moves a tail over frames up to entry `from`, within a segment that ends as `whole` does.
    fn walked_to(
        &self,
        from: RaftIndex,
        segment: &Segment,
        mut tail: SegmentTail,
        whole: &SegmentTail,
    ) -> Result<SegmentTail, ScanError> {
        while tail.chain.next_index < from {
            self.add_frame_at(segment, &mut tail, whole.position_bytes)?;
        }
        if tail.position_bytes > whole.position_bytes {
            let fault = Fault::Length { expected: tail.position_bytes, found: whole.position_bytes };
            return Err(ScanError::Damaged(Damage::at(segment.log_path(), tail.position_bytes, &tail.chain, fault)));
        }
        Ok(tail)
    }

    fn add_frame_at(&self, segment: &Segment, tail: &mut SegmentTail, end_bytes: u64) -> Result<(), ScanError> {
        let (stable, position) = (**self.shared.stable.load(), tail.position_bytes);
        let mut cursor = FrameCursor::new(segment, stable, end_bytes, (position, tail.chain), 1);
        let meta =
            cursor.peek()?.ok_or_else(|| ScanError::io(segment.log_path(), io::ErrorKind::UnexpectedEof.into()))?;
        let bytes = segment
            .copy(position..position + meta.frame_bytes)
            .map_err(|error| ScanError::io(segment.log_path(), error))?;
        match sound_frame(&self.context, &bytes, &tail.chain, Density::Dense) {
            Ok(meta) => tail.advance(&meta, &[&bytes]),
            Err(fault) => return Err(cursor.damaged(fault)),
        }
        Ok(())
    }

    /// Gives what the first frame of segment `number` followed.
    fn chain_before(&self, number: usize) -> FrameChain {
        let name = self.segments[number].name;
        let previous = number.checked_sub(1).and_then(|previous| self.segments[previous].summary);
        previous.map_or(FrameChain::starting_at(name.base_offset, name.base_index), |summary| summary.end())
    }
}

/// What is left of a segment.
struct Cut {
    tail: SegmentTail,
    /// The segment's, before the cut.
    indexes: Arc<SegmentIndexes>,
    /// How many of their entries are left.
    index_entries: usize,
}

/// Computes the checksum of what is to be cut.
fn rest_crc(segment: &Segment, range: Range<u64>) -> io::Result<u32> {
    let mut crc = Hasher::new();
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min(at + READ_BYTES);
        crc.update(&segment.copy(at..end)?);
        at = end;
    }
    Ok(crc.finalize())
}
