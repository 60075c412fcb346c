//! The newest entries of a group's log, kept in memory.
//!
//! Raft reads every entry several times just after it was appended: once for each follower, and once to apply it. Until an
//! entry is written it can be read from nowhere else.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::entry::RaftEntry;

use crate::entry::LogEntry;

/// How much the groups of one broker keep in memory together, and keep now.
#[derive(Debug)]
pub(crate) struct TailBudget {
    bytes_max: u64,
    /// A sum that every group adds to and takes from; nothing is ordered by it.
    used_bytes: AtomicU64,
}

impl TailBudget {
    /// Starts with nothing kept. Above `bytes_max` groups let go of what is written; what is not stays, however much.
    #[must_use]
    pub(crate) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, used_bytes: AtomicU64::new(0) })
    }

    fn is_exceeded(&self) -> bool {
        self.used_bytes.load(Ordering::Relaxed) > self.bytes_max
    }
}

/// The tail of one group, shared by its log store, which fills it, and its state machine, which knows what was applied.
#[derive(Clone, Debug)]
pub(crate) struct SharedTail(Arc<Mutex<TailCache>>);

impl SharedTail {
    pub(crate) fn new(budget: Arc<TailBudget>) -> Self {
        Self(Arc::new(Mutex::new(TailCache::new(budget))))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, TailCache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest entries of one group, without a gap.
#[derive(Debug)]
pub(crate) struct TailCache {
    budget: Arc<TailBudget>,
    entries: VecDeque<LogEntry>,
}

impl TailCache {
    pub(crate) fn new(budget: Arc<TailBudget>) -> Self {
        Self { budget, entries: VecDeque::new() }
    }

    /// Gives the index of the first entry that is kept.
    pub(crate) fn first_index(&self) -> Option<u64> {
        self.entries.front().map(RaftEntry::index)
    }

    /// Adds an entry that has its place, behind the last.
    pub(crate) fn push(&mut self, entry: LogEntry) {
        self.budget.used_bytes.fetch_add(bytes_of(&entry), Ordering::Relaxed);
        self.entries.push_back(entry);
    }

    /// Gives the entries from `from` on and below `to`, up to `bytes_max` but at least one; `None` where the first of them
    /// is not kept.
    pub(crate) fn read(&self, from: u64, to: u64, bytes_max: u64) -> Option<Vec<LogEntry>> {
        let skip = usize::try_from(from.checked_sub(self.first_index()?)?).ok()?;
        let mut bytes = 0;
        let fits = |entry: &&LogEntry| {
            let is_first = bytes == 0;
            bytes += bytes_of(entry);
            entry.index() < to && (is_first || bytes <= bytes_max)
        };
        let entries: Vec<_> = self.entries.iter().skip(skip).take_while(fits).cloned().collect();
        (!entries.is_empty()).then_some(entries)
    }

    /// Forgets the entries from `from` on.
    pub(crate) fn cut(&mut self, from: u64) {
        while self.entries.back().is_some_and(|last| last.index() >= from) {
            let last = self.entries.pop_back();
            self.give_back(last.as_ref());
        }
    }

    /// Lets go of the oldest entries below `written_end` while the groups together keep too much.
    pub(crate) fn release(&mut self, written_end: u64) {
        while self.budget.is_exceeded() && self.first_index().is_some_and(|first| first < written_end) {
            let first = self.entries.pop_front();
            self.give_back(first.as_ref());
        }
    }

    /// Lets go of the entries below `end`, which are written and wanted by nobody.
    pub(crate) fn forget(&mut self, end: u64) {
        while self.first_index().is_some_and(|first| first < end) {
            let first = self.entries.pop_front();
            self.give_back(first.as_ref());
        }
        if self.entries.is_empty() {
            // An idle partition keeps nothing.
            self.entries = VecDeque::new();
        }
    }

    fn give_back(&self, entry: Option<&LogEntry>) {
        self.budget.used_bytes.fetch_sub(entry.map_or(0, bytes_of), Ordering::Relaxed);
    }
}

impl Drop for TailCache {
    fn drop(&mut self) {
        self.cut(0);
    }
}

/// What an entry takes, itself and its bytes.
fn bytes_of(entry: &LogEntry) -> u64 {
    (mem::size_of::<LogEntry>() + entry.frame().map_or(0, tidelog_proto::frame::Frame::frame_bytes)) as u64
}
