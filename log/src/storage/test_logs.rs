//! Logs, frames and outcomes for the tests of storage threads.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use tidelog_proto::frame::{Frame, FrameStamp, FrameType};
use tidelog_proto::ids::{Offset, PartitionId, RaftIndex, RaftTerm, TopicId};

use super::{LogHandle, Storage, StorageConfig};
use crate::environment::Environment;
use crate::environment::simulated::SimulatedEnvironment;
use crate::{Log, LogConfig, LogIdentity, LogReader};

/// The data directory.
pub(super) const DIR: &str = "/data";

pub(super) fn identity(partition: u32) -> LogIdentity {
    LogIdentity { topic_id: TopicId::new([3; 16]), partition: PartitionId::new(partition) }
}

pub(super) fn open(environment: Arc<dyn Environment>, partition: u32, segment_bytes: u64) -> Log {
    let config = LogConfig { segment_bytes, index_interval_bytes: 64, ..LogConfig::default() };
    let identity = identity(partition);
    Log::open(environment, &identity.dir(Path::new(DIR)), identity, config).unwrap()
}

/// Starts a storage thread that owns this many logs.
pub(super) fn start(
    machine: &SimulatedEnvironment,
    config: &StorageConfig,
    logs: u32,
    segment_bytes: u64,
) -> (Storage, Vec<(LogHandle, LogReader)>) {
    machine.create_dir_all(Path::new(DIR)).unwrap();
    let storage = Storage::start(Arc::new(machine.clone()), Path::new(DIR), config.clone()).unwrap();
    let handles = (0..logs).map(|partition| {
        let log = open(Arc::new(machine.clone()), partition, segment_bytes);
        (storage.add(log.writer).unwrap(), log.reader)
    });
    let handles = handles.collect();
    machine.run_until_idle();
    (storage, handles)
}

/// An entry that takes no offset and holds one number, padded.
pub(super) fn frame(identity: LogIdentity, index: u64, value: u64, padding: usize) -> Frame {
    let stamp = FrameStamp {
        term: RaftTerm::new(1),
        index: RaftIndex::new(index),
        // Nothing is committed, so that recovery knows of durable entries by the checkpoint only.
        commit_lag: u32::MAX,
        append_time_ms: 0,
    };
    let mut payload = value.to_le_bytes().to_vec();
    payload.resize(8 + padding, 0xee);
    Frame::internal(identity.seed(), FrameType::NoOp, stamp, Offset::new(0), &payload).unwrap()
}

/// Entries whose numbers are their indexes.
pub(super) fn frames(handle: &LogHandle, indexes: std::ops::Range<u64>) -> Vec<Frame> {
    indexes.map(|index| frame(handle.identity(), index, index, 0)).collect()
}

/// The numbers of all entries, with the index of the first.
pub(super) fn values(reader: &LogReader) -> (u64, Vec<u64>) {
    let start = reader.raft_start();
    let frames = reader.read_entries(start, reader.end_index(), u64::MAX).unwrap();
    let value = |frame: &Frame| u64::from_le_bytes(frame.payload().unwrap()[..8].try_into().unwrap());
    (start.get(), frames.iter().map(value).collect())
}

/// Numbers in the order in which things happened.
#[derive(Clone, Debug, Default)]
pub(super) struct Record(Arc<Mutex<Vec<(u64, bool)>>>);

impl Record {
    /// Makes a completion that notes a number and whether the request succeeded.
    pub(super) fn note<T, E>(&self, number: u64) -> impl FnOnce(Result<T, E>) + Send + 'static {
        let notes = Arc::clone(&self.0);
        move |outcome| notes.lock().unwrap().push((number, outcome.is_ok()))
    }

    pub(super) fn take(&self) -> Vec<(u64, bool)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub(super) fn all_ok(&self) -> bool {
        self.0.lock().unwrap().iter().all(|(_, ok)| *ok)
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}
