//! A task on a thread of its own.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};

use crate::environment::{Step, Task, TaskHandle};

/// A running thread that steps one task.
#[derive(Debug)]
pub(super) struct TaskThread {
    /// Set by [`TaskHandle::wake`], taken by the thread when its task waits: a wake during a step is not lost.
    woken: Arc<AtomicBool>,
    thread: Thread,
    /// Taken by the first [`TaskHandle::join`]; later ones find it gone, or wait behind the first for the lock.
    join: Mutex<Option<JoinHandle<()>>>,
}

impl TaskThread {
    pub(super) fn spawn(name: &str, mut task: Box<dyn Task>) -> io::Result<Self> {
        let woken = Arc::new(AtomicBool::new(false));
        let woken_in_thread = Arc::clone(&woken);
        let join = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || step_until_done(task.as_mut(), &woken_in_thread))?;
        Ok(Self { woken, thread: join.thread().clone(), join: Mutex::new(Some(join)) })
    }
}

impl TaskHandle for TaskThread {
    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }

    fn join(&self) {
        let mut join = self.join.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = join.take() {
            // A task that panicked is done too; the panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

fn step_until_done(task: &mut dyn Task, woken: &AtomicBool) {
    loop {
        match task.step() {
            Step::Again => {}
            Step::Wait => {
                while !woken.swap(false, Ordering::Acquire) {
                    thread::park();
                }
            }
            Step::Done => return,
        }
    }
}
