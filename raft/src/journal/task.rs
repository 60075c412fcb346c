//! The task that writes and syncs.

use std::sync::Arc;

use tidelog_log::environment::{Step, Task};

use super::error::SaveError;
use super::shared::{Noted, Request, Shared, Taken};
use super::writer::JournalWriter;

/// Saves whatever has gathered while the last round was written and synced, in one round, and tells everyone.
pub(super) struct JournalTask {
    shared: Arc<Shared>,
    writer: JournalWriter,
}

impl JournalTask {
    pub(super) fn new(shared: Arc<Shared>, writer: JournalWriter) -> Self {
        Self { shared, writer }
    }

    fn save(&mut self, requests: Vec<Request>, noted: Noted) {
        let entries = requests.iter().map(|request| request.entry).collect();
        let outcome = self.writer.save(entries, noted);
        if matches!(outcome, Err(SaveError::NoSpace { .. })) && requests.len() > 1 {
            // One that needs room must not stop the others.
            return requests.into_iter().for_each(|request| self.save(vec![request], Noted::new()));
        }
        self.note_failure(&outcome);
        requests.into_iter().for_each(|request| (request.completion)(outcome.clone()));
    }

    /// Refuses what comes, before anybody is told why.
    fn note_failure(&self, outcome: &Result<(), SaveError>) {
        if outcome.as_ref().is_err_and(|error| !error.retriable()) {
            self.shared.poison();
        }
    }
}

impl Task for JournalTask {
    fn step(&mut self) -> Step {
        let Taken { requests, noted, is_ticked, is_stopping } = self.shared.take();
        if !requests.is_empty() {
            self.save(requests, noted);
            return Step::Again;
        }
        if is_stopping {
            let ended = self.writer.close(noted);
            self.shared.lock().ended = Some(ended);
            return Step::Done;
        }
        if is_ticked {
            let outcome = self.writer.write_lazily(noted);
            self.note_failure(&outcome);
        }
        Step::Wait
    }
}

impl Drop for JournalTask {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}
