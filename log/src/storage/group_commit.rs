//! The group commit itself: which log is written when, what goes into a round, and whose completion is due.
//!
//! It knows no threads and no locks. The writer task feeds it with work and with finished jobs of the sync task, and does
//! what comes out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::config::StorageConfig;
use super::due::Due;
use super::owned_log::OwnedLog;
use super::queues::{LogKey, Work};
use super::request::Append;
use super::sync_job::{LogSync, SyncJob, SyncRound};
use crate::identity::LogIdentity;
use crate::staging::Staging;
use crate::writer::{LogWriter, WriteError};

/// Written bytes from which on a round is given to an idle sync task although more could be written to it at once.
const SYNC_BYTES_MIN: u64 = 1024 * 1024;

/// While there is always another round, a checkpoint that is due comes after this many: it costs two syncs.
const ROUNDS_PER_CHECKPOINT: u32 = 8;

/// Every log of a storage thread, and the round that is being written.
///
/// Invariant: a log with parked work gets no other, see [`Effects::turns_ended`]; a log on whose sync someone
/// waits is in the round that is being written or in the one that is being synced.
pub(super) struct GroupCommit {
    config: StorageConfig,
    logs: BTreeMap<LogKey, OwnedLog>,
    /// Logs that were written to and are not yet in a job for the sync task, each once.
    round: Vec<LogKey>,
    /// Bytes that were written to them since.
    round_bytes: u64,
    /// The same for the job that the sync task has not yet taken.
    ready_bytes: u64,
    /// Jobs for the sync task that did not come back yet.
    jobs: u32,
    /// Logs that need a checkpoint, and since when, oldest first. Each is there once, by its `changed`.
    changed: VecDeque<(LogKey, Duration)>,
    rounds_since_checkpoint: u32,
    /// Parked work that can be done now.
    unparked: VecDeque<(LogKey, Work)>,
    /// One for all logs: most of them are idle.
    staging: Staging,
    /// Completions to be run, in this order.
    due: Vec<Due>,
    effects: Effects,
}

/// What the queues have to be told.
#[derive(Default)]
pub(super) struct Effects {
    /// Logs whose work is done and that may be given more.
    pub(super) turns_ended: Vec<LogKey>,
    /// Logs that were given up: nothing more is to be taken for them.
    pub(super) poisoned: Vec<LogKey>,
    /// Logs that were closed.
    pub(super) removed: Vec<LogKey>,
}

impl GroupCommit {
    pub(super) fn new(config: StorageConfig) -> Self {
        Self {
            config,
            logs: BTreeMap::new(),
            round: Vec::new(),
            round_bytes: 0,
            ready_bytes: 0,
            jobs: 0,
            changed: VecDeque::new(),
            rounds_since_checkpoint: 0,
            unparked: VecDeque::new(),
            staging: Staging::new(),
            due: Vec::new(),
            effects: Effects::default(),
        }
    }

    /// Takes over a log.
    pub(super) fn add(&mut self, key: LogKey, writer: LogWriter) {
        self.logs.insert(key, OwnedLog::new(writer));
        self.settle(key);
    }

    /// Takes the completions to be run. Work of the same log that comes later must find them run.
    pub(super) fn take_due(&mut self) -> Vec<Due> {
        std::mem::take(&mut self.due)
    }

    /// Takes what the queues have to be told.
    pub(super) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// Tells whether more may be written before the next sync begins.
    pub(super) fn has_room(&self) -> bool {
        self.ready_bytes + self.round_bytes < self.config.round_bytes_max
    }

    /// Takes parked work whose time has come. It goes before everything that was not begun yet.
    pub(super) fn take_unparked(&mut self) -> Option<(LogKey, Work)> {
        self.unparked.pop_front()
    }

    pub(super) fn has_unparked(&self) -> bool {
        !self.unparked.is_empty()
    }

    /// Does one log's work, or parks it until nothing of the log is in the way.
    pub(super) fn execute(&mut self, key: LogKey, work: Work, now: Duration) {
        let log = self.logs.get_mut(&key).expect("work is given to logs that were added and not closed");
        if !log.can_do(&work) {
            log.park(work);
            return;
        }
        match work {
            Work::Appends(appends) => {
                let bytes: u64 = appends.iter().map(Append::frame_bytes).sum();
                log.append(appends, &mut self.staging, &mut self.due);
                self.round_bytes += if log.wants_sync() { bytes } else { 0 };
            }
            Work::Exclusive(exclusive) => log.exclusive(exclusive),
            Work::Close(completion) => {
                let outcome = self.logs.remove(&key).map_or(Ok(()), OwnedLog::close);
                self.due.push(Due::Close(completion, outcome));
                self.effects.removed.push(key);
                return;
            }
        }
        if log.wants_sync() && !log.in_round {
            log.in_round = true;
            self.round.push(key);
        }
        if !log.changed {
            log.changed = true;
            self.changed.push_back((key, now));
        }
        self.effects.turns_ended.push(key);
        self.settle(key);
    }

    /// Makes ready what the sync task does next, in a place from which it may take it at any time: a round that is still
    /// there grows. `may_wait` tells that the sync task is idle and the round would soon be larger.
    pub(super) fn prepare_job(&mut self, ready: &mut Option<SyncJob>, may_wait: bool, now: Duration) {
        self.note_ready(ready.as_ref());
        let is_checkpoint_first = self.round.is_empty() || self.rounds_since_checkpoint >= ROUNDS_PER_CHECKPOINT;
        if ready.is_none() && is_checkpoint_first {
            *ready = self.begin_checkpoint(now);
        }
        let is_large = self.round_bytes >= SYNC_BYTES_MIN || !self.has_room();
        if self.round.is_empty() || (may_wait && !is_large) {
            return;
        }
        match ready {
            None => *ready = self.begin_round(),
            Some(SyncJob::Round(round)) => self.add_to(round),
            // It is short, and the round comes next.
            Some(SyncJob::Checkpoint { .. }) => {}
        }
    }

    /// Takes note of whether the sync task has taken what was made ready: what is written from now on is for another job.
    pub(super) fn note_ready(&mut self, ready: Option<&SyncJob>) {
        if ready.is_none() {
            self.ready_bytes = 0;
        }
    }

    fn begin_round(&mut self) -> Option<SyncJob> {
        let mut round = SyncRound::default();
        self.add_to(&mut round);
        if round.waiting.is_empty() {
            return None;
        }
        self.jobs += 1;
        self.rounds_since_checkpoint = self.rounds_since_checkpoint.saturating_add(1);
        Some(SyncJob::Round(round))
    }

    /// Moves the logs that were written to into a round.
    fn add_to(&mut self, round: &mut SyncRound) {
        self.ready_bytes += std::mem::take(&mut self.round_bytes);
        for key in self.round.drain(..) {
            let Some(log) = self.logs.get_mut(&key) else { continue };
            let Some(pending) = log.begin_sync() else { continue };
            if round.waiting.insert(key, pending).is_none() {
                log.joined_job();
            }
        }
    }

    /// Begins the checkpoint of the log that was changed first, if it is due.
    fn begin_checkpoint(&mut self, now: Duration) -> Option<SyncJob> {
        let interval = Duration::from_millis(self.config.checkpoint_interval_ms);
        while let Some((key, _)) = self.changed.pop_front_if(|(_, since)| *since + interval <= now) {
            let Some(log) = self.logs.get_mut(&key) else { continue };
            if log.is_volatile() {
                // Nobody waits for it, so nobody else would sync it. Its checkpoint follows an interval later.
                log.in_round = true;
                self.round.push(key);
                self.changed.push_back((key, now));
                continue;
            }
            log.changed = false;
            if let Some(pending) = log.begin_checkpoint() {
                self.jobs += 1;
                self.rounds_since_checkpoint = 0;
                return Some(SyncJob::checkpoint(key, pending));
            }
        }
        None
    }

    /// Takes back the oldest job.
    pub(super) fn finish_job(&mut self, job: SyncJob, now: Duration) {
        self.jobs -= 1;
        match job {
            SyncJob::Round(round) => self.finish_round(round),
            SyncJob::Checkpoint { key, pending, outcome } => {
                let log = self.logs.get_mut(&key).expect("a log is not closed during its checkpoint");
                let is_done = log.finish_checkpoint(&pending, outcome, &mut self.due);
                if !is_done && !log.changed {
                    log.changed = true;
                    self.changed.push_back((key, now));
                }
                self.settle(key);
            }
        }
    }

    fn finish_round(&mut self, round: SyncRound) {
        for LogSync { key, pending, outcome } in round.done {
            let log = self.logs.get_mut(&key).expect("a log is not closed during its sync");
            log.finish_sync(&pending, outcome, &mut self.due);
            self.settle(key);
        }
        if round.has_filesystem_failed {
            self.poison_all();
        }
    }

    /// Gives up every log: what `syncfs` reports may have hit any file or any directory, and it reports it once.
    fn poison_all(&mut self) {
        let keys: Vec<LogKey> = self.logs.keys().copied().collect();
        for key in keys {
            if let Some(log) = self.logs.get_mut(&key) {
                log.poison(&mut self.due);
            }
            self.settle(key);
        }
    }

    /// Draws the consequences of a change to a log.
    fn settle(&mut self, key: LogKey) {
        let Some(log) = self.logs.get_mut(&key) else { return };
        if log.is_poisoned() {
            self.effects.poisoned.push(key);
        }
        if let Some(work) = log.unpark() {
            self.unparked.push_back((key, work));
        }
    }

    // The end.

    /// Begins no checkpoint any more: closing the logs writes theirs.
    pub(super) fn stop_checkpoints(&mut self) {
        self.changed.clear();
    }

    /// Tells whether nothing is in flight and nothing is left to do.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs == 0 && self.round.is_empty() && self.unparked.is_empty()
    }

    /// Closes one of the logs, of which nothing may be in flight; `None` when all are closed.
    pub(super) fn close_next(&mut self) -> Option<(LogIdentity, Result<(), WriteError>)> {
        let (_, log) = self.logs.pop_first()?;
        Some((log.identity(), log.close()))
    }
}
