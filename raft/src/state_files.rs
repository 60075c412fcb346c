//! What a group has applied up to some entry, in files beside its log: `state/{index:020}.state`.
//!
//! A partition's are written whenever a segment is sealed, and when the group is closed: after a restart no more than one
//! segment is applied again, and when old segments are deleted, the file of the last deleted entry stands for them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidelog_log::environment::Environment;
use tidelog_log::small_file::{self, SmallFileError, SmallFileKind};
use tidelog_proto::ids::RaftIndex;

const ENDING: &str = "state";

/// The state files of one group.
#[derive(Clone, Debug)]
pub(crate) struct StateFiles {
    environment: Arc<dyn Environment>,
    dir: PathBuf,
}

/// Gives where the state files of the group lie whose log is in `log_dir`.
pub(crate) fn state_dir(log_dir: &Path) -> PathBuf {
    log_dir.join("state")
}

impl StateFiles {
    /// Takes the files of the group whose log lies in `log_dir`.
    ///
    /// # Errors
    /// The directory could not be made.
    pub(crate) fn open(environment: Arc<dyn Environment>, log_dir: &Path) -> io::Result<Self> {
        let dir = state_dir(log_dir);
        environment.create_dir_all(&dir)?;
        Ok(Self { environment, dir })
    }

    /// Lists the last applied entries of which there is a file, lowest first.
    ///
    /// # Errors
    /// The directory could not be read.
    pub(crate) fn list(&self) -> io::Result<Vec<RaftIndex>> {
        let index_of = |name: &String| name.strip_suffix(ENDING)?.strip_suffix('.')?.parse().ok().map(RaftIndex::new);
        let mut indexes: Vec<_> = self.environment.list_files(&self.dir)?.iter().filter_map(index_of).collect();
        indexes.sort_unstable();
        Ok(indexes)
    }

    /// Reads the state as of entry `index`; `None` where there is no such file.
    ///
    /// # Errors
    /// The file could not be read, or is damaged.
    pub(crate) fn read(&self, index: RaftIndex) -> Result<Option<Vec<u8>>, SmallFileError> {
        small_file::read(self.environment.as_ref(), &self.path(index), SmallFileKind::GroupState)
    }

    /// Writes the state as of entry `index`, durably.
    ///
    /// # Errors
    /// The file could not be written.
    pub(crate) fn write(&self, index: RaftIndex, state: &[u8]) -> io::Result<()> {
        small_file::write(self.environment.as_ref(), &self.path(index), SmallFileKind::GroupState, state)
    }

    /// Removes the files of all entries below `index`. What cannot be removed is left for the next time.
    ///
    /// # Errors
    /// A file could not be removed.
    pub(crate) fn remove_below(&self, index: RaftIndex) -> io::Result<()> {
        let mut outcome = Ok(());
        for old in self.list()?.into_iter().take_while(|old| *old < index) {
            outcome = self.environment.remove_file(&self.path(old)).and(outcome);
        }
        outcome
    }

    fn path(&self, index: RaftIndex) -> PathBuf {
        self.dir.join(format!("{:020}.{ENDING}", index.get()))
    }
}
