//! Asking something of a log's storage thread from async code.

use std::error::Error;
use std::io;
use std::time::Duration;

use tidelog_log::LogWriter;
use tidelog_log::storage::{LogHandle, Request, SubmitError};
use tokio::sync::oneshot;

/// How long to wait before something is asked of a full storage queue again. It empties at the speed of the disk.
const QUEUE_RETRY: Duration = Duration::from_millis(1);

/// Hands a request to the storage thread. While too much waits there, the group waits here: that is its back-pressure.
pub(crate) async fn submit(handle: &LogHandle, mut request: Request) -> io::Result<()> {
    loop {
        match handle.submit(request) {
            Ok(()) => return Ok(()),
            Err(SubmitError::Full(refused)) => request = refused,
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
        tokio::time::sleep(QUEUE_RETRY).await;
    }
}

/// Does something with the writer, after everything before it, and waits for it.
pub(crate) async fn with_writer<E: Into<Box<dyn Error + Send + Sync>> + Send + 'static>(
    handle: &LogHandle,
    work: impl FnOnce(&mut LogWriter) -> Result<(), E> + Send + 'static,
) -> io::Result<()> {
    ask_writer(handle, work).await?.map_err(io::Error::other)
}

/// The same, for those who look at what the work says.
pub(crate) async fn ask_writer<E: Send + 'static>(
    handle: &LogHandle,
    work: impl FnOnce(&mut LogWriter) -> Result<(), E> + Send + 'static,
) -> io::Result<Result<(), E>> {
    let (sender, done) = oneshot::channel();
    // Nobody waits any more where the receiver is gone.
    let exclusive = Box::new(move |writer: &mut LogWriter| drop(sender.send(work(writer))));
    submit(handle, Request::Exclusive(exclusive)).await?;
    done.await.map_err(|_| io::ErrorKind::BrokenPipe.into())
}
