//! What changes a log.
//!
//! Each change first widens the model to all that may come of it, and narrows it again when the log says how it ended.

use tidelog_log::environment::Environment;
use tidelog_log::{AppendError, SegmentName, WriteError, retention};
use tidelog_proto::frame::Frame;
use tidelog_proto::ids::{Offset, RaftIndex};

use super::{Ending, Failure, TrackedLog};
use crate::log_fixture::model::Entry;

impl TrackedLog {
    /// Appends `count` random entries in one call.
    pub(crate) fn append(&mut self, count: usize) -> Result<(), Failure> {
        let frames = self.maker.frames(&self.model, count, self.machine.now_ms());
        self.append_frames(&frames)
    }

    /// Appends entries in one call.
    pub(crate) fn append_frames(&mut self, frames: &[Frame]) -> Result<(), Failure> {
        let before = self.model.entries.len();
        let segments = self.model.segments.take();
        let now_ms = self.machine.now_ms();
        self.model.entries.extend(frames.iter().map(|frame| Entry::new(frame.clone(), now_ms)));
        let outcome = self.log().writer.append(frames);
        let done = match &outcome {
            Ok(appended) => {
                assert_eq!(appended.end_index, self.model.end_index());
                assert_eq!(appended.end_offset, self.model.end_offset());
                frames.len()
            }
            // Nothing is known of the others; segments may have been rolled before the disk was full.
            Err(AppendError::DiskFull { appended, .. }) => *appended,
            Err(AppendError::Chain { .. } | AppendError::ForeignFrame { .. } | AppendError::Frame { .. }) => {
                panic!("refused: {outcome:?}")
            }
            Err(AppendError::Write(_)) => return outcome.map(drop).map_err(Failure::from),
        };
        let added = self.model.entries.split_off(before);
        self.model.segments = segments;
        self.model.append(added.into_iter().take(done));
        if outcome.is_err() {
            self.adopt_unchanged();
        }
        self.hold_to_durable_end();
        outcome.map(drop).map_err(Failure::from)
    }

    /// Makes everything durable.
    pub(crate) fn sync(&mut self) -> Result<(), Failure> {
        self.log().writer.sync()?;
        self.model.durable_end = self.model.end_index();
        self.hold_to_durable_end();
        Ok(())
    }

    /// Appends while a sync is under way: only what came before it is durable then.
    pub(crate) fn sync_behind_appends(&mut self, count: usize) -> Result<(), Failure> {
        let pending = self.log().writer.begin_sync();
        let covered_to = self.model.end_index();
        self.append(count)?;
        let outcome = pending.run();
        self.log().writer.finish_sync(&pending, outcome)?;
        self.model.durable_end = self.model.durable_end.max(covered_to);
        self.hold_to_durable_end();
        Ok(())
    }

    /// Seals the active segment.
    pub(crate) fn roll(&mut self) -> Result<(), Failure> {
        let segments = self.model.segments.take();
        let outcome = self.log().writer.roll();
        self.or_as_before(outcome)?;
        self.model.segments = segments;
        self.model.roll();
        self.hold_to_durable_end();
        Ok(())
    }

    /// Notes what is durable.
    pub(crate) fn checkpoint(&mut self) -> Result<(), Failure> {
        Ok(self.log().writer.write_checkpoint()?)
    }

    /// Commits entries below `end` in the cluster, and tells the log so if `told`.
    pub(crate) fn commit(&mut self, end: RaftIndex, told: bool) -> Result<(), Failure> {
        self.model.committed_end = self.model.committed_end.max(end);
        if told {
            let committed_end = self.model.committed_end;
            self.log().reader.advance_committed(committed_end)?;
            self.model.told_committed_end = committed_end;
            assert_eq!(self.log().reader.committed_end(), committed_end);
        }
        Ok(())
    }

    /// Cuts the entries from `from` on.
    pub(crate) fn truncate(&mut self, from: RaftIndex) -> Result<(), Failure> {
        let segments = self.model.segments.take();
        self.model.written_end = self.model.written_end.min(from);
        self.model.durable_end = self.model.durable_end.min(from);
        let outcome = self.log().writer.truncate_suffix(from);
        self.or_as_before(outcome)?;
        self.model.segments = segments;
        self.model.cut(from);
        // Cut for good, and what is left of the log is as written as it was.
        self.model.written_end = self.model.end_index();
        self.hold_to_durable_end();
        Ok(())
    }

    /// Moves the start of the log.
    pub(crate) fn advance_start(&mut self, log_start_offset: Offset, raft_start: RaftIndex) -> Result<(), Failure> {
        let model = &mut self.model;
        model.coming_start = Some((model.log_start_offset.max(log_start_offset), model.raft_start.max(raft_start)));
        let segments = model.segments.take();
        let outcome = self.log().writer.advance_start(log_start_offset, raft_start);
        self.or_as_before(outcome)?;
        self.model.coming_start = None;
        self.model.segments = segments;
        self.model.move_start(log_start_offset, raft_start);
        self.hold_to_durable_end();
        Ok(())
    }

    /// Begins the log anew, as behind a snapshot.
    pub(crate) fn start_anew(&mut self, start: SegmentName) -> Result<(), Failure> {
        self.model.coming_anew = Some(start);
        let segments = self.model.segments.take();
        let outcome = self.log().writer.start_anew(start);
        self.or_as_before(outcome)?;
        self.model.segments = segments;
        self.model.start_anew(start);
        self.check_ends();
        Ok(())
    }

    /// Deletes what the retention of the configuration gives up.
    pub(crate) fn retain(&mut self) -> Result<(), Failure> {
        let now_ms = self.machine.now_ms();
        let reader = &self.log().reader;
        let (segments, committed_end) = (reader.segments(), reader.committed_end());
        match retention::new_start(&segments, &self.model.config, now_ms, committed_end) {
            Some(start) => self.advance_start(start.log_start_offset, start.raft_start),
            None => Ok(()),
        }
    }

    /// Closes the log in order and opens it again.
    pub(crate) fn reopen(&mut self) -> Result<(), Failure> {
        let log = self.log.take().expect("the log is open");
        log.writer.close()?;
        self.model.durable_end = self.model.end_index();
        self.open(Ending::Closed)
    }

    /// Ends the life of the process or the machine, and opens the log in the next.
    pub(crate) fn restart(&mut self, ending: Ending) -> Result<(), Failure> {
        self.end_life(ending);
        self.open(ending)
    }

    /// Passes an outcome on. Where the disk was full or a read failed nothing has changed, and the log must still be what it
    /// was.
    fn or_as_before(&mut self, outcome: Result<(), WriteError>) -> Result<(), Failure> {
        if outcome.is_err() && !self.log().writer.is_poisoned() {
            self.adopt_unchanged();
        }
        outcome.map_err(Failure::from)
    }

    fn adopt_unchanged(&mut self) {
        let durable_end = self.log().writer.durable_end();
        let model = &mut self.model;
        model.written_end = model.end_index();
        model.durable_end = durable_end;
        model.coming_start = None;
        model.coming_anew = None;
        // A segment may have been rolled before the disk was full.
        model.segments = None;
        self.adopt_segments();
        self.check_ends();
    }

    /// Holds the log to what it says is durable, which must be no less than what it promised.
    fn hold_to_durable_end(&mut self) {
        let durable_end = self.log().writer.durable_end();
        let model = &mut self.model;
        assert!(durable_end >= model.durable_end, "{durable_end} is durable, but {} was promised", model.durable_end);
        assert!(durable_end <= model.end_index(), "{durable_end} is durable, past the end {}", model.end_index());
        model.durable_end = durable_end;
    }
}
