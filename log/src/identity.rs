//! Whose log it is, and what its files are called.

use std::fmt;
use std::path::{Path, PathBuf};

use tidelog_proto::frame::FrameSeed;
use tidelog_proto::ids::{Offset, PartitionId, RaftIndex, TopicId};
use tidelog_proto::segment_header::SegmentHeader;

/// The partition that a log belongs to. Every file carries it, so that files of another partition never pass for ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogIdentity {
    /// The topic, by id: a topic created again under an old name never meets the old one's files.
    pub topic_id: TopicId,
    /// The partition of the topic.
    pub partition: PartitionId,
}

impl LogIdentity {
    /// Gives the seed of the frame checksums.
    #[must_use]
    pub fn seed(self) -> FrameSeed {
        FrameSeed::new(self.topic_id, self.partition)
    }

    /// Gives the log's directory below a data directory: `{topic-id}/{partition}`.
    #[must_use]
    pub fn dir(self, data_dir: &Path) -> PathBuf {
        data_dir.join(self.topic_id.to_string()).join(self.partition.to_string())
    }

    /// Reads whose log a directory holds from its path, as [`LogIdentity::dir`] makes it; `None` for every other path.
    #[must_use]
    pub fn of_dir(dir: &Path) -> Option<Self> {
        let partition = dir.file_name()?.to_str()?;
        let topic_id = dir.parent()?.file_name()?.to_str()?;
        let identity = Self { topic_id: topic_id.parse().ok()?, partition: PartitionId::new(partition.parse().ok()?) };
        let is_exact = identity.topic_id.to_string() == topic_id && identity.partition.to_string() == partition;
        is_exact.then_some(identity)
    }

    pub(crate) fn segment_header(self, name: SegmentName) -> SegmentHeader {
        SegmentHeader {
            topic_id: self.topic_id,
            partition: self.partition,
            base_offset: name.base_offset,
            base_index: name.base_index,
        }
    }
}

impl fmt::Display for LogIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic_id, self.partition)
    }
}

/// What a segment's files are called: `{base_offset:020}-{base_raft_index}` and an ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    /// Offset of the segment's first record, or the next one where it starts with internal entries.
    pub base_offset: Offset,
    /// Raft index of the segment's first entry.
    pub base_index: RaftIndex,
}

/// Ending of the file that holds the frames.
pub(crate) const LOG_ENDING: &str = "log";
/// Ending of the offset index.
pub(crate) const OFFSET_INDEX_ENDING: &str = "index";
/// Ending of the time index.
pub(crate) const TIME_INDEX_ENDING: &str = "timeindex";
/// Ending of a file that is being made and becomes another by a rename. Removed when a log is opened.
pub(crate) const TEMPORARY_ENDING: &str = "tmp";
/// Ending of a compacted segment that waits for its manifest.
pub(crate) const COMPACTED_ENDING: &str = "compacted";

impl SegmentName {
    /// Gives the file name with an ending.
    pub(crate) fn file_name(self, ending: &str) -> String {
        format!("{:020}-{}.{ending}", self.base_offset.get(), self.base_index.get())
    }

    /// Gives the path in a log's directory.
    pub(crate) fn path(self, dir: &Path, ending: &str) -> PathBuf {
        dir.join(self.file_name(ending))
    }

    /// Reads a `.log` file name; `None` for every other name.
    #[must_use]
    pub fn parse_log(file_name: &str) -> Option<Self> {
        let stem = file_name.strip_suffix(".log")?;
        let (offset, index) = stem.split_once('-')?;
        let base_offset: u64 = offset.parse().ok()?;
        let base_index: u64 = index.parse().ok()?;
        if base_offset > Offset::MAX.get() || base_index > RaftIndex::MAX.get() {
            return None;
        }
        let name = Self { base_offset: Offset::new(base_offset), base_index: RaftIndex::new(base_index) };
        (name.file_name(LOG_ENDING) == file_name).then_some(name)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{}", self.base_offset.get(), self.base_index.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_read_back_and_nothing_else_does() {
        let identity = LogIdentity { topic_id: TopicId::new([0xab; 16]), partition: PartitionId::new(7) };
        let dir = identity.dir(Path::new("/data"));
        assert_eq!(LogIdentity::of_dir(&dir), Some(identity));
        for wrong in ["07", "+7", "x", "", "4294967296"] {
            assert_eq!(LogIdentity::of_dir(&dir.with_file_name(wrong)), None, "{wrong}");
        }
        assert_eq!(LogIdentity::of_dir(Path::new("/data/topic/7")), None);
    }

    #[test]
    fn segment_names_read_back_and_nothing_else_does() {
        let name = SegmentName { base_offset: Offset::new(42), base_index: RaftIndex::new(7) };
        assert_eq!(name.file_name(LOG_ENDING), "00000000000000000042-7.log");
        assert_eq!(SegmentName::parse_log("00000000000000000042-7.log"), Some(name));
        for wrong in [
            "42-7.log",
            "00000000000000000042-07.log",
            "00000000000000000042-7.index",
            "x",
            "-.log",
            ".log",
            "99999999999999999999-1.log",
            "00000000000000000042-+7.log",
        ] {
            assert_eq!(SegmentName::parse_log(wrong), None, "{wrong}");
        }
    }
}
