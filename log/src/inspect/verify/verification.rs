//! Going through the segments of a log, from the first to the last.

use std::io;

use tidelog_proto::batch::{BatchError, DecodeLimits, RecordBatch};
use tidelog_proto::ids::{Offset, RaftIndex};
use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

use super::seals::Seals;
use super::{Observer, Verified};
use crate::checkpoint::{Checkpoint, CleanEnd};
use crate::damage::Fault;
use crate::frame_chain::{Density, FrameChain};
use crate::identity::{LOG_ENDING, SegmentName};
use crate::inspect::file_window::FileWindow;
use crate::inspect::finding::{Finding, Reason, Severity};
use crate::inspect::log_files::LogFiles;
use crate::inspect::segment_walk::{Found, FoundFrame, SegmentWalk};
use crate::open::later_frames::SegmentBytes;
use crate::segment_scan::{check_header, density_of};
use crate::segment_tail::SegmentTail;

/// A verification under way.
pub(super) struct Verification<'a> {
    pub(super) files: &'a LogFiles,
    observer: &'a mut dyn Observer,
    verified: Verified,
    /// What the first frame of the next segment must follow.
    previous: FrameChain,
    /// How far into the segment the observer knows of.
    told_bytes: u64,
}

/// A segment that was gone through.
struct Walked {
    tail: SegmentTail,
    file_bytes: u64,
    /// Not all of it is sound, or was gone through, so that its end and its checksum are not those that it should have.
    is_damaged: bool,
}

impl<'a> Verification<'a> {
    pub(super) fn new(files: &'a LogFiles, observer: &'a mut dyn Observer) -> Self {
        let checkpoint = files.sound_checkpoint();
        let start = match files.segments.first() {
            Some(first) => FrameChain::starting_at(first.base_offset, first.base_index),
            None => {
                let place = checkpoint.map(|checkpoint| (checkpoint.log_start_offset, checkpoint.raft_start));
                let (offset, index) = place.unwrap_or((Offset::ZERO, RaftIndex::ZERO));
                FrameChain::starting_at(offset, index)
            }
        };
        let verified = Verified {
            identity: files.context.identity,
            segments: files.segments.len() as u64,
            frames: 0,
            batches: 0,
            records: 0,
            frame_bytes: 0,
            log_start_offset: checkpoint.map(|checkpoint| checkpoint.log_start_offset),
            end_offset: start.next_offset,
            end_index: start.next_index,
            damages: 0,
            notes: 0,
        };
        Self { files, observer, verified, previous: start, told_bytes: 0 }
    }

    pub(super) fn run(mut self) -> Verified {
        let files = self.files;
        self.look_at_strays();
        self.check_small_files();
        self.check_start();
        for (number, name) in files.segments.iter().enumerate() {
            if self.observer.is_done() {
                break;
            }
            match (files.segments.get(number + 1), self.clean_end(*name)) {
                (Some(next), _) => self.check_sealed(*name, *next),
                (None, Some(checkpoint)) => self.check_closed(*name, checkpoint),
                (None, None) => self.check_unsealed(*name),
            }
        }
        self.verified
    }

    /// Gives the checkpoint if it says that the log was closed with this segment as its last.
    fn clean_end(&self, name: SegmentName) -> Option<&'a Checkpoint> {
        let closed_here = |clean: CleanEnd| clean.last_segment == name;
        self.files.sound_checkpoint().filter(|checkpoint| checkpoint.clean_end.is_some_and(closed_here))
    }

    // Segments.

    /// Checks a segment that another one follows.
    fn check_sealed(&mut self, name: SegmentName, next: SegmentName) {
        let mut seals = Seals::open(self.files, name);
        let walked = self.walk_sealed(name, Some(next), &mut seals);
        let mut is_short = false;
        if let Some(walked) = &walked
            && !walked.is_damaged
        {
            let end = walked.tail.chain;
            if end.next_index < next.base_index || end.next_offset < next.base_offset {
                is_short = true;
                self.report_at_end(name, walked, Reason::Segment(Fault::MissingBefore { found: next.base_index }));
            } else if end.next_index > next.base_index || end.next_offset > next.base_offset {
                self.report_at_end(name, walked, Reason::Overlap { next_base_index: next.base_index });
            }
        }
        self.finish_seals(seals, walked.as_ref(), is_short);
        self.previous = FrameChain { next_offset: next.base_offset, next_index: next.base_index, ..self.previous };
    }

    /// Checks the last segment of a log that was closed in order.
    fn check_closed(&mut self, name: SegmentName, checkpoint: &Checkpoint) {
        let mut seals = Seals::open(self.files, name);
        let walked = self.walk_sealed(name, None, &mut seals);
        let mut is_short = false;
        if let Some(walked) = &walked
            && !walked.is_damaged
        {
            is_short = self.check_reaches(name, walked, checkpoint.durable_end);
            let clean_end = checkpoint.clean_end.filter(|clean| {
                !is_short
                    && (clean.position_bytes, walked.file_bytes) != (walked.tail.position_bytes, clean.position_bytes)
            });
            if let Some(clean) = clean_end {
                let (last_segment, position_bytes) = (clean.last_segment, clean.position_bytes);
                self.report_at_end(name, walked, Reason::CleanEnd { last_segment, position_bytes });
            }
        }
        self.finish_seals(seals, walked.as_ref(), is_short);
    }

    /// Checks the last segment of a log that was not closed: it may have a torn tail above the durable mark.
    fn check_unsealed(&mut self, name: SegmentName) {
        let Some((mut walk, mut is_damaged)) = self.start_walk(name, Density::Dense) else { return };
        let durable_end = self.files.sound_checkpoint().map_or(RaftIndex::ZERO, |checkpoint| checkpoint.durable_end);
        let outcome = self.walk_unsealed(name, &mut walk, durable_end, &mut is_damaged);
        is_damaged |= self.report_unreadable(name, &walk, outcome);
        let walked = self.end_walk(&walk, is_damaged);
        if !walked.is_damaged {
            self.check_reaches(name, &walked, durable_end);
        }
    }

    fn walk_unsealed(
        &mut self,
        name: SegmentName,
        walk: &mut SegmentWalk,
        durable_end: RaftIndex,
        is_damaged: &mut bool,
    ) -> io::Result<()> {
        // The durable mark, once it is needed.
        let mut mark = None;
        while !self.observer.is_done() {
            let found = walk.look()?;
            let fault = match &found {
                Found::Frame(frame) => frame.broken_link.map(Fault::Chain),
                Found::Damage(fault) => Some(fault.clone()),
                Found::Unwritten | Found::End => return Ok(()),
            };
            if let Some(fault) = fault {
                // As recovery judges it. What stands behind later damage stands behind the first as well.
                let mark = match mark {
                    Some(mark) => mark,
                    None => *mark.insert(durable_end.max(walk.committed_end_behind()?.unwrap_or(durable_end))),
                };
                if walk.tail().chain.next_index >= mark && !walk.is_of_newer_release(&fault)? {
                    self.report_at(name, walk.tail(), Reason::TornTail(fault));
                    return Ok(());
                }
                *is_damaged = true;
                self.report_at(name, walk.tail(), Reason::Segment(fault));
            }
            match found {
                Found::Frame(frame) => self.pass(name, walk, &frame),
                _ => walk.pass_damage()?,
            }
        }
        Ok(())
    }

    /// Goes through a segment of which everything was durable.
    fn walk_sealed(&mut self, name: SegmentName, next: Option<SegmentName>, seals: &mut Seals) -> Option<Walked> {
        let may_be_compacted = || {
            let raft_start = self.files.sound_checkpoint().map(|checkpoint| checkpoint.raft_start);
            next.zip(raft_start).is_some_and(|(next, raft_start)| next.base_index <= raft_start)
        };
        let density = match seals.summary() {
            Some(summary) => density_of(Some(&summary)),
            // The flag is lost with the seal.
            None if may_be_compacted() => Density::Rising,
            None => Density::Dense,
        };
        let (mut walk, mut is_damaged) = self.start_walk(name, density)?;
        let outcome = self.walk_frames(name, &mut walk, seals, &mut is_damaged);
        is_damaged |= self.report_unreadable(name, &walk, outcome);
        Some(self.end_walk(&walk, is_damaged))
    }

    fn walk_frames(
        &mut self,
        name: SegmentName,
        walk: &mut SegmentWalk,
        seals: &mut Seals,
        is_damaged: &mut bool,
    ) -> io::Result<()> {
        while !self.observer.is_done() {
            match walk.look()? {
                Found::Frame(frame) => {
                    if let Some(error) = frame.broken_link {
                        *is_damaged = true;
                        self.report_at(name, walk.tail(), Reason::Segment(Fault::Chain(error)));
                    }
                    if !*is_damaged {
                        seals.check_entries_at(walk.tail(), &frame.meta);
                    }
                    self.pass(name, walk, &frame);
                }
                Found::Damage(fault) => {
                    *is_damaged = true;
                    self.report_at(name, walk.tail(), Reason::Segment(fault));
                    walk.pass_damage()?;
                }
                Found::Unwritten => {
                    let bytes = walk.file_bytes() - walk.tail().position_bytes;
                    self.report_at(name, walk.tail(), Reason::UnwrittenEnd { bytes });
                    return Ok(());
                }
                Found::End => return Ok(()),
            }
        }
        Ok(())
    }

    /// Checks the header of a segment; `None` where there is nothing to go through.
    fn start_walk(&mut self, name: SegmentName, density: Density) -> Option<(SegmentWalk, bool)> {
        let files = self.files;
        let path = files.path(name, LOG_ENDING);
        self.told_bytes = 0;
        let opened = FileWindow::open(files.context.environment.as_ref(), &path).and_then(|mut window| {
            let header = check_header(&files.context, name, &window.at(0, SEGMENT_HEADER_BYTES as u64)?);
            Ok((window, header))
        });
        let report = |reason| Finding {
            path: path.clone(),
            position_bytes: 0,
            index: Some(name.base_index),
            offset: Some(name.base_offset),
            reason,
        };
        match opened {
            Err(error) => {
                let is_gone =
                    error.kind() == io::ErrorKind::NotFound && matches!(files.is_still_there(&path), Ok(false));
                self.report(report(if is_gone { Reason::RemovedMeanwhile } else { Reason::Unreadable(error) }));
                None
            }
            Ok((_, Err(Fault::ForeignSegment))) => {
                self.report(report(Reason::Segment(Fault::ForeignSegment)));
                None
            }
            Ok((window, header)) => {
                let is_damaged = header.is_err();
                if let Err(fault) = header {
                    self.report(report(Reason::Segment(fault)));
                }
                // The name says what the header would.
                Some((SegmentWalk::new(window, files.context.header(name), density, self.previous), is_damaged))
            }
        }
    }

    fn end_walk(&mut self, walk: &SegmentWalk, is_damaged: bool) -> Walked {
        let tail = walk.tail().clone();
        self.tell(walk.file_bytes());
        self.previous = tail.chain;
        self.verified.end_offset = tail.chain.next_offset;
        self.verified.end_index = tail.chain.next_index;
        Walked { tail, file_bytes: walk.file_bytes(), is_damaged: is_damaged || self.observer.is_done() }
    }

    /// Takes in a sound frame and moves behind it.
    fn pass(&mut self, name: SegmentName, walk: &mut SegmentWalk, found: &FoundFrame) {
        self.verified.frames += 1;
        self.verified.frame_bytes += found.meta.frame_bytes;
        if let Some(batch) = found.frame.batch() {
            self.verified.batches += 1;
            self.verified.records += u64::from(batch.header().record_count());
            if let Err(error) = walk_records(&batch) {
                let (index, offset) = (Some(found.meta.stamp.index), Some(found.meta.base_offset));
                let (path, position_bytes) = (self.files.path(name, LOG_ENDING), walk.tail().position_bytes);
                self.report(Finding { path, position_bytes, index, offset, reason: Reason::Records(error) });
            }
        }
        self.observer.passed(&found.frame);
        walk.pass(found);
        self.tell(walk.tail().position_bytes);
    }

    /// Tells the observer how far into the segment it went.
    fn tell(&mut self, position_bytes: u64) {
        self.observer.read_bytes(position_bytes.saturating_sub(self.told_bytes));
        self.told_bytes = position_bytes;
    }

    /// Checks that the last segment holds everything below `durable_end`, and the log its own start; tells whether the
    /// first does not.
    fn check_reaches(&mut self, name: SegmentName, walked: &Walked, durable_end: RaftIndex) -> bool {
        let end = walked.tail.chain;
        if end.next_index < durable_end {
            let durable = last_before(durable_end);
            self.report_at_end(name, walked, Reason::Segment(Fault::EndsEarly { durable }));
            return true;
        }
        if let Some(checkpoint) = self.files.sound_checkpoint() {
            let (log_start_offset, raft_start) = (checkpoint.log_start_offset, checkpoint.raft_start);
            if end.next_offset < log_start_offset || end.next_index < raft_start {
                self.report_at_end(name, walked, Reason::EndsBeforeStart { log_start_offset, raft_start });
            }
        }
        false
    }

    fn finish_seals(&mut self, seals: Seals, walked: Option<&Walked>, is_short: bool) {
        let whole = walked.filter(|walked| !walked.is_damaged);
        for finding in seals.finish(whole.map(|walked| &walked.tail), is_short) {
            self.report(finding);
        }
    }

    // Reporting.

    /// Reports that a segment could not be read any further, if so.
    fn report_unreadable(&mut self, name: SegmentName, walk: &SegmentWalk, outcome: io::Result<()>) -> bool {
        let Err(error) = outcome else { return false };
        self.report_at(name, walk.tail(), Reason::Unreadable(error));
        true
    }

    fn report_at_end(&mut self, name: SegmentName, walked: &Walked, reason: Reason) {
        self.report_at(name, &walked.tail, reason);
    }

    /// Reports something at the place where a segment has been gone through to.
    fn report_at(&mut self, name: SegmentName, tail: &SegmentTail, reason: Reason) {
        self.report(Finding {
            path: self.files.path(name, LOG_ENDING),
            position_bytes: tail.position_bytes,
            index: Some(tail.chain.next_index),
            offset: Some(tail.chain.next_offset),
            reason,
        });
    }

    pub(super) fn report(&mut self, finding: Finding) {
        match finding.reason.severity() {
            Severity::Damage => self.verified.damages += 1,
            Severity::Note => self.verified.notes += 1,
        }
        self.observer.found(finding);
    }
}

/// Reads every record of a batch.
fn walk_records(batch: &RecordBatch) -> Result<(), BatchError> {
    batch.records(DecodeLimits::default())?.try_for_each(|record| record.map(drop))
}

pub(super) fn last_before(end: RaftIndex) -> RaftIndex {
    RaftIndex::new(end.get().saturating_sub(1))
}
