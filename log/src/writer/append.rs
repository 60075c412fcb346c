//! Appending frames.

use std::io;

use tidelog_proto::frame::{FRAME_HEADER_BYTES, Frame};
use tidelog_proto::ids::{Offset, RaftIndex};

use super::{AppendError, LogWriter, WriteError};
use crate::config::ALLOCATION_BYTES_MIN;
use crate::frame_chain::{Density, FrameMeta};

/// Where an append ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the next record.
    pub end_offset: Offset,
    /// Index of the next entry.
    pub end_index: RaftIndex,
}

impl LogWriter {
    /// Appends frames in order. They are visible at once, and durable after the next sync that begins after this call.
    ///
    /// All frames are checked before the first is written: they must be made for this partition, follow the log's end
    /// and one another.
    ///
    /// # Errors
    /// A refused frame, with nothing written; a full disk, with the number of frames that were appended before; a failed
    /// write, which poisons the log.
    pub fn append(&mut self, frames: &[Frame]) -> Result<Appended, AppendError> {
        self.usable()?;
        let metas = self.check(frames)?;
        self.leave_clean_end().map_err(|error| disk_full(error, 0))?;
        let mut appended = 0;
        while appended < frames.len() {
            if self.must_roll(&metas[appended]) {
                self.roll().map_err(|error| disk_full(error, appended))?;
            }
            let run = self.fitting(&metas[appended..]);
            let (frames, metas) = (&frames[appended..appended + run], &metas[appended..appended + run]);
            let end_bytes = self.active.tail.position_bytes + metas.iter().map(|meta| meta.frame_bytes).sum::<u64>();
            self.allocate(end_bytes, appended)?;
            let outcome = self.write(frames, metas);
            self.or_poison(outcome)?;
            self.publish_end();
            appended += run;
        }
        Ok(Appended { end_offset: self.end_offset(), end_index: self.end_index() })
    }

    /// Tells whether frames that may be appended go into the active segment, so that appending them does not roll.
    pub(crate) fn fits_active_segment<'a>(&self, frames: impl Iterator<Item = &'a Frame>) -> bool {
        let metas: Vec<_> = frames.map(FrameMeta::of_frame).collect();
        metas.first().is_none_or(|first| !self.must_roll(first) && self.fitting(&metas) == metas.len())
    }

    fn check(&self, frames: &[Frame]) -> Result<Vec<FrameMeta>, AppendError> {
        let mut chain = self.active.tail.chain;
        let mut metas = Vec::with_capacity(frames.len());
        for (number, frame) in frames.iter().enumerate() {
            if !frame.is_sealed_with(self.context.seed) {
                return Err(AppendError::ForeignFrame { frame: number });
            }
            // Recovery would take what does not fit its checksum for a torn write, and cut it with all behind it.
            frame.verify().map_err(|error| AppendError::Frame { frame: number, error })?;
            let meta = FrameMeta::of_frame(frame);
            chain.check(&meta, Density::Dense).map_err(|error| AppendError::Chain { frame: number, error })?;
            chain.advance(&meta);
            metas.push(meta);
        }
        Ok(metas)
    }

    /// Tells whether a frame belongs into a new segment. It depends on entries only, so that replicas roll alike.
    fn must_roll(&self, frame: &FrameMeta) -> bool {
        let tail = &self.active.tail;
        let Some(first_ms) = tail.first_append_time_ms else { return false };
        let age_ms = frame.stamp.append_time_ms.saturating_sub(first_ms);
        tail.position_bytes + frame.frame_bytes > self.config.segment_bytes
            || u64::try_from(age_ms).is_ok_and(|age_ms| age_ms >= self.config.segment_ms)
            || !tail.can_hold(frame)
    }

    /// Counts how many of the frames go into the active segment together, at least one.
    fn fitting(&self, metas: &[FrameMeta]) -> usize {
        let tail = &self.active.tail;
        let first_ms = tail.first_append_time_ms.unwrap_or(metas[0].stamp.append_time_ms);
        let mut end_bytes = tail.position_bytes;
        let fits = |meta: &&FrameMeta| {
            end_bytes += meta.frame_bytes;
            let age_ms = meta.stamp.append_time_ms.saturating_sub(first_ms);
            end_bytes <= self.config.segment_bytes
                && u64::try_from(age_ms).is_ok_and(|age_ms| age_ms < self.config.segment_ms)
                && tail.can_hold(meta)
        };
        metas.iter().take_while(fits).count().max(1)
    }

    /// Sees to it that the active segment has real blocks up to `end_bytes`, some ahead if there is room.
    fn allocate(&mut self, end_bytes: u64, appended: usize) -> Result<(), AppendError> {
        let allocated = self.active.allocated_bytes;
        if end_bytes <= allocated {
            return Ok(());
        }
        let step = allocated.clamp(ALLOCATION_BYTES_MIN, self.config.allocation_bytes_max);
        let ahead = (allocated + step).min(self.config.segment_bytes);
        for target in [ahead.max(end_bytes), end_bytes] {
            match self.active.file.allocate(allocated..target) {
                Ok(()) => {
                    self.active.allocated_bytes = target;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
                Err(error) => return self.or_poison(Err(error)).map_err(AppendError::Write),
            }
        }
        Err(AppendError::DiskFull { appended, needed_bytes: end_bytes - allocated })
    }

    fn write(&mut self, frames: &[Frame], metas: &[FrameMeta]) -> io::Result<()> {
        let headers: Vec<[u8; FRAME_HEADER_BYTES]> = frames.iter().map(|frame| frame.header().encode()).collect();
        let pieces = headers.iter().zip(frames).flat_map(|(header, frame)| [header.as_slice(), frame.body().as_ref()]);
        let position_bytes = self.active.tail.position_bytes;
        self.staging.write(self.active.file.as_ref(), position_bytes, pieces)?;
        for ((header, frame), meta) in headers.iter().zip(frames).zip(metas) {
            if let Some(due) = self.active.tail.due_entries(meta, self.config.index_interval_bytes) {
                self.active.indexes.push(due)?;
                self.active.tail.entries_added();
            }
            self.active.tail.advance(meta, &[header, frame.body()]);
        }
        Ok(())
    }
}

/// Makes a full disk one kind of error, whichever step met it.
fn disk_full(error: WriteError, appended: usize) -> AppendError {
    match error {
        WriteError::DiskFull { .. } => AppendError::DiskFull { appended, needed_bytes: ALLOCATION_BYTES_MIN },
        error => error.into(),
    }
}
