//! Ending in order when somebody asks: processes are stopped and folders removed on the way out.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

/// Whether somebody has asked. Set by one thread, read by all; nothing else depends on the order.
static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// Somebody has asked this program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// Takes SIGINT and SIGTERM from now on: they end the program no more, but [`check`] tells of them.
///
/// # Errors
/// If signals cannot be taken.
pub fn listen() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(entered);
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        IS_ASKED.store(true, Ordering::Relaxed);
    };
    thread::Builder::new().name("interrupt".to_owned()).spawn(wait)?;
    Ok(())
}

/// Tells whether to go on. To be asked between steps of a few seconds.
///
/// # Errors
/// If somebody has asked this program to end.
pub fn check() -> Result<(), Interrupted> {
    if IS_ASKED.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("somebody has asked this program to end")
    }
}

impl Error for Interrupted {}
