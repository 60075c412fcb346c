//! A machine in memory whose every choice follows from one seed.
//!
//! Its disk keeps two images of each file: the *live* one, which programs see, and the *durable* one, which a sync brings
//! up to date. [`SimulatedEnvironment::crash`] gives the machine that comes up after a loss of power: of everything that
//! was not synced, each page, length and run of name changes survives or is lost by its own luck, pages also torn between
//! sectors. The environment is cheap: a life that touches little costs microseconds.
//!
//! | File | What it decides |
//! |---|---|
//! | `machine` | one life: what a request does under the fault plan |
//! | `system_calls`, `file`, `handle`, `mapping` | the traits of [`crate::environment`], on top of it |
//! | `disk`, `directory`, `inode`, `page`, `extents` | the two images: names, lengths, pages, blocks |
//! | `power_loss` | which of the unsynced states is found afterwards |
//! | `faults`, `operation` | crash points, injected errors, operation numbers |
//! | `published` | that no byte changes beneath a reader |
//! | `scheduler` | whose turn it is |
//! | `rng` | the seed's numbers |
//!
//! ```
//! use std::path::Path;
//! use tidelog_log::environment::simulated::SimulatedEnvironment;
//! use tidelog_log::environment::{Environment, OpenMode};
//!
//! let machine = SimulatedEnvironment::new(7);
//! machine.create_dir_all(Path::new("/logs"))?;
//! let file = machine.open_file(Path::new("/logs/a"), OpenMode::CreateNew)?;
//! file.write_all_at(b"synced", 0)?;
//! file.sync_data()?;
//! machine.sync_dir(Path::new("/logs"))?;
//! file.write_all_at(b"?", 6)?;
//!
//! for seed in 0..20 {
//!     let found = machine.crash(seed).read_contents(Path::new("/logs/a")).expect("its name was synced");
//!     assert!(found == b"synced" || found == b"synced?" || found == b"synced\0");
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

mod directory;
mod disk;
mod extents;
mod faults;
mod file;
mod handle;
mod inode;
mod machine;
mod mapping;
mod operation;
mod page;
mod power_loss;
mod published;
mod rng;
mod scheduler;
mod system_calls;

pub use faults::{CrashPoint, FaultTarget};
pub use rng::Rng;

use disk::Disk;
use machine::Machine;

#[cfg(test)]
mod durability_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod task_tests;

/// What the wall clock of a new machine shows: 2025-01-01, so that nothing underflows by going back some years.
const FIRST_MS: i64 = 1_735_689_600_000;

/// How long a machine stays away when its process ends.
const RESTART_MS: i64 = 1_000;

/// One life of a simulated machine. Clones are handles of the same life.
///
/// Tasks hold the environment and the environment holds its tasks, so a life whose tasks are not all done is freed only
/// after [`SimulatedEnvironment::crash`], [`SimulatedEnvironment::kill`] or [`SimulatedEnvironment::power_off`].
#[derive(Clone, Debug)]
pub struct SimulatedEnvironment {
    machine: Arc<Machine>,
}

impl SimulatedEnvironment {
    /// Starts the first life of a machine, on an empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::boot(Disk::new(), Rng::new(seed), FIRST_MS)
    }

    fn boot(disk: Disk, rng: Rng, now_ms: i64) -> Self {
        Self { machine: Arc::new(Machine::boot(disk, rng, now_ms)) }
    }

    // The end of a life.

    /// Cuts the power and gives the machine that comes up afterwards, as `seed` decides. This life is over; it can be
    /// crashed again with other seeds, to see what else might have survived.
    ///
    /// The new life has no open files, locks, tasks or planned faults; its wall clock shows a little later.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        self.power_off();
        let state = self.machine.lock();
        let mut rng = Rng::new(seed);
        let disk = state.disk.after_power_loss(rng.next_u64());
        Self::boot(disk, rng, state.now_ms.saturating_add(RESTART_MS))
    }

    /// Ends the process but not the machine, as `kill -9` does: the page cache survives, synced or not.
    #[must_use]
    pub fn kill(&self) -> Self {
        self.power_off();
        let next = self.duplicate();
        next.advance(Duration::from_millis(RESTART_MS.unsigned_abs()));
        next
    }

    /// Ends this life where it stands: every request fails from now on, tasks are dropped.
    pub fn power_off(&self) {
        self.machine.power_off();
    }

    /// Makes a second machine with an equal disk, synced and unsynced state alike, in a new life of its own.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let state = self.machine.lock();
        let rng = state.program_rng.clone().fork();
        Self::boot(state.disk.clone(), rng, state.now_ms)
    }

    // Time.

    /// Sets the wall clock, to an earlier time as well.
    pub fn set_now_ms(&self, now_ms: i64) {
        self.machine.lock().now_ms = now_ms;
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut state = self.machine.lock();
        state.now_ms = state.now_ms.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
        state.monotonic = state.monotonic.saturating_add(by);
    }

    // Tasks. They run only inside these calls and inside `TaskHandle::join`, on the caller's thread.

    /// Steps one of the tasks that are ready; tells whether there was one.
    pub fn run_one(&self) -> bool {
        self.machine.run_one()
    }

    /// Steps tasks until none is ready.
    ///
    /// # Panics
    /// If they are still not at rest after ten million steps.
    pub fn run_until_idle(&self) {
        self.machine.run_until(|| false);
    }

    // Faults.

    /// Tells how many operations were asked for in this life: creates, renames, removes, writes, allocations, changes of
    /// length and syncs. The next one has this number.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.machine.lock().faults.operations
    }

    /// Lets the power fail in the operation with this number: it and every later request answer with an error.
    ///
    /// # Panics
    /// If that operation is past.
    pub fn crash_at(&self, operation: u64, point: CrashPoint) {
        self.machine.lock().faults.crash_at(operation, point);
    }

    /// Tells whether the power has failed.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.machine.lock().faults.down
    }

    /// Makes some of the coming requests of a kind fail with EIO: `0..1` is the next one, `2..5` are three after two.
    pub fn fail(&self, target: FaultTarget, which: Range<u64>) {
        self.machine.lock().faults.fail(target, &which);
    }

    /// Forgets every fault that has not happened yet, the crash point included.
    pub fn clear_faults(&self) {
        self.machine.lock().faults.clear();
    }

    /// Sets the size of the disk. Less than what is in use is a full disk.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.machine.lock().disk.set_capacity_bytes(capacity_bytes);
    }

    // A look at the disk from outside: neither operations nor subject to faults, and possible after a loss of power.

    /// Lists the path of every file, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.machine.lock().disk.files()
    }

    /// Copies the live content of a file; `None` where there is none.
    #[must_use]
    pub fn read_contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.machine.lock();
        let inode = state.disk.inode(state.disk.find(path).ok()?);
        let mut contents = vec![0; usize::try_from(inode.len_bytes()).ok()?];
        inode.read(&mut contents, 0);
        Some(contents)
    }

    /// Replaces the content of a file in both images, creating it if need be; all names in its directory are durable
    /// afterwards.
    ///
    /// # Panics
    /// If there is no such directory.
    pub fn set_contents(&self, path: &Path, contents: &[u8]) {
        let mut state = self.machine.lock();
        state.disk.set_contents(path, contents).expect("the directory of a damaged file exists");
    }

    /// Flips one bit of a file in both images.
    ///
    /// # Panics
    /// If there is no such byte, or no such bit in a byte.
    pub fn flip_bit(&self, path: &Path, position_bytes: u64, bit: u8) {
        let mut state = self.machine.lock();
        let inode = state.disk.find(path).expect("the damaged file exists");
        let inode = state.disk.inode_mut(inode);
        assert!(position_bytes < inode.len_bytes() && bit < 8, "no bit {bit} of byte {position_bytes}");
        inode.flip(position_bytes, 1 << bit);
    }

    // The trace.

    /// Begins to write down every operation, every read that fails and every step of a task.
    pub fn start_trace(&self) {
        self.machine.lock().trace = Some(Vec::new());
    }

    /// Takes what was written down since [`SimulatedEnvironment::start_trace`], or since it was last taken.
    #[must_use]
    pub fn take_trace(&self) -> Vec<String> {
        self.machine.lock().trace.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
