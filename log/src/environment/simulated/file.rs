//! An open file of a simulated machine.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use super::disk::InodeId;
use super::faults::Verdict;
use super::handle::Handle;
use super::machine::{Machine, State};
use super::mapping::SimulatedMapping;
use super::operation::Operation;
use crate::environment::{Mapping, StorageFile, write_zeros};

/// An open file, and the name it was opened by.
#[derive(Debug)]
pub(super) struct SimulatedFile {
    handle: Handle,
    writable: bool,
}

impl SimulatedFile {
    /// Opens an inode of `state`, which is that of `machine`.
    pub(super) fn open(
        machine: &Arc<Machine>,
        state: &mut State,
        inode: InodeId,
        path: PathBuf,
        writable: bool,
    ) -> Self {
        Self { handle: Handle::open(machine, state, inode, path), writable }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(Errno::BADF.into()) }
    }
}

impl StorageFile for SimulatedFile {
    fn len_bytes(&self) -> io::Result<u64> {
        let state = self.handle.machine.lock();
        state.faults.check_power()?;
        Ok(state.disk.inode(self.handle.inode).len_bytes())
    }

    fn read_exact_at(&self, buffer: &mut [u8], position_bytes: u64) -> io::Result<()> {
        let mut state = self.handle.machine.lock();
        if state.faults.admit_read()? == Verdict::Fail {
            state.note(|| format!("read {}: {:?}", self.handle.path.display(), Verdict::Fail));
            return Err(Errno::IO.into());
        }
        let inode = state.disk.inode(self.handle.inode);
        let end_bytes = position_bytes.checked_add(buffer.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
        if end_bytes > inode.len_bytes() && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        inode.read(buffer, position_bytes);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], position_bytes: u64) -> io::Result<()> {
        self.check_writable()?;
        check_range(&(position_bytes..position_bytes.saturating_add(bytes.len() as u64)))?;
        let Handle { machine, inode, path } = &self.handle;
        let mut state = machine.lock();
        state.check_write(*inode, path, bytes, position_bytes);
        state.perform_or(
            &Operation::Write { path, position_bytes, bytes },
            |state| state.disk.write(*inode, bytes, position_bytes),
            |state| {
                let done = state.fault_rng.index(bytes.len() + 1);
                // An error here has nothing to add: the caller is told of one anyway.
                let _ = state.disk.write(*inode, &bytes[..done], position_bytes);
            },
        )
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        self.check_writable()?;
        check_range(&range)?;
        if range.is_empty() {
            return Ok(());
        }
        let Handle { machine, inode, path } = &self.handle;
        let operation = Operation::Allocate { path, range: range.clone() };
        machine.lock().perform(&operation, |state| state.disk.allocate(*inode, &range))
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.check_writable()?;
        check_range(&(0..len_bytes))?;
        let Handle { machine, inode, path } = &self.handle;
        let mut state = machine.lock();
        state.check_cut(*inode, path, len_bytes);
        state.perform(&Operation::SetLen { path, len_bytes }, |state| {
            state.disk.inode_mut(*inode).set_len(len_bytes);
            Ok(())
        })
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        write_zeros(self, range)
    }

    fn sync_data(&self) -> io::Result<()> {
        let Handle { machine, inode, path } = &self.handle;
        machine.lock().perform_or(
            &Operation::SyncFile { path },
            |state| {
                state.disk.inode_mut(*inode).sync();
                Ok(())
            },
            |state| {
                let State { disk, fault_rng, .. } = state;
                disk.inode_mut(*inode).fail_sync(fault_rng);
            },
        )
    }

    fn map(&self, len_bytes: u64) -> io::Result<Arc<dyn Mapping>> {
        let mut state = self.handle.machine.lock();
        state.faults.check_power()?;
        Ok(Arc::new(SimulatedMapping::new(self.handle.reopen(&mut state), len_bytes)))
    }
}

/// Checks that a range is one that a file can have.
fn check_range(range: &Range<u64>) -> io::Result<()> {
    if range.start > range.end || i64::try_from(range.end).is_err() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(())
}
