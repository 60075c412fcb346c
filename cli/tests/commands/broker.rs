//! A broker as users run it: a child process, ended with its test.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::tidelog::{Run, command, finished};

/// How long anything may take that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A child process that does not outlive its test.
pub(crate) struct Guarded(pub(crate) Child);

impl Guarded {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits for the end, and gives the exit code.
    pub(crate) fn wait(&mut self) -> i32 {
        let status = poll("the process ends", || self.0.try_wait().unwrap());
        status.code().unwrap()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended before.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Asks again and again until there is an answer.
#[track_caller]
pub(crate) fn poll<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A broker, with a directory for everything that a test leaves.
pub(crate) struct Broker {
    process: Guarded,
    /// Kept open: a broker may write there to its end.
    _stdout: BufReader<ChildStdout>,
    pub(crate) address: String,
    pub(crate) http_address: String,
    pub(crate) dir: TempDir,
}

/// A command line without any settings of whoever runs the tests.
pub(crate) fn bare(arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    for (name, _) in std::env::vars() {
        if name.starts_with("TIDELOG_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    // No home directory: no contexts.
    command.env_remove("HOME").env_remove("XDG_CONFIG_HOME");
    command
}

pub(crate) fn serve(data_dir: &Path) -> Command {
    let mut command = bare(&["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--output", "json"]);
    command.arg("--data-dir").arg(data_dir).env("TIDELOG_DISK_RESERVE_BYTES", "0").env("TIDELOG_LOG", "warn");
    command
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), |_| {})
    }

    pub(crate) fn start_in(dir: TempDir, set: impl FnOnce(&mut Command)) -> Self {
        let mut command = serve(&dir.path().join("data"));
        set(&mut command);
        let mut process = Guarded::spawn(command.stdout(Stdio::piped()));
        let mut stdout = BufReader::new(process.0.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["type"], "ready");
        let address = |name: &str| ready[name].as_str().unwrap().to_owned();
        let (address, http_address) = (address("address"), address("http_address"));
        Self { process, _stdout: stdout, address, http_address, dir }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for the end; gives the exit code, and the directory.
    pub(crate) fn wait(mut self) -> (i32, TempDir) {
        (self.process.wait(), self.dir)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(arguments);
        command.args(["--bootstrap", &self.address]);
        command
    }

    /// Runs a command against the broker.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        finished(self.command(arguments).output().unwrap())
    }

    /// As [`Broker::run`], and it must be done; gives its standard output.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{arguments:?}");
        run.stdout
    }

    /// As [`Broker::run`], with a standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // It may end without reading all of it.
            scope.spawn(move || drop(std::io::Write::write_all(&mut stdin, input)));
            finished(child.wait_with_output().unwrap())
        })
    }
}

/// Reads all of a child's standard output, at its end.
pub(crate) fn stdout_of(child: &mut Guarded) -> String {
    let mut text = String::new();
    child.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    text
}
