//! Writing a log as a plain Kafka log: its batches back to back, nothing else.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidelog_proto::frame::Frame;
use tidelog_proto::ids::Offset;

use super::VerifyError;
use super::finding::Finding;
use super::log_files::LogFiles;
use super::verify::{Observer, verify_files};
use crate::environment::{Environment, OpenMode, StorageFile};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1024 * 1024;

/// What an export does with a file that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Nothing is exported.
    Refuse,
    /// It is replaced, once all is written.
    Replace,
}

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Batches, transaction markers included.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Base offset of the first batch, and the offset after the last; `None` where there is no batch.
    pub offsets: Option<(Offset, Offset)>,
}

/// Writes the batches of the log in `dir` from its start on to the file `target`, in offset order, byte for byte, with
/// transaction markers, without frames and internal entries. A torn tail is left out; what is not committed yet, which
/// nobody can tell offline, is not.
///
/// The log is verified on the way, and nothing is exported from one that is damaged; only damage to indexes does not
/// matter. The file is written under a temporary name, made durable, and then given its name. `read_bytes` is told how
/// many more bytes of segments were gone through.
///
/// # Errors
/// The target is there and must not be replaced, or lies within the log; the log is damaged; a file could not be read or
/// written. The target is as it was in all of these cases.
pub fn export(
    environment: &Arc<dyn Environment>,
    dir: &Path,
    target: &Path,
    overwrite: Overwrite,
    read_bytes: &mut dyn FnMut(u64),
) -> Result<Exported, ExportError> {
    let files = LogFiles::find(environment, dir).map_err(ExportError::Log)?;
    let io_error = |error| ExportError::Target { path: target.to_owned(), error };
    let parent = target.parent().ok_or_else(|| io_error(io::ErrorKind::InvalidInput.into()))?;
    if parent == dir {
        return Err(ExportError::TargetInLog { path: target.to_owned() });
    }
    if overwrite == Overwrite::Refuse && is_there(environment.as_ref(), target).map_err(io_error)? {
        return Err(ExportError::TargetExists { path: target.to_owned() });
    }
    let temporary =
        temporary_path(environment.as_ref(), target).ok_or_else(|| io_error(io::ErrorKind::InvalidInput.into()))?;
    let file = environment.open_file(&temporary, OpenMode::CreateNew).map_err(io_error)?;
    let outcome = write(&files, file, target, read_bytes).and_then(|exported| {
        environment.rename(&temporary, target).and_then(|()| environment.sync_dir(parent)).map_err(io_error)?;
        Ok(exported)
    });
    if outcome.is_err() {
        // The error that made it useless is the one to be told.
        drop(environment.remove_file(&temporary));
    }
    outcome
}

fn write(
    files: &LogFiles,
    file: Arc<dyn StorageFile>,
    target: &Path,
    read_bytes: &mut dyn FnMut(u64),
) -> Result<Exported, ExportError> {
    let io_error = |error| ExportError::Target { path: target.to_owned(), error };
    let log_start_offset = files.sound_checkpoint().map_or(Offset::ZERO, |checkpoint| checkpoint.log_start_offset);
    let mut exporting = Exporting {
        file,
        log_start_offset,
        buffer: Vec::with_capacity(WRITE_BYTES),
        exported: Exported { batches: 0, records: 0, bytes: 0, offsets: None },
        read_bytes,
        damage: None,
        failure: None,
    };
    verify_files(files, &mut exporting);
    if let Some(damage) = exporting.damage {
        return Err(ExportError::Damaged(Box::new(damage)));
    }
    if let Some(error) = exporting.failure.take() {
        return Err(io_error(error));
    }
    exporting.flush().and_then(|()| exporting.file.sync_data()).map_err(io_error)?;
    Ok(exporting.exported)
}

/// A file that batches are written to while their log is verified.
struct Exporting<'a> {
    file: Arc<dyn StorageFile>,
    log_start_offset: Offset,
    /// Batches that wait to be written behind `exported.bytes`.
    buffer: Vec<u8>,
    exported: Exported,
    read_bytes: &'a mut dyn FnMut(u64),
    /// The first damage; nothing is written behind it.
    damage: Option<Finding>,
    /// The first failed write, likewise.
    failure: Option<io::Error>,
}

impl Exporting<'_> {
    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.exported.bytes)?;
        self.exported.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Observer for Exporting<'_> {
    fn found(&mut self, finding: Finding) {
        if finding.reason.concerns_records() {
            self.damage.get_or_insert(finding);
        }
    }

    fn passed(&mut self, frame: &Frame) {
        let Some(batch) = frame.batch().filter(|batch| batch.header().next_offset() > self.log_start_offset) else {
            return;
        };
        let header = batch.header();
        let first = self.exported.offsets.map_or(header.base_offset(), |(first, _)| first);
        self.exported.offsets = Some((first, header.next_offset()));
        self.exported.batches += 1;
        self.exported.records += u64::from(header.record_count());
        self.buffer.extend_from_slice(batch.bytes());
        if self.buffer.len() >= WRITE_BYTES {
            self.failure = self.flush().err();
        }
    }

    fn read_bytes(&mut self, bytes: u64) {
        (self.read_bytes)(bytes);
    }

    fn is_done(&self) -> bool {
        self.damage.is_some() || self.failure.is_some()
    }
}

fn is_there(environment: &dyn Environment, path: &Path) -> io::Result<bool> {
    match environment.open_file(path, OpenMode::Read) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes up a name beside the target that nobody else has.
fn temporary_path(environment: &dyn Environment, target: &Path) -> Option<PathBuf> {
    let file_name = target.file_name()?.to_string_lossy();
    Some(target.with_file_name(format!(".{file_name}.{:016x}.tmp", environment.random_u64())))
}

/// A log that could not be exported.
#[derive(Debug)]
pub enum ExportError {
    /// The target is already there.
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// The target lies in the directory of the log itself.
    TargetInLog {
        /// The target.
        path: PathBuf,
    },
    /// The target could not be written.
    Target {
        /// The target.
        path: PathBuf,
        /// What the machine answered.
        error: io::Error,
    },
    /// The log is damaged.
    Damaged(Box<Finding>),
    /// There is no log, or it could not be listed.
    Log(VerifyError),
}

impl ExportError {
    /// Tells whether trying again may help.
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::TargetExists { .. } | Self::TargetInLog { .. } | Self::Damaged(_) => false,
            Self::Target { .. } => true,
            Self::Log(error) => error.retriable(),
        }
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TargetExists { path } => write!(f, "{}: the file is already there", path.display()),
            Self::TargetInLog { path } => write!(f, "{}: lies in the directory of the log itself", path.display()),
            Self::Target { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Damaged(finding) => finding.fmt(f),
            Self::Log(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ExportError {}
