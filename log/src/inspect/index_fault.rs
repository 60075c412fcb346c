//! What is wrong with an index file.

use std::fmt;
use std::io;

use crate::index_header::SegmentSummary;
use crate::sparse_index::{OffsetEntry, TimeEntry};

/// What is wrong with an index file. Its segment is not touched by that: the index is made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexFault {
    /// There is no such file.
    Missing,
    /// The machine did not give us the bytes.
    Unreadable(io::ErrorKind),
    /// The header was never written: the segment was not sealed.
    NotSealed,
    /// The file is shorter than its header.
    Truncated {
        /// Length of the file.
        available: u64,
    },
    /// Magic, version, flags or checksum of the header do not fit.
    Header,
    /// The header names another partition or segment.
    Foreign,
    /// The file is not as long as its header says.
    Length {
        /// Length of the file.
        file_bytes: u64,
        /// Length by the number of entries in its header.
        expected_bytes: u64,
    },
    /// The offset index and the time index do not have the same number of entries.
    EntryCount {
        /// Entries of the time index.
        times: u32,
        /// Entries of the offset index.
        offsets: u32,
    },
    /// The checksum of the entries does not fit.
    EntriesChecksum {
        /// As noted in the header.
        stored: u32,
        /// As computed.
        computed: u32,
    },
    /// An entry points at a place where no frame starts.
    Nowhere {
        /// Number of the entry, from 0.
        number: u64,
        /// What it says.
        stored: IndexFileEntry,
    },
    /// An entry is not what its frame gives.
    Entry {
        /// Number of the entry, from 0.
        number: u64,
        /// What it says.
        stored: IndexFileEntry,
        /// What it should say.
        expected: IndexFileEntry,
    },
    /// An entry does not have its checksum.
    EntryChecksum {
        /// Number of the entry, from 0.
        number: u64,
    },
    /// The summary of the segment is not what its frames give.
    Summary {
        /// What the header says.
        stored: Box<SegmentSummary>,
        /// What it should say.
        expected: Box<SegmentSummary>,
    },
}

/// An entry of an index file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexFileEntry {
    /// Of the offset index.
    Offset(OffsetEntry),
    /// Of the time index.
    Time(TimeEntry),
}

impl fmt::Display for IndexFileEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset(OffsetEntry { relative_offset, relative_index, position_bytes }) => {
                write!(f, "offset +{relative_offset}, raft index +{relative_index}, byte {position_bytes}")
            }
            Self::Time(TimeEntry { max_timestamp: i64::MIN, relative_offset }) => {
                write!(f, "no record before offset +{relative_offset}")
            }
            Self::Time(TimeEntry { max_timestamp, relative_offset }) => {
                write!(f, "largest timestamp {max_timestamp} before offset +{relative_offset}")
            }
        }
    }
}

impl fmt::Display for IndexFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(kind) => write!(f, "index cannot be read: {kind}"),
            Self::Missing => f.write_str("index is missing, made again when needed"),
            Self::NotSealed => f.write_str("index was never sealed, made again when needed"),
            Self::Truncated { available } => write!(f, "index header needs 128 bytes, found {available}"),
            Self::Header => f.write_str("index header: magic, version, flags or checksum do not fit"),
            Self::Foreign => f.write_str("index header is another segment's"),
            Self::Length { file_bytes, expected_bytes } => {
                write!(f, "index has {file_bytes} bytes, by its header {expected_bytes}")
            }
            Self::EntryCount { times, offsets } => {
                write!(f, "time index has {times} entries, offset index {offsets}")
            }
            Self::EntriesChecksum { stored, computed } => {
                write!(f, "checksum of the entries is {stored:#010x}, computed {computed:#010x}")
            }
            Self::Nowhere { number, stored } => {
                write!(f, "index entry {number} ({stored}) points at no frame")
            }
            Self::Entry { number, stored, expected } => {
                write!(f, "index entry {number} is ({stored}), its frame gives ({expected})")
            }
            Self::EntryChecksum { number } => write!(f, "index entry {number} does not have its checksum"),
            Self::Summary { stored, expected } => {
                f.write_str("summary of the segment: ")?;
                write_differences(f, stored, expected)
            }
        }
    }
}

/// Writes every field in which two summaries differ.
fn write_differences(f: &mut fmt::Formatter<'_>, stored: &SegmentSummary, expected: &SegmentSummary) -> fmt::Result {
    let mut separator = "";
    for ((name, stored), (_, expected)) in derived_fields(stored).into_iter().zip(derived_fields(expected)) {
        if stored != expected {
            write!(f, "{separator}{name} is {stored}, its frames give {expected}")?;
            separator = "; ";
        }
    }
    Ok(())
}

/// Lists the fields of a summary that follow from the frames.
fn derived_fields(summary: &SegmentSummary) -> [(&'static str, String); 8] {
    [
        ("end offset", summary.end_offset.to_string()),
        ("end index", summary.end_index.to_string()),
        ("last term", summary.last_term.to_string()),
        ("first append time", summary.first_append_time_ms.to_string()),
        ("last append time", summary.last_append_time_ms.to_string()),
        ("largest timestamp", summary.max_timestamp.map_or("none".to_owned(), |max| max.to_string())),
        ("length", summary.log_bytes.to_string()),
        ("checksum", format!("{:#010x}", summary.log_crc)),
    ]
}

#[cfg(test)]
mod tests {
    use tidelog_proto::ids::{Offset, RaftIndex, RaftTerm};

    use super::*;

    #[test]
    fn a_wrong_summary_tells_what_is_wrong_with_it() {
        let expected = SegmentSummary {
            end_offset: Offset::new(2),
            end_index: RaftIndex::new(3),
            last_term: RaftTerm::new(1),
            first_append_time_ms: 4,
            last_append_time_ms: 5,
            max_timestamp: Some(6),
            is_compacted: false,
            tombstones_since_ms: None,
            log_bytes: 7,
            log_crc: 8,
        };
        let stored = SegmentSummary { end_offset: Offset::new(9), max_timestamp: None, ..expected };
        let fault = IndexFault::Summary { stored: stored.into(), expected: expected.into() };
        assert_eq!(
            fault.to_string(),
            "summary of the segment: end offset is 9, its frames give 2; largest timestamp is none, its frames give 6"
        );
    }
}
