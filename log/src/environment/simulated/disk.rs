//! A disk with its file system: inodes, directories, and a capacity.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::directory::Directory;
use super::inode::Inode;
use super::page::{PAGE_BYTES, pages_of};
use super::power_loss::PowerLoss;
use super::rng::Rng;

/// Capacity of a disk whose test does not care.
const CAPACITY_BYTES: u64 = 1 << 40;

/// The number of a file, never used twice on one disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InodeId(u64);

/// Everything that outlives the process, page cache included.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    inodes: BTreeMap<InodeId, Inode>,
    next_inode: u64,
    directories: BTreeMap<PathBuf, Directory>,
    capacity_bytes: u64,
}

impl Disk {
    /// Makes an empty disk with a root directory, and one for relative names.
    pub(super) fn new() -> Self {
        let directories = ["/", ""].map(|path| (PathBuf::from(path), Directory::default()));
        Self {
            inodes: BTreeMap::new(),
            next_inode: 0,
            directories: BTreeMap::from(directories),
            capacity_bytes: CAPACITY_BYTES,
        }
    }

    // Names.

    pub(super) fn has_directory(&self, path: &Path) -> bool {
        self.directories.contains_key(path)
    }

    /// Finds the file at `path`.
    ///
    /// # Errors
    /// `NotFound` where it, or its directory, is missing; `IsADirectory`.
    pub(super) fn find(&self, path: &Path) -> io::Result<InodeId> {
        if self.has_directory(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (dir, name) = split(path)?;
        let directory = self.directories.get(dir).ok_or(io::ErrorKind::NotFound)?;
        directory.get(name).ok_or(io::ErrorKind::NotFound.into())
    }

    /// Creates an empty file.
    ///
    /// # Errors
    /// `AlreadyExists`; `NotFound` where there is no such directory.
    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<InodeId> {
        match self.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        }
        let (dir, name) = split(path)?;
        let id = InodeId(self.next_inode);
        self.directory_mut(dir)?.add(name, id);
        self.next_inode += 1;
        self.inodes.insert(id, Inode::new());
        Ok(id)
    }

    /// Creates one directory, durable at once.
    ///
    /// # Errors
    /// `NotFound` where its parent is missing, `AlreadyExists` where a file has the name.
    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        if self.find(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (parent, _) = split(path)?;
        self.directory_mut(parent)?;
        self.directories.insert(path.to_owned(), Directory::default());
        Ok(())
    }

    /// Moves a file within its directory, over whatever has the other name.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`; `Unsupported` between two directories, which nothing here needs.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let moved = self.find(from)?;
        let (dir, from_name) = split(from)?;
        let (to_dir, to_name) = split(to)?;
        if dir != to_dir {
            return Err(io::ErrorKind::Unsupported.into());
        }
        match self.find(to) {
            Ok(replaced) if replaced != moved => self.inode_mut(replaced).linked = false,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => {}
        }
        self.directory_mut(dir)?.rename(from_name, to_name);
        Ok(())
    }

    /// Removes the name of a file.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`.
    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let id = self.find(path)?;
        let (dir, name) = split(path)?;
        self.directory_mut(dir)?.remove(name);
        self.inode_mut(id).linked = false;
        Ok(())
    }

    /// Removes an empty directory, at once and for good.
    ///
    /// # Errors
    /// `NotFound`, `DirectoryNotEmpty`.
    pub(super) fn remove_directory(&mut self, path: &Path) -> io::Result<()> {
        let has_files = self.directory(path)?.names().next().is_some();
        let has_directories = self.directories.keys().any(|other| other.parent() == Some(path));
        if has_files || has_directories {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.directories.remove(path);
        Ok(())
    }

    /// Gives the directory at `path`.
    ///
    /// # Errors
    /// `NotFound`.
    pub(super) fn directory(&self, path: &Path) -> io::Result<&Directory> {
        self.directories.get(path).ok_or(io::ErrorKind::NotFound.into())
    }

    fn directory_mut(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directories.get_mut(path).ok_or(io::ErrorKind::NotFound.into())
    }

    /// Lists every file.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let names_in = |(dir, directory): (&PathBuf, &Directory)| -> Vec<PathBuf> {
            directory.names().map(|name| dir.join(name)).collect()
        };
        self.directories.iter().flat_map(names_in).collect()
    }

    // Content.

    /// Gives an inode that is open or has a name, as every one does that anybody knows the number of.
    pub(super) fn inode(&self, id: InodeId) -> &Inode {
        self.inodes.get(&id).expect("an inode in use is never dropped")
    }

    pub(super) fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        self.inodes.get_mut(&id).expect("an inode in use is never dropped")
    }

    /// Writes `bytes`, or only what fits where the disk is full.
    ///
    /// # Errors
    /// `StorageFull`.
    pub(super) fn write(&mut self, id: InodeId, bytes: &[u8], position_bytes: u64) -> io::Result<()> {
        let pages = pages_of(&(position_bytes..position_bytes + bytes.len() as u64));
        if let Err(full) = self.check_space(id, &pages) {
            let fit_end_bytes = self.inode(id).blocks().first_missing(pages.start) * PAGE_BYTES as u64;
            let fit = usize::try_from(fit_end_bytes.saturating_sub(position_bytes)).unwrap_or(usize::MAX);
            self.inode_mut(id).write(&bytes[..fit.min(bytes.len())], position_bytes);
            return Err(full);
        }
        self.inode_mut(id).write(bytes, position_bytes);
        Ok(())
    }

    /// Replaces both images of a file, creating it if need be, and makes the names of its directory durable.
    ///
    /// # Errors
    /// `NotFound` where there is no such directory, `IsADirectory`.
    pub(super) fn set_contents(&mut self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let id = match self.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create_file(path)?,
            found => found?,
        };
        self.inode_mut(id).set_contents(contents);
        self.sync_directory(split(path)?.0)
    }

    /// Gives blocks to a range.
    ///
    /// # Errors
    /// `StorageFull`; then nothing changed.
    pub(super) fn allocate(&mut self, id: InodeId, range: &Range<u64>) -> io::Result<()> {
        self.check_space(id, &pages_of(range))?;
        self.inode_mut(id).allocate(range);
        Ok(())
    }

    fn check_space(&self, id: InodeId, pages: &Range<u64>) -> io::Result<()> {
        let missing_pages = self.inode(id).blocks().missing(pages);
        if missing_pages > 0 && missing_pages > self.free_bytes() / PAGE_BYTES as u64 {
            return Err(Errno::NOSPC.into());
        }
        Ok(())
    }

    pub(super) fn free_bytes(&self) -> u64 {
        let in_use = self.inodes.values().filter(|inode| inode.linked || inode.handles > 0);
        let used_pages: u64 = in_use.map(|inode| inode.blocks().pages()).sum();
        self.capacity_bytes.saturating_sub(used_pages * PAGE_BYTES as u64)
    }

    pub(super) fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes
    }

    pub(super) fn set_capacity_bytes(&mut self, capacity_bytes: u64) {
        self.capacity_bytes = capacity_bytes;
    }

    // Durability.

    /// Makes the names of a directory durable.
    ///
    /// # Errors
    /// `NotFound`.
    pub(super) fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        self.directory_mut(path)?.sync();
        self.drop_unreachable();
        Ok(())
    }

    /// Fails to sync a directory, for good.
    pub(super) fn fail_sync_directory(&mut self, path: &Path) {
        if let Some(directory) = self.directories.get_mut(path) {
            directory.fail_sync();
        }
    }

    /// Makes everything durable.
    pub(super) fn sync_all(&mut self) {
        self.inodes.values_mut().for_each(Inode::sync);
        self.directories.values_mut().for_each(Directory::sync);
        self.drop_unreachable();
    }

    /// Fails to sync everything: every file and every directory takes harm.
    pub(super) fn fail_sync_all(&mut self, rng: &mut Rng) {
        self.inodes.values_mut().for_each(|inode| inode.fail_sync(rng));
        self.directories.values_mut().for_each(Directory::fail_sync);
    }

    /// Forgets files that no name leads to, now or after a crash, and nobody has open.
    fn drop_unreachable(&mut self) {
        let named: BTreeSet<InodeId> = self.directories.values().flat_map(Directory::inodes).collect();
        self.inodes.retain(|id, inode| inode.handles > 0 || named.contains(id));
    }

    // The end of a life.

    /// Forgets who had files open, as the end of their process does.
    pub(super) fn close_all(&mut self) {
        self.inodes.values_mut().for_each(|inode| inode.handles = 0);
        self.drop_unreachable();
    }

    /// Finds the disk as a loss of power leaves it: what survives is on it for good.
    pub(super) fn after_power_loss(&self, seed: u64) -> Self {
        let mut loss = PowerLoss::new(seed);
        let directories: BTreeMap<PathBuf, Directory> =
            self.directories.iter().map(|(path, directory)| (path.clone(), directory.survivor(&mut loss))).collect();
        let inodes = directories
            .values()
            .flat_map(Directory::inodes)
            .collect::<BTreeSet<InodeId>>()
            .into_iter()
            .map(|id| (id, self.inode(id).survivor(&mut loss)))
            .collect();
        Self { inodes, directories, ..*self }
    }
}

/// Splits a path into its directory and a name.
fn split(path: &Path) -> io::Result<(&Path, &str)> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
    Ok((dir, name))
}
