//! A broker's data directory, held by one process.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::environment::{Environment, FileLock, OpenMode};

/// Name of the lock file.
const LOCK_FILE: &str = "lock";

/// A data directory that this process alone may use, as long as the value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Released when dropped, or by the operating system when the process dies.
    _lock: Box<dyn FileLock>,
}

impl DataDir {
    /// Creates the directory if need be and takes its lock.
    ///
    /// # Errors
    /// Another process holds it, or the file system refused.
    pub fn open(environment: &dyn Environment, path: &Path) -> Result<Self, DataDirError> {
        let io_error = |error| DataDirError::Io { path: path.to_owned(), error };
        environment.create_dir_all(path).map_err(io_error)?;
        match environment.lock_file(&path.join(LOCK_FILE)) {
            Ok(lock) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(DataDirError::InUse { path: path.to_owned() })
            }
            Err(error) => Err(io_error(error)),
        }
    }

    /// Tells whether another process holds the directory at `path`, as far as that can be told without waiting. The lock
    /// is taken for a moment if it is free; nothing is created.
    ///
    /// # Errors
    /// The file system refused.
    pub fn is_in_use(environment: &dyn Environment, path: &Path) -> io::Result<bool> {
        let lock_file = path.join(LOCK_FILE);
        let locked = environment.open_file(&lock_file, OpenMode::Read).and_then(|_| environment.lock_file(&lock_file));
        match locked {
            Ok(_) => Ok(false),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => Ok(false),
                io::ErrorKind::WouldBlock => Ok(true),
                _ => Err(error),
            },
        }
    }

    /// Gives the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A data directory that cannot be used.
#[derive(Debug)]
pub enum DataDirError {
    /// Another process uses it.
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The file system refused.
    Io {
        /// The directory.
        path: PathBuf,
        /// What it answered.
        error: io::Error,
    },
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => write!(f, "{}: the data directory is used by another process", path.display()),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for DataDirError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::environment::simulated::SimulatedEnvironment;

    #[test]
    fn a_directory_is_in_use_as_long_as_somebody_holds_it() {
        let machine = SimulatedEnvironment::new(1);
        let path = Path::new("/data");
        assert!(!DataDir::is_in_use(&machine, path).unwrap());
        assert!(machine.files().is_empty(), "asking creates nothing");
        let held = DataDir::open(&machine, path).unwrap();
        assert!(DataDir::is_in_use(&machine, path).unwrap());
        assert!(matches!(DataDir::open(&machine, path), Err(DataDirError::InUse { .. })));
        drop(held);
        assert!(!DataDir::is_in_use(&machine, path).unwrap());
        drop(DataDir::open(&machine, path).unwrap());
    }
}
