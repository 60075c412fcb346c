//! What a program asks of the disk, as the fault plan and the trace see it.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;
use std::path::Path;

use super::faults::FaultTarget;

/// A request that changes the disk or makes a change durable. Each has a number in its life.
#[derive(Debug)]
pub(super) enum Operation<'a> {
    Create { path: &'a Path },
    CreateDirectory { path: &'a Path },
    RemoveDirectory { path: &'a Path },
    Rename { from: &'a Path, to: &'a Path },
    Remove { path: &'a Path },
    Write { path: &'a Path, position_bytes: u64, bytes: &'a [u8] },
    Allocate { path: &'a Path, range: Range<u64> },
    SetLen { path: &'a Path, len_bytes: u64 },
    SyncFile { path: &'a Path },
    SyncDirectory { path: &'a Path },
    SyncAll,
}

impl Operation<'_> {
    /// Tells which injected faults the operation can meet.
    pub(super) fn target(&self) -> FaultTarget {
        match self {
            Operation::Create { .. }
            | Operation::CreateDirectory { .. }
            | Operation::RemoveDirectory { .. }
            | Operation::Rename { .. }
            | Operation::Remove { .. } => FaultTarget::Name,
            Operation::Write { .. } => FaultTarget::Write,
            Operation::Allocate { .. } | Operation::SetLen { .. } => FaultTarget::Resize,
            Operation::SyncFile { .. } | Operation::SyncDirectory { .. } | Operation::SyncAll => FaultTarget::Sync,
        }
    }
}

impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Create { path } => write!(f, "create {}", path.display()),
            Operation::CreateDirectory { path } => write!(f, "create directory {}", path.display()),
            Operation::RemoveDirectory { path } => write!(f, "remove directory {}", path.display()),
            Operation::Rename { from, to } => write!(f, "rename {} to {}", from.display(), to.display()),
            Operation::Remove { path } => write!(f, "remove {}", path.display()),
            Operation::Write { path, position_bytes, bytes } => {
                let mut content = DefaultHasher::new();
                content.write(bytes);
                let (len, content) = (bytes.len(), content.finish());
                write!(f, "write {} at {position_bytes}, {len} bytes, content {content:016x}", path.display())
            }
            Operation::Allocate { path, range } => write!(f, "allocate {} {range:?}", path.display()),
            Operation::SetLen { path, len_bytes } => write!(f, "set length {} {len_bytes}", path.display()),
            Operation::SyncFile { path } => write!(f, "sync {}", path.display()),
            Operation::SyncDirectory { path } => write!(f, "sync directory {}", path.display()),
            Operation::SyncAll => write!(f, "sync all"),
        }
    }
}
