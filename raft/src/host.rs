//! The replicas of one broker: its data directory, the threads that write to it, and the groups over them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tidelog_log::data_dir::{DataDir, DataDirError};
use tidelog_log::environment::Environment;
use tidelog_log::storage::{Durability, StartError, Storage, StorageConfig};
use tidelog_log::{Log, LogConfig, LogIdentity, OpenError};
use tidelog_proto::ids::{BrokerId, PartitionId, TopicId};
use tokio::sync::oneshot;

use crate::directory::{DirectoryError, DirectoryIdentity, count_boot};
use crate::group::Group;
use crate::hard_state::HardState;
use crate::journal::{self, Journal};
use crate::metadata_group::{METADATA_LOG, MetadataGroup};
use crate::replica::{OpenGroupError, ReplicaParts};
use crate::replica_id::ReplicaId;
use crate::state_files::state_dir;
use crate::tail_cache::TailBudget;

/// Size of the metadata group's segments: a state is written at each, and applied again is at most one.
const METADATA_SEGMENT_BYTES: u64 = 4 * 1024 * 1024;

/// Incarnation of a broker's replica of the metadata group, which nobody issues. Those that the metadata issues begin at 1.
const METADATA_INCARNATION: u32 = 0;

/// What a host is told.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// How the storage threads work.
    pub storage: StorageConfig,
    /// Bytes of the newest entries that all groups together keep in memory beyond what is still to be written.
    pub tail_cache_bytes: u64,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self { storage: StorageConfig::default(), tail_cache_bytes: 48 * 1024 * 1024 }
    }
}

/// A data directory at work.
///
/// Dropping it stops what writes to the directory as soon as that can be done without waiting; [`Host::shutdown`] waits.
#[derive(Debug)]
pub struct Host {
    environment: Arc<dyn Environment>,
    dir: DataDir,
    identity: DirectoryIdentity,
    /// How often the directory was started, this time included.
    boot_counter: u64,
    storage: Storage,
    journal: Journal,
    /// What the journal remembered of groups that were not opened yet.
    hard_states: Mutex<BTreeMap<LogIdentity, HardState>>,
    tail_budget: Arc<TailBudget>,
}

impl Host {
    /// Takes a data directory for a broker, and begins it for a cluster of its own if it is new. Blocks on the disk.
    ///
    /// # Errors
    /// Another process uses the directory, it belongs to another broker, its journal is missing or damaged, or the file
    /// system refused.
    pub fn open(
        environment: Arc<dyn Environment>,
        path: &Path,
        broker_id: BrokerId,
        config: HostConfig,
    ) -> Result<Self, HostError> {
        let dir = DataDir::open(environment.as_ref(), path).map_err(HostError::DataDir)?;
        let identity = match DirectoryIdentity::read(environment.as_ref(), path).map_err(HostError::Directory)? {
            Some(found) => found.of(broker_id, path).map_err(HostError::Directory)?,
            None => {
                let new = DirectoryIdentity::new(environment.as_ref(), broker_id);
                begin_directory(environment.as_ref(), path, &new)?;
                new
            }
        };
        let boot_counter = count_boot(environment.as_ref(), path).map_err(HostError::Directory)?;
        let (journal, hard_states) = Journal::open(Arc::clone(&environment), path).map_err(HostError::Journal)?;
        let storage = Storage::start(Arc::clone(&environment), path, config.storage).map_err(HostError::Storage)?;
        Ok(Self {
            environment,
            dir,
            identity,
            boot_counter,
            storage,
            journal,
            hard_states: Mutex::new(hard_states),
            tail_budget: TailBudget::new(config.tail_cache_bytes),
        })
    }

    /// Gives the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Tells whose directory it is.
    #[must_use]
    pub fn identity(&self) -> DirectoryIdentity {
        self.identity
    }

    /// Tells how often the directory was started, this time included. Durable.
    #[must_use]
    pub fn boot_counter(&self) -> u64 {
        self.boot_counter
    }

    /// Gives what the directory is reached through.
    #[must_use]
    pub fn environment(&self) -> &Arc<dyn Environment> {
        &self.environment
    }

    /// Opens this broker's replica of a partition, which has no other, or begins it.
    ///
    /// # Errors
    /// The log or what belongs to it could not be opened, or it is open already.
    pub async fn open_group(
        &self,
        identity: LogIdentity,
        incarnation: u32,
        config: LogConfig,
        durability: Durability,
    ) -> Result<Group, HostError> {
        let parts = self.open_log(identity, incarnation, config, durability).await?;
        Group::open(parts).await.map_err(|error| HostError::Group { identity, error })
    }

    /// Opens this broker's replica of the metadata group, which has no other, or begins it.
    ///
    /// # Errors
    /// As [`Host::open_group`].
    pub async fn open_metadata(&self) -> Result<MetadataGroup, HostError> {
        let config = LogConfig { segment_bytes: METADATA_SEGMENT_BYTES, ..LogConfig::default() };
        let parts = self.open_log(METADATA_LOG, METADATA_INCARNATION, config, Durability::Synced).await?;
        MetadataGroup::open(parts).await.map_err(|error| HostError::Group { identity: METADATA_LOG, error })
    }

    async fn open_log(
        &self,
        identity: LogIdentity,
        incarnation: u32,
        config: LogConfig,
        durability: Durability,
    ) -> Result<ReplicaParts, HostError> {
        let dir = identity.dir(self.dir.path());
        let (environment, log_dir) = (Arc::clone(&self.environment), dir.clone());
        let open = move || Log::open(environment, &log_dir, identity, config);
        let opened = tokio::task::spawn_blocking(open).await;
        let log = opened.map_err(|error| HostError::Io { path: dir.clone(), error: io::Error::other(error) })?;
        let log = log.map_err(|error| HostError::Log { identity, error })?;
        let handle = self.storage.add(log.writer).map_err(|_| HostError::Stopped)?;
        let hard_state = {
            let mut hard_states = self.hard_states.lock().unwrap_or_else(PoisonError::into_inner);
            hard_states.remove(&identity).unwrap_or_default()
        };
        Ok(ReplicaParts {
            identity,
            replica: ReplicaId::new(self.identity.broker_id, incarnation),
            environment: Arc::clone(&self.environment),
            dir,
            handle,
            reader: log.reader,
            journal: self.journal.handle(),
            hard_state,
            durability,
            tail_budget: Arc::clone(&self.tail_budget),
        })
    }

    /// Removes everything that is kept of a partition whose replica is not open, and never will be again. A second call does
    /// nothing, and one that was cut short is made good by the next.
    ///
    /// # Errors
    /// A file could not be removed, or the journal has failed.
    pub async fn remove_group(&self, identity: LogIdentity) -> Result<(), HostError> {
        let dir = identity.dir(self.dir.path());
        let environment = Arc::clone(&self.environment);
        let remove = {
            let dir = dir.clone();
            move || {
                remove_directory(environment.as_ref(), &state_dir(&dir))?;
                remove_directory(environment.as_ref(), &dir)?;
                match dir.parent().map(|topic_dir| environment.remove_dir(topic_dir)) {
                    // Other partitions of the topic are still there.
                    Some(Err(error)) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                    Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                }
            }
        };
        let io_error = |error| HostError::Io { path: dir.clone(), error };
        let removed = tokio::task::spawn_blocking(remove).await;
        removed.map_err(io::Error::other).and_then(|outcome| outcome).map_err(io_error)?;
        let (sender, forgotten) = oneshot::channel();
        let completion = move |outcome| drop(sender.send(outcome));
        let submitted = self.journal.handle().remove(identity, completion).map_err(io::Error::other);
        submitted.map_err(io_error)?;
        let forgotten = forgotten.await.map_err(|_| HostError::Stopped)?;
        self.hard_states.lock().unwrap_or_else(PoisonError::into_inner).remove(&identity);
        forgotten.map_err(io::Error::other).map_err(io_error)
    }

    /// Removes everything that is kept of a topic, none of whose replicas is open, as [`Host::remove_group`] does.
    ///
    /// # Errors
    /// As there.
    pub async fn remove_topic(&self, topic_id: TopicId) -> Result<(), HostError> {
        let remembered = {
            let hard_states = self.hard_states.lock().unwrap_or_else(PoisonError::into_inner);
            let of_topic = hard_states.keys().filter(|identity| identity.topic_id == topic_id);
            of_topic.map(|identity| identity.partition.get() + 1).max().unwrap_or(0)
        };
        let (environment, dir) = (Arc::clone(&self.environment), self.dir.path().to_owned());
        let identity = move |partition| LogIdentity { topic_id, partition: PartitionId::new(partition) };
        let has_files = move |partition: &u32| environment.list_files(&identity(*partition).dir(&dir)).is_ok();
        // The highest goes first, so that what is left is counted from 0 without a gap whenever this is cut short.
        let count = move || (0..).take_while(has_files).count();
        let counted = tokio::task::spawn_blocking(count).await.map_err(|_| HostError::Stopped)?;
        let end = remembered.max(u32::try_from(counted).unwrap_or(u32::MAX));
        for partition in (0..end).rev() {
            self.remove_group(identity(partition)).await?;
        }
        Ok(())
    }

    /// Does what has to be done every few seconds. Does not block.
    pub fn tick(&self) {
        self.storage.tick();
        self.journal.tick();
    }

    /// Does what was taken, closes what is still open, and waits for all that. Blocks on the disk. Groups are closed first, by
    /// themselves.
    ///
    /// # Errors
    /// What could not be closed.
    pub fn shutdown(self) -> Result<(), HostError> {
        let Self { dir, storage, journal, .. } = self;
        let failed = |error: &dyn fmt::Display| HostError::Io {
            path: dir.path().to_owned(),
            error: io::Error::other(error.to_string()),
        };
        let storage = storage.shutdown().map_err(|error| failed(&error));
        // A vote that was given is safe even if a log is not.
        journal.shutdown().map_err(|error| failed(&error)).and(storage)
    }
}

/// Removes a directory and the files in it, if it is there.
fn remove_directory(environment: &dyn Environment, dir: &Path) -> io::Result<()> {
    let files = match environment.list_files(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        files => files?,
    };
    files.iter().try_for_each(|name| environment.remove_file(&dir.join(name)))?;
    environment.remove_dir(dir)
}

/// Makes a new directory ready: the journal first, so that a directory with an identity has one.
fn begin_directory(environment: &dyn Environment, path: &Path, identity: &DirectoryIdentity) -> Result<(), HostError> {
    let io_error = |error| HostError::Io { path: path.to_owned(), error };
    match journal::create(environment, path) {
        // It was begun before and never got its identity, so nothing was ever kept in it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        outcome => outcome.map_err(io_error)?,
    }
    identity.write(environment, path).map_err(io_error)
}

/// A host, or a replica on it, that cannot be opened.
#[derive(Debug)]
pub enum HostError {
    /// The directory is in use, or could not be locked.
    DataDir(DataDirError),
    /// The directory is somebody else's, or does not say whose.
    Directory(DirectoryError),
    /// The journal could not be opened.
    Journal(journal::OpenError),
    /// The storage threads did not start.
    Storage(StartError),
    /// The machine did not give us what we asked for.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it answered.
        error: io::Error,
    },
    /// A log could not be opened.
    Log {
        /// Whose.
        identity: LogIdentity,
        /// Why.
        error: OpenError,
    },
    /// A group could not be opened.
    Group {
        /// Whose.
        identity: LogIdentity,
        /// Why.
        error: OpenGroupError,
    },
    /// The host was stopped.
    Stopped,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataDir(error) => error.fmt(f),
            Self::Directory(error) => error.fmt(f),
            Self::Journal(error) => error.fmt(f),
            Self::Storage(error) => error.fmt(f),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Log { identity, error } => write!(f, "partition {identity}: {error}"),
            Self::Group { identity, error } => write!(f, "partition {identity}: {error}"),
            Self::Stopped => f.write_str("the data directory was closed"),
        }
    }
}

impl std::error::Error for HostError {}
