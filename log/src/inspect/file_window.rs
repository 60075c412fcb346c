//! A file read through a window of bounded size.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::environment::{Environment, OpenMode, StorageFile};
use crate::open::later_frames::SegmentBytes;
use crate::segment_scan;

/// Bytes read at once, unless a single frame needs more or the reader wants less.
const WINDOW_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes read at once at least.
const WINDOW_BYTES_MIN: u64 = 16 * 1024;

/// Reads a file by copying, never through a mapping: another process may write it, and cut what it allocated ahead,
/// meanwhile.
pub(crate) struct FileWindow {
    file: Arc<dyn StorageFile>,
    /// As it was when the file was opened, or less where it was cut since.
    len_bytes: u64,
    window: Bytes,
    /// Where the window starts in the file.
    start_bytes: u64,
    /// How much to read at once.
    read_bytes: u64,
}

impl FileWindow {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub(super) fn open(environment: &dyn Environment, path: &Path) -> io::Result<Self> {
        Self::of_file(environment.open_file(path, OpenMode::Read)?, u64::MAX)
    }

    /// Takes an open file, of which it reads `max_bytes` at most.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub(crate) fn of_file(file: Arc<dyn StorageFile>, max_bytes: u64) -> io::Result<Self> {
        let len_bytes = file.len_bytes()?.min(max_bytes);
        Ok(Self { file, len_bytes, window: Bytes::new(), start_bytes: 0, read_bytes: WINDOW_BYTES_MAX })
    }

    /// Sets how much to read at once, within bounds.
    pub(crate) fn read_at_once(&mut self, bytes: u64) {
        self.read_bytes = bytes.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
    }

    /// Gives the length of the file.
    pub(super) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Tells whether everything from `position_bytes` on is zero: allocated, never written.
    ///
    /// # Errors
    /// The file could not be read.
    pub(super) fn rest_is_unwritten(&mut self, mut position_bytes: u64) -> io::Result<bool> {
        while position_bytes < self.len_bytes {
            let bytes = self.at(position_bytes, 1)?;
            if !segment_scan::rest_is_unwritten(&bytes, 0) {
                return Ok(false);
            }
            position_bytes += bytes.len() as u64;
        }
        Ok(true)
    }

    fn load(&mut self, position_bytes: u64, needed_bytes: u64) -> io::Result<()> {
        loop {
            let end = self.len_bytes.min(position_bytes.saturating_add(needed_bytes.max(self.read_bytes)));
            let len = usize::try_from(end.saturating_sub(position_bytes)).map_err(|_| io::ErrorKind::FileTooLarge)?;
            let mut buffer = vec![0; len];
            match self.file.read_exact_at(&mut buffer, position_bytes) {
                Ok(()) => {
                    self.window = buffer.into();
                    self.start_bytes = position_bytes;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let len_bytes = self.file.len_bytes()?;
                    if len_bytes >= self.len_bytes {
                        return Err(error);
                    }
                    self.len_bytes = len_bytes;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives what the window holds from `position_bytes` on, if that is as much as is needed or the file has.
    fn held(&self, position_bytes: u64, needed_bytes: u64) -> Option<Bytes> {
        let skip = usize::try_from(position_bytes.checked_sub(self.start_bytes)?).ok()?;
        let held = self.window.get(skip..)?.len() as u64;
        let there_are = self.len_bytes.saturating_sub(position_bytes);
        (held >= needed_bytes.min(there_are)).then(|| self.window.slice(skip..))
    }
}

impl SegmentBytes for FileWindow {
    fn at(&mut self, position_bytes: u64, needed_bytes: u64) -> io::Result<Bytes> {
        if let Some(held) = self.held(position_bytes, needed_bytes) {
            return Ok(held);
        }
        self.load(position_bytes, needed_bytes)?;
        Ok(self.window.clone())
    }
}

impl fmt::Debug for FileWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, len_bytes, window, start_bytes, read_bytes: _ } = self;
        f.debug_struct("FileWindow")
            .field("file", file)
            .field("len_bytes", len_bytes)
            .field("held", &(*start_bytes..start_bytes + window.len() as u64))
            .finish()
    }
}
