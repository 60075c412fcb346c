//! What a log remembers outside its segments: the durable mark, the log start, and whether it was closed in order.

use std::io;
use std::path::Path;

use tidelog_proto::ids::{Offset, PartitionId, RaftIndex, TopicId};

use crate::environment::Environment;
use crate::identity::{LogIdentity, SegmentName};
use crate::small_file::{self, SmallFileError, SmallFileFault, SmallFileKind};

/// Name of the checkpoint in a log's directory.
pub(crate) const CHECKPOINT_FILE: &str = "checkpoint";

const HAS_CLEAN_END: u8 = 1;
const STARTS_ANEW: u8 = 2;
const PAYLOAD_BYTES: usize = 16 + 4 + 7 * 8 + 1;

/// The checkpoint of a log. It is never ahead of the log: whatever it claims was durable before it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose checkpoint it is.
    pub identity: LogIdentity,
    /// Every entry below this index was made durable. Lowered before a truncation goes below it.
    pub durable_end: RaftIndex,
    /// First offset that is kept. Only rises, and is durable before anything below it goes.
    pub log_start_offset: Offset,
    /// First index from which on entries are dense; below it they may be gone or compacted. Only rises.
    pub raft_start: RaftIndex,
    /// Records below this offset were compacted with one another.
    pub compacted_to: Offset,
    /// The end of the log if it was closed in order and not opened for writing since.
    pub clean_end: Option<CleanEnd>,
    /// The log is being begun anew at its start: every segment that is not named after it goes.
    pub starts_anew: bool,
}

/// Where a log ended when it was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanEnd {
    /// The last segment.
    pub last_segment: SegmentName,
    /// The end of its last frame, and of its file.
    pub position_bytes: u64,
}

impl Checkpoint {
    pub(crate) fn new(identity: LogIdentity, start: SegmentName) -> Self {
        Self {
            identity,
            durable_end: start.base_index,
            log_start_offset: start.base_offset,
            raft_start: start.base_index,
            compacted_to: start.base_offset,
            clean_end: None,
            starts_anew: false,
        }
    }

    /// Gives the name of the first segment of a log that begins at the start.
    pub(crate) fn start(&self) -> SegmentName {
        SegmentName { base_offset: self.log_start_offset, base_index: self.raft_start }
    }

    /// Replaces the checkpoint of the log in `dir`, durably.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub(crate) fn write(&self, environment: &dyn Environment, dir: &Path) -> io::Result<()> {
        small_file::write(environment, &dir.join(CHECKPOINT_FILE), SmallFileKind::Checkpoint, &self.encode())
    }

    /// Reads the checkpoint of the log in `dir`; `None` where there is none.
    ///
    /// # Errors
    /// It could not be read, is damaged, or another partition's.
    pub(crate) fn read(
        environment: &dyn Environment,
        dir: &Path,
        identity: LogIdentity,
    ) -> Result<Option<Self>, SmallFileError> {
        let path = dir.join(CHECKPOINT_FILE);
        let Some(payload) = small_file::read(environment, &path, SmallFileKind::Checkpoint)? else { return Ok(None) };
        Self::decode(&payload)
            .filter(|checkpoint| checkpoint.identity == identity)
            .ok_or(SmallFileError::Damaged { path, fault: SmallFileFault::Content })
            .map(Some)
    }

    /// Reads the checkpoint at `path`, whosever it is, for tools that do not know the partition.
    pub(crate) fn read_any(environment: &dyn Environment, path: &Path) -> Result<Option<Self>, SmallFileError> {
        let Some(payload) = small_file::read(environment, path, SmallFileKind::Checkpoint)? else { return Ok(None) };
        let damaged = || SmallFileError::Damaged { path: path.to_owned(), fault: SmallFileFault::Content };
        Self::decode(&payload).ok_or_else(damaged).map(Some)
    }

    fn encode(&self) -> Vec<u8> {
        let clean_end = self.clean_end.unwrap_or(CleanEnd {
            last_segment: SegmentName { base_offset: Offset::new(0), base_index: RaftIndex::new(0) },
            position_bytes: 0,
        });
        let mut payload = Vec::with_capacity(PAYLOAD_BYTES);
        payload.extend_from_slice(self.identity.topic_id.as_bytes());
        payload.extend_from_slice(&self.identity.partition.get().to_le_bytes());
        for number in [
            self.durable_end.get(),
            self.log_start_offset.get(),
            self.raft_start.get(),
            self.compacted_to.get(),
            clean_end.last_segment.base_offset.get(),
            clean_end.last_segment.base_index.get(),
            clean_end.position_bytes,
        ] {
            payload.extend_from_slice(&number.to_le_bytes());
        }
        payload.push(match (self.clean_end, self.starts_anew) {
            (Some(_), _) => HAS_CLEAN_END,
            (None, true) => STARTS_ANEW,
            (None, false) => 0,
        });
        payload
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let payload: &[u8; PAYLOAD_BYTES] = payload.try_into().ok()?;
        let (identity, rest) = payload.split_first_chunk::<20>()?;
        let (topic_id, partition) = identity.split_first_chunk::<16>()?;
        let (numbers, flags) = rest.as_chunks::<8>();
        let numbers: [u64; 7] = <[[u8; 8]; 7]>::try_from(numbers).ok()?.map(u64::from_le_bytes);
        let [durable_end, log_start_offset, raft_start, compacted_to, base_offset, base_index, position_bytes] =
            numbers;
        let clean_end = match flags {
            [0 | STARTS_ANEW] => None,
            [HAS_CLEAN_END] => Some(CleanEnd {
                last_segment: SegmentName {
                    base_offset: Offset::new(base_offset),
                    base_index: RaftIndex::new(base_index),
                },
                position_bytes,
            }),
            _ => return None,
        };
        Some(Self {
            identity: LogIdentity {
                topic_id: TopicId::new(*topic_id),
                partition: PartitionId::new(u32::from_le_bytes(partition.try_into().ok()?)),
            },
            durable_end: RaftIndex::new(durable_end),
            log_start_offset: Offset::new(log_start_offset),
            raft_start: RaftIndex::new(raft_start),
            compacted_to: Offset::new(compacted_to),
            clean_end,
            starts_anew: flags == [STARTS_ANEW],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoint_reads_back() {
        let identity = LogIdentity { topic_id: TopicId::new([9; 16]), partition: PartitionId::new(2) };
        let name = SegmentName { base_offset: Offset::new(5), base_index: RaftIndex::new(6) };
        let mut checkpoint = Checkpoint::new(identity, name);
        assert_eq!(Checkpoint::decode(&checkpoint.encode()), Some(checkpoint));
        checkpoint.clean_end = Some(CleanEnd { last_segment: name, position_bytes: 77 });
        assert_eq!(Checkpoint::decode(&checkpoint.encode()), Some(checkpoint));
        checkpoint = Checkpoint { clean_end: None, starts_anew: true, ..checkpoint };
        assert_eq!(Checkpoint::decode(&checkpoint.encode()), Some(checkpoint));
        assert_eq!(Checkpoint::decode(&checkpoint.encode()[1..]), None);
    }
}
