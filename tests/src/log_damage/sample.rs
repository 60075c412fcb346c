//! Sound logs to be damaged, each time in a copy.

use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};

use tidelog_log::environment::simulated::SimulatedEnvironment;
use tidelog_log::{LogConfig, SegmentName};
use tidelog_proto::batch::Compression;
use tidelog_proto::ids::RaftIndex;
use tidelog_proto::segment_header::SEGMENT_HEADER_BYTES;

use super::verdict::Place;
use crate::log_fixture::model::LogModel;
use crate::log_fixture::tracked_log::{Ending, Step, TrackedLog};
use crate::log_fixture::{DIR, ORIGIN};

const INDEX_HEADER_BYTES: usize = 128;

/// A sound log.
pub(super) struct Sample {
    /// Where it lies.
    pub(super) machine: SimulatedEnvironment,
    /// What it holds.
    pub(super) model: LogModel,
    /// Its files, sorted by path.
    pub(super) files: Vec<SampleFile>,
}

/// A file of a sound log.
#[derive(Clone, Debug)]
pub(super) struct SampleFile {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// A frame in a segment file.
#[derive(Clone, Debug)]
pub(super) struct FramePlace {
    pub(super) index: RaftIndex,
    pub(super) bytes: Range<u64>,
}

impl Sample {
    /// Takes what a log has on its disk now.
    pub(super) fn of(tracked: &TrackedLog) -> Self {
        let machine = tracked.machine.duplicate();
        let file = |path: PathBuf| {
            let bytes = machine.read_contents(&path).expect("it is listed");
            SampleFile { path, bytes }
        };
        let files = machine.files().into_iter().map(file).collect();
        Self { machine, model: tracked.model.clone(), files }
    }

    /// Makes a log of a few small segments that was closed in order.
    pub(super) fn closed() -> Self {
        let samples = (0..).map(|seed| {
            let mut tracked = born(seed, config(1_000));
            for step in [Step::Append(5), Step::Sync, Step::Commit, Step::Append(5), Step::Append(3), Step::Sync] {
                tracked.take(step).expect("nothing fails");
            }
            close(&mut tracked);
            Self::of(&tracked)
        });
        samples.into_iter().find(Self::is_varied).expect("one of all seeds will do")
    }

    /// Tells whether there is an internal entry, a batch of every codec, and an index with entries beside each of two or
    /// three segments.
    fn is_varied(&self) -> bool {
        let batches = || self.model.entries.iter().filter_map(|entry| entry.batch.as_ref());
        let codecs = [Compression::None, Compression::Gzip, Compression::Lz4];
        let has_codec = |codec| batches().any(|batch| batch.header().compression() == codec);
        let index_bytes = |segment| self.file(&path_of(segment, "index")).bytes.len();
        (2..=3).contains(&self.segments().len())
            && codecs.into_iter().all(has_codec)
            && batches().count() < self.model.entries.len()
            && self.segments().into_iter().all(|segment| index_bytes(segment) > INDEX_HEADER_BYTES)
    }

    /// Gives where the segments begin.
    pub(super) fn segments(&self) -> Vec<SegmentName> {
        self.model.segments.clone().expect("nothing is under way")
    }

    /// Gives the file at `path`.
    pub(super) fn file(&self, path: &Path) -> &SampleFile {
        self.files.iter().find(|file| file.path == path).expect("the sample has such a file")
    }

    /// Gives the frames of a segment with their places.
    pub(super) fn frames_of(&self, segment: SegmentName) -> Vec<FramePlace> {
        let next = self.segments().into_iter().find(|next| *next > segment);
        let end_index = next.map_or(self.model.end_index(), |next| next.base_index);
        let entries = &self.model.entries[self.model.number_of(segment.base_index)..self.model.number_of(end_index)];
        let mut position = SEGMENT_HEADER_BYTES as u64;
        entries
            .iter()
            .map(|entry| {
                let bytes = position..position + entry.frame.frame_bytes() as u64;
                position = bytes.end;
                FramePlace { index: entry.frame.stamp().index, bytes }
            })
            .collect()
    }

    /// Gives the segment whose `.log` file is at `path`.
    pub(super) fn segment_at(&self, path: &Path) -> Option<SegmentName> {
        self.segments().into_iter().find(|segment| path_of(*segment, "log") == path)
    }

    /// Gives the first bytes of the frames that meet `range` of a segment file, and of the header if that does.
    pub(super) fn places_in(&self, segment: SegmentName, range: &Range<u64>) -> Vec<Place> {
        let path = path_of(segment, "log");
        let header = 0..SEGMENT_HEADER_BYTES as u64;
        let parts = iter::once(header).chain(self.frames_of(segment).into_iter().map(|frame| frame.bytes));
        let meets = |part: &Range<u64>| part.start < range.end && range.start < part.end;
        parts.filter(meets).map(|part| Place::at(&path, part.start)).collect()
    }

    /// Gives the first byte of the frame, or of the segment header, in which `position_bytes` lies.
    pub(super) fn place_of(&self, segment: SegmentName, position_bytes: u64) -> u64 {
        let frames = self.frames_of(segment);
        let frame = frames.iter().rev().find(|frame| frame.bytes.start <= position_bytes);
        frame.map_or(0, |frame| frame.bytes.start.min(position_bytes))
    }
}

/// Gives the path of a segment's file.
pub(super) fn path_of(segment: SegmentName, ending: &str) -> PathBuf {
    Path::new(DIR).join(format!("{segment}.{ending}"))
}

/// Creates a log.
pub(super) fn born(seed: u64, config: LogConfig) -> TrackedLog {
    let mut tracked = TrackedLog::new(seed, config, ORIGIN);
    tracked.open(Ending::PowerCut).expect("a new log");
    tracked
}

pub(super) fn config(segment_bytes: u64) -> LogConfig {
    LogConfig { segment_bytes, index_interval_bytes: 250, ..LogConfig::default() }
}

/// Closes a log in order.
pub(super) fn close(tracked: &mut TrackedLog) {
    tracked.log.take().expect("it is open").writer.close().expect("nothing fails");
}
