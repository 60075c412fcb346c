//! How index files look.

use std::fmt;
use std::path::Path;

use serde_json::{Value, json};
use tidelog_log::inspect::{IndexDump, IndexFileEntry, IndexKind, OffsetEntry, TimeEntry};

use crate::byte_text::Counted;
use crate::timestamp::Timestamp;

/// What the header of an index says.
pub(super) struct IndexHeaderText<'a>(pub(super) &'a IndexDump);

impl fmt::Display for IndexHeaderText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, file_bytes) = (kind_name(self.0.kind()), self.0.file_bytes());
        let Some(header) = self.0.header() else {
            return write!(f, "{kind} without a sound header, {file_bytes} bytes");
        };
        let (name, summary) = (header.name, &header.summary);
        let entries = Counted(header.entry_count.into(), "entry", "entries");
        writeln!(f, "{kind} of {}, segment {name}, {entries}, {file_bytes} bytes", header.identity)?;
        writeln!(f, "  offsets         {} up to {}", name.base_offset, summary.end_offset)?;
        writeln!(f, "  raft indexes    {} up to {}", name.base_index, summary.end_index)?;
        writeln!(f, "  last term       {}", summary.last_term)?;
        let (first, last) = (summary.first_append_time_ms, summary.last_append_time_ms);
        writeln!(f, "  appended        {} to {}", Timestamp(first), Timestamp(last))?;
        match summary.max_timestamp {
            Some(max) => writeln!(f, "  max timestamp   {}", Timestamp(max))?,
            None => writeln!(f, "  max timestamp   none")?,
        }
        match (summary.is_compacted, summary.tombstones_since_ms) {
            (false, _) => writeln!(f, "  compacted       no")?,
            (true, None) => writeln!(f, "  compacted       yes")?,
            (true, Some(since)) => writeln!(f, "  compacted       yes, tombstones since {}", Timestamp(since))?,
        }
        write!(f, "  segment         {} bytes, checksum {:#010x}", summary.log_bytes, summary.log_crc)
    }
}

fn kind_name(kind: IndexKind) -> &'static str {
    match kind {
        IndexKind::Offset => "offset index",
        IndexKind::Time => "time index",
    }
}

/// Gives what stands above the columns of entries.
pub(super) fn entries_heading(kind: IndexKind) -> &'static str {
    match kind {
        IndexKind::Offset => "       entry  relative offset  relative index      position",
        IndexKind::Time => "       entry  relative offset  largest timestamp before it",
    }
}

pub(super) fn index_object(file: &Path, index: &IndexDump) -> Value {
    let header = index.header().map(|header| {
        let summary = &header.summary;
        json!({
            "topic_id": header.identity.topic_id.to_string(),
            "partition": header.identity.partition.get(),
            "base_offset": header.name.base_offset.get(),
            "base_index": header.name.base_index.get(),
            "entries": header.entry_count,
            "end_offset": summary.end_offset.get(),
            "end_index": summary.end_index.get(),
            "last_term": summary.last_term.get(),
            "first_append_time": summary.first_append_time_ms,
            "last_append_time": summary.last_append_time_ms,
            "max_timestamp": summary.max_timestamp,
            "is_compacted": summary.is_compacted,
            "tombstones_since": summary.tombstones_since_ms,
            "log_bytes": summary.log_bytes,
            "log_crc": summary.log_crc,
        })
    });
    let kind = kind_name(index.kind());
    json!({ "type": kind, "file": file.to_string_lossy(), "file_bytes": index.file_bytes(), "header": header })
}

pub(super) fn entry_text(number: u64, entry: IndexFileEntry) -> String {
    match entry {
        IndexFileEntry::Offset(OffsetEntry { relative_offset, relative_index, position_bytes }) => {
            format!("{number:>12}  {relative_offset:>15}  {relative_index:>14}  {position_bytes:>12}")
        }
        IndexFileEntry::Time(TimeEntry { max_timestamp: i64::MIN, relative_offset }) => {
            format!("{number:>12}  {relative_offset:>15}  none")
        }
        IndexFileEntry::Time(TimeEntry { max_timestamp, relative_offset }) => {
            format!("{number:>12}  {relative_offset:>15}  {}", Timestamp(max_timestamp))
        }
    }
}

pub(super) fn entry_object(number: u64, position_bytes: u64, entry: IndexFileEntry) -> Value {
    match entry {
        IndexFileEntry::Offset(entry) => json!({
            "type": "entry",
            "entry": number,
            "at": position_bytes,
            "relative_offset": entry.relative_offset,
            "relative_index": entry.relative_index,
            "position": entry.position_bytes,
        }),
        IndexFileEntry::Time(entry) => json!({
            "type": "entry",
            "entry": number,
            "at": position_bytes,
            "relative_offset": entry.relative_offset,
            "max_timestamp": (entry.max_timestamp != i64::MIN).then_some(entry.max_timestamp),
        }),
    }
}
