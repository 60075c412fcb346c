//! One life of a simulated machine: its disk, its clocks, its faults and its tasks, behind one lock each for what is
//! stored and what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use super::disk::{Disk, InodeId};
use super::faults::{CrashPoint, FaultTarget, Faults, Verdict, machine_is_down};
use super::operation::Operation;
use super::published::PublishedRanges;
use super::rng::Rng;
use super::scheduler::Scheduler;

/// Steps after which tasks that never come to rest count as a hang.
const STEPS_MAX: u64 = 10_000_000;

/// Everything that handles of one life share.
#[derive(Debug)]
pub(super) struct Machine {
    /// Shared because files, mappings and tasks all lead here. Held for one request at a time, never while a task steps.
    state: Mutex<State>,
    pub(super) scheduler: Scheduler,
}

/// What requests read and change.
pub(super) struct State {
    pub(super) disk: Disk,
    pub(super) faults: Faults,
    /// Slices of mappings that readers may still hold.
    pub(super) published: BTreeMap<InodeId, PublishedRanges>,
    /// Lock files that are held.
    pub(super) locks: BTreeSet<InodeId>,
    pub(super) now_ms: i64,
    pub(super) monotonic: Duration,
    /// What the program draws from. It shares no draws with the faults, so a fault does not change its choices.
    pub(super) program_rng: Rng,
    /// How much of a failing request happens.
    pub(super) fault_rng: Rng,
    /// One line per request and step; `None` unless someone wants to read it.
    pub(super) trace: Option<Vec<String>>,
}

impl Machine {
    /// Starts a life on `disk`.
    pub(super) fn boot(mut disk: Disk, mut rng: Rng, now_ms: i64) -> Self {
        disk.close_all();
        let state = State {
            disk,
            faults: Faults::default(),
            published: BTreeMap::new(),
            locks: BTreeSet::new(),
            now_ms,
            monotonic: Duration::ZERO,
            program_rng: rng.fork(),
            fault_rng: rng.fork(),
            trace: None,
        };
        Self { state: Mutex::new(state), scheduler: Scheduler::new(rng) }
    }

    /// Takes the state. A test that panicked meanwhile, as the guards here do, leaves it whole enough to be dropped.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Steps one ready task, if there is any.
    pub(super) fn run_one(&self) -> bool {
        let Some(turn) = self.scheduler.next_turn() else { return false };
        self.lock().note(|| format!("step {}", turn.name));
        self.scheduler.step(turn);
        true
    }

    /// Steps tasks until `done` says so, or until none is ready. Tells which.
    pub(super) fn run_until(&self, done: impl Fn() -> bool) -> bool {
        for _ in 0..STEPS_MAX {
            if done() {
                return true;
            }
            if !self.run_one() {
                return false;
            }
        }
        panic!("tasks are still not at rest after {STEPS_MAX} steps: {:?}", self.scheduler.unfinished());
    }

    /// Ends the life: requests fail from now on, and tasks never step again.
    pub(super) fn power_off(&self) {
        self.lock().faults.down = true;
        self.scheduler.end_all();
    }
}

impl State {
    /// Numbers an operation, applies the fault plan to it, and does what the plan leaves of it.
    ///
    /// # Errors
    /// What `apply` answers, EIO for an injected fault, or that the machine is down.
    pub(super) fn perform<T>(
        &mut self,
        operation: &Operation<'_>,
        apply: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        self.perform_or(operation, apply, |_| {})
    }

    /// Like [`State::perform`], for an operation whose failure leaves marks: `fail` makes them.
    pub(super) fn perform_or<T>(
        &mut self,
        operation: &Operation<'_>,
        apply: impl FnOnce(&mut Self) -> io::Result<T>,
        fail: impl FnOnce(&mut Self),
    ) -> io::Result<T> {
        let verdict = self.faults.admit(operation)?;
        let number = self.faults.operations - 1;
        self.note(|| format!("{number} {operation}: {verdict:?}"));
        match verdict {
            Verdict::Proceed => apply(self),
            Verdict::Fail => {
                fail(self);
                Err(Errno::IO.into())
            }
            Verdict::Crash(CrashPoint::Before) => Err(machine_is_down()),
            Verdict::Crash(CrashPoint::Torn) => {
                if operation.target() == FaultTarget::Write {
                    fail(self);
                }
                Err(machine_is_down())
            }
            Verdict::Crash(CrashPoint::After) => {
                apply(self)?;
                Err(machine_is_down())
            }
        }
    }

    /// Checks that no reader holds bytes past a new end of a file.
    ///
    /// # Panics
    /// If one does: on a real machine its next access would raise SIGBUS.
    pub(super) fn check_cut(&self, inode: InodeId, path: &Path, len_bytes: u64) {
        if let Some(range) = self.published.get(&inode).and_then(|ranges| ranges.cut_by(len_bytes)) {
            panic!("SIGBUS: {}: cut to {len_bytes} bytes beneath a reader of {range:?}", path.display());
        }
    }

    /// Checks that no reader holds bytes that a write is about to change.
    ///
    /// # Panics
    /// If one does: on a real machine that is undefined behaviour.
    pub(super) fn check_write(&self, inode: InodeId, path: &Path, bytes: &[u8], position_bytes: u64) {
        if let Some(range) = self.published.get(&inode).and_then(|ranges| ranges.changed_by(bytes, position_bytes)) {
            let (path, len) = (path.display(), bytes.len());
            panic!(
                "{path}: a write of {len} bytes at {position_bytes} changes published bytes that are held: {range:?}"
            );
        }
    }

    /// Adds a line to the trace, if there is one.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("now_ms", &self.now_ms).field("faults", &self.faults).finish_non_exhaustive()
    }
}
