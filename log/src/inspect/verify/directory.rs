//! Checking what stands beside the segments, and that nothing is missing before the first.

use std::path::PathBuf;

use super::verification::{Verification, last_before};
use crate::checkpoint::{CHECKPOINT_FILE, Checkpoint};
use crate::compaction::Manifest;
use crate::damage::{Damage, Fault};
use crate::identity::LOG_ENDING;
use crate::inspect::file_window::FileWindow;
use crate::inspect::finding::{Finding, Reason};
use crate::inspect::log_files::FileRole;
use crate::small_file::SmallFileError;

impl Verification<'_> {
    pub(super) fn look_at_strays(&mut self) {
        for (path, role) in self.files.strays() {
            let reason = if role == FileRole::LeftOver { Reason::LeftOver } else { Reason::UnknownFile };
            self.report(Finding { path, position_bytes: 0, index: None, offset: None, reason });
        }
    }

    pub(super) fn check_small_files(&mut self) {
        let files = self.files;
        let dir = &files.context.dir;
        let of_checkpoint = |reason| (dir.join(CHECKPOINT_FILE), reason);
        let mut found = Vec::new();
        match &files.checkpoint {
            Err(error) => found.push(small_file_reason(error)),
            Ok(None) => found.push((dir.clone(), Reason::CheckpointMissing)),
            Ok(Some(checkpoint)) if checkpoint.identity != files.context.identity => {
                found.push(of_checkpoint(Reason::ForeignCheckpoint { found: checkpoint.identity }));
            }
            Ok(Some(checkpoint)) => {
                let clean_end = checkpoint.clean_end.filter(|clean| files.segments.last() != Some(&clean.last_segment));
                found.extend(clean_end.map(|clean| {
                    let (last_segment, position_bytes) = (clean.last_segment, clean.position_bytes);
                    of_checkpoint(Reason::CleanEnd { last_segment, position_bytes })
                }));
            }
        }
        match &files.manifest {
            Err(error) => found.push(small_file_reason(error)),
            Ok(None) => {}
            Ok(Some(manifest)) => {
                found.push((Manifest::path(&files.context), Reason::SwapPending));
                found.extend(self.wrong_waiting_length(manifest));
            }
        }
        for (path, reason) in found {
            self.report(Finding { path, position_bytes: 0, index: None, offset: None, reason });
        }
    }

    /// Checks that nothing is missing before the first segment.
    pub(super) fn check_start(&mut self) {
        let files = self.files;
        let Some(checkpoint) = files.sound_checkpoint() else { return };
        let (index, offset) = (checkpoint.raft_start, checkpoint.log_start_offset);
        let (path, fault) = match files.segments.first() {
            Some(first) if first.base_index <= index && first.base_offset <= offset => return,
            Some(first) => (files.path(*first, LOG_ENDING), Fault::MissingBefore { found: first.base_index }),
            None => {
                let created = Checkpoint::new(checkpoint.identity, checkpoint.start());
                if *checkpoint == (Checkpoint { starts_anew: checkpoint.starts_anew, ..created }) {
                    return;
                }
                (files.context.dir.clone(), Fault::EndsEarly { durable: last_before(checkpoint.durable_end) })
            }
        };
        self.report(Damage { path, position_bytes: 0, index, offset, fault }.into());
    }

    /// Compares the compacted segment that waits to be swapped in, if it still waits, with its manifest.
    fn wrong_waiting_length(&self, manifest: &Manifest) -> Option<(PathBuf, Reason)> {
        let context = &self.files.context;
        let output = *manifest.sources.first()?;
        let path = self.files.path(output, LOG_ENDING);
        if path == context.path(output, LOG_ENDING) {
            return None;
        }
        let file_bytes = FileWindow::open(context.environment.as_ref(), &path).ok()?.len_bytes();
        let log_bytes = manifest.log_bytes;
        (file_bytes != log_bytes).then_some((path, Reason::WaitingLength { log_bytes, file_bytes }))
    }
}

fn small_file_reason(error: &SmallFileError) -> (PathBuf, Reason) {
    match error {
        SmallFileError::Io { path, error } => (path.clone(), Reason::Unreadable(error.kind().into())),
        SmallFileError::Damaged { path, fault } => (path.clone(), Reason::SmallFile(fault.clone())),
    }
}
