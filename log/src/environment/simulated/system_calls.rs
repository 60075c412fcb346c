//! What a program asks of a simulated machine.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::SimulatedEnvironment;
use super::file::SimulatedFile;
use super::handle::Handle;
use super::machine::{Machine, State};
use super::operation::Operation;
use super::scheduler::TaskId;
use crate::environment::{Environment, FileLock, Filesystem, OpenMode, StorageFile, Task, TaskHandle};

impl Environment for SimulatedEnvironment {
    fn now_ms(&self) -> i64 {
        self.machine.lock().now_ms
    }

    fn monotonic(&self) -> Duration {
        self.machine.lock().monotonic
    }

    fn random_u64(&self) -> u64 {
        self.machine.lock().program_rng.next_u64()
    }

    fn spawn(&self, name: &str, task: Box<dyn Task>) -> io::Result<Arc<dyn TaskHandle>> {
        self.machine.lock().faults.check_power()?;
        let id = self.machine.scheduler.spawn(name, task);
        Ok(Arc::new(SimulatedTask { machine: Arc::clone(&self.machine), id }))
    }

    fn open_file(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut state = self.machine.lock();
        state.faults.check_power()?;
        let existing = match (state.disk.find(path), mode) {
            (Ok(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Err(error), OpenMode::CreateNew | OpenMode::CreateEmpty) if error.kind() == io::ErrorKind::NotFound => {
                None
            }
            (found, _) => Some(found?),
        };
        let inode = match (existing, mode) {
            (Some(inode), OpenMode::CreateEmpty) => {
                state.check_cut(inode, path, 0);
                state.perform(&Operation::SetLen { path, len_bytes: 0 }, |state| {
                    state.disk.inode_mut(inode).set_len(0);
                    Ok(inode)
                })?
            }
            (Some(inode), _) => inode,
            (None, _) => state.perform(&Operation::Create { path }, |state| state.disk.create_file(path))?,
        };
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(SimulatedFile::open(&self.machine, &mut state, inode, path.to_owned(), writable)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.machine.lock().perform(&Operation::Rename { from, to }, |state| state.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.machine.lock().perform(&Operation::Remove { path }, |state| state.disk.remove_file(path))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.machine.lock();
        state.faults.check_power()?;
        let missing: Vec<&Path> = path.ancestors().take_while(|dir| !state.disk.has_directory(dir)).collect();
        for path in missing.into_iter().rev() {
            state.perform(&Operation::CreateDirectory { path }, |state| state.disk.create_directory(path))?;
        }
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.machine.lock().perform(&Operation::RemoveDirectory { path }, |state| state.disk.remove_directory(path))
    }

    fn list_files(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.machine.lock();
        state.faults.check_power()?;
        Ok(state.disk.directory(dir)?.names().map(str::to_owned).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.machine.lock().perform_or(
            &Operation::SyncDirectory { path: dir },
            |state| state.disk.sync_directory(dir),
            |state| state.disk.fail_sync_directory(dir),
        )
    }

    fn lock_file(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        let mut state = self.machine.lock();
        state.faults.check_power()?;
        let inode = match state.disk.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                state.perform(&Operation::Create { path }, |state| state.disk.create_file(path))?
            }
            found => found?,
        };
        if !state.locks.insert(inode) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimulatedLock { handle: Handle::open(&self.machine, &mut state, inode, path.to_owned()) }))
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let state = self.machine.lock();
        state.faults.check_power()?;
        if !state.disk.has_directory(path) {
            state.disk.find(path)?;
        }
        Ok(state.disk.free_bytes())
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let state = self.machine.lock();
        state.faults.check_power()?;
        state.disk.directory(path)?;
        Ok(state.disk.capacity_bytes())
    }

    fn open_filesystem(&self, dir: &Path) -> io::Result<Arc<dyn Filesystem>> {
        let state = self.machine.lock();
        state.faults.check_power()?;
        state.disk.directory(dir)?;
        Ok(Arc::new(SimulatedFilesystem { machine: Arc::clone(&self.machine) }))
    }
}

/// The one file system that a simulated machine has.
#[derive(Debug)]
struct SimulatedFilesystem {
    machine: Arc<Machine>,
}

impl Filesystem for SimulatedFilesystem {
    fn flushes_drive(&self) -> bool {
        true
    }

    fn sync_all(&self) -> io::Result<()> {
        self.machine.lock().perform_or(
            &Operation::SyncAll,
            |state| {
                state.disk.sync_all();
                Ok(())
            },
            |State { disk, fault_rng, .. }| disk.fail_sync_all(fault_rng),
        )
    }
}

/// A held lock file.
#[derive(Debug)]
struct SimulatedLock {
    handle: Handle,
}

impl FileLock for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.handle.machine.lock().locks.remove(&self.handle.inode);
    }
}

/// A task of a simulated machine.
#[derive(Debug)]
struct SimulatedTask {
    machine: Arc<Machine>,
    id: TaskId,
}

impl TaskHandle for SimulatedTask {
    fn wake(&self) {
        self.machine.scheduler.wake(self.id);
    }

    fn join(&self) {
        let scheduler = &self.machine.scheduler;
        let done = self.machine.run_until(|| scheduler.is_done(self.id));
        assert!(done, "deadlock: nothing is ready, and these tasks wait: {:?}", scheduler.unfinished());
    }
}
