//! Group commit: two tasks per data directory that write many logs, make them durable together, and tell everyone who
//! waits.
//!
//! ```text
//! LogHandle --> Queues --a log's turn--> GroupCommit --a round of syncs--> SyncTask
//!                          (writer task)   |     ^                            |
//!               completions, in order <----'     `------ their outcomes ------'
//! ```
//!
//! While one round is being synced, the next is already being written; the sync task takes it when the last has ended,
//! with whatever was written meanwhile. Nothing is timed and nothing polls: an idle log costs nothing.
//!
//! - Requests of one log take effect, and are completed, in the order of their submission.
//! - The completion of a synced append runs after a sync that began after its write.
//! - Logs take turns of bounded length; a round is bounded, and so is what waits.
//! - What is no append has the log for itself: a truncation waits for the sync that is under way.
//! - A failed write or sync ends that log: everyone who waits for it fails, nothing is tried again. Others go on.
//!
//! | File | What it decides |
//! |---|---|
//! | `request`, `handle`, `outcome` | what may be asked, and how the answer arrives |
//! | `queues` | what is taken and whose turn it is |
//! | `group_commit` | what is written, synced and completed when |
//! | `owned_log` | the same for one log |
//! | `sync_job` | by which calls a round becomes durable |
//! | `writer_task`, `sync_task`, `shared` | the two threads |
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//! use tidelog_log::environment::simulated::SimulatedEnvironment;
//! use tidelog_log::storage::{Durability, Storage, StorageConfig, outcome};
//! use tidelog_log::{Log, LogConfig, LogIdentity};
//! use tidelog_proto::frame::{Frame, FrameStamp, FrameType};
//! use tidelog_proto::ids::{Offset, PartitionId, RaftIndex, RaftTerm, TopicId};
//!
//! let machine = SimulatedEnvironment::new(1);
//! let environment = Arc::new(machine.clone());
//! let identity = LogIdentity { topic_id: TopicId::new([1; 16]), partition: PartitionId::new(0) };
//! let log = Log::open(environment.clone(), &identity.dir(Path::new("/data")), identity, LogConfig::default())?;
//! let storage = Storage::start(environment, Path::new("/data"), StorageConfig::default())?;
//! let handle = storage.add(log.writer)?;
//!
//! let stamp = FrameStamp { term: RaftTerm::new(1), index: RaftIndex::new(0), commit_lag: 1, append_time_ms: 0 };
//! let frame = Frame::internal(identity.seed(), FrameType::NoOp, stamp, Offset::new(0), &[])?;
//! let (completion, appended) = outcome();
//! handle.append(vec![frame], Durability::Synced, completion)?;
//! machine.run_until_idle(); // on the real environment threads do this
//! assert_eq!(appended.wait().expect("the storage runs")?.end_index, RaftIndex::new(1));
//! storage.shutdown()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod due;
mod error;
mod group_commit;
mod handle;
mod outcome;
mod owned_log;
mod queues;
mod request;
mod shared;
mod sync_job;
mod sync_task;
mod writer_task;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod storage_tests;
#[cfg(test)]
mod test_logs;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use config::StorageConfig;
pub use error::{AddError, ShutdownError, StartError};
pub use handle::LogHandle;
pub use outcome::{Outcome, outcome};
pub use request::{Append, Completion, Durability, Exclusive, Request, SubmitError};

use crate::environment::Environment;
use crate::writer::LogWriter;
use group_commit::GroupCommit;
use queues::Queues;
use shared::Shared;
use sync_task::SyncTask;
use writer_task::WriterTask;

/// The storage thread of one data directory: it owns the writers of its logs.
///
/// Dropping it takes no more requests and waits for nothing: what was taken is still done and the logs are closed, unless
/// the process ends first. [`Storage::shutdown`] waits.
pub struct Storage {
    shared: Arc<Shared>,
}

impl Storage {
    /// Starts the tasks for logs whose files lie in `dir`, all on one file system.
    ///
    /// # Errors
    /// A configuration out of bounds, a directory that cannot be opened, a thread that cannot be started.
    pub fn start(environment: Arc<dyn Environment>, dir: &Path, config: StorageConfig) -> Result<Self, StartError> {
        config.validate().map_err(StartError::Config)?;
        let io_error = |error| StartError::Io { dir: dir.to_owned(), error };
        let filesystem = environment.open_filesystem(dir).map_err(io_error)?;
        let shared = Arc::new(Shared::new(Queues::new(config.queue_bytes_max, config.queue_requests_max)));
        let syncfs_files_min = config.syncfs_files_min.filter(|_| filesystem.flushes_drive());
        let sync = SyncTask::new(Arc::clone(&shared), filesystem, syncfs_files_min);
        let writer = WriterTask::new(Arc::clone(&environment), Arc::clone(&shared), GroupCommit::new(config));
        // If the second cannot be started, it is dropped, and with it the first comes to its end.
        let task = environment.spawn("storage-sync", Box::new(sync)).map_err(io_error)?;
        shared.sync.get_or_init(|| task);
        let task = environment.spawn("storage-write", Box::new(writer)).map_err(io_error)?;
        shared.writer.get_or_init(|| task);
        Ok(Self { shared })
    }

    /// Takes over a log. Its reader stays with the caller.
    ///
    /// # Errors
    /// The writer, if the storage thread has ended.
    pub fn add(&self, writer: LogWriter) -> Result<LogHandle, AddError> {
        let identity = writer.identity();
        let writer = Box::new(writer);
        let mut state = self.shared.lock();
        let Some(key) = state.queues.add() else { return Err(AddError { writer }) };
        state.arriving.push((key, writer));
        drop(state);
        self.shared.wake_writer();
        Ok(LogHandle::new(Arc::clone(&self.shared), key, identity))
    }

    /// Looks whether a checkpoint is due. To be called every few seconds: while nothing is appended, nothing else looks.
    pub fn tick(&self) {
        self.shared.wake_writer();
    }

    /// Takes no more requests, does what was taken, closes all logs, and waits for all that.
    ///
    /// # Errors
    /// What could not be closed.
    pub fn shutdown(self) -> Result<(), ShutdownError> {
        self.stop();
        self.shared.join();
        let closed = self.shared.lock().closed.take();
        match closed {
            Some(failures) if failures.is_empty() => Ok(()),
            Some(failures) => Err(ShutdownError::Logs(failures)),
            None => Err(ShutdownError::Panicked),
        }
    }

    fn stop(&self) {
        self.shared.lock().queues.stop();
        self.shared.wake_writer();
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").finish_non_exhaustive()
    }
}
