//! The log of one group, as openraft sees it: the partition's own log, with the newest entries in memory and the group's
//! vote in the journal.
//!
//! `append` gives entries their place, keeps them in memory and hands them to the storage thread; it does not wait. Raft
//! reads and replicates them at once, and counts them when the storage thread says that they are durable.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use tidelog_log::environment::Environment;
use tidelog_log::storage::{Append, Durability, LogHandle, Request};
use tidelog_log::{AppendError, LogIdentity, LogReader, SegmentName, WriteError};
use tidelog_proto::frame::Frame;
use tidelog_proto::ids::{Offset, RaftIndex, RaftTerm};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::entry::{LogEntry, Payload, Place};
use crate::hard_state::{self, HardState, PurgeMark};
use crate::journal::{JournalHandle, SaveError};
use crate::replica_id::ReplicaId;
use crate::stalls::{self, Stalled, Stalls, WriteAgain, WriteAgainError};
use crate::storage_access::{submit, with_writer};
use crate::tail_cache::{SharedTail, TailCache};
use crate::types::{CommittedLeaderId, LogId, Membership, TypeConfig, Vote};

/// Most bytes of entries that are read for one request to a follower.
const READ_BYTES_MAX: u64 = 1024 * 1024;

/// How far an entry must have come before its group counts it. Changes while the group runs, and then holds for what is
/// appended from then on.
#[derive(Debug)]
pub(crate) struct FlushMode {
    /// Nothing else is ordered by it.
    is_sync_awaited: AtomicBool,
}

impl FlushMode {
    pub(crate) fn new(durability: Durability) -> Arc<Self> {
        Arc::new(Self { is_sync_awaited: AtomicBool::new(durability == Durability::Synced) })
    }

    pub(crate) fn set(&self, durability: Durability) {
        self.is_sync_awaited.store(durability == Durability::Synced, Ordering::Relaxed);
    }

    fn durability(&self) -> Durability {
        if self.is_sync_awaited.load(Ordering::Relaxed) { Durability::Synced } else { Durability::Written }
    }
}

/// What a group's log consists of.
pub(crate) struct LogParts {
    pub(crate) identity: LogIdentity,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) handle: LogHandle,
    pub(crate) reader: LogReader,
    pub(crate) journal: JournalHandle,
    pub(crate) hard_state: HardState,
    pub(crate) flush_mode: Arc<FlushMode>,
    pub(crate) stalls: Arc<Stalls>,
    pub(crate) tail: SharedTail,
}

/// Writes one group's log; owned by the group's core.
#[derive(Debug)]
pub(crate) struct LogStore {
    shared: Arc<SharedStore>,
    end: LogEnd,
    committed: Option<LogId>,
}

/// Reads one group's log. Clones are the same log.
#[derive(Clone, Debug)]
pub(crate) struct LogStoreReader {
    shared: Arc<SharedStore>,
}

/// What the writer and the readers of a group's log share.
struct SharedStore {
    identity: LogIdentity,
    environment: Arc<dyn Environment>,
    handle: LogHandle,
    reader: LogReader,
    journal: JournalHandle,
    flush_mode: Arc<FlushMode>,
    stalls: Arc<Stalls>,
    /// Where appends that wait for space are tried again.
    runtime: Handle,
    tail: SharedTail,
    /// Saved by the writer, and read by whoever replicates under it.
    vote: Mutex<Option<Vote>>,
    /// What was purged last; the log starts behind it.
    purged: Mutex<Option<LogId>>,
    /// Every entry below is known to be durable on this disk. Only goes down when a suffix is cut.
    durable_end: AtomicU64,
    /// Every entry below is known to be committed. Only rises.
    committed_end: AtomicU64,
}

/// The end of the log, entries that wait to be written included.
#[derive(Clone, Copy, Debug)]
struct LogEnd {
    next_index: u64,
    next_offset: Offset,
    last_log_id: Option<LogId>,
    last_append_time_ms: i64,
}

impl LogStore {
    /// Takes over a log that was just opened.
    ///
    /// # Errors
    /// Its last entry could not be read.
    pub(crate) fn open(parts: LogParts) -> io::Result<Self> {
        let LogParts { identity, environment, handle, reader, journal, hard_state, flush_mode, stalls, tail } = parts;
        let purged = hard_state.purged.map(|mark| log_id(mark.term, mark.index));
        let end_index = reader.end_index();
        let shared = SharedStore {
            identity,
            environment,
            handle,
            reader,
            journal,
            flush_mode,
            stalls,
            runtime: Handle::current(),
            tail,
            vote: Mutex::new(hard_state.vote.map(vote_of)),
            purged: Mutex::new(purged),
            durable_end: AtomicU64::new(end_index.get()),
            committed_end: AtomicU64::new(0),
        };
        let mut end = LogEnd {
            next_index: end_index.get(),
            next_offset: shared.reader.log_end_offset(),
            last_log_id: purged,
            last_append_time_ms: i64::MIN,
        };
        if end_index > shared.first_index() {
            let last = shared.read_one(end_index.get() - 1)?;
            end.note(&last);
        }
        let committed = match hard_state.committed.filter(|index| *index < end_index && *index >= shared.first_index())
        {
            Some(index) => Some(shared.read_one(index.get())?.log_id()),
            None => purged,
        };
        Ok(Self { shared: Arc::new(shared), end, committed })
    }

    /// Begins an empty log with the only member of its group, durably. A log that has begun is left alone.
    ///
    /// Raft could do that itself, but a crash in the middle might leave a vote without members, which nothing mends.
    pub(crate) async fn begin(&mut self, replica: ReplicaId) -> io::Result<()> {
        if self.end.next_index > 0 {
            return Ok(());
        }
        let members = Membership::new_with_defaults(vec![BTreeSet::from([replica])], []);
        let entry = LogEntry::new(log_id(RaftTerm::new(0), RaftIndex::ZERO), Payload::Membership(members));
        let entry = self.place(entry)?;
        let frames = entry.frame().cloned().into_iter().collect();
        self.shared.append_synced(frames).await?.map_err(io::Error::other)?;
        self.shared.note_flushed(self.end.next_index, Durability::Synced);
        Ok(())
    }

    /// Gives an entry its place behind the last.
    fn place(&mut self, entry: LogEntry) -> io::Result<LogEntry> {
        let safe_end =
            self.shared.durable_end.load(Ordering::Acquire).min(self.shared.committed_end.load(Ordering::Acquire));
        let place = Place {
            next_offset: self.end.next_offset,
            last_append_time_ms: self.end.last_append_time_ms,
            now_ms: self.shared.environment.now_ms(),
            safe_end: RaftIndex::new(safe_end),
        };
        let entry = entry.placed(self.shared.identity.seed(), place).map_err(io::Error::other)?;
        self.end.note(&entry);
        Ok(entry)
    }

    /// Begins the log anew behind `last`, when a snapshot stands for everything up to there.
    async fn start_anew(&mut self, last: Option<LogId>, next_index: u64) -> io::Result<()> {
        self.shared.stalls.ended().await;
        let start = SegmentName { base_offset: self.end.next_offset, base_index: RaftIndex::new(next_index) };
        self.shared.tail().cut(0);
        with_writer(&self.shared.handle, move |writer| writer.start_anew(start)).await?;
        self.shared.durable_end.store(next_index, Ordering::Release);
        self.end = LogEnd { next_index, last_log_id: last, last_append_time_ms: i64::MIN, ..self.end };
        Ok(())
    }
}

impl LogEnd {
    /// Moves the end behind an entry that has its place.
    fn note(&mut self, entry: &LogEntry) {
        self.next_index = entry.index() + 1;
        self.last_log_id = Some(entry.log_id());
        if let Some(frame) = entry.frame() {
            self.next_offset = frame.next_offset();
            self.last_append_time_ms = frame.stamp().append_time_ms;
        }
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStoreReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        Ok(LogState { last_purged_log_id: *self.shared.purged(), last_log_id: self.end.last_log_id })
    }

    async fn get_log_reader(&mut self) -> LogStoreReader {
        LogStoreReader { shared: Arc::clone(&self.shared) }
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let stored = hard_state::Vote {
            term: RaftTerm::new(vote.leader_id.term),
            replica: vote.leader_id.voted_for,
            committed: vote.committed,
        };
        let (completion, saved) = completion();
        self.shared.journal.save_vote(self.shared.identity, stored, completion).map_err(io::Error::other)?;
        saved_or_failed(saved).await?;
        *self.shared.vote() = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(committed) = committed {
            self.shared.committed_end.fetch_max(committed.index() + 1, Ordering::AcqRel);
            self.shared.journal.note_committed(self.shared.identity, RaftIndex::new(committed.index()));
        }
        self.committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = LogEntry> + Send,
        I::IntoIter: Send,
    {
        // Nothing of an iterator is kept across an await.
        let entries: Vec<LogEntry> = entries.into_iter().collect();
        if let Some(first) = entries.first().map(RaftEntry::index)
            && first > self.end.next_index
        {
            self.start_anew(self.end.last_log_id, first).await?;
        }
        let mut frames: Vec<Frame> = Vec::with_capacity(entries.len());
        for entry in entries {
            let entry = self.place(entry)?;
            frames.extend(entry.frame().cloned());
            self.shared.tail().push(entry);
        }
        let (end_index, durability) = (self.end.next_index, self.shared.flush_mode.durability());
        let Some(append) = self.shared.stalls.join(Stalled { end_index, callback }) else { return Ok(()) };
        let shared = Arc::clone(&self.shared);
        let completion = Box::new(move |outcome: Result<_, AppendError>| match outcome {
            Ok(_) => {
                shared.note_flushed(end_index, durability);
                append.callback.io_completed(Ok(()));
            }
            Err(error) => stalls::take_failed(&shared, append, error),
        });
        let append = Append { frames, durability, completion };
        submit(&self.shared.handle, Request::Append(append)).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index() + 1).max(self.shared.first_index().get());
        if from >= self.end.next_index {
            return Ok(());
        }
        // What waits for space would be behind the cut.
        self.shared.stalls.ended().await;
        let reader = LogStoreReader { shared: Arc::clone(&self.shared) };
        let first_cut = reader.read_at(from).await?;
        let next_offset = first_cut.frame().map_or(self.end.next_offset, Frame::base_offset);
        let mut end =
            LogEnd { next_index: from, next_offset, last_log_id: *self.shared.purged(), last_append_time_ms: i64::MIN };
        if from > self.shared.first_index().get() {
            end.note(&reader.read_at(from - 1).await?);
        }
        self.shared.tail().cut(from);
        self.shared.durable_end.fetch_min(from, Ordering::AcqRel);
        with_writer(&self.shared.handle, move |writer| writer.truncate_suffix(RaftIndex::new(from))).await?;
        self.end = end;
        Ok(())
    }

    async fn purge(&mut self, last: LogId) -> io::Result<()> {
        let mark = PurgeMark { term: RaftTerm::new(**last.committed_leader_id()), index: RaftIndex::new(last.index()) };
        let (completion, saved) = completion();
        self.shared.journal.save_purged(self.shared.identity, mark, completion).map_err(io::Error::other)?;
        saved_or_failed(saved).await?;
        *self.shared.purged() = Some(last);
        let start = last.index() + 1;
        if start > self.end.next_index {
            return self.start_anew(Some(last), start).await;
        }
        let reader = self.shared.reader.clone();
        with_writer(&self.shared.handle, move |writer| {
            let start = RaftIndex::new(start);
            // Whatever is purged was committed.
            let committed = reader.advance_committed(start);
            committed.map_err(io::Error::other)?;
            match writer.advance_start(Offset::new(0), start) {
                // The journal has the mark already; the segments go with the next purge.
                Err(WriteError::DiskFull { .. }) => Ok(()),
                advanced => advanced.map_err(io::Error::other),
            }
        })
        .await
    }
}

impl LogStoreReader {
    /// Reads one entry that is there.
    async fn read_at(&self, index: u64) -> io::Result<LogEntry> {
        let entry = self.read(index, index + 1, u64::MAX).await?.into_iter().next();
        entry.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Reads the entries from `from` on and below `to`, as far as they are there, up to `bytes_max` but at least one.
    async fn read(&self, from: u64, to: u64, bytes_max: u64) -> io::Result<Vec<LogEntry>> {
        if let Some(entries) = self.shared.tail().read(from, to, bytes_max) {
            return Ok(entries);
        }
        // A cold read may wait for the disk.
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.read_from_disk(from, to, bytes_max))
            .await
            .map_err(io::Error::other)?
    }
}

impl RaftLogReader<TypeConfig> for LogStoreReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<LogEntry>>
    where
        RB: RangeBounds<u64> + Clone + fmt::Debug + Send,
    {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(to) => *to,
            Bound::Unbounded => u64::MAX,
        };
        let mut next = from.max(self.shared.first_index().get());
        let mut entries = Vec::new();
        while next < to {
            let read = self.read(next, to, READ_BYTES_MAX).await?;
            let Some(last) = read.last() else { break };
            next = last.index() + 1;
            entries.extend(read);
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<LogEntry>> {
        self.read(start, end, READ_BYTES_MAX).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(*self.shared.vote())
    }
}

impl SharedStore {
    /// Gives the first index that the log still has.
    fn first_index(&self) -> RaftIndex {
        let purged_to = self.purged().map_or(0, |purged| purged.index() + 1);
        self.reader.raft_start().max(RaftIndex::new(purged_to))
    }

    /// Appends frames and waits until they are durable.
    async fn append_synced(&self, frames: Vec<Frame>) -> io::Result<Result<(), AppendError>> {
        let (sender, appended) = oneshot::channel();
        let completion = Box::new(move |outcome: Result<_, AppendError>| drop(sender.send(outcome.map(drop))));
        submit(&self.handle, Request::Append(Append { frames, durability: Durability::Synced, completion })).await?;
        appended.await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn read_one(&self, index: u64) -> io::Result<LogEntry> {
        let entry = self.read_from_disk(index, index + 1, u64::MAX)?.into_iter().next();
        entry.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Reads entries that are written.
    fn read_from_disk(&self, from: u64, to: u64, bytes_max: u64) -> io::Result<Vec<LogEntry>> {
        let to = to.min(self.reader.end_index().get());
        if from >= to {
            return Ok(Vec::new());
        }
        let frames = self.reader.read_entries(RaftIndex::new(from), RaftIndex::new(to), bytes_max);
        let frames = frames.map_err(io::Error::other)?;
        frames.into_iter().map(|frame| LogEntry::from_frame(frame).map_err(io::Error::other)).collect()
    }

    /// Notes that every entry below `end_index` has come as far as its group wants it.
    fn note_flushed(&self, end_index: u64, durability: Durability) {
        if durability == Durability::Synced {
            self.durable_end.fetch_max(end_index, Ordering::AcqRel);
        }
        self.tail().release(end_index);
    }

    fn tail(&self) -> MutexGuard<'_, TailCache> {
        self.tail.lock()
    }

    fn vote(&self) -> MutexGuard<'_, Option<Vote>> {
        self.vote.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn purged(&self) -> MutexGuard<'_, Option<LogId>> {
        self.purged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WriteAgain for SharedStore {
    fn identity(&self) -> LogIdentity {
        self.identity
    }

    fn stalls(&self) -> &Stalls {
        &self.stalls
    }

    fn runtime(&self) -> &Handle {
        &self.runtime
    }

    async fn write_again(&self, end_index: u64) -> Result<(), WriteAgainError> {
        loop {
            let next = self.reader.end_index().get();
            if next >= end_index {
                return Ok(());
            }
            // What is not written is nowhere else.
            let entries = self.tail().read(next, end_index, READ_BYTES_MAX);
            let entries = entries.ok_or_else(|| WriteAgainError::Failed(io::ErrorKind::UnexpectedEof.into()))?;
            let entries_end = entries.last().map_or(next, |entry| entry.index() + 1);
            let frames = entries.iter().filter_map(|entry| entry.frame().cloned()).collect();
            match self.append_synced(frames).await.map_err(WriteAgainError::Failed)? {
                Ok(()) => self.note_flushed(entries_end, Durability::Synced),
                Err(AppendError::DiskFull { .. }) => return Err(WriteAgainError::DiskFull),
                // One that was sent before the stall was known, and found space by itself.
                Err(AppendError::Chain { .. }) if self.reader.end_index().get() > next => {}
                Err(error) => return Err(WriteAgainError::Failed(io::Error::other(error))),
            }
        }
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// How a request to the journal ended.
type Saved = Result<(), SaveError>;

/// A completion of the journal, and what waits for it.
fn completion() -> (impl FnOnce(Saved) + Send + 'static, oneshot::Receiver<Saved>) {
    let (sender, saved) = oneshot::channel();
    (move |outcome| drop(sender.send(outcome)), saved)
}

async fn saved_or_failed(saved: oneshot::Receiver<Saved>) -> io::Result<()> {
    saved.await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?.map_err(io::Error::other)
}

fn log_id(term: RaftTerm, index: RaftIndex) -> LogId {
    LogId::new(CommittedLeaderId::new(term.get()), index.get())
}

fn vote_of(stored: hard_state::Vote) -> Vote {
    let (term, replica) = (stored.term.get(), stored.replica);
    if stored.committed { Vote::new_committed(term, replica) } else { Vote::new(term, replica) }
}
