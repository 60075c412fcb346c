//! Swapping rewritten segments in.
//!
//! The order on disk: the output and its indexes are durable under waiting names; the manifest is written (from here on
//! the swap happens, whatever befalls the process); the output takes the log's name, the other sources go, the indexes
//! take theirs; the directory is synced; the manifest goes. Every step can be done twice.

use std::io;
use std::iter;
use std::sync::Arc;

use tidelog_proto::ids::{Offset, RaftIndex};

use super::manifest::Manifest;
use super::rewrite::Output;
use super::{Compaction, CompactionStats};
use crate::checkpoint::Checkpoint;
use crate::damage::{Damage, Fault};
use crate::environment::{OpenMode, remove_if_there};
use crate::frame_chain::FrameChain;
use crate::identity::{COMPACTED_ENDING, LOG_ENDING, OFFSET_INDEX_ENDING, SegmentName, TIME_INDEX_ENDING};
use crate::open::OpenError;
use crate::segment::{Segment, SegmentContext, remove_files};
use crate::writer::{LogWriter, WriteError};

/// Ending of an output's offset index while it waits.
pub(super) const COMPACTED_OFFSET_INDEX_ENDING: &str = "compacted-index";
/// Ending of an output's time index while it waits.
pub(super) const COMPACTED_TIME_INDEX_ENDING: &str = "compacted-timeindex";

/// Waiting endings, each with the one that it becomes. The log comes first: indexes are believed only if they fit it.
const RENAMES: [(&str, &str); 3] = [
    (COMPACTED_ENDING, LOG_ENDING),
    (COMPACTED_OFFSET_INDEX_ENDING, OFFSET_INDEX_ENDING),
    (COMPACTED_TIME_INDEX_ENDING, TIME_INDEX_ENDING),
];

impl LogWriter {
    /// Puts the rewritten segments in the place of those that they were made from. Readers of the old ones keep them.
    ///
    /// An output whose sources are gone (retention was faster) is thrown away. Where only some of them are gone, a value may
    /// be left whose later tombstone went: then the outputs behind it are thrown away too, and the round counts as not done.
    ///
    /// # Errors
    /// A full disk, or a source that can no longer be read: the outputs that were not put in place are thrown away, and the
    /// log goes on. A file that could not be renamed or removed: the log is poisoned, and the swap is finished when it is
    /// opened again.
    pub fn install_compaction(&mut self, compaction: Compaction) -> Result<CompactionStats, WriteError> {
        self.usable()?;
        let Compaction { outputs, compacted_to, stats, turn: _turn } = compaction;
        let mut outputs = outputs.into_iter();
        while let Some(output) = outputs.next() {
            let outcome = match self.find(&output.sources) {
                Sources::InPlace(first) => self.install(first, &output),
                Sources::Gone => {
                    let outcome = remove_compacted(&self.context, output.name);
                    self.or_poison(outcome)
                }
                Sources::PartlyGone => {
                    remove_all_compacted(&self.context, outputs_left(output, outputs));
                    return Ok(CompactionStats::default());
                }
            };
            if let Err(error) = outcome {
                // After a failed write the manifest may be there, and the swap decided.
                if !self.is_poisoned() {
                    remove_all_compacted(&self.context, outputs_left(output, outputs));
                }
                return Err(error);
            }
        }
        self.note_compacted_to(compacted_to)?;
        Ok(stats)
    }

    fn find(&self, sources: &[Arc<Segment>]) -> Sources {
        let number_of = |source: &Arc<Segment>| self.segments.iter().position(|segment| Arc::ptr_eq(segment, source));
        let found: Vec<usize> = sources.iter().filter_map(number_of).collect();
        match found.first() {
            Some(&first) if found.len() == sources.len() => Sources::InPlace(first),
            Some(_) => Sources::PartlyGone,
            None => Sources::Gone,
        }
    }

    /// Swaps one output in for its sources, of which the first is segment number `first`.
    fn install(&mut self, first: usize, output: &Output) -> Result<(), WriteError> {
        let context = Arc::clone(&self.context);
        let sources = &output.sources;
        for source in sources {
            source.pin()?;
        }
        let names = sources.iter().map(|source| source.name).collect();
        let manifest = Manifest { sources: names, log_bytes: output.summary.log_bytes };
        let outcome = manifest.write(&context);
        self.or_full(outcome)?;
        sources.iter().for_each(|source| source.retire());
        let outcome = apply(&context, &manifest);
        self.or_poison(outcome)?;
        let segment = Arc::new(Segment::sealed(context, output.name, output.summary));
        self.segments.splice(first..first + sources.len(), [segment]);
        self.publish();
        Ok(())
    }

    fn note_compacted_to(&mut self, compacted_to: Offset) -> Result<(), WriteError> {
        let compacted_to = self.checkpoint.compacted_to.max(compacted_to);
        self.replace_checkpoint(Checkpoint { compacted_to, ..self.checkpoint })
    }

    pub(super) fn compacted_to(&self) -> Offset {
        self.checkpoint.compacted_to
    }

    /// Gives the sealed segments that lie below the Raft start and the committed mark and are no younger than
    /// `newest_ms`.
    pub(super) fn segments_below_start(&self, newest_ms: i64) -> Vec<Arc<Segment>> {
        let limit: RaftIndex = self.checkpoint.raft_start.min(self.shared.stable.load().index);
        let lies_below = |segment: &&Arc<Segment>| {
            segment
                .summary
                .is_some_and(|summary| summary.end_index <= limit && summary.last_append_time_ms <= newest_ms)
        };
        self.segments.iter().take_while(lies_below).cloned().collect()
    }
}

fn outputs_left(output: Output, rest: impl Iterator<Item = Output>) -> impl Iterator<Item = SegmentName> {
    iter::once(output).chain(rest).map(|output| output.name)
}

/// What is left of the segments that an output was made from.
enum Sources {
    /// All of them, from the segment with this number on.
    InPlace(usize),
    PartlyGone,
    Gone,
}

/// Finishes a swap that a crash interrupted after its manifest was written, and removes what one before it left.
///
/// # Errors
/// A damaged manifest, an output that is not the one that the manifest tells of, or an I/O error.
pub(crate) fn finish_install(context: &SegmentContext) -> Result<(), OpenError> {
    let io_error = |error| OpenError::Io { path: context.dir.clone(), error };
    if let Some(manifest) = Manifest::read(context)? {
        check_waiting(context, &manifest)?;
        apply(context, &manifest).map_err(io_error)?;
    }
    let files = context.environment.list_files(&context.dir).map_err(io_error)?;
    for file in files.iter().filter(|file| is_compacted_file(file)) {
        context.environment.remove_file(&context.dir.join(file)).map_err(io_error)?;
    }
    Ok(())
}

/// Checks that the output, if it still waits, is as long as the manifest says: what it replaces would be gone.
fn check_waiting(context: &SegmentContext, manifest: &Manifest) -> Result<(), OpenError> {
    let name = manifest.sources[0];
    let path = context.path(name, COMPACTED_ENDING);
    let found = match context.environment.open_file(&path, OpenMode::Read).and_then(|file| file.len_bytes()) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OpenError::Io { path, error }),
    };
    if found == manifest.log_bytes {
        return Ok(());
    }
    let start = FrameChain::starting_at(name.base_offset, name.base_index);
    let fault = Fault::Length { expected: manifest.log_bytes, found };
    Err(OpenError::Damaged(Damage::at(path, found.min(manifest.log_bytes), &start, fault)))
}

/// Does what the manifest says, from whatever step on is left.
fn apply(context: &SegmentContext, manifest: &Manifest) -> io::Result<()> {
    let environment = context.environment.as_ref();
    let name = manifest.sources[0];
    for (from, to) in RENAMES {
        match environment.rename(&context.path(name, from), &context.path(name, to)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for source in &manifest.sources[1..] {
        remove_files(environment, &context.dir, *source)?;
    }
    environment.sync_dir(&context.dir)?;
    remove_if_there(environment, &Manifest::path(context))?;
    environment.sync_dir(&context.dir)
}

/// Removes the outputs of a round that failed. What cannot be removed now is removed when the log is opened next.
pub(super) fn remove_all_compacted(context: &SegmentContext, names: impl Iterator<Item = SegmentName>) {
    for name in names {
        let _ = remove_compacted(context, name);
    }
}

/// Removes an output that will not be swapped in.
pub(super) fn remove_compacted(context: &SegmentContext, name: SegmentName) -> io::Result<()> {
    for (ending, _) in RENAMES {
        remove_if_there(context.environment.as_ref(), &context.path(name, ending))?;
    }
    Ok(())
}

/// Gives the ending under which a file waits that is to take `ending`.
pub(crate) fn waiting_ending(ending: &str) -> Option<&'static str> {
    RENAMES.iter().find(|(_, to)| *to == ending).map(|(from, _)| *from)
}

pub(super) fn is_compacted_file(file_name: &str) -> bool {
    let Some((stem, ending)) = file_name.rsplit_once('.') else { return false };
    RENAMES.iter().any(|(waiting, _)| *waiting == ending)
        && SegmentName::parse_log(&format!("{stem}.{LOG_ENDING}")).is_some()
}
