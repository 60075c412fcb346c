//! The names in one directory: those that programs see, and those that a crash cannot take back.

use std::collections::BTreeMap;

use super::disk::InodeId;
use super::power_loss::PowerLoss;

/// Names and the inodes they lead to.
type Names = BTreeMap<String, InodeId>;

/// A directory of a journalled file system: a crash keeps the changes since the last sync up to some point, and takes
/// back every later one.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    live: Names,
    durable: Names,
    /// What leads from `durable` to `live`, in order.
    unsynced: Vec<NameChange>,
    /// A sync failed: later ones succeed, and make nothing durable any more.
    abandoned: bool,
}

/// One step that happens whole or not at all.
#[derive(Clone, Debug)]
enum NameChange {
    Add { name: String, inode: InodeId },
    Remove { name: String },
    Rename { from: String, to: String },
}

impl Directory {
    pub(super) fn get(&self, name: &str) -> Option<InodeId> {
        self.live.get(name).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.live.keys().map(String::as_str)
    }

    /// Adds a name that is not there.
    pub(super) fn add(&mut self, name: &str, inode: InodeId) {
        self.change(NameChange::Add { name: name.to_owned(), inode });
    }

    /// Removes a name that is there.
    pub(super) fn remove(&mut self, name: &str) {
        self.change(NameChange::Remove { name: name.to_owned() });
    }

    /// Moves a name that is there over whatever has the other one.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.change(NameChange::Rename { from: from.to_owned(), to: to.to_owned() });
    }

    /// Makes every change durable, unless an earlier sync failed.
    pub(super) fn sync(&mut self) {
        if !self.abandoned {
            for change in self.unsynced.drain(..) {
                apply(&mut self.durable, change);
            }
        }
    }

    /// Fails to sync, for good.
    pub(super) fn fail_sync(&mut self) {
        self.abandoned = true;
    }

    /// Finds the directory as a loss of power leaves it.
    pub(super) fn survivor(&self, loss: &mut PowerLoss) -> Self {
        let kept = loss.pick(self.unsynced.len() + 1);
        let mut names = self.durable.clone();
        for change in self.unsynced.iter().take(kept) {
            apply(&mut names, change.clone());
        }
        Self { live: names.clone(), durable: names, ..Self::default() }
    }

    /// Lists every inode that a name leads to, or may lead to after a crash.
    pub(super) fn inodes(&self) -> impl Iterator<Item = InodeId> {
        let added = self.unsynced.iter().filter_map(|change| match change {
            NameChange::Add { inode, .. } => Some(*inode),
            NameChange::Remove { .. } | NameChange::Rename { .. } => None,
        });
        self.live.values().chain(self.durable.values()).copied().chain(added)
    }

    fn change(&mut self, change: NameChange) {
        apply(&mut self.live, change.clone());
        self.unsynced.push(change);
    }
}

fn apply(names: &mut Names, change: NameChange) {
    match change {
        NameChange::Add { name, inode } => {
            names.insert(name, inode);
        }
        NameChange::Remove { name } => {
            names.remove(&name);
        }
        NameChange::Rename { from, to } => {
            if let Some(inode) = names.remove(&from) {
                names.insert(to, inode);
            }
        }
    }
}
