//! Running the binary.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What a run of the binary gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Reads the standard output as one JSON object a line.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Gives the objects of a type.
    pub(crate) fn objects_of(&self, kind: &str) -> Vec<Value> {
        self.objects().into_iter().filter(|object| object["type"] == kind).collect()
    }
}

pub(crate) fn command<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub(crate) fn run<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Run {
    finished(command(arguments).output().unwrap())
}

/// As [`run`], with `--output json`.
pub(crate) fn run_json<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Run {
    finished(command(arguments).args(["--output", "json"]).output().unwrap())
}

pub(crate) fn finished(output: Output) -> Run {
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
