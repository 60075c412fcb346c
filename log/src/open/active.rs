//! Opening the last segment: at the noted end after an orderly close, otherwise by reading all of it.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use crc32fast::Hasher;
use tidelog_proto::ids::RaftIndex;

use super::later_frames::{committed_end_behind, is_of_newer_release};
use super::{OpenError, Opening};
use crate::checkpoint::Checkpoint;
use crate::damage::{Damage, Fault};
use crate::environment::{OpenMode, StorageFile};
use crate::frame_chain::{Density, FrameChain};
use crate::identity::{LOG_ENDING, OFFSET_INDEX_ENDING, SegmentName};
use crate::index_header::IndexKind;
use crate::locate::index_key;
use crate::segment::SegmentIndexes;
use crate::segment_scan::{Scanned, check_header, read_through, rest_is_unwritten, scan_frames};
use crate::segment_tail::SegmentTail;
use crate::sparse_index::open_header;
use crate::writer::ActiveSegment;

/// Bytes written again in one write.
const WRITE_AGAIN_BYTES: usize = 256 * 1024;

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
        let last_entry = indexes.offsets.last().map_err(io_error)?;
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
        let damaged =
            |position_bytes, chain: &FrameChain, fault| Damage::at(path.clone(), position_bytes, chain, fault);
        let file = context.environment.open_file(&path, OpenMode::ReadWrite).map_err(io_error)?;
        let allocated_bytes = file.len_bytes().map_err(io_error)?;
        read_through(file.as_ref(), allocated_bytes).map_err(io_error)?;
        let bytes =
            file.map(allocated_bytes).and_then(|mapping| mapping.bytes(0..allocated_bytes)).map_err(io_error)?;
        let start = FrameChain { next_offset: name.base_offset, next_index: name.base_index, ..previous };
        let header =
            check_header(&context, name, &bytes).map_err(|fault| OpenError::Damaged(damaged(0, &start, fault)))?;
        let indexes = SegmentIndexes::in_memory();
        let Scanned { tail, stop } =
            scan_frames(&context, &bytes, SegmentTail::new(header, previous), Density::Dense, Some(&indexes))
                .map_err(io_error)?;
        let fault = match stop {
            Some(fault) => self.torn_by(checkpoint, &bytes, &tail, fault).map_err(io_error)?,
            None => Ok(None),
        };
        let ends_early = || Fault::EndsEarly { durable: RaftIndex::new(checkpoint.durable_end.get() - 1) };
        let torn_by = match fault {
            Ok(None) if tail.chain.next_index < checkpoint.durable_end => Err(ends_early()),
            fault => fault,
        }
        .map_err(|fault| OpenError::Damaged(damaged(tail.position_bytes, &tail.chain, fault)))?;
        // From here on nothing speaks against opening.
        self.report.torn_tail = torn_by.map(|fault| *damaged(tail.position_bytes, &tail.chain, fault));
        let last_durable = match checkpoint.durable_end.distance_from(name.base_index) {
            None => None,
            durable => {
                indexes.offsets.last_up_to(index_key(durable), |entry| entry.relative_index.into()).map_err(io_error)?
            }
        };
        let volatile = last_durable.map_or(0, |(_, entry)| u64::from(entry.position_bytes))..tail.position_bytes;
        write_again(file.as_ref(), bytes, volatile, allocated_bytes).map_err(io_error)?;
        indexes.create_files(&context, name).and_then(|()| indexes.write_pending()).map_err(io_error)?;
        // The name of the segment, too, may be in memory only.
        context.environment.sync_dir(&context.dir).map_err(|error| self.io_error(error))?;
        self.report.rebuilt_indexes.push(name);
        Ok(ActiveSegment { file, indexes: Arc::new(indexes), tail, allocated_bytes })
    }

    /// Judges what stands behind the last sound frame: nothing (`None`), a torn write, or, as `Err`, something that was
    /// durable once.
    fn torn_by(
        &self,
        checkpoint: &Checkpoint,
        bytes: &Bytes,
        tail: &SegmentTail,
        fault: Fault,
    ) -> io::Result<Result<Option<Fault>, Fault>> {
        let (seed, position_bytes) = (self.context.seed, tail.position_bytes);
        if is_of_newer_release(seed, &mut bytes.clone(), position_bytes, &fault)? {
            return Ok(Err(fault));
        }
        if rest_is_unwritten(bytes, position_bytes) {
            return Ok(Ok(None));
        }
        let mark = committed_end_behind(seed, &mut bytes.clone(), position_bytes, tail.chain.next_index)?;
        let durable_end = mark.unwrap_or(RaftIndex::ZERO).max(checkpoint.durable_end);
        Ok(if tail.chain.next_index < durable_end { Err(fault) } else { Ok(Some(fault)) })
    }
}

/// Makes the `volatile` part of a segment durable, and zeros what lies behind, however the last process to write it ended.
///
/// What it wrote may be in memory only. Where a sync failed the kernel even counts such pages as written, and no later sync
/// would write them: so everything that the checkpoint does not know to be durable is written again.
fn write_again(file: &dyn StorageFile, bytes: Bytes, volatile: Range<u64>, allocated_bytes: u64) -> io::Result<()> {
    let expected_crc = part_of(&bytes, &volatile).map(crc32fast::hash);
    // The slice must be gone before its bytes are written over.
    drop(bytes);
    let mut crc = Hasher::new();
    let mut buffer = vec![0; WRITE_AGAIN_BYTES];
    let mut position_bytes = volatile.start;
    while position_bytes < volatile.end {
        let left = usize::try_from(volatile.end - position_bytes).unwrap_or(usize::MAX);
        let part = &mut buffer[..left.min(WRITE_AGAIN_BYTES)];
        file.read_exact_at(part, position_bytes)?;
        crc.update(part);
        file.write_all_at(part, position_bytes)?;
        position_bytes += part.len() as u64;
    }
    if Some(crc.finalize()) != expected_crc {
        let changed = "the segment is not what it was when it was read just before: memory and disk differ";
        return Err(io::Error::new(io::ErrorKind::InvalidData, changed));
    }
    file.zero(volatile.end..allocated_bytes)?;
    file.sync_data()
}

fn part_of<'a>(bytes: &'a [u8], range: &Range<u64>) -> Option<&'a [u8]> {
    bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}
