//! Writing a log. There is one writer; whoever holds it owns the end of the log.

mod anew;
mod append;
mod checkpoint;
mod error;
mod roll;
mod start;
mod truncate;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, Weak};

use tidelog_proto::ids::{Offset, RaftIndex};

pub use append::Appended;
pub(crate) use checkpoint::PendingCheckpoint;
pub use error::{AppendError, WriteError};

use crate::checkpoint::{Checkpoint, CleanEnd};
use crate::compaction::CompactionTurn;
use crate::config::{ConfigError, LogConfig};
use crate::environment::StorageFile;
use crate::identity::LogIdentity;
use crate::reader::LogReader;
use crate::segment::{Segment, SegmentContext, SegmentIndexes};
use crate::segment_tail::SegmentTail;
use crate::staging::Staging;
use crate::view::{LogEnd, LogView, SharedLog};

/// Appends to one partition's log, cuts it, and moves its start.
///
/// What is appended is visible to readers at once and durable after [`LogWriter::sync`]. After a failed write or sync
/// the log is poisoned: every later call is refused until it is opened again, because nobody knows what the disk holds.
#[derive(Debug)]
pub struct LogWriter {
    pub(crate) context: Arc<SegmentContext>,
    config: LogConfig,
    pub(crate) shared: Arc<SharedLog>,
    /// As in the published view.
    pub(crate) segments: Vec<Arc<Segment>>,
    active: ActiveSegment,
    /// As it stands on disk.
    pub(crate) checkpoint: Checkpoint,
    /// Every entry below this index is known to be durable.
    durable_end: RaftIndex,
    /// As in the published view.
    truncations: u64,
    staging: Staging,
    /// Alive while a round of compaction is under way.
    pub(crate) compaction_turn: Weak<CompactionTurn>,
    /// Set by the first failed write or sync, never cleared.
    poisoned: bool,
}

/// What only the writer knows of the segment that it writes.
#[derive(Debug)]
pub(crate) struct ActiveSegment {
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) indexes: Arc<SegmentIndexes>,
    pub(crate) tail: SegmentTail,
    /// Length of the file: space that has real blocks.
    pub(crate) allocated_bytes: u64,
}

/// Everything that opening a log finds out, ready to be written to.
pub(crate) struct OpenedLog {
    pub(crate) context: Arc<SegmentContext>,
    pub(crate) config: LogConfig,
    /// The last one is the active one.
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) active: ActiveSegment,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) stable: crate::view::StableEnd,
}

/// A sync to be run outside the writer, so that it can go on writing meanwhile.
#[derive(Debug)]
pub struct PendingSync {
    file: Arc<dyn StorageFile>,
    end_index: RaftIndex,
    truncations: u64,
}

impl PendingSync {
    /// Makes durable what was written before [`LogWriter::begin_sync`]. Once per value: a failed sync is never retried.
    ///
    /// # Errors
    /// The sync failed; hand the error to [`LogWriter::finish_sync`].
    pub fn run(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl LogWriter {
    pub(crate) fn new(opened: OpenedLog) -> Self {
        let OpenedLog { context, config, segments, active, checkpoint, stable } = opened;
        let durable_end = active.tail.chain.next_index;
        let view = view_of(&segments, &active, &checkpoint, 0);
        let shared = Arc::new(SharedLog {
            context: Arc::clone(&context),
            view: arc_swap::ArcSwap::from_pointee(view),
            stable: arc_swap::ArcSwap::from_pointee(stable),
            moving: Mutex::new(()),
        });
        Self {
            context,
            config,
            shared,
            segments,
            active,
            checkpoint,
            durable_end,
            truncations: 0,
            staging: Staging::new(),
            compaction_turn: Weak::new(),
            poisoned: false,
        }
    }

    /// Gives a reader of this log.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.shared))
    }

    /// Tells whose log it is.
    #[must_use]
    pub fn identity(&self) -> LogIdentity {
        self.context.identity
    }

    /// Gives the configuration in force.
    #[must_use]
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Puts another configuration in force, for everything from now on: segments that were sealed stay as they are.
    ///
    /// # Errors
    /// The first key out of bounds. Nothing has changed then.
    pub fn set_config(&mut self, config: LogConfig) -> Result<(), ConfigError> {
        config.validate()?;
        self.config = config;
        Ok(())
    }

    /// Gives the offset of the next record.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.active.tail.chain.next_offset
    }

    /// Gives the index of the next entry.
    #[must_use]
    pub fn end_index(&self) -> RaftIndex {
        self.active.tail.chain.next_index
    }

    /// Gives the first index that is not known to be durable.
    #[must_use]
    pub fn durable_end(&self) -> RaftIndex {
        self.durable_end
    }

    /// Gives the append time of the last entry; the next one's must not be below it. `None` where it is not known.
    #[must_use]
    pub fn last_append_time_ms(&self) -> Option<i64> {
        let last = self.active.tail.chain.last_append_time_ms;
        (last != i64::MIN).then_some(last)
    }

    /// Tells whether a write or sync has failed since the log was opened.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    /// The sync failed, now or before: the log is poisoned.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        self.usable()?;
        if self.durable_end == self.end_index() {
            return Ok(());
        }
        let pending = self.begin_sync();
        let outcome = pending.run();
        self.finish_sync(&pending, outcome)
    }

    /// Takes note of what is to be made durable, without doing it.
    #[must_use]
    pub fn begin_sync(&self) -> PendingSync {
        PendingSync { file: Arc::clone(&self.active.file), end_index: self.end_index(), truncations: self.truncations }
    }

    /// Takes the outcome of a sync begun earlier.
    ///
    /// # Errors
    /// The sync failed, or an earlier write or sync did: the log is poisoned.
    pub fn finish_sync(&mut self, pending: &PendingSync, outcome: io::Result<()>) -> Result<(), WriteError> {
        self.or_poison(outcome)?;
        // What a truncation cut meanwhile, or wrote anew, is not what was synced.
        if pending.truncations == self.truncations {
            self.durable_end = self.durable_end.max(pending.end_index);
        }
        self.usable()
    }

    /// Gives back the memory that writes of this log went through, when its partition has gone idle.
    pub fn release_buffers(&mut self) {
        self.staging.release();
    }

    /// Makes everything durable and notes that the log ends here, so that the next opening need not look.
    ///
    /// # Errors
    /// A write or sync failed; the log is then recovered at the next opening as after a crash.
    pub fn close(mut self) -> Result<(), WriteError> {
        self.sync()?;
        let summary = self.active.tail.summary();
        let last_segment = self.active_name();
        let outcome = self.finish_active(summary);
        self.or_full(outcome)?;
        let clean_end = Some(CleanEnd { last_segment, position_bytes: summary.log_bytes });
        self.replace_checkpoint(Checkpoint { durable_end: self.durable_end, clean_end, ..self.checkpoint })
    }

    /// Poisons the log, when something that it depends on has failed outside.
    pub fn poison(&mut self) {
        self.poisoned = true;
    }

    /// Exchanges the memory that writes go through, so that one thread needs it once for all of its logs.
    pub(crate) fn swap_staging(&mut self, staging: &mut Staging) {
        std::mem::swap(&mut self.staging, staging);
    }

    pub(crate) fn usable(&self) -> Result<(), WriteError> {
        if self.poisoned { Err(WriteError::Poisoned) } else { Ok(()) }
    }

    pub(crate) fn or_poison<T>(&mut self, outcome: io::Result<T>) -> Result<T, WriteError> {
        outcome.map_err(|error| {
            self.poisoned = true;
            WriteError::Io { dir: self.context.dir.clone(), error }
        })
    }

    /// As [`LogWriter::or_poison`], for steps that leave nothing half done behind them on a full disk: the log goes on.
    pub(crate) fn or_full<T>(&mut self, outcome: io::Result<T>) -> Result<T, WriteError> {
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                Err(WriteError::DiskFull { dir: self.context.dir.clone() })
            }
            outcome => self.or_poison(outcome),
        }
    }

    pub(crate) fn replace_checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), WriteError> {
        let outcome = checkpoint.write(self.context.environment.as_ref(), &self.context.dir);
        self.or_full(outcome)?;
        self.checkpoint = checkpoint;
        Ok(())
    }

    /// Takes back the note that the log was closed, before anything that it speaks of changes.
    fn leave_clean_end(&mut self) -> Result<(), WriteError> {
        match self.checkpoint.clean_end {
            None => Ok(()),
            Some(_) => self.replace_checkpoint(Checkpoint { clean_end: None, ..self.checkpoint }),
        }
    }

    fn active_name(&self) -> crate::identity::SegmentName {
        self.segments.last().map(|segment| segment.name).expect("a log has an active segment")
    }

    pub(crate) fn publish(&self) {
        let view = view_of(&self.segments, &self.active, &self.checkpoint, self.truncations);
        self.shared.view.store(Arc::new(view));
    }

    /// Publishes a new end of the same segments, without listing them again.
    fn publish_end(&self) {
        let old = self.shared.view.load();
        let view = LogView { end: self.active.end(), segments: Arc::clone(&old.segments), ..**old };
        self.shared.view.store(Arc::new(view));
    }
}

impl ActiveSegment {
    fn end(&self) -> LogEnd {
        LogEnd {
            offset: self.tail.chain.next_offset,
            index: self.tail.chain.next_index,
            active_bytes: self.tail.position_bytes,
        }
    }
}

fn view_of(segments: &[Arc<Segment>], active: &ActiveSegment, checkpoint: &Checkpoint, truncations: u64) -> LogView {
    LogView {
        segments: segments.into(),
        log_start_offset: checkpoint.log_start_offset,
        raft_start: checkpoint.raft_start,
        end: active.end(),
        truncations,
    }
}

impl fmt::Debug for OpenedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedLog").field("context", &self.context).finish_non_exhaustive()
    }
}
