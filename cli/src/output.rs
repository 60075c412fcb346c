//! Results on the standard output, as text or as JSON.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use clap::ValueEnum;
use serde_json::Value;

use crate::command_error::CommandError;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// The standard output, buffered.
///
/// Once nobody reads any more (`| head`), what is written goes nowhere, without an error.
pub(crate) struct Output {
    format: OutputFormat,
    writer: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
    is_closed: bool,
}

impl Output {
    pub(crate) fn new(format: OutputFormat) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Self { format, writer: BufWriter::new(stdout.lock()), is_terminal, is_closed: false }
    }

    /// Tells whether nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Writes one result, as a line of text or as an object, whichever is asked for.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn line(&mut self, text: impl fmt::Display, json: impl FnOnce() -> Value) -> Result<(), CommandError> {
        let written = match self.format {
            OutputFormat::Text => writeln!(self.writer, "{text}"),
            OutputFormat::Json => writeln!(self.writer, "{}", json()),
        };
        // People want to see at once what a long command has found.
        let flushed = if self.is_terminal { written.and_then(|()| self.writer.flush()) } else { written };
        self.note(flushed)
    }

    /// Writes a line that only people need.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn heading(&mut self, text: impl fmt::Display) -> Result<(), CommandError> {
        let written = match self.format {
            OutputFormat::Text => writeln!(self.writer, "{text}"),
            OutputFormat::Json => Ok(()),
        };
        self.note(written)
    }

    /// Writes what waits in the buffer.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn finish(mut self) -> Result<(), CommandError> {
        self.flush()
    }

    /// The same, when there is more to come.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn flush(&mut self) -> Result<(), CommandError> {
        let flushed = self.writer.flush();
        self.note(flushed)
    }

    fn note(&mut self, outcome: io::Result<()>) -> Result<(), CommandError> {
        match outcome {
            _ if self.is_closed => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            outcome => outcome.map_err(CommandError::Output),
        }
    }
}
