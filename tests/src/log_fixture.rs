//! What the tests of the log share.
//!
//! - [`seeds`]: which seeds a test runs, and the command that repeats one
//! - [`entry_maker`]: random entries that follow one another
//! - [`model`]: what a log should hold, as plain vectors
//! - [`tracked_log`]: a log on a simulated machine beside its model, and what both go through

pub(crate) mod entry_maker;
pub(crate) mod model;
pub(crate) mod seeds;
pub(crate) mod tracked_log;

use std::path::Path;
use std::sync::Arc;

use tidelog_log::environment::simulated::SimulatedEnvironment;
use tidelog_log::{Log, LogConfig, LogIdentity, OpenError, SegmentName};
use tidelog_proto::ids::{Offset, PartitionId, RaftIndex, TopicId};

/// Whose logs they are.
pub(crate) const IDENTITY: LogIdentity =
    LogIdentity { topic_id: TopicId::new(*b"a topic's own id"), partition: PartitionId::new(3) };

/// Where they lie.
pub(crate) const DIR: &str = "/log";

/// Where logs start, unless a test says otherwise.
pub(crate) const ORIGIN: SegmentName = SegmentName { base_offset: Offset::new(0), base_index: RaftIndex::new(0) };

/// Opens the log of a machine; one that has to be created starts at `start`.
pub(crate) fn open(machine: &SimulatedEnvironment, config: &LogConfig, start: SegmentName) -> Result<Log, OpenError> {
    Log::open_at(Arc::new(machine.clone()), Path::new(DIR), IDENTITY, config.clone(), start)
}
