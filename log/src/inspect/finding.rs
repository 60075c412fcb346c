//! What an inspection finds: what is wrong, or worth knowing, and exactly where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tidelog_proto::batch::BatchError;
use tidelog_proto::ids::{Offset, RaftIndex};

use super::index_fault::IndexFault;
use crate::damage::{Damage, Fault};
use crate::identity::{LogIdentity, SegmentName};
use crate::small_file::SmallFileFault;

/// Something found in a log's directory.
#[derive(Debug)]
pub struct Finding {
    /// The file, or the directory where something is missing.
    pub path: PathBuf,
    /// The byte of the file where it starts.
    pub position_bytes: u64,
    /// The Raft index that it concerns, where it concerns one: of a damaged frame, the one that should stand there.
    pub index: Option<RaftIndex>,
    /// The offset that it concerns, where it concerns one: of a damaged frame, the one that should stand there.
    pub offset: Option<Offset>,
    /// What it is.
    pub reason: Reason,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Bytes are not what was written, or are gone.
    Damage,
    /// A log in order may look like this, after a crash say.
    Note,
}

/// What a [`Finding`] is.
#[derive(Debug)]
pub enum Reason {
    // Damage to what the log holds.
    /// Bytes of a segment are not what was written, or are gone.
    Segment(Fault),
    /// A batch is what was written, but its records cannot be read.
    Records(BatchError),
    /// A segment holds entries that the next one holds as well.
    Overlap {
        /// The first index of the next segment.
        next_base_index: RaftIndex,
    },
    /// There are segments but no checkpoint, so nobody knows what was durable.
    CheckpointMissing,
    /// The checkpoint, or the manifest of a compaction, is damaged.
    SmallFile(SmallFileFault),
    /// The checkpoint is another partition's.
    ForeignCheckpoint {
        /// Whose it is.
        found: LogIdentity,
    },
    /// The log does not end where the checkpoint says that it was closed.
    CleanEnd {
        /// The last segment according to the checkpoint.
        last_segment: SegmentName,
        /// Its end according to the checkpoint.
        position_bytes: u64,
    },
    /// The log ends before its own start.
    EndsBeforeStart {
        /// First offset that is kept, according to the checkpoint.
        log_start_offset: Offset,
        /// First index that is kept, according to the checkpoint.
        raft_start: RaftIndex,
    },
    /// A compacted segment that waits to be swapped in is not as long as its manifest says.
    WaitingLength {
        /// Length according to the manifest.
        log_bytes: u64,
        /// Length of the file.
        file_bytes: u64,
    },
    /// The machine did not give us the bytes.
    Unreadable(io::Error),

    // Damage to what can be made again from the segments.
    /// An index file is not what was written; or, where a log in order may look like that, not written yet.
    Index(IndexFault),

    // Notes.
    /// An unfinished write that nobody was told about; it is cut when the log is opened.
    TornTail(Fault),
    /// A sealed segment's file goes on behind its last frame, with zeros.
    UnwrittenEnd {
        /// How many bytes.
        bytes: u64,
    },
    /// An interrupted step left the file; it is removed when the log is opened.
    LeftOver,
    /// A file whose name is none of ours; it is left alone.
    UnknownFile,
    /// A compaction was interrupted while it swapped segments; opening the log finishes it. What was inspected are the
    /// segments as they will be then.
    SwapPending,
    /// The file was there at first and is gone: somebody uses the log meanwhile.
    RemovedMeanwhile,
}

impl Reason {
    /// Tells how bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Segment(_)
            | Self::Records(_)
            | Self::Overlap { .. }
            | Self::CheckpointMissing
            | Self::SmallFile(_)
            | Self::ForeignCheckpoint { .. }
            | Self::CleanEnd { .. }
            | Self::EndsBeforeStart { .. }
            | Self::WaitingLength { .. }
            | Self::Unreadable(_) => Severity::Damage,
            Self::Index(IndexFault::NotSealed | IndexFault::Missing) => Severity::Note,
            Self::Index(_) => Severity::Damage,
            Self::TornTail(_)
            | Self::UnwrittenEnd { .. }
            | Self::LeftOver
            | Self::UnknownFile
            | Self::SwapPending
            | Self::RemovedMeanwhile => Severity::Note,
        }
    }

    /// Tells whether records may be lost or wrong; an index can be made again from them.
    #[must_use]
    pub fn concerns_records(&self) -> bool {
        self.severity() == Severity::Damage && !matches!(self, Self::Index(_))
    }
}

impl From<Damage> for Finding {
    fn from(damage: Damage) -> Self {
        let Damage { path, position_bytes, index, offset, fault } = damage;
        Self { path, position_bytes, index: Some(index), offset: Some(offset), reason: Reason::Segment(fault) }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damage => "damage",
            Self::Note => "note",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, position_bytes, index, offset, reason } = self;
        write!(f, "{} at byte {position_bytes}", path.display())?;
        match (index, offset) {
            (Some(index), Some(offset)) => write!(f, " (raft index {index}, offset {offset})")?,
            (Some(index), None) => write!(f, " (raft index {index})")?,
            (None, Some(offset)) => write!(f, " (offset {offset})")?,
            (None, None) => {}
        }
        write!(f, ": {reason}")
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(fault) => fault.fmt(f),
            Self::Records(error) => write!(f, "the records cannot be read: {error}"),
            Self::Overlap { next_base_index } => {
                write!(f, "the segment ends here but the next one starts at raft index {next_base_index}")
            }
            Self::CheckpointMissing => f.write_str("there are segments but no checkpoint that says what was durable"),
            Self::SmallFile(fault) => fault.fmt(f),
            Self::ForeignCheckpoint { found } => write!(f, "the checkpoint is that of {found}"),
            Self::CleanEnd { last_segment, position_bytes } => {
                write!(f, "the log was closed at byte {position_bytes} of {last_segment}.log, but that is not its end")
            }
            Self::EndsBeforeStart { log_start_offset, raft_start } => {
                write!(f, "the log ends here but starts at offset {log_start_offset} and raft index {raft_start}")
            }
            Self::WaitingLength { log_bytes, file_bytes } => {
                write!(f, "the compacted segment has {file_bytes} bytes but its manifest says {log_bytes}")
            }
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::Index(fault) => fault.fmt(f),
            Self::TornTail(fault) => write!(f, "torn tail, cut when the log is opened: {fault}"),
            Self::UnwrittenEnd { bytes } => write!(f, "{bytes} unwritten bytes follow the last frame"),
            Self::LeftOver => f.write_str("left over from an interrupted step, removed when the log is opened"),
            Self::UnknownFile => f.write_str("not a file of a log, left alone"),
            Self::SwapPending => f.write_str("an interrupted compaction, finished when the log is opened"),
            Self::RemovedMeanwhile => f.write_str("removed meanwhile by whoever uses the log"),
        }
    }
}
