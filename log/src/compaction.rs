//! Compaction: of every key, the last record is kept.
//!
//! A round reads the keys of the dirty segments into a [`KeyTable`] of fixed size ([`CompactionPlan::run`]), writes what
//! is left of all segments below beside them ([`rewrite`]), and swaps each rewritten segment in by one durable manifest
//! record ([`LogWriter::install_compaction`]). Reading and appending go on throughout.
//!
//! What a round keeps:
//! - per key the last record below the offset that the round covers, and every record from there on;
//! - tombstones until `delete_retention_ms` after the round in which their whole segment was first compacted, so that
//!   a reader that saw the old value has that long to learn of its end; for ever behind a transactional batch, whose
//!   values stay;
//! - records without a key, transactional and control batches, and all frames that are not a leader's own bookkeeping;
//! - each batch's base and last offset, producer, sequences and times; the last frame of a segment, without records if
//!   need be, so that the log end offset is never lost.

mod install;
mod key_table;
mod manifest;
mod rewrite;

use std::fmt;
use std::sync::Arc;

use tidelog_proto::batch::{BatchError, DecodeLimits};
use tidelog_proto::ids::Offset;

pub(crate) use install::{finish_install, waiting_ending};
pub(crate) use manifest::Manifest;

use crate::config::LogConfig;
use crate::damage::Damage;
use crate::segment::Segment;
use crate::segment_scan::ScanError;
use crate::writer::LogWriter;
use key_table::KeyTable;
use rewrite::{Output, Rewrite};

/// Tells whether a file name is one that compaction writes.
pub(crate) fn is_our_file(file_name: &str) -> bool {
    file_name == manifest::MANIFEST_FILE || install::is_compacted_file(file_name)
}

/// A round of compaction that is worth doing. It can be run on any thread while the log is read and written.
#[derive(Debug)]
pub struct CompactionPlan {
    /// The sealed segments below the Raft start, oldest first.
    segments: Vec<Arc<Segment>>,
    /// Records below this offset were compacted with one another before.
    compacted_to: Offset,
    config: LogConfig,
    decode_limits: DecodeLimits,
    now_ms: i64,
    turn: Arc<CompactionTurn>,
}

/// Held while a round is under way: two at once would write to the same files.
#[derive(Debug)]
pub(crate) struct CompactionTurn;

/// The rewritten segments of a round, written and durable beside those that they are to replace.
#[derive(Debug)]
pub struct Compaction {
    outputs: Vec<Output>,
    /// Records below this offset are compacted with one another once the outputs are in place.
    compacted_to: Offset,
    stats: CompactionStats,
    turn: Arc<CompactionTurn>,
}

/// What a round of compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionStats {
    /// Records that a later record of the same key superseded.
    pub superseded_records: u64,
    /// Tombstones whose time was over.
    pub expired_tombstones: u64,
    /// Bytes of the segments that were read.
    pub read_bytes: u64,
    /// Bytes of the segments that were written.
    pub written_bytes: u64,
}

impl Compaction {
    /// Tells what the round did.
    #[must_use]
    pub fn stats(&self) -> CompactionStats {
        self.stats
    }
}

impl LogWriter {
    /// Decides whether a round of compaction is worth doing now, and of what.
    ///
    /// Only sealed segments below the Raft start and the committed mark are touched, and only as old as
    /// `min_compaction_lag_ms`; a round starts when the share of bytes never compacted reaches
    /// `min_cleanable_dirty_ratio`. There is one round at a time: another plan is made only when the last one, or what came
    /// of it, is installed or dropped. The policy of the configuration is the caller's to follow.
    #[must_use]
    pub fn plan_compaction(&mut self, now_ms: i64, decode_limits: DecodeLimits) -> Option<CompactionPlan> {
        if self.compaction_turn.strong_count() > 0 {
            return None;
        }
        let config = self.config().clone();
        let lag_ms = i64::try_from(config.min_compaction_lag_ms).unwrap_or(i64::MAX);
        let newest_ms = now_ms.saturating_sub(lag_ms);
        let segments = self.segments_below_start(newest_ms);
        let compacted_to = self.compacted_to();
        let is_dirty =
            |segment: &&Arc<Segment>| segment.summary.is_some_and(|summary| summary.end_offset > compacted_to);
        let bytes = |segment: &Arc<Segment>| segment.summary.map_or(0, |summary| summary.log_bytes);
        let dirty_bytes: u64 = segments.iter().filter(is_dirty).map(bytes).sum();
        let all_bytes: u64 = segments.iter().map(bytes).sum();
        #[expect(clippy::cast_precision_loss, reason = "a ratio of byte counts needs no more than 53 bits")]
        let dirty_ratio = dirty_bytes as f64 / all_bytes.max(1) as f64;
        let is_due = dirty_bytes > 0 && dirty_ratio >= config.min_cleanable_dirty_ratio;
        is_due.then(|| {
            let turn = Arc::new(CompactionTurn);
            self.compaction_turn = Arc::downgrade(&turn);
            CompactionPlan { segments, compacted_to, config, decode_limits, now_ms, turn }
        })
    }
}

impl CompactionPlan {
    /// Reads the segments and writes what is left of them beside them. Needs `compaction_buffer_bytes` of memory (more
    /// only for a single batch with more keys than that), and that of one decompressed batch.
    ///
    /// # Errors
    /// Damage, an unreadable batch, or a file that could not be written. The log is as it was; what was written aside is
    /// removed now or when the log is opened next.
    pub fn run(self) -> Result<Compaction, CompactionError> {
        let outcome = self.rewrite();
        if outcome.is_err() {
            let names = self.segments.iter().map(|segment| segment.name);
            install::remove_all_compacted(&self.segments[0].context, names);
        }
        outcome
    }

    fn rewrite(&self) -> Result<Compaction, CompactionError> {
        let mut table =
            KeyTable::new(self.segments[0].context.environment.as_ref(), self.config.compaction_buffer_bytes);
        let covered_to = self.read_keys(&mut table)?;
        let mut rewrite = Rewrite::new(self, &table, covered_to);
        let mut number = 0;
        while number < self.segments.len() && self.segments[number].base_offset() < covered_to {
            number += rewrite.next_group(&self.segments[number..])?;
        }
        let (outputs, stats) = rewrite.finish();
        Ok(Compaction { outputs, compacted_to: covered_to, stats, turn: Arc::clone(&self.turn) })
    }

    /// Notes the last offset of every key from the dirty end on, until the table is full or the segments end. Gives the
    /// offset that the table covers everything below of.
    fn read_keys(&self, table: &mut KeyTable) -> Result<Offset, CompactionError> {
        let mut covered_to = self.compacted_to;
        for segment in &self.segments {
            let Some(summary) = segment.summary.filter(|summary| summary.end_offset > self.compacted_to) else {
                continue;
            };
            let mut cursor = rewrite::cursor(segment);
            while let Some(meta) = cursor.seek(|frame| frame.next_offset <= covered_to)? {
                let (position_bytes, _) = cursor.place();
                let frame = cursor.take(&meta)?;
                let Some(batch) = frame.batch().filter(|batch| rewrite::is_compactable(&batch.header())) else {
                    continue;
                };
                let unreadable =
                    |error| CompactionError::Batch { position_bytes, base_offset: meta.base_offset, error };
                // The count of records is believed only once it is checked against the bytes that are there.
                let records = batch.records(self.decode_limits).map_err(unreadable)?;
                if !table.make_room(batch.header().record_count()) {
                    return Ok(covered_to);
                }
                for record in records {
                    let record = record.map_err(unreadable)?;
                    if let Some(key) = &record.key {
                        table.note(key, record.offset);
                    }
                }
                covered_to = meta.next_offset;
            }
            covered_to = covered_to.max(summary.end_offset);
        }
        Ok(covered_to)
    }
}

/// A round of compaction that could not be done.
#[derive(Debug)]
pub enum CompactionError {
    /// A segment could not be read or written.
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the machine answered.
        error: std::io::Error,
    },
    /// A segment is damaged.
    Damaged(Box<Damage>),
    /// A batch is what was written, but its records cannot be read.
    Batch {
        /// Where its frame stands in its segment.
        position_bytes: u64,
        /// Its base offset.
        base_offset: Offset,
        /// What is wrong.
        error: BatchError,
    },
}

impl CompactionError {
    /// Tells whether another round may succeed.
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::Io { .. } => true,
            Self::Damaged(_) | Self::Batch { .. } => false,
        }
    }
}

impl From<ScanError> for CompactionError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Io { path, error } => Self::Io { path, error },
            ScanError::Damaged(damage) => Self::Damaged(damage),
        }
    }
}

impl fmt::Display for CompactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Damaged(damage) => damage.fmt(f),
            Self::Batch { position_bytes, base_offset, error } => {
                write!(f, "batch with base offset {base_offset} at byte {position_bytes}: {error}")
            }
        }
    }
}

impl std::error::Error for CompactionError {}
