//! Writing what is left of segments beside them.

use std::sync::Arc;

use tidelog_proto::batch::{BatchHeader, Record, Retained, emptied, retain_records};
use tidelog_proto::frame::{Frame, FrameType};
use tidelog_proto::ids::{Offset, RaftIndex};
use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

use super::install::{COMPACTED_OFFSET_INDEX_ENDING, COMPACTED_TIME_INDEX_ENDING};
use super::key_table::KeyTable;
use super::{CompactionError, CompactionPlan, CompactionStats};
use crate::environment::{OpenMode, StorageFile};
use crate::frame_chain::{FrameChain, FrameMeta};
use crate::frame_cursor::FrameCursor;
use crate::identity::{COMPACTED_ENDING, SegmentName};
use crate::index_header::SegmentSummary;
use crate::segment::{Segment, SegmentContext, SegmentIndexes};
use crate::segment_scan::ScanError;
use crate::segment_tail::SegmentTail;
use crate::sparse_index::SparseIndex;
use crate::staging::Staging;
use crate::view::StableEnd;

/// Bytes read at once.
const READ_BYTES: u64 = 1024 * 1024;

/// A rewritten segment, durable under the names that wait for a manifest.
#[derive(Debug)]
pub(super) struct Output {
    /// What it replaces, oldest first. It takes the name of the first.
    pub(super) sources: Vec<Arc<Segment>>,
    pub(super) name: SegmentName,
    pub(super) summary: SegmentSummary,
}

/// Goes through the frames of a sealed segment below the committed mark.
pub(super) fn cursor(segment: &Segment) -> FrameCursor<'_> {
    let committed =
        StableEnd { index: RaftIndex::new(u64::MAX), segment_base_index: RaftIndex::new(u64::MAX), position_bytes: 0 };
    let chain = FrameChain::starting_at(segment.base_offset(), segment.base_index());
    let end_bytes = segment.summary.map_or(0, |summary| summary.log_bytes);
    FrameCursor::new(segment, committed, end_bytes, (SEGMENT_HEADER_BYTES as u64, chain), READ_BYTES)
}

/// Tells whether a batch's records may supersede others and be superseded: not those of a transaction, which may have
/// been aborted, and not markers.
pub(super) fn is_compactable(header: &BatchHeader<'_>) -> bool {
    !header.is_control() && !header.is_transactional()
}

/// The second half of a round.
pub(super) struct Rewrite<'a> {
    plan: &'a CompactionPlan,
    table: &'a KeyTable,
    covered_to: Offset,
    staging: Staging,
    outputs: Vec<Output>,
    stats: CompactionStats,
    /// A record of a transaction was met, which stays: so must every later tombstone, or the value would come back.
    met_transaction: bool,
}

impl<'a> Rewrite<'a> {
    pub(super) fn new(plan: &'a CompactionPlan, table: &'a KeyTable, covered_to: Offset) -> Self {
        let (staging, outputs) = (Staging::new(), Vec::new());
        Self { plan, table, covered_to, staging, outputs, stats: CompactionStats::default(), met_transaction: false }
    }

    pub(super) fn finish(self) -> (Vec<Output>, CompactionStats) {
        (self.outputs, self.stats)
    }

    /// Rewrites the first of `segments`, and those after it that fit into the same output; gives how many.
    pub(super) fn next_group(&mut self, segments: &[Arc<Segment>]) -> Result<usize, CompactionError> {
        let first = &segments[0];
        let before = self.stats;
        let mut writing = Writing::create(&first.context, first.name)?;
        let mut sources = 0;
        for segment in segments {
            if sources > 0 && !self.joins(&writing, &segments[..sources], segment) {
                break;
            }
            self.rewrite_segment(segment, &mut writing)?;
            sources += 1;
        }
        let removed = self.stats.superseded_records + self.stats.expired_tombstones
            - before.superseded_records
            - before.expired_tombstones;
        let tombstones_since_ms = self.tombstones_since(&segments[..sources]);
        let same_clock = first.summary.is_some_and(|summary| summary.tombstones_since_ms == tombstones_since_ms);
        if removed == 0 && sources == 1 && same_clock {
            writing.discard()?;
            return Ok(sources);
        }
        let summary = writing.finish(&mut self.staging, tombstones_since_ms)?;
        self.stats.written_bytes += summary.log_bytes;
        self.outputs.push(Output { sources: segments[..sources].to_vec(), name: first.name, summary });
        Ok(sources)
    }

    /// Tells whether `segment` goes into the same output as `sources`: it fits, and none of them waits for its tombstones'
    /// time, which differs between segments.
    fn joins(&self, writing: &Writing, sources: &[Arc<Segment>], segment: &Arc<Segment>) -> bool {
        let Some(summary) = segment.summary else { return false };
        let fits = writing.tail.position_bytes + summary.log_bytes <= self.plan.config.segment_bytes
            && summary
                .end_offset
                .distance_from(writing.name.base_offset)
                .is_some_and(|span| span <= u64::from(u32::MAX))
            && summary.end_index.distance_from(writing.name.base_index).is_some_and(|span| span <= u64::from(u32::MAX));
        let is_settled = |segment: &Arc<Segment>| {
            segment.base_offset() < self.covered_to
                && segment.summary.is_some_and(|summary| self.tombstones_expire(&summary))
        };
        fits && is_settled(segment) && sources.iter().all(is_settled)
    }

    /// Gives the clock of an output's tombstones: it starts when all of it was covered for the first time.
    fn tombstones_since(&self, sources: &[Arc<Segment>]) -> Option<i64> {
        let since = |segment: &Arc<Segment>| {
            let summary = segment.summary?;
            let is_covered = summary.end_offset <= self.covered_to;
            summary.tombstones_since_ms.or(is_covered.then_some(self.plan.now_ms))
        };
        sources.iter().map(since).collect::<Option<Vec<_>>>().and_then(|times| times.into_iter().max())
    }

    fn tombstones_expire(&self, summary: &SegmentSummary) -> bool {
        let retention_ms = i64::try_from(self.plan.config.delete_retention_ms).unwrap_or(i64::MAX);
        summary.tombstones_since_ms.is_some_and(|since_ms| since_ms.saturating_add(retention_ms) <= self.plan.now_ms)
    }

    fn rewrite_segment(&mut self, segment: &Segment, writing: &mut Writing) -> Result<(), CompactionError> {
        let expire = segment.summary.is_some_and(|summary| self.tombstones_expire(&summary));
        let mut cursor = cursor(segment);
        while let Some(meta) = cursor.peek()? {
            let (position_bytes, _) = cursor.place();
            let frame = cursor.take(&meta)?;
            self.stats.read_bytes += meta.frame_bytes;
            let unreadable = |error| CompactionError::Batch { position_bytes, base_offset: meta.base_offset, error };
            let kept = self.kept_of(&frame, &meta, expire).map_err(unreadable)?;
            writing.add(&mut self.staging, frame, kept)?;
        }
        Ok(())
    }

    fn kept_of(
        &mut self,
        frame: &Frame,
        meta: &FrameMeta,
        expire: bool,
    ) -> Result<Kept, tidelog_proto::batch::BatchError> {
        let Some(batch) = frame.batch() else {
            let is_bookkeeping = matches!(frame.frame_type(), FrameType::NoOp | FrameType::LogStart);
            return Ok(if is_bookkeeping { Kept::None } else { Kept::All });
        };
        self.met_transaction |= batch.header().is_transactional();
        let is_covered = meta.base_offset < self.covered_to;
        if !is_compactable(&batch.header()) || !is_covered {
            return Ok(Kept::All);
        }
        let (mut superseded, mut expired) = (0, 0);
        let retained = retain_records(&batch, self.plan.decode_limits, |record| match self.fate(record, expire) {
            Fate::Kept => true,
            Fate::Superseded => {
                superseded += 1;
                false
            }
            Fate::Expired => {
                expired += 1;
                false
            }
        })?;
        self.stats.superseded_records += superseded;
        self.stats.expired_tombstones += expired;
        Ok(match retained {
            // An empty batch that kept the end of a segment is needed no longer once another frame follows it.
            _ if batch.header().record_count() == 0 => Kept::None,
            Retained::All => Kept::All,
            Retained::Some(batch) => Kept::Some(Frame::data(self.plan.segments[0].context.seed, frame.stamp(), batch)),
            Retained::None => Kept::None,
        })
    }

    fn fate(&self, record: &Record, expire: bool) -> Fate {
        if record.offset >= self.covered_to {
            return Fate::Kept;
        }
        let Some(key) = &record.key else { return Fate::Kept };
        if self.table.last_offset(key).is_some_and(|last| last > record.offset) {
            Fate::Superseded
        } else if expire && record.value.is_none() && !self.met_transaction {
            Fate::Expired
        } else {
            Fate::Kept
        }
    }
}

enum Fate {
    Kept,
    Superseded,
    Expired,
}

/// What is left of a frame.
enum Kept {
    All,
    Some(Frame),
    None,
}

/// An output that is being written.
struct Writing {
    context: Arc<SegmentContext>,
    name: SegmentName,
    file: Arc<dyn StorageFile>,
    indexes: SegmentIndexes,
    tail: SegmentTail,
    /// The last frame, if nothing of it was kept: it must be written after all if no other follows.
    dropped: Option<Frame>,
}

impl Writing {
    fn create(context: &Arc<SegmentContext>, name: SegmentName) -> Result<Self, CompactionError> {
        let environment = context.environment.as_ref();
        let io_error = |error| ScanError::io(context.path(name, COMPACTED_ENDING), error);
        let header = context.header(name);
        let file =
            environment.open_file(&context.path(name, COMPACTED_ENDING), OpenMode::CreateEmpty).map_err(io_error)?;
        file.write_all_at(&header.encode(), 0).map_err(io_error)?;
        let offsets = context.path(name, COMPACTED_OFFSET_INDEX_ENDING);
        let times = context.path(name, COMPACTED_TIME_INDEX_ENDING);
        let indexes = SegmentIndexes {
            offsets: SparseIndex::create(environment, &offsets).map_err(io_error)?,
            times: SparseIndex::create(environment, &times).map_err(io_error)?,
        };
        let mut tail = SegmentTail::new(header, FrameChain::starting_at(name.base_offset, name.base_index));
        tail.is_compacted = true;
        Ok(Self { context: Arc::clone(context), name, file, indexes, tail, dropped: None })
    }

    fn add(&mut self, staging: &mut Staging, frame: Frame, kept: Kept) -> Result<(), CompactionError> {
        let frame = match kept {
            Kept::All => frame,
            Kept::Some(rewritten) => rewritten,
            Kept::None => {
                self.dropped = Some(frame);
                return Ok(());
            }
        };
        self.dropped = None;
        self.write(staging, &frame)
    }

    fn write(&mut self, staging: &mut Staging, frame: &Frame) -> Result<(), CompactionError> {
        let meta = FrameMeta::of_frame(frame);
        let header = frame.header().encode();
        let pieces = [header.as_slice(), frame.body().as_ref()];
        let written = staging.write(self.file.as_ref(), self.tail.position_bytes, pieces.into_iter());
        written.map_err(|error| self.io_error(error))?;
        if let Some(due) = self.tail.due_entries(&meta, self.context.index_interval_bytes) {
            self.indexes.push(due).map_err(|error| self.io_error(error))?;
            self.tail.entries_added();
        }
        self.tail.advance(&meta, &pieces);
        Ok(())
    }

    /// Writes what keeps the end of the segment, and makes all of it durable.
    fn finish(
        mut self,
        staging: &mut Staging,
        tombstones_since_ms: Option<i64>,
    ) -> Result<SegmentSummary, CompactionError> {
        if let Some(last) = self.dropped.take() {
            let keeps_place = match last.batch() {
                Some(batch) => Frame::data(self.context.seed, last.stamp(), emptied(&batch)),
                None => last,
            };
            self.write(staging, &keeps_place)?;
        }
        self.tail.tombstones_since_ms = tombstones_since_ms;
        let summary = self.tail.summary();
        let outcome =
            self.file.sync_data().and_then(|()| self.indexes.close(self.context.identity, self.name, summary));
        outcome.map_err(|error| self.io_error(error))?;
        Ok(summary)
    }

    fn discard(self) -> Result<(), CompactionError> {
        let outcome = super::install::remove_compacted(&self.context, self.name);
        outcome.map_err(|error| self.io_error(error))
    }

    fn io_error(&self, error: std::io::Error) -> CompactionError {
        ScanError::io(self.context.path(self.name, COMPACTED_ENDING), error).into()
    }
}
