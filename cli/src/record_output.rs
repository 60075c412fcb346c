//! Records on the standard output, many at a time.

use std::io::{self, Write};

use tidelog_client::ConsumedRecord;

use crate::command_error::CommandError;
use crate::format_parts::FormatParts;
use crate::output::OutputFormat;
use crate::output_format::OutputRecord;
use crate::usage_error::UsageError;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 64 * 1024;

/// The standard output, buffered until there is enough or nothing more to come for now.
#[derive(Debug)]
pub(crate) struct RecordOutput {
    format: OutputRecord,
    buffer: Vec<u8>,
    is_closed: bool,
}

/// Decides how records are written, by what was asked for.
pub(crate) fn output_record(
    format: Option<&FormatParts>,
    meta_only: bool,
    output: OutputFormat,
) -> Result<OutputRecord, UsageError> {
    match (format, meta_only, output) {
        (Some(_), _, OutputFormat::Json) => Err(UsageError::FormatAndJson),
        (Some(parts), _, OutputFormat::Text) => Ok(OutputRecord::Format(parts.clone())),
        (None, true, OutputFormat::Text) => Ok(OutputRecord::MetaText),
        (None, true, OutputFormat::Json) => Ok(OutputRecord::MetaJson),
        (None, false, OutputFormat::Text) => Ok(OutputRecord::value_line()),
        (None, false, OutputFormat::Json) => Ok(OutputRecord::Json),
    }
}

impl RecordOutput {
    pub(crate) fn new(format: OutputRecord) -> Self {
        Self { format, buffer: Vec::with_capacity(BUFFER_BYTES), is_closed: false }
    }

    /// Tells whether nobody reads any more.
    pub(crate) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Takes a record.
    ///
    /// # Errors
    /// What was gathered could not be written.
    pub(crate) fn write(&mut self, record: &ConsumedRecord) -> Result<(), CommandError> {
        self.format.write(record, &mut self.buffer);
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    /// Writes what was gathered.
    ///
    /// # Errors
    /// It could not be written. That nobody reads any more is none.
    pub(crate) fn flush(&mut self) -> Result<(), CommandError> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.buffer).and_then(|()| stdout.flush());
        self.buffer.clear();
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            written => written.map_err(CommandError::Output),
        }
    }
}
