//! What the handles and the task share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tidelog_log::LogIdentity;
use tidelog_log::environment::TaskHandle;
use tidelog_proto::ids::RaftIndex;

use super::error::{SaveError, SubmitError};
use super::record::Entry;

/// Groups of which a committed index may be noted at a time: more than a broker carries. It bounds the memory that is
/// bound until the next record or tick.
const NOTED_GROUPS_MAX: usize = 1 << 20;

/// Committed indexes that wait for something to be written with.
pub(super) type Noted = BTreeMap<LogIdentity, RaftIndex>;

/// Takes the outcome of a request, once.
pub(super) type Completion = Box<dyn FnOnce(Result<(), SaveError>) + Send>;

/// Something to be made durable, and who is to be told.
pub(super) struct Request {
    pub(super) entry: Entry,
    pub(super) completion: Completion,
}

pub(super) struct Shared {
    /// Held for a few moves, never across I/O or a completion.
    state: Mutex<State>,
    /// Requests that may wait.
    requests_max: usize,
    /// Set once, as soon as the task runs.
    pub(super) task: OnceLock<Arc<dyn TaskHandle>>,
}

/// What goes from the handles to the task, and what became of it.
pub(super) struct State {
    /// What is waiting, in the order of its submission.
    waiting: Vec<Request>,
    noted: Noted,
    /// What was noted is to be written now.
    is_ticked: bool,
    /// Why nothing is taken any more.
    refusal: Option<SubmitError>,
    /// How the journal ended; `None` as long as it has not.
    pub(super) ended: Option<Result<(), SaveError>>,
}

/// What the task takes in one go.
pub(super) struct Taken {
    pub(super) requests: Vec<Request>,
    pub(super) noted: Noted,
    pub(super) is_ticked: bool,
    pub(super) is_stopping: bool,
}

impl Shared {
    pub(super) fn new(requests_max: usize) -> Self {
        let state = State { waiting: Vec::new(), noted: Noted::new(), is_ticked: false, refusal: None, ended: None };
        Self { state: Mutex::new(state), requests_max, task: OnceLock::new() }
    }

    /// A completion that panicked did not hold the lock, so the state is whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn submit(&self, entry: Entry, completion: Completion) -> Result<(), SubmitError> {
        let mut state = self.lock();
        if let Some(refusal) = state.refusal {
            return Err(refusal);
        }
        if state.waiting.len() >= self.requests_max {
            return Err(SubmitError::Full);
        }
        state.waiting.push(Request { entry, completion });
        drop(state);
        self.wake();
        Ok(())
    }

    pub(super) fn note_committed(&self, group: LogIdentity, index: RaftIndex) {
        let mut state = self.lock();
        if state.noted.len() < NOTED_GROUPS_MAX || state.noted.contains_key(&group) {
            let known = state.noted.entry(group).or_insert(index);
            *known = index.max(*known);
        }
    }

    pub(super) fn tick(&self) {
        self.lock().is_ticked = true;
        self.wake();
    }

    /// Takes what there is to do. What was noted stays as long as nothing is to be written.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.lock();
        let requests = std::mem::take(&mut state.waiting);
        let is_ticked = std::mem::take(&mut state.is_ticked);
        let is_stopping = state.refusal == Some(SubmitError::Closed);
        let is_writing = !requests.is_empty() || is_ticked || is_stopping;
        let noted = if is_writing { std::mem::take(&mut state.noted) } else { Noted::new() };
        Taken { requests, noted, is_ticked, is_stopping }
    }

    /// Takes nothing any more. What was taken before is still done, unless the journal is poisoned.
    pub(super) fn close(&self) {
        self.lock().refusal = Some(SubmitError::Closed);
        self.wake();
    }

    /// Takes nothing any more, since nothing can be saved.
    pub(super) fn poison(&self) {
        self.lock().refusal.get_or_insert(SubmitError::Poisoned);
    }

    /// Drops what waits: nobody will do it.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.refusal = Some(SubmitError::Closed);
        let abandoned = std::mem::take(&mut state.waiting);
        drop(state);
        drop(abandoned);
    }

    fn wake(&self) {
        if let Some(task) = self.task.get() {
            task.wake();
        }
    }
}
