//! Runs tasks one step at a time, in an order that one seed decides.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rng::Rng;
use crate::environment::{Step, Task};

/// Names a task of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskId(usize);

/// The tasks of one machine.
///
/// Invariant: its lock is never held while a task steps or is dropped, since both may call back into the environment.
pub(super) struct Scheduler {
    queue: Mutex<Queue>,
}

struct Queue {
    rng: Rng,
    /// Every task ever spawned; a [`TaskId`] is an index into it.
    slots: Vec<Slot>,
    /// The tasks in [`TaskState::Ready`], in no order.
    ready: Vec<TaskId>,
}

struct Slot {
    name: String,
    /// Gone while the task steps, and once it is done.
    task: Option<Box<dyn Task>>,
    state: TaskState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TaskState {
    Ready,
    /// Being stepped, and whether it was woken meanwhile.
    Running {
        woken: bool,
    },
    Waiting,
    Done,
}

/// A task that was picked to step.
pub(super) struct Turn {
    pub(super) name: String,
    id: TaskId,
    task: Box<dyn Task>,
}

impl Scheduler {
    pub(super) fn new(rng: Rng) -> Self {
        Self { queue: Mutex::new(Queue { rng, slots: Vec::new(), ready: Vec::new() }) }
    }

    pub(super) fn spawn(&self, name: &str, task: Box<dyn Task>) -> TaskId {
        let mut queue = self.lock();
        let id = TaskId(queue.slots.len());
        queue.slots.push(Slot { name: name.to_owned(), task: Some(task), state: TaskState::Ready });
        queue.ready.push(id);
        id
    }

    /// Picks one of the ready tasks, if there is any.
    pub(super) fn next_turn(&self) -> Option<Turn> {
        let mut queue = self.lock();
        if queue.ready.is_empty() {
            return None;
        }
        let ready = queue.ready.len();
        let picked = queue.rng.index(ready);
        let id = queue.ready.swap_remove(picked);
        let slot = &mut queue.slots[id.0];
        slot.state = TaskState::Running { woken: false };
        let task = slot.task.take().expect("a ready task is in its slot");
        Some(Turn { name: slot.name.clone(), id, task })
    }

    /// Steps a picked task and puts it where its answer says. A task that panics is done.
    pub(super) fn step(&self, Turn { id, mut task, .. }: Turn) {
        let step = panic::catch_unwind(AssertUnwindSafe(|| task.step())).unwrap_or_else(|panic| {
            self.lock().slots[id.0].state = TaskState::Done;
            panic::resume_unwind(panic);
        });
        let mut queue = self.lock();
        let state = match (queue.slots[id.0].state, step) {
            // The second: every task was ended while this one was stepping.
            (_, Step::Done) | (TaskState::Done, _) => TaskState::Done,
            (TaskState::Running { woken: false }, Step::Wait) => TaskState::Waiting,
            (_, Step::Again | Step::Wait) => TaskState::Ready,
        };
        queue.slots[id.0].state = state;
        if state == TaskState::Ready {
            queue.ready.push(id);
        }
        if state == TaskState::Done {
            drop(queue);
            drop(task);
        } else {
            queue.slots[id.0].task = Some(task);
        }
    }

    pub(super) fn wake(&self, id: TaskId) {
        let mut queue = self.lock();
        match &mut queue.slots[id.0].state {
            TaskState::Running { woken } => *woken = true,
            state @ TaskState::Waiting => {
                *state = TaskState::Ready;
                queue.ready.push(id);
            }
            TaskState::Ready | TaskState::Done => {}
        }
    }

    pub(super) fn is_done(&self, id: TaskId) -> bool {
        self.lock().slots[id.0].state == TaskState::Done
    }

    /// Ends every task where it stands.
    pub(super) fn end_all(&self) {
        let mut ended = Vec::new();
        let mut queue = self.lock();
        queue.ready.clear();
        for slot in &mut queue.slots {
            slot.state = TaskState::Done;
            ended.extend(slot.task.take());
        }
        drop(queue);
        drop(ended);
    }

    /// Names the tasks that are not done, for a message.
    pub(super) fn unfinished(&self) -> Vec<String> {
        let queue = self.lock();
        queue.slots.iter().filter(|slot| slot.state != TaskState::Done).map(|slot| slot.name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("unfinished", &self.unfinished()).finish_non_exhaustive()
    }
}
