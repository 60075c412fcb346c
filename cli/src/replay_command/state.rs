//! How far a replay is, in a file, so that it can be gone on with.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use tidelog_client::Offset;

use super::ReplayError;
use crate::command_error::CommandError;
use crate::contexts::write_atomically;

/// How far a replay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReplayState {
    /// What was asked for: another topic or range is another replay.
    pub(super) identity: String,
    /// How long the file is, where it goes into one.
    pub(super) bytes: u64,
    pub(super) partitions: Vec<PartitionState>,
    /// Whether this was read from a file.
    pub(super) is_resumed: bool,
}

/// How far a replay of one partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartitionState {
    pub(super) partition: u32,
    /// The next offset to replay.
    pub(super) next: Offset,
    /// Where it ends, exclusive.
    pub(super) end: Offset,
}

impl ReplayState {
    /// Notes that a record was replayed.
    pub(super) fn advance(&mut self, partition: u32, offset: Offset) {
        if let Ok(at) = self.partitions.binary_search_by_key(&partition, |state| state.partition) {
            self.partitions[at].next = offset.next();
        }
    }

    /// Counts the offsets that are left.
    pub(super) fn left(&self) -> u64 {
        self.partitions.iter().map(|state| state.end.get().saturating_sub(state.next.get())).sum()
    }

    /// Reads the file; `None` if there is none.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, CommandError> {
        match fs::read(path) {
            Ok(bytes) => match serde_json::from_slice(&bytes).ok().and_then(|value| Self::read(&value)) {
                Some(state) => Ok(Some(state)),
                None => Err(CommandError::Replay(ReplayError::State { path: path.to_owned() })),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CommandError::Io { path: path.to_owned(), error }),
        }
    }

    fn read(value: &Value) -> Option<Self> {
        let offset = |value: &Value| Some(Offset::new(value.as_u64().filter(|offset| *offset <= Offset::MAX.get())?));
        let partition = |value: &Value| {
            Some(PartitionState {
                partition: u32::try_from(value["partition"].as_u64()?).ok()?,
                next: offset(&value["next"])?,
                end: offset(&value["end"])?,
            })
        };
        let mut partitions: Vec<_> = value["partitions"].as_array()?.iter().map(partition).collect::<Option<_>>()?;
        partitions.sort_unstable_by_key(|state| state.partition);
        let identity = value["replay"].as_str()?.to_owned();
        Some(Self { identity, bytes: value["bytes"].as_u64()?, partitions, is_resumed: true })
    }

    /// Replaces the file at once.
    pub(super) fn store(&self, path: &Path) -> Result<(), CommandError> {
        let partitions: Vec<Value> = self
            .partitions
            .iter()
            .map(|state| json!({ "partition": state.partition, "next": state.next.get(), "end": state.end.get() }))
            .collect();
        let value = json!({ "replay": self.identity, "bytes": self.bytes, "partitions": partitions });
        write_atomically(path, value.to_string().as_bytes())
    }

    /// Removes the file, if there is one.
    pub(super) fn remove(path: &Path) -> Result<(), CommandError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CommandError::Io { path: path.to_owned(), error })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.replay");
        assert_eq!(ReplayState::load(&path).unwrap(), None);
        let partition = PartitionState { partition: 3, next: Offset::new(5), end: Offset::new(9) };
        let mut state =
            ReplayState { identity: "a b".to_owned(), bytes: 7, partitions: vec![partition], is_resumed: true };
        state.advance(3, Offset::new(6));
        state.store(&path).unwrap();
        assert_eq!(ReplayState::load(&path).unwrap(), Some(state.clone()));
        assert_eq!((state.left(), state.partitions[0].next), (2, Offset::new(7)));
        fs::write(&path, "{\"replay\": 1}").unwrap();
        assert!(matches!(ReplayState::load(&path), Err(CommandError::Replay(ReplayError::State { .. }))));
        ReplayState::remove(&path).unwrap();
        ReplayState::remove(&path).unwrap();
    }
}
