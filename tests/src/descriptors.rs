//! What an open log holds of the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidelog_log::environment::RealEnvironment;
use tidelog_log::{Log, LogConfig, LogIdentity};
use tidelog_proto::frame::{Frame, FrameStamp, FrameType};
use tidelog_proto::ids::{Offset, PartitionId, RaftIndex, RaftTerm, TopicId};

const IDENTITY: LogIdentity = LogIdentity { topic_id: TopicId::new([3; 16]), partition: PartitionId::new(0) };

/// Three stayed open for each segment that was rolled.
#[test]
fn sealed_segments_hold_no_descriptors() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = fs::canonicalize(dir.path()).expect("it is there").join("log");
    let config = LogConfig { segment_bytes: 4096, ..LogConfig::default() };
    let mut log = Log::open(Arc::new(RealEnvironment::new()), &dir, IDENTITY, config).expect("a new log");
    let frames: Vec<Frame> = (0..2_000).map(no_op).collect();
    log.writer.append(&frames).expect("there is space");
    let end = log.writer.end_index();
    log.reader.advance_committed(end).expect("it is there");
    let found = log.reader.read_entries(RaftIndex::new(0), end, u64::MAX).expect("it is sound");
    assert_eq!(found.len(), frames.len());
    assert!(log.reader.segments().len() > 20);
    assert_eq!(open_files(&dir), 3, "the active segment and its two indexes");
}

fn no_op(index: u64) -> Frame {
    let stamp = FrameStamp { term: RaftTerm::new(1), index: RaftIndex::new(index), commit_lag: 1, append_time_ms: 0 };
    Frame::internal(IDENTITY.seed(), FrameType::NoOp, stamp, Offset::new(0), &[]).expect("it is small")
}

/// Counts the descriptors of this process for files in a directory.
fn open_files(dir: &Path) -> usize {
    let target = |entry: std::io::Result<fs::DirEntry>| fs::read_link(entry.expect("it is listed").path());
    let lies_in_dir = |target: &PathBuf| target.starts_with(dir);
    fs::read_dir("/proc/self/fd").expect("Linux").filter_map(|entry| target(entry).ok()).filter(lies_in_dir).count()
}
