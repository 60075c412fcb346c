//! The bounded queues between those who submit requests and the writer task: one per log, taken in turn.

use std::collections::{BTreeMap, VecDeque};

use super::request::{Append, Completion, Exclusive, Request, SubmitError};
use crate::writer::WriteError;

/// No log may have more than this part of the queue, so that a busy or stuck one leaves room for the others.
const LOG_SHARE: usize = 4;

/// Bytes of appends after which it is the next log's turn: long enough for large writes, a fraction of a millisecond.
const TURN_BYTES: u64 = 1024 * 1024;

/// Names a log among those of one storage thread. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogKey(u64);

/// The requests of one turn of a log.
pub(super) enum Work {
    /// At least one.
    Appends(Vec<Append>),
    Exclusive(Exclusive),
    Close(Completion<(), WriteError>),
}

/// Every log's waiting requests.
///
/// Invariant: a log with requests is either in `ready`, or its turn has begun and not been ended by [`Queues::end_turn`].
pub(super) struct Queues {
    bytes_max: u64,
    requests_max: usize,
    logs: BTreeMap<LogKey, LogQueue>,
    /// Logs that have requests and whose turn has not begun, the next one first; each once.
    ready: VecDeque<LogKey>,
    /// Sums over `logs`.
    bytes: u64,
    requests: usize,
    next_key: u64,
    stopping: bool,
}

struct LogQueue {
    requests: VecDeque<Request>,
    bytes: u64,
    state: LogQueueState,
    /// It is in `ready`, or its turn has begun.
    scheduled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogQueueState {
    Open,
    /// Nothing but a close is taken.
    Poisoned,
    /// A close was taken, and nothing is any more.
    Closed,
}

impl Queues {
    pub(super) fn new(bytes_max: u64, requests_max: usize) -> Self {
        Self {
            bytes_max,
            requests_max,
            logs: BTreeMap::new(),
            ready: VecDeque::new(),
            bytes: 0,
            requests: 0,
            next_key: 0,
            stopping: false,
        }
    }

    /// Makes room for a log; `None` once stopped.
    pub(super) fn add(&mut self) -> Option<LogKey> {
        if self.stopping {
            return None;
        }
        let key = LogKey(self.next_key);
        self.next_key += 1;
        let queue = LogQueue { requests: VecDeque::new(), bytes: 0, state: LogQueueState::Open, scheduled: false };
        self.logs.insert(key, queue);
        Some(key)
    }

    /// Queues a request behind all earlier ones of its log.
    ///
    /// # Errors
    /// The request, untouched.
    pub(super) fn submit(&mut self, key: LogKey, request: Request) -> Result<(), SubmitError> {
        let Some(log) = self.logs.get_mut(&key).filter(|_| !self.stopping) else {
            return Err(SubmitError::Closed(request));
        };
        let is_close = matches!(request, Request::Close(_));
        match log.state {
            LogQueueState::Open => {}
            LogQueueState::Poisoned if is_close => {}
            LogQueueState::Poisoned => return Err(SubmitError::Poisoned(request)),
            LogQueueState::Closed => return Err(SubmitError::Closed(request)),
        }
        let has_room = self.bytes < self.bytes_max
            && log.bytes < self.bytes_max.div_ceil(LOG_SHARE as u64)
            && self.requests < self.requests_max
            && log.requests.len() < self.requests_max.div_ceil(LOG_SHARE);
        // A log is closed once, so there is no need to bound that.
        if !has_room && !is_close {
            return Err(SubmitError::Full(request));
        }
        if is_close {
            log.state = LogQueueState::Closed;
        }
        let bytes = request.frame_bytes();
        (log.bytes, self.bytes) = (log.bytes + bytes, self.bytes + bytes);
        self.requests += 1;
        log.requests.push_back(request);
        if !log.scheduled {
            log.scheduled = true;
            self.ready.push_back(key);
        }
        Ok(())
    }

    /// Begins the turn of the next log. It has no other before [`Queues::end_turn`].
    pub(super) fn begin_turn(&mut self) -> Option<(LogKey, Work)> {
        let key = self.ready.pop_front()?;
        let log = self.logs.get_mut(&key).expect("a ready log is there");
        let (requests_before, bytes_before) = (log.requests.len(), log.bytes);
        let work = log.take().expect("a ready log has requests");
        self.requests -= requests_before - log.requests.len();
        self.bytes -= bytes_before - log.bytes;
        Some((key, work))
    }

    /// Ends the turn of a log and queues it behind the others, if it has more to do.
    pub(super) fn end_turn(&mut self, key: LogKey) {
        let Some(log) = self.logs.get_mut(&key) else { return };
        log.scheduled = !log.requests.is_empty();
        if log.scheduled {
            self.ready.push_back(key);
        }
    }

    /// Takes nothing but a close for this log from now on.
    pub(super) fn poison(&mut self, key: LogKey) {
        if let Some(log) = self.logs.get_mut(&key).filter(|log| log.state == LogQueueState::Open) {
            log.state = LogQueueState::Poisoned;
        }
    }

    /// Forgets a log that was closed. Its close was its last request.
    pub(super) fn remove(&mut self, key: LogKey) {
        let removed = self.logs.remove(&key);
        assert!(removed.is_none_or(|log| log.requests.is_empty()), "nothing is taken behind a close");
    }

    /// Takes nothing any more. What was taken stays.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    /// Takes nothing any more and gives everything that was taken, to be dropped outside of the lock.
    pub(super) fn abandon(&mut self) -> Vec<Request> {
        self.stop();
        self.ready.clear();
        (self.bytes, self.requests) = (0, 0);
        std::mem::take(&mut self.logs).into_values().flat_map(|log| log.requests).collect()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Tells whether some log's turn can begin.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Tells whether no request waits.
    pub(super) fn is_empty(&self) -> bool {
        self.requests == 0
    }
}

impl LogQueue {
    /// Takes one turn's requests: a run of appends, or one of the others.
    fn take(&mut self) -> Option<Work> {
        let mut appends = Vec::new();
        let mut bytes = 0;
        while bytes < TURN_BYTES {
            match self.requests.pop_front() {
                Some(Request::Append(append)) => {
                    bytes += append.frame_bytes();
                    appends.push(append);
                }
                Some(other) if !appends.is_empty() => {
                    self.requests.push_front(other);
                    break;
                }
                Some(Request::Exclusive(exclusive)) => return Some(Work::Exclusive(exclusive)),
                Some(Request::Close(completion)) => return Some(Work::Close(completion)),
                None => break,
            }
        }
        self.bytes -= bytes;
        (!appends.is_empty()).then_some(Work::Appends(appends))
    }
}
