//! Opening the last segment: at the noted end after an orderly close, otherwise by reading all of it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tidelog_proto::ids::RaftIndex;

use super::later_frames::{committed_end_behind, is_of_newer_release};
use super::{OpenError, Opening};
use crate::checkpoint::Checkpoint;
use crate::damage::{Damage, Fault};
use crate::environment::OpenMode;
use crate::frame_chain::{Density, FrameChain};
use crate::identity::{LOG_ENDING, OFFSET_INDEX_ENDING, SegmentName};
use crate::index_header::IndexKind;
use crate::segment::SegmentIndexes;
use crate::segment_scan::{Scanned, check_header, rest_is_unwritten, scan_frames};
use crate::segment_tail::SegmentTail;
use crate::sparse_index::open_header;
use crate::writer::{ActiveSegment, zero};

impl Opening {
    /// Opens the last segment at the end that the checkpoint notes, if the file and its indexes agree in full.
    pub(super) fn open_clean(
        &mut self,
        checkpoint: &Checkpoint,
        name: SegmentName,
    ) -> Result<Option<ActiveSegment>, OpenError> {
        let Some(clean) = checkpoint.clean_end.filter(|clean| clean.last_segment == name) else { return Ok(None) };
        let context = Arc::clone(&self.context);
        let io_error = |error| OpenError::Io { path: context.path(name, LOG_ENDING), error };
        let environment = context.environment.as_ref();
        let index_path = context.path(name, OFFSET_INDEX_ENDING);
        let header = open_header(environment, &index_path, IndexKind::Offset, context.identity, name, OpenMode::Read)
            .map_err(io_error)?;
        let Some((_, header)) = header else { return Ok(None) };
        let file = environment.open_file(&context.path(name, LOG_ENDING), OpenMode::ReadWrite).map_err(io_error)?;
        let len_bytes = file.len_bytes().map_err(io_error)?;
        let summary = header.summary;
        let agree = clean.position_bytes == len_bytes
            && summary.log_bytes == len_bytes
            && summary.end_index == checkpoint.durable_end;
        if !agree {
            return Ok(None);
        }
        let Some(indexes) = SegmentIndexes::open(&context, name, &summary, OpenMode::ReadWrite).map_err(io_error)?
        else {
            return Ok(None);
        };
        let last_entry = indexes.offsets.last(|_| true).map_err(io_error)?.map(|(_, entry)| entry);
        let tail = SegmentTail::at_end(context.header(name), &summary, last_entry);
        self.report.clean = true;
        Ok(Some(ActiveSegment { file, indexes: Arc::new(indexes), tail, allocated_bytes: len_bytes }))
    }

    /// Reads the last segment to its end, cuts a torn tail, and makes durable what is left.
    pub(super) fn recover(
        &mut self,
        checkpoint: &Checkpoint,
        name: SegmentName,
        previous: FrameChain,
    ) -> Result<ActiveSegment, OpenError> {
        let context = Arc::clone(&self.context);
        let path = context.path(name, LOG_ENDING);
        let io_error = |error| OpenError::Io { path: path.clone(), error };
        let file = context.environment.open_file(&path, OpenMode::ReadWrite).map_err(io_error)?;
        // What a dead process wrote may be in memory only; if a sync of it failed, memory may also hold what the disk never
        // will, and count it as written. None of it counts as durable before this.
        file.sync_data().and_then(|()| file.forget_cached()).map_err(io_error)?;
        let allocated_bytes = file.len_bytes().map_err(io_error)?;
        let indexes = SegmentIndexes::create(&context, name).map_err(io_error)?;
        let bytes =
            file.map(allocated_bytes).and_then(|mapping| mapping.bytes(0..allocated_bytes)).map_err(io_error)?;
        let damage = |position_bytes, chain: &FrameChain, fault| Damage {
            path: path.clone(),
            position_bytes,
            index: chain.next_index,
            offset: chain.next_offset,
            fault,
        };
        let start = FrameChain { next_offset: name.base_offset, next_index: name.base_index, ..previous };
        let header = check_header(&context, name, &bytes)
            .map_err(|fault| OpenError::Damaged(Box::new(damage(0, &start, fault))))?;
        let scanned = scan_frames(&context, &bytes, SegmentTail::new(header, previous), Density::Dense, Some(&indexes))
            .map_err(io_error)?;
        if let Some(fault) = self.newer_format(&bytes, &scanned).map_err(io_error)? {
            return Err(OpenError::Damaged(Box::new(damage(scanned.tail.position_bytes, &scanned.tail.chain, fault))));
        }
        let torn_end_bytes = self.torn_end(&bytes, &scanned);
        // The slice must be gone before its bytes are overwritten.
        let mark = match torn_end_bytes {
            Some(_) => {
                let tail = &scanned.tail;
                let mut behind = bytes.clone();
                committed_end_behind(context.seed, &mut behind, tail.position_bytes, tail.chain.next_index)
                    .map_err(io_error)?
            }
            None => None,
        };
        drop(bytes);
        let Scanned { tail, stop } = scanned;
        let durable_end = mark.unwrap_or(RaftIndex::new(0)).max(checkpoint.durable_end);
        if tail.chain.next_index < durable_end {
            let ends_early = Fault::EndsEarly { durable: RaftIndex::new(durable_end.get() - 1) };
            let fault = stop.filter(|_| torn_end_bytes.is_some()).unwrap_or(ends_early);
            return Err(OpenError::Damaged(Box::new(damage(tail.position_bytes, &tail.chain, fault))));
        }
        if let (Some(end_bytes), Some(fault)) = (torn_end_bytes, stop) {
            self.report.torn_tail = Some(damage(tail.position_bytes, &tail.chain, fault));
            zero(file.as_ref(), tail.position_bytes, end_bytes).and_then(|()| file.sync_data()).map_err(io_error)?;
        }
        // The name of the segment, too, may be in memory only.
        context.environment.sync_dir(&context.dir).map_err(|error| self.io_error(error))?;
        self.report.rebuilt_indexes.push(name);
        Ok(ActiveSegment { file, indexes: Arc::new(indexes), tail, allocated_bytes })
    }

    /// Finds a sound frame of a newer release, where this one stopped.
    fn newer_format(&self, bytes: &Bytes, scanned: &Scanned) -> io::Result<Option<Fault>> {
        let Some(fault) = &scanned.stop else { return Ok(None) };
        let position_bytes = scanned.tail.position_bytes;
        let is_newer = is_of_newer_release(self.context.seed, &mut bytes.clone(), position_bytes, fault)?;
        Ok(is_newer.then(|| fault.clone()))
    }

    /// Gives the end of what stands behind the last sound frame, if anything does.
    fn torn_end(&self, bytes: &Bytes, scanned: &Scanned) -> Option<u64> {
        scanned.stop.as_ref()?;
        if rest_is_unwritten(bytes, scanned.tail.position_bytes) {
            return None;
        }
        bytes.iter().rposition(|byte| *byte != 0).map(|last| last as u64 + 1)
    }
}
