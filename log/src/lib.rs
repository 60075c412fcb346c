//! One partition's log on a local disk.
//!
//! - [`Log`] opens it: [`LogWriter`] appends, cuts and moves its start; [`LogReader`] reads by offset, Raft index, time.

#![deny(unsafe_code)]

mod checkpoint;
mod compaction;
mod config;
mod damage;
pub mod data_dir;
pub mod environment;
mod frame_chain;
mod frame_cursor;
mod identity;
mod index_header;
pub mod inspect;
mod locate;
mod mapped_file;
mod open;
mod reader;
pub mod retention;
mod scrub;
mod segment;
mod segment_scan;
mod segment_tail;
mod small_file;
mod sparse_index;
mod staging;
pub mod storage;
mod view;
mod writer;

#[cfg(test)]
mod compaction_tests;
#[cfg(test)]
mod frame_cursor_tests;
#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod scrub_tests;

pub use compaction::{Compaction, CompactionError, CompactionPlan, CompactionStats};
pub use config::{CleanupPolicy, ConfigError, LogConfig, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use damage::{Damage, Fault};
pub use frame_chain::ChainError;
pub use identity::{LogIdentity, SegmentName};
pub use index_header::SegmentSummary;
pub use open::{Log, OpenError, OpenReport};
pub use reader::{LogReader, ReadBatches, ReadError, SegmentInfo, TimestampOffset};
pub use scrub::{ScrubStep, Scrubbed, Scrubber};
pub use small_file::{SmallFileError, SmallFileFault};
pub use writer::{AppendError, Appended, LogWriter, PendingSync, WriteError};
