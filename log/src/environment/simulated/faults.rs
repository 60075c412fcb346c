//! The plan of what goes wrong, and when.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use super::operation::Operation;

/// Where in an operation the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Nothing of it happened.
    Before,
    /// A write happened in part; anything else did not happen.
    Torn,
    /// All of it happened, but nobody was told.
    After,
}

/// Which requests an injected fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultTarget {
    /// Positioned reads of files. Mappings do not fail so: a real one would raise SIGBUS.
    Read,
    /// Positioned writes; a failed one is done in part.
    Write,
    /// `allocate` and `set_len`.
    Resize,
    /// Syncs of files, of directories and of everything. A failed one loses what it was to make durable, although a
    /// later one succeeds.
    Sync,
    /// Creating, renaming and removing names.
    Name,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Proceed,
    /// It fails with EIO.
    Fail,
    /// The power fails during it.
    Crash(CrashPoint),
}

/// Counts requests and decides on each.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Operations asked for in this life, so the number of the next one.
    pub(super) operations: u64,
    /// Nothing works any more.
    pub(super) down: bool,
    crash_at: Option<(u64, CrashPoint)>,
    /// Requests so far that could meet each target's faults.
    seen: BTreeMap<FaultTarget, u64>,
    /// Requests that fail, by their number among those of their target.
    failing: Vec<(FaultTarget, Range<u64>)>,
}

impl Faults {
    pub(super) fn crash_at(&mut self, operation: u64, point: CrashPoint) {
        assert!(operation >= self.operations, "operation {operation} is past: {} were done", self.operations);
        self.crash_at = Some((operation, point));
    }

    /// Makes some of the coming requests fail; 0 is the next one.
    pub(super) fn fail(&mut self, target: FaultTarget, which: &Range<u64>) {
        let seen = self.seen.get(&target).copied().unwrap_or_default();
        self.failing.push((target, seen.saturating_add(which.start)..seen.saturating_add(which.end)));
    }

    /// Forgets every fault that has not happened yet.
    pub(super) fn clear(&mut self) {
        self.crash_at = None;
        self.failing.clear();
    }

    /// Numbers an operation and decides on it.
    ///
    /// # Errors
    /// The machine is down already.
    pub(super) fn admit(&mut self, operation: &Operation<'_>) -> io::Result<Verdict> {
        self.check_power()?;
        let number = self.operations;
        self.operations += 1;
        let fails = self.fails(operation.target());
        match self.crash_at {
            Some((crashing, point)) if crashing == number => {
                self.down = true;
                Ok(Verdict::Crash(point))
            }
            _ if fails => Ok(Verdict::Fail),
            _ => Ok(Verdict::Proceed),
        }
    }

    /// Decides on a read, which changes nothing and so has no number.
    ///
    /// # Errors
    /// The machine is down already.
    pub(super) fn admit_read(&mut self) -> io::Result<Verdict> {
        self.check_power()?;
        Ok(if self.fails(FaultTarget::Read) { Verdict::Fail } else { Verdict::Proceed })
    }

    /// # Errors
    /// The machine is down.
    pub(super) fn check_power(&self) -> io::Result<()> {
        if self.down { Err(machine_is_down()) } else { Ok(()) }
    }

    fn fails(&mut self, target: FaultTarget) -> bool {
        let seen = self.seen.entry(target).or_default();
        let number = *seen;
        *seen += 1;
        self.failing.iter().any(|(failing, which)| *failing == target && which.contains(&number))
    }
}

/// What everything answers once the power has failed.
pub(super) fn machine_is_down() -> io::Error {
    io::Error::other("the simulated machine is down")
}
