//! The journal of a broker: what every Raft group must never forget, made durable for all of them together.
//!
//! ```text
//! JournalHandle --> Shared --everything that waits--> JournalTask: one write, one sync, all completions
//! ```
//!
//! While one round is written and synced, the next one gathers: a thousand votes at once cost one sync. Nothing is timed
//! and nothing polls; an idle journal costs nothing.
//!
//! - What was completed is there after any crash. What was not may be there, whole and in the order of submission.
//! - A committed index costs no sync: it is written with the next record, or at [`Journal::tick`].
//! - A failed write or sync ends the journal: everyone who waits fails, nothing is tried again, the process must end.
//! - Of two files one is live. When it is full, the whole state goes into the other one, which then takes over.
//!
//! The journal keeps what it is told; that terms never go down is for those to see to who vote.
//!
//! | File | What it decides |
//! |---|---|
//! | `shared` | what is taken, and what waits |
//! | `task` | what makes up a round, and who is told |
//! | `writer` | what is written, synced and taken over when |
//! | `groups` | what the entries amount to |
//! | `record`, `file_header` | the bytes |
//! | `file_scan` | where a file ends, and whether anything durable is missing |
//! | `recovery` | which file is believed |
//! | `error` | what can go wrong |

mod error;
mod file_header;
mod file_scan;
mod groups;
mod record;
mod recovery;
mod shared;
mod task;
mod writer;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod file_scan_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod life_tests;
#[cfg(test)]
mod test_journals;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tidelog_log::LogIdentity;
use tidelog_log::environment::{Environment, OpenMode};
use tidelog_proto::ids::RaftIndex;

pub use error::{JournalFault, OpenError, SaveError, ShutdownError, SubmitError};

use crate::hard_state::{HardState, PurgeMark, Vote};
use file_header::{FILE_HEADER_BYTES, FileHeader, FileState};
use record::Entry;
use recovery::FILES;
use shared::Shared;
use task::JournalTask;
use writer::JournalWriter;

/// Real blocks of each file, at least: sixteen thousand votes until the other file takes over, and the journal's reserve
/// on a full disk.
const FILE_BYTES_MIN: u64 = 1024 * 1024;

/// Most bytes of a file: room for a million groups and more. A longer one is not read into memory.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Requests that may wait, beside those that are being saved: a vote of each group of a large broker, in a megabyte.
const REQUESTS_MAX: usize = 16 * 1024;

/// Ending of the name under which the first file is made.
const TEMPORARY_ENDING: &str = "tmp";

/// Sizes that tests make small.
#[derive(Clone, Copy, Debug)]
struct Limits {
    file_bytes_min: u64,
    requests_max: usize,
}

const LIMITS: Limits = Limits { file_bytes_min: FILE_BYTES_MIN, requests_max: REQUESTS_MAX };

/// Makes an empty journal in a data directory, durably. To be called once in the life of the directory: a journal that is
/// missing later has lost votes.
///
/// # Errors
/// `AlreadyExists` where there is one, or what is left of one. After anything else it can be tried again.
pub fn create(environment: &dyn Environment, dir: &Path) -> io::Result<()> {
    if environment.list_files(dir)?.iter().any(|name| FILES.contains(&name.as_str())) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let header = FileHeader {
        state: FileState::Live,
        generation: 1,
        salt: environment.random_u64(),
        first_sequence: 1,
        base_end_bytes: FILE_HEADER_BYTES as u64,
    };
    let path = dir.join(FILES[0]);
    let temporary = dir.join(format!("{}.{TEMPORARY_ENDING}", FILES[0]));
    let file = environment.open_file(&temporary, OpenMode::CreateEmpty)?;
    file.write_all_at(&header.encode(), 0)?;
    file.sync_data()?;
    environment.rename(&temporary, &path)?;
    environment.sync_dir(dir)
}

/// The journal of one data directory, whose lock the caller holds.
///
/// Dropping it takes no more requests and waits for nothing: what was taken is still done, unless the process ends first.
/// [`Journal::shutdown`] waits.
pub struct Journal {
    shared: Arc<Shared>,
}

impl Journal {
    /// Opens the journal in a data directory, gives what is remembered of every group, and starts the task. All of it is
    /// durable.
    ///
    /// # Errors
    /// There is none, it is damaged, a later release wrote it, or the machine failed: see [`OpenError::counts_as_wiped`].
    pub fn open(
        environment: Arc<dyn Environment>,
        dir: &Path,
    ) -> Result<(Self, BTreeMap<LogIdentity, HardState>), OpenError> {
        Self::open_with(environment, dir, LIMITS)
    }

    fn open_with(
        environment: Arc<dyn Environment>,
        dir: &Path,
        limits: Limits,
    ) -> Result<(Self, BTreeMap<LogIdentity, HardState>), OpenError> {
        let recovered = recovery::recover(environment.as_ref(), dir)?;
        let writer = JournalWriter::start(Arc::clone(&environment), limits.file_bytes_min, recovered);
        let writer = writer.map_err(|error| match error {
            SaveError::NoSpace { .. } => recovery::io_error(dir)(io::ErrorKind::StorageFull.into()),
            SaveError::Failed { path, error } => OpenError::Io { path, error },
        })?;
        let groups = writer.groups().clone().into_map();
        let shared = Arc::new(Shared::new(limits.requests_max));
        let task = JournalTask::new(Arc::clone(&shared), writer);
        let task = environment.spawn("journal", Box::new(task)).map_err(recovery::io_error(dir))?;
        shared.task.get_or_init(|| task);
        Ok((Self { shared }, groups))
    }

    /// Gives what submits requests.
    #[must_use]
    pub fn handle(&self) -> JournalHandle {
        JournalHandle { shared: Arc::clone(&self.shared) }
    }

    /// Writes committed indexes that were noted, without a sync but where the file is full. To be called every second or so: it also lets the journal
    /// tell damage to its last records from a torn tail.
    pub fn tick(&self) {
        self.shared.tick();
    }

    /// Takes no more requests, saves what was taken, and waits for all that.
    ///
    /// # Errors
    /// The end of the journal could not be written.
    pub fn shutdown(self) -> Result<(), ShutdownError> {
        self.shared.close();
        if let Some(task) = self.shared.task.get() {
            task.join();
        }
        let ended = self.shared.lock().ended.clone();
        ended.ok_or(ShutdownError::Panicked)?.map_err(ShutdownError::Save)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

/// Submits requests to the journal. Clones are the same journal.
///
/// No method waits. Requests take effect, and are completed, in the order of their submission. A completion runs on the
/// journal's thread when the request is durable, or has failed: it must neither block nor panic. It is dropped, not run,
/// if the request is not taken, or if the journal's task itself comes to an end.
#[derive(Clone)]
pub struct JournalHandle {
    shared: Arc<Shared>,
}

impl JournalHandle {
    /// Saves the vote of a group. The last one counts.
    ///
    /// # Errors
    /// The request was not taken.
    pub fn save_vote(
        &self,
        group: LogIdentity,
        vote: Vote,
        completion: impl FnOnce(Result<(), SaveError>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        self.shared.submit(Entry::Vote(group, vote), Box::new(completion))
    }

    /// Saves what was purged from the log of a group. The last mark counts.
    ///
    /// # Errors
    /// The request was not taken.
    pub fn save_purged(
        &self,
        group: LogIdentity,
        purged: PurgeMark,
        completion: impl FnOnce(Result<(), SaveError>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        self.shared.submit(Entry::Purged(group, purged), Box::new(completion))
    }

    /// Forgets a group, and what was noted of it. A group that is not known is forgotten just as well.
    ///
    /// # Errors
    /// The request was not taken.
    pub fn remove(
        &self,
        group: LogIdentity,
        completion: impl FnOnce(Result<(), SaveError>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        self.shared.submit(Entry::Removed(group), Box::new(completion))
    }

    /// Notes how far a group is committed. It costs no I/O and promises nothing: after a crash the last one or some earlier
    /// one is there. Of a group without a vote or a purge mark nothing is kept.
    pub fn note_committed(&self, group: LogIdentity, index: RaftIndex) {
        self.shared.note_committed(group, index);
    }
}

impl fmt::Debug for JournalHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalHandle").finish_non_exhaustive()
    }
}
