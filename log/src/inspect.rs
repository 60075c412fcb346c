//! Looking into the files of a log without opening it: offline, read-only, whatever bytes are found.
//!
//! [`dump`] shows one file, [`verify`] checks all of a log and names every damaged place, [`export`] writes its batches
//! as a plain Kafka log. None of them changes a file of the log, and memory stays bounded by the largest frame. Files are
//! read by copying, so a broker may use the log meanwhile.

mod dump;
mod export;
pub(crate) mod file_window;
mod finding;
mod index_fault;
mod index_file;
mod log_files;
pub(crate) mod segment_walk;
mod verify;

#[cfg(test)]
mod dump_tests;
#[cfg(test)]
mod export_tests;
#[cfg(test)]
mod sample_logs;
#[cfg(test)]
mod verify_tests;

pub use dump::{Dump, DumpError, IndexDump, IndexItem, SegmentDump, SegmentItem, dump};
pub use export::{ExportError, Exported, Overwrite, export};
pub use finding::{Finding, Reason, Severity};
pub use index_fault::{IndexFault, IndexFileEntry};
pub use verify::{Observer, Verified, VerifyError, segment_file_bytes, verify};

pub use crate::checkpoint::{Checkpoint, CleanEnd};
pub use crate::index_header::{IndexHeader, IndexKind};
pub use crate::sparse_index::{OffsetEntry, TimeEntry};
