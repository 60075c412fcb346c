//! One partition's log on a local disk: append, make durable, read by offset, Raft index and time, cut, retain, compact,
//! recover. Synchronous, and without a network.
//!
//! - [`Log::open`] opens or creates a log; [`LogWriter`] changes it, there is one; [`LogReader`] reads it, clone it
//! - [`storage`]: threads that own the writers of many logs and make them durable together
//! - [`retention`] decides what may be deleted; [`LogWriter::plan_compaction`] what is worth compacting
//! - [`Scrubber`] looks for damage in the background; [`inspect`] dumps, verifies and exports files offline
//! - [`data_dir`]: a data directory that one process holds
//! - [`environment`]: the machine, or a simulated one that crashes, tears and rots as its seed says
//!
//! A log stores [`Frame`](tidelog_proto::frame::Frame)s byte for byte as it is given them: each is one entry of a Raft log
//! and carries a record batch or bookkeeping of the leader. The formats are in `docs/FORMAT.md`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tidelog_log::environment::RealEnvironment;
//! use tidelog_log::{Log, LogConfig, LogIdentity};
//! use tidelog_proto::batch::{BatchBuilder, Compression, NewRecord};
//! use tidelog_proto::frame::{Frame, FrameStamp};
//! use tidelog_proto::ids::{LeaderEpoch, Offset, PartitionId, RaftTerm, TopicId};
//!
//! let data_dir = tempfile::tempdir()?;
//! let identity = LogIdentity { topic_id: TopicId::new([7; 16]), partition: PartitionId::new(0) };
//! let dir = identity.dir(data_dir.path());
//! let mut log = Log::open(Arc::new(RealEnvironment::new()), &dir, identity, LogConfig::default())?;
//!
//! let mut builder = BatchBuilder::new(Compression::Lz4);
//! builder.push(&NewRecord { timestamp: 1_700_000_000_000, value: Some(b"hello"), ..NewRecord::default() })?;
//! let batch = builder.finish()?.assigned(log.writer.end_offset(), LeaderEpoch::new(1))?;
//! let stamp = FrameStamp {
//!     term: RaftTerm::new(1),
//!     index: log.writer.end_index(),
//!     commit_lag: 1,
//!     append_time_ms: 1_700_000_000_001,
//! };
//! log.writer.append(&[Frame::data(identity.seed(), stamp, batch)])?;
//! log.writer.sync()?; // only now may anybody be told
//! log.reader.advance_committed(log.writer.end_index())?; // from here on, reads are slices of the mapped file
//!
//! let read = log.reader.read(Offset::new(0), log.reader.log_end_offset(), 1024 * 1024)?;
//! assert_eq!(read.next_offset, Offset::new(1));
//! log.writer.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub mod small_file;
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
pub use scrub::{ScrubError, ScrubStep, Scrubbed, Scrubber};
pub use small_file::{SmallFileError, SmallFileFault};
pub use writer::{AppendError, Appended, LogWriter, PendingSync, WriteError};
