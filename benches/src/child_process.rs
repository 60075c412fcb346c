//! A program in a process of its own that tells on its standard output when it is ready, and ends in order when it is
//! asked to.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::process_usage::ProcessUsage;

/// How often is looked whether a process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// How long a process that is dropped may take to end before it is killed.
const DROP_PATIENCE: Duration = Duration::from_secs(5);

/// A process that was started here and that does not outlive this.
///
/// Dropping it asks it to end, waits a few seconds and then kills it; [`ChildProcess::stop`] tells how it went.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    /// How it ended, once that is known; from then on its id may be somebody else's.
    ended: Option<ExitStatus>,
}

/// A process did not get ready.
#[derive(Debug)]
pub enum SpawnError {
    /// It could not be started, or what it says could not be read.
    Io(io::Error),
    /// It said nothing in time, and was killed.
    TimedOut {
        /// How long it had.
        after: Duration,
    },
    /// It ended before it was ready.
    Ended {
        /// How.
        status: ExitStatus,
    },
}

/// A process did not end in order.
#[derive(Debug)]
pub enum StopError {
    /// It could not be asked to end, or not be waited for.
    Io(io::Error),
    /// It took too long, and was killed.
    TimedOut {
        /// How long it had.
        after: Duration,
    },
    /// It ended, but with an error.
    Failed {
        /// How.
        status: ExitStatus,
    },
}

impl ChildProcess {
    /// Starts a program and waits for the first line of its standard output, which is given back. What it writes there
    /// later is read and dropped.
    ///
    /// # Errors
    /// If it cannot be started, ends, or says nothing within `patience`. Nothing of it runs on then.
    pub fn spawn(command: &mut Command, patience: Duration) -> Result<(Self, String), SpawnError> {
        // A group of its own: what is typed at a terminal is for this program, which ends its processes in order.
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(SpawnError::Io)?;
        let stdout = child.stdout.take();
        let mut process = Self { child, ended: None };
        let Some(stdout) = stdout else { return Err(SpawnError::Io(io::ErrorKind::BrokenPipe.into())) };
        let (sender, first_line) = mpsc::sync_channel(1);
        // Ends with the process.
        thread::spawn(move || read_lines(stdout, &sender));
        match first_line.recv_timeout(patience) {
            Ok(Ok(line)) if line.is_empty() => {
                let status = process.wait_until(Instant::now() + patience).map_err(SpawnError::Io)?;
                Err(status.map_or(SpawnError::TimedOut { after: patience }, |status| SpawnError::Ended { status }))
            }
            Ok(Ok(line)) => Ok((process, line)),
            Ok(Err(error)) => Err(SpawnError::Io(error)),
            Err(_) => Err(SpawnError::TimedOut { after: patience }),
        }
    }

    /// Returns the number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads what the process has used so far.
    ///
    /// # Errors
    /// If it has ended, or the system does not tell.
    pub fn usage(&self) -> io::Result<ProcessUsage> {
        ProcessUsage::of(self.child.id())
    }

    /// Tells whether the process has ended by itself, and how.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// Asks the process to end (SIGTERM) and waits until it has; kills it after `patience`. Returns how long it took.
    ///
    /// # Errors
    /// If it had to be killed, or ended with anything but success.
    pub fn stop(mut self, patience: Duration) -> Result<Duration, StopError> {
        let start = Instant::now();
        self.signal(Signal::TERM).map_err(StopError::Io)?;
        match self.wait_until(start + patience).map_err(StopError::Io)? {
            Some(status) if status.success() => Ok(start.elapsed()),
            Some(status) => Err(StopError::Failed { status }),
            None => {
                self.kill_now().map_err(StopError::Io)?;
                Err(StopError::TimedOut { after: patience })
            }
        }
    }

    /// Kills the process (SIGKILL), as a crash would end it, and waits until it is gone.
    ///
    /// # Errors
    /// If the system does not let it be killed.
    pub fn kill(mut self) -> io::Result<()> {
        self.kill_now()
    }

    fn kill_now(&mut self) -> io::Result<()> {
        if self.ended()?.is_none() {
            self.child.kill()?;
            self.ended = Some(self.child.wait()?);
        }
        Ok(())
    }

    /// Signals this one process, by its own id, unless it has ended.
    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.ended()?.is_none() {
            kill_process(Pid::from_child(&self.child), signal)?;
        }
        Ok(())
    }

    fn wait_until(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::park_timeout(LOOK_INTERVAL);
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // Nobody can be told; what is left to do is not to leave it behind.
        let asked = self.signal(Signal::TERM).and_then(|()| self.wait_until(Instant::now() + DROP_PATIENCE));
        if !matches!(asked, Ok(Some(_))) {
            let _ = self.kill_now();
        }
    }
}

/// Tells the first line, empty if there is none, and reads on to the end so that the process never waits for a reader.
fn read_lines(stdout: ChildStdout, first_line: &mpsc::SyncSender<io::Result<String>>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    let read = stdout.read_line(&mut line).map(|_| line);
    if first_line.send(read).is_ok() {
        // Whatever goes wrong here, the process itself goes on.
        let _ = io::copy(&mut stdout.by_ref(), &mut io::sink());
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the process cannot be started: {error}"),
            Self::TimedOut { after } => write!(f, "the process was not ready after {after:?}"),
            Self::Ended { status } => write!(f, "the process ended before it was ready: {status}"),
        }
    }
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the process cannot be ended: {error}"),
            Self::TimedOut { after } => write!(f, "the process did not end within {after:?} and was killed"),
            Self::Failed { status } => write!(f, "the process did not end in order: {status}"),
        }
    }
}

impl std::error::Error for SpawnError {}

impl std::error::Error for StopError {}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_first_line_is_told_and_the_process_ends_when_asked() {
        let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done";
        let (process, line) = ChildProcess::spawn(&mut shell(script), PATIENCE).unwrap();
        assert_eq!(line, "ready\n");
        assert!(process.usage().unwrap().resident_bytes > 0);
        process.stop(PATIENCE).unwrap();
    }

    #[test]
    fn a_process_that_ends_early_or_fails_at_the_end_is_an_error() {
        let early = ChildProcess::spawn(&mut shell("exit 3"), PATIENCE).unwrap_err();
        assert!(matches!(early, SpawnError::Ended { status } if status.code() == Some(3)), "{early}");
        let script = "trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done";
        let (process, _) = ChildProcess::spawn(&mut shell(script), PATIENCE).unwrap();
        let late = process.stop(PATIENCE).unwrap_err();
        assert!(matches!(late, StopError::Failed { status } if status.code() == Some(4)), "{late}");
    }

    #[test]
    fn a_process_that_does_not_listen_is_killed() {
        // The shell becomes the program, so that there is one process only.
        let (process, _) =
            ChildProcess::spawn(&mut shell("trap '' TERM; echo ready; exec sleep 600"), PATIENCE).unwrap();
        let error = process.stop(Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error, StopError::TimedOut { .. }), "{error}");
    }
}
