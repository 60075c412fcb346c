//! The files of a log's directory, found without opening the log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidelog_proto::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};

use super::VerifyError;
use super::file_window::FileWindow;
use crate::checkpoint::{CHECKPOINT_FILE, Checkpoint};
use crate::compaction::{Manifest, is_our_file, waiting_ending};
use crate::environment::Environment;
use crate::identity::{LOG_ENDING, LogIdentity, OFFSET_INDEX_ENDING, SegmentName, TEMPORARY_ENDING, TIME_INDEX_ENDING};
use crate::open::later_frames::SegmentBytes;
use crate::segment::SegmentContext;
use crate::small_file::SmallFileError;

/// How often the directory is listed again because its checkpoint changed meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// What a log's directory holds.
#[derive(Debug)]
pub(super) struct LogFiles {
    pub(super) context: SegmentContext,
    pub(super) checkpoint: Result<Option<Checkpoint>, SmallFileError>,
    /// The swap of compacted segments that was interrupted, if there was one.
    pub(super) manifest: Result<Option<Manifest>, SmallFileError>,
    /// The segments, sorted; as they will be once an interrupted swap is finished.
    pub(super) segments: Vec<SegmentName>,
    /// All files, sorted by name.
    names: Vec<String>,
}

/// What a file is to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileRole {
    /// Part of it.
    Used,
    /// Left by an interrupted step.
    LeftOver,
    /// None of ours.
    Unknown,
}

impl LogFiles {
    /// Lists the log in `dir` and reads its small files.
    ///
    /// # Errors
    /// The directory could not be listed, or holds no log.
    pub(super) fn find(environment: &Arc<dyn Environment>, dir: &Path) -> Result<Self, VerifyError> {
        let io_error = |error| VerifyError::Io { path: dir.to_owned(), error };
        let Listing { names, checkpoint } = list(environment.as_ref(), dir).map_err(io_error)?;
        let segments: Vec<_> = names.iter().filter_map(|name| SegmentName::parse_log(name)).collect();
        let has_checkpoint = names.iter().any(|name| name == CHECKPOINT_FILE);
        if segments.is_empty() && !has_checkpoint {
            return Err(VerifyError::NotALog { dir: dir.to_owned() });
        }
        let stored = checkpoint.as_ref().ok().and_then(Option::as_ref).map(|checkpoint| checkpoint.identity);
        let identity = LogIdentity::of_dir(dir)
            .or(stored)
            .or_else(|| segments.iter().find_map(|name| identity_in_header(environment.as_ref(), dir, *name)))
            .ok_or_else(|| VerifyError::UnknownIdentity { dir: dir.to_owned() })?;
        let context = SegmentContext {
            environment: Arc::clone(environment),
            dir: dir.to_owned(),
            identity,
            seed: identity.seed(),
            index_interval_bytes: 0,
        };
        let manifest = Manifest::read(&context);
        let mut files = Self { context, checkpoint, manifest, segments, names };
        files.finish_swap();
        files.finish_start_anew();
        Ok(files)
    }

    /// Gives the path of a segment's file, where an interrupted swap has left it.
    pub(super) fn path(&self, name: SegmentName, ending: &str) -> PathBuf {
        let is_output = self.pending_swap().is_some_and(|manifest| manifest.sources.first() == Some(&name));
        let waiting = waiting_ending(ending).filter(|_| is_output).map(|ending| name.file_name(ending));
        match waiting.filter(|waiting| self.names.contains(waiting)) {
            Some(waiting) => self.context.dir.join(waiting),
            None => self.context.path(name, ending),
        }
    }

    /// Gives the swap of compacted segments that was interrupted, if it can be told.
    pub(super) fn pending_swap(&self) -> Option<&Manifest> {
        self.manifest.as_ref().ok().and_then(Option::as_ref)
    }

    /// Gives the checkpoint, if there is a sound one of this log.
    pub(super) fn sound_checkpoint(&self) -> Option<&Checkpoint> {
        let checkpoint = self.checkpoint.as_ref().ok().and_then(Option::as_ref);
        checkpoint.filter(|checkpoint| checkpoint.identity == self.context.identity)
    }

    /// Gives every file that is no part of the log, and why it is there.
    pub(super) fn strays(&self) -> impl Iterator<Item = (PathBuf, FileRole)> {
        let roles = self.names.iter().map(|name| (self.context.dir.join(name), self.role(name)));
        roles.filter(|(_, role)| *role != FileRole::Used)
    }

    /// Tells whether the directory still has a file.
    pub(super) fn is_still_there(&self, path: &Path) -> io::Result<bool> {
        let names = self.context.environment.list_files(&self.context.dir)?;
        Ok(names.iter().any(|name| self.context.dir.join(name) == path))
    }

    fn role(&self, file_name: &str) -> FileRole {
        let (stem, ending) = file_name.rsplit_once('.').unwrap_or((file_name, ""));
        let segment = SegmentName::parse_log(&format!("{stem}.{LOG_ENDING}"));
        let is_listed = segment.is_some_and(|name| self.segments.contains(&name));
        match (ending, segment) {
            (LOG_ENDING | OFFSET_INDEX_ENDING | TIME_INDEX_ENDING, Some(_)) if is_listed => FileRole::Used,
            (LOG_ENDING | OFFSET_INDEX_ENDING | TIME_INDEX_ENDING, Some(_)) | (TEMPORARY_ENDING, _) => {
                FileRole::LeftOver
            }
            _ if file_name == CHECKPOINT_FILE => FileRole::Used,
            _ if is_our_file(file_name) && self.pending_swap().is_some() => FileRole::Used,
            _ if is_our_file(file_name) => FileRole::LeftOver,
            _ => FileRole::Unknown,
        }
    }

    /// Leaves out the segments that a log which begins anew is about to remove.
    fn finish_start_anew(&mut self) {
        if let Some(start) = self.sound_checkpoint().filter(|found| found.starts_anew).map(Checkpoint::start) {
            self.segments.retain(|name| *name == start);
        }
    }

    /// Leaves out the segments that an interrupted swap is about to remove.
    fn finish_swap(&mut self) {
        let Some((output, others)) = self.pending_swap().and_then(|manifest| manifest.sources.split_first()) else {
            return;
        };
        let (output, others) = (*output, others.to_vec());
        self.segments.retain(|name| *name != output && !others.contains(name));
        let waiting = waiting_ending(LOG_ENDING).map(|ending| output.file_name(ending));
        let candidates = waiting.into_iter().chain([output.file_name(LOG_ENDING)]);
        if candidates.into_iter().any(|candidate| self.names.contains(&candidate)) {
            self.segments.push(output);
            self.segments.sort();
        }
    }
}

/// The names in a directory and the checkpoint that belongs to them.
struct Listing {
    names: Vec<String>,
    checkpoint: Result<Option<Checkpoint>, SmallFileError>,
}

/// Lists a directory that somebody may be using.
fn list(environment: &dyn Environment, dir: &Path) -> io::Result<Listing> {
    let read = || Checkpoint::read_any(environment, &dir.join(CHECKPOINT_FILE));
    let mut before = read();
    for _ in 1..ATTEMPTS_MAX {
        let names = environment.list_files(dir)?;
        let after = read();
        match (&before, &after) {
            (Ok(before), Ok(after)) if before != after => {}
            _ => return Ok(Listing { names, checkpoint: after }),
        }
        before = after;
    }
    Ok(Listing { names: environment.list_files(dir)?, checkpoint: before })
}

fn identity_in_header(environment: &dyn Environment, dir: &Path, name: SegmentName) -> Option<LogIdentity> {
    let mut window = FileWindow::open(environment, &name.path(dir, LOG_ENDING)).ok()?;
    let start = window.at(0, SEGMENT_HEADER_BYTES as u64).ok()?;
    let SegmentHeader { topic_id, partition, .. } = SegmentHeader::decode(&start).ok()?;
    Some(LogIdentity { topic_id, partition })
}
