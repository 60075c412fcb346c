//! Opening a log: what is sealed is believed by its seal, what is not is read and checked to the last byte.

mod active;
mod error;
pub(crate) mod later_frames;

use std::path::Path;
use std::sync::Arc;

use tidelog_proto::ids::{Offset, RaftIndex};
use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

pub use error::OpenError;

use crate::checkpoint::Checkpoint;
use crate::compaction;
use crate::config::LogConfig;
use crate::damage::{Damage, Fault};
use crate::environment::{Environment, OpenMode, remove_if_there};
use crate::frame_chain::{Density, FrameChain};
use crate::identity::{LOG_ENDING, LogIdentity, OFFSET_INDEX_ENDING, SegmentName, TEMPORARY_ENDING, TIME_INDEX_ENDING};
use crate::index_header::{IndexKind, SegmentSummary};
use crate::reader::LogReader;
use crate::segment::{Segment, SegmentContext, SegmentIndexes, remove_files};
use crate::segment_scan::{create_file, keep_indexes, scan_sealed};
use crate::sparse_index::open_header;
use crate::view::StableEnd;
use crate::writer::{LogWriter, OpenedLog};

/// One partition's log on a local disk.
#[derive(Debug)]
pub struct Log {
    /// The one writer.
    pub writer: LogWriter,
    /// A reader; clone it for more.
    pub reader: LogReader,
    /// What opening found.
    pub report: OpenReport,
}

/// What opening a log found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The log was closed in order and nothing had to be read.
    pub clean: bool,
    /// The torn tail that was cut, if there was one: an unfinished write that nobody was told about.
    pub torn_tail: Option<Damage>,
    /// Segments whose indexes were made again from their frames.
    pub rebuilt_indexes: Vec<SegmentName>,
    /// File names that are none of ours. They are left alone.
    pub unknown_files: Vec<String>,
}

impl Log {
    /// Opens the log in `dir`, or creates one that starts at offset 0 and Raft index 0.
    ///
    /// What was durable is there again, exactly; what was not is there in full or not at all. The directory must be held
    /// by this process alone, see [`DataDir`](crate::data_dir::DataDir).
    ///
    /// # Errors
    /// A configuration out of bounds, damage below what is known to be durable, or a file that could not be read or
    /// written. No record is cut, deleted or overwritten in any of these cases; a compaction whose end was decided may have
    /// been finished, and indexes made again.
    pub fn open(
        environment: Arc<dyn Environment>,
        dir: &Path,
        identity: LogIdentity,
        config: LogConfig,
    ) -> Result<Self, OpenError> {
        let start = SegmentName { base_offset: Offset::new(0), base_index: RaftIndex::new(0) };
        Self::open_at(environment, dir, identity, config, start)
    }

    /// As [`Log::open`], but a log that has to be created starts at `start`, as behind a snapshot.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_at(
        environment: Arc<dyn Environment>,
        dir: &Path,
        identity: LogIdentity,
        config: LogConfig,
        start: SegmentName,
    ) -> Result<Self, OpenError> {
        config.validate().map_err(OpenError::Config)?;
        let context = Arc::new(SegmentContext {
            environment,
            dir: dir.to_owned(),
            identity,
            seed: identity.seed(),
            index_interval_bytes: config.index_interval_bytes,
        });
        let mut opening = Opening { context, report: OpenReport::default(), left_over: Vec::new() };
        let opened = opening.open(config, start)?;
        let mut writer = LogWriter::new(opened);
        writer.delete_before_start().map_err(OpenError::Write)?;
        Ok(Self { reader: writer.reader(), writer, report: opening.report })
    }
}

/// A log that is being opened.
struct Opening {
    context: Arc<SegmentContext>,
    report: OpenReport,
    /// Files that interrupted steps left behind. They go when nothing speaks against opening any more.
    left_over: Vec<String>,
}

impl Opening {
    fn open(&mut self, config: LogConfig, start: SegmentName) -> Result<OpenedLog, OpenError> {
        let environment = self.context.environment.as_ref();
        environment.create_dir_all(&self.context.dir).map_err(|error| self.io_error(error))?;
        let checkpoint = Checkpoint::read(environment, &self.context.dir, self.context.identity)?;
        // Without a checkpoint opening is refused, and a swap that a crash interrupted is left as it is.
        if checkpoint.is_some() {
            compaction::finish_install(&self.context)?;
        }
        let mut names = self.list_segments()?;
        let checkpoint = match checkpoint {
            Some(checkpoint) if checkpoint.starts_anew => Some(self.finish_start_anew(checkpoint, &mut names)?),
            checkpoint => checkpoint,
        };
        let (checkpoint, names) = self.or_create(checkpoint, names, start)?;
        self.check_start(&checkpoint, names[0])?;
        let mut segments = Vec::with_capacity(names.len());
        let mut previous = FrameChain::starting_at(names[0].base_offset, names[0].base_index);
        for pair in names.windows(2) {
            let summary = self.sealed_summary(&checkpoint, pair[0], pair[1])?;
            previous = summary.end();
            segments.push(Arc::new(Segment::sealed(Arc::clone(&self.context), pair[0], summary)));
        }
        let last = names[names.len() - 1];
        let active = match self.open_clean(&checkpoint, last)? {
            Some(active) => active,
            None => self.recover(&checkpoint, last, previous)?,
        };
        self.remove_left_over()?;
        segments.push(Arc::new(Segment::active(
            Arc::clone(&self.context),
            last,
            Arc::clone(&active.file),
            Arc::clone(&active.indexes),
            config.segment_bytes,
        )));
        // Nothing above the start is known to be committed before somebody says so.
        let before_start = names.iter().rev().find(|name| name.base_index <= checkpoint.raft_start);
        let stable = StableEnd {
            index: checkpoint.raft_start,
            segment_base_index: before_start.unwrap_or(&names[0]).base_index,
            position_bytes: SEGMENT_HEADER_BYTES as u64,
        };
        Ok(OpenedLog { context: Arc::clone(&self.context), config, segments, active, checkpoint, stable })
    }

    /// Lists the segments, sorted, and what is known to be left over from an interrupted step.
    fn list_segments(&mut self) -> Result<Vec<SegmentName>, OpenError> {
        let environment = self.context.environment.as_ref();
        let files = environment.list_files(&self.context.dir).map_err(|error| self.io_error(error))?;
        let mut names: Vec<_> = files.iter().filter_map(|file| SegmentName::parse_log(file)).collect();
        names.sort();
        for file in &files {
            let (stem, ending) = file.rsplit_once('.').unwrap_or((file, ""));
            let segment = SegmentName::parse_log(&format!("{stem}.{LOG_ENDING}"));
            let left_over = match (ending, segment) {
                (OFFSET_INDEX_ENDING | TIME_INDEX_ENDING, Some(name)) => !names.contains(&name),
                (TEMPORARY_ENDING, _) => true,
                (LOG_ENDING, Some(_)) => false,
                _ => {
                    if !compaction::is_our_file(file) && file != crate::checkpoint::CHECKPOINT_FILE {
                        self.report.unknown_files.push(file.clone());
                    }
                    false
                }
            };
            if left_over {
                self.left_over.push(file.clone());
            }
        }
        Ok(names)
    }

    fn remove_left_over(&self) -> Result<(), OpenError> {
        let environment = self.context.environment.as_ref();
        // Some have been replaced or renamed meanwhile.
        let mut paths = self.left_over.iter().map(|file| self.context.dir.join(file));
        paths.try_for_each(|path| remove_if_there(environment, &path)).map_err(|error| self.io_error(error))
    }

    /// Finishes what a crash interrupted after it was decided: a log that begins anew at its start.
    fn finish_start_anew(&self, checkpoint: Checkpoint, names: &mut Vec<SegmentName>) -> Result<Checkpoint, OpenError> {
        let environment = self.context.environment.as_ref();
        let start = checkpoint.start();
        let mut others = names.iter().filter(|name| **name != start);
        let removed = others.try_for_each(|name| remove_files(environment, &self.context.dir, *name));
        removed.and_then(|()| environment.sync_dir(&self.context.dir)).map_err(|error| self.io_error(error))?;
        names.retain(|name| *name == start);
        if names.is_empty() {
            create_file(&self.context, start).map_err(|error| self.io_error(error))?;
            names.push(start);
        }
        let done = Checkpoint { starts_anew: false, ..checkpoint };
        done.write(environment, &self.context.dir).map_err(|error| self.io_error(error))?;
        Ok(done)
    }

    /// Creates what a new log consists of: the checkpoint, durably, and then the first segment.
    fn or_create(
        &self,
        checkpoint: Option<Checkpoint>,
        names: Vec<SegmentName>,
        start: SegmentName,
    ) -> Result<(Checkpoint, Vec<SegmentName>), OpenError> {
        let environment = self.context.environment.as_ref();
        if !names.is_empty() {
            let missing = || OpenError::CheckpointMissing { dir: self.context.dir.clone() };
            return Ok((checkpoint.ok_or_else(missing)?, names));
        }
        let checkpoint = match checkpoint {
            Some(found) => {
                let start = found.start();
                if found != Checkpoint::new(self.context.identity, start) {
                    let fault = Fault::EndsEarly { durable: RaftIndex::new(found.durable_end.get().saturating_sub(1)) };
                    let start = FrameChain::starting_at(start.base_offset, start.base_index);
                    return Err(OpenError::Damaged(Damage::at(self.context.dir.clone(), 0, &start, fault)));
                }
                found
            }
            None => {
                let new = Checkpoint::new(self.context.identity, start);
                new.write(environment, &self.context.dir).map_err(|error| self.io_error(error))?;
                new
            }
        };
        let name = checkpoint.start();
        create_file(&self.context, name).map_err(|error| self.io_error(error))?;
        Ok((checkpoint, vec![name]))
    }

    fn check_start(&self, checkpoint: &Checkpoint, first: SegmentName) -> Result<(), OpenError> {
        if first.base_index <= checkpoint.raft_start && first.base_offset <= checkpoint.log_start_offset {
            return Ok(());
        }
        let start = FrameChain::starting_at(checkpoint.log_start_offset, checkpoint.raft_start);
        let fault = Fault::MissingBefore { found: first.base_index };
        Err(OpenError::Damaged(Damage::at(self.context.path(first, LOG_ENDING), 0, &start, fault)))
    }

    /// Gives what a sealed segment holds: from its seal, or from all of its frames where the seal is in doubt.
    fn sealed_summary(
        &mut self,
        checkpoint: &Checkpoint,
        name: SegmentName,
        next: SegmentName,
    ) -> Result<SegmentSummary, OpenError> {
        let environment = self.context.environment.as_ref();
        let log_path = self.context.path(name, LOG_ENDING);
        let io_error = |path: &Path, error| OpenError::Io { path: path.to_owned(), error };
        let index_path = self.context.path(name, OFFSET_INDEX_ENDING);
        let file = environment.open_file(&log_path, OpenMode::Read).map_err(|error| io_error(&log_path, error))?;
        let log_bytes = file.len_bytes().map_err(|error| io_error(&log_path, error))?;
        let identity = self.context.identity;
        let header = open_header(environment, &index_path, IndexKind::Offset, identity, name, OpenMode::Read)
            .map_err(|error| io_error(&index_path, error))?;
        let connects =
            |summary: &SegmentSummary| summary.end_index == next.base_index && summary.end_offset == next.base_offset;
        if let Some((_, header)) = header
            && header.summary.log_bytes <= log_bytes
            && connects(&header.summary)
        {
            return Ok(header.summary);
        }
        // Compaction touches only segments that end at or below the Raft start.
        let may_be_compacted = next.base_index <= checkpoint.raft_start;
        let density = if may_be_compacted { Density::Rising } else { Density::Dense };
        let indexes = SegmentIndexes::in_memory();
        let mut tail = scan_sealed(&self.context, name, file.as_ref(), density, Some(&indexes))?;
        tail.is_compacted = may_be_compacted;
        let summary = tail.summary();
        if !connects(&summary) {
            let fault = Fault::MissingBefore { found: next.base_index };
            return Err(OpenError::Damaged(Damage::at(log_path, summary.log_bytes, &summary.end(), fault)));
        }
        keep_indexes(&self.context, name, &indexes, summary).map_err(|error| io_error(&index_path, error))?;
        self.report.rebuilt_indexes.push(name);
        Ok(summary)
    }

    fn io_error(&self, error: std::io::Error) -> OpenError {
        OpenError::Io { path: self.context.dir.clone(), error }
    }
}
