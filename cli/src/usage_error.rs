//! A command line that can be read and cannot be meant.

use std::fmt;

use crate::offsets::OffsetsError;

/// Flags that contradict each other, or a value that is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UsageError {
    /// A format string and JSON were both asked for.
    FormatAndJson,
    /// A partition for records, and a partitioner that is not manual.
    PartitionWithoutManual,
    /// `--partitioner manual` without a partition.
    ManualWithoutPartition,
    /// Records as arguments are values; a format takes them apart otherwise.
    FormatAndValues,
    /// The topic to write to is the one that is read.
    SameTopic { topic: String },
    /// There is no home directory to keep contexts in.
    NoConfigDir,
    /// A state file, where nothing can be gone on with.
    StateWithStdout,
    /// The range is none.
    Range(OffsetsError),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FormatAndJson => f.write_str("--format and --output json exclude each other; leave one out"),
            Self::PartitionWithoutManual => {
                f.write_str("--partition needs --partitioner manual, or no --partitioner at all")
            }
            Self::ManualWithoutPartition => {
                f.write_str("--partitioner manual needs --partition N, or a %p in the format")
            }
            Self::FormatAndValues => f.write_str("--format is for files and standard input, not for --value"),
            Self::SameTopic { topic } => {
                write!(f, "topic {topic} cannot be replayed into itself; choose another topic")
            }
            Self::NoConfigDir => f.write_str("contexts need a place: set HOME or XDG_CONFIG_HOME"),
            Self::Range(error) => write!(f, "--from and --to: {error}"),
            Self::StateWithStdout => f.write_str("--state needs --into file:F or --into topic:T"),
        }
    }
}

impl std::error::Error for UsageError {}
