//! What keeps an inode open.

use std::path::PathBuf;
use std::sync::Arc;

use super::disk::InodeId;
use super::machine::{Machine, State};

/// An inode held open, with or without a name, until this is dropped.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) machine: Arc<Machine>,
    pub(super) inode: InodeId,
    /// The name it was opened by, for messages.
    pub(super) path: PathBuf,
}

impl Handle {
    /// Opens an inode of `state`, which is that of `machine`.
    pub(super) fn open(machine: &Arc<Machine>, state: &mut State, inode: InodeId, path: PathBuf) -> Self {
        state.disk.inode_mut(inode).handles += 1;
        Self { machine: Arc::clone(machine), inode, path }
    }

    /// Opens the same inode once more. `state` is that of the same machine.
    pub(super) fn reopen(&self, state: &mut State) -> Self {
        Self::open(&self.machine, state, self.inode, self.path.clone())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.machine.lock().disk.inode_mut(self.inode).handles -= 1;
    }
}
