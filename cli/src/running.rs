//! Running a command that waits: its runtime, and how signals end it.

use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::Outcome;
use crate::command_error::CommandError;

/// Tells a command that it is asked to end.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    asked: watch::Receiver<bool>,
}

impl Interrupt {
    /// Tells whether the command is asked to end.
    pub(crate) fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until the command is asked to end.
    pub(crate) async fn asked(&mut self) {
        if self.asked.wait_for(|asked| *asked).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}

/// Runs a command to its end. A signal ends it wherever it is.
pub(crate) fn run<F>(command: F) -> Result<Outcome, CommandError>
where
    F: Future<Output = Result<Outcome, CommandError>>,
{
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}

/// Runs a command that ends in order at the first SIGINT or SIGTERM, and at once at the second.
///
/// The command has a thread of its own, so that it may wait for a slow standard output and still be ended.
pub(crate) fn run_in_order<F, R>(command: F) -> Result<Outcome, CommandError>
where
    F: FnOnce(Interrupt) -> R + Send + 'static,
    R: Future<Output = Result<Outcome, CommandError>>,
{
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let (ask, asked) = watch::channel(false);
        let (tell, mut ended) = oneshot::channel();
        let handle = Handle::current();
        let work = move || drop(tell.send(handle.block_on(command(Interrupt { asked }))));
        thread::Builder::new().name("command".to_owned()).spawn(work).map_err(CommandError::Runtime)?;
        loop {
            tokio::select! {
                outcome = &mut ended => return outcome.unwrap_or(Err(CommandError::Broken)),
                () = signals.next() => {
                    if ask.send_replace(true) {
                        return Err(CommandError::Interrupted);
                    }
                }
            }
        }
    });
    runtime.shutdown_background();
    outcome
}

/// The signals by which processes are asked to end.
#[derive(Debug)]
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, CommandError> {
        let listen = |kind| signal(kind).map_err(CommandError::Runtime);
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
