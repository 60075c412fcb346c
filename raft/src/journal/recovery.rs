//! Which of the two files is believed, and what it says.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidelog_log::environment::{Environment, OpenMode, StorageFile};

use super::FILE_BYTES_MAX;
use super::error::{JournalFault, OpenError};
use super::file_header::{FILE_HEADER_BYTES, FileHeader, FileState};
use super::file_scan::{Scan, scan};

/// Names of the two files in the data directory.
pub(super) const FILES: [&str; 2] = ["journal.a", "journal.b"];

/// A file of the journal, open for reading and writing.
#[derive(Debug)]
pub(super) struct JournalFile {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) len_bytes: u64,
    /// `None` where it has none that is whole.
    pub(super) header: Option<FileHeader>,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) live: JournalFile,
    pub(super) live_header: FileHeader,
    /// The other file, made if it was missing.
    pub(super) spare: JournalFile,
    pub(super) scan: Scan,
    /// No file has a later one.
    pub(super) generation: u64,
}

/// Reads the journal in `dir`. Nothing is changed but that a missing second file is made, and both names are durable.
///
/// Of two live files the older one counts: the newer one was about to take over, and nothing was acknowledged that it
/// alone holds. It may not even be on the disk: after a failed sync the page cache shows what is not.
///
/// # Errors
/// See [`OpenError`].
pub(super) fn recover(environment: &dyn Environment, dir: &Path) -> Result<Recovered, OpenError> {
    let [first, second] = FILES.map(|name| open_file(environment, dir.join(name)));
    let (first, second) = (first?, second?);
    if first.is_none() && second.is_none() {
        return Err(OpenError::Missing { dir: dir.to_owned() });
    }
    let headers = [&first, &second].map(|file| file.as_ref().and_then(|file| file.header));
    let generation = headers.iter().flatten().map(|header| header.generation).max().unwrap_or(0);
    let live_headers = headers.map(|header| header.filter(|header| header.state == FileState::Live));
    let is_second = match live_headers {
        [Some(first), Some(second)] => second.generation < first.generation,
        [first, _] => first.is_none(),
    };
    let (live, spare, spare_name) = if is_second { (second, first, FILES[0]) } else { (first, second, FILES[1]) };
    let (Some(live), Some(live_header)) = (live, live_headers[usize::from(is_second)]) else {
        return Err(OpenError::Refused { path: dir.to_owned(), fault: JournalFault::NotLive });
    };
    let scan = read(&live, &live_header)?;
    let spare = match spare {
        Some(spare) => spare,
        None => create_spare(environment, dir.join(spare_name))?,
    };
    environment.sync_dir(dir).map_err(io_error(dir))?;
    Ok(Recovered { live, live_header, spare, scan, generation })
}

fn open_file(environment: &dyn Environment, path: PathBuf) -> Result<Option<JournalFile>, OpenError> {
    let file = match environment.open_file(&path, OpenMode::ReadWrite) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(io_error(&path))?,
    };
    let len_bytes = file.len_bytes().map_err(io_error(&path))?;
    let mut header = None;
    if len_bytes >= FILE_HEADER_BYTES as u64 {
        let mut bytes = [0; FILE_HEADER_BYTES];
        file.read_exact_at(&mut bytes, 0).map_err(io_error(&path))?;
        header = FileHeader::decode(&bytes).map_err(|fault| OpenError::Refused { path: path.clone(), fault })?;
    }
    Ok(Some(JournalFile { path, file, len_bytes, header }))
}

fn create_spare(environment: &dyn Environment, path: PathBuf) -> Result<JournalFile, OpenError> {
    let file = environment.open_file(&path, OpenMode::CreateNew).map_err(io_error(&path))?;
    Ok(JournalFile { path, file, len_bytes: 0, header: None })
}

fn read(live: &JournalFile, header: &FileHeader) -> Result<Scan, OpenError> {
    let JournalFile { path, file, len_bytes, .. } = live;
    let refused = |fault| OpenError::Refused { path: path.clone(), fault };
    if *len_bytes > FILE_BYTES_MAX {
        return Err(refused(JournalFault::Length { len_bytes: *len_bytes }));
    }
    let mut bytes = vec![0; usize::try_from(*len_bytes).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, 0).map_err(io_error(path))?;
    scan(&bytes, header).map_err(refused)
}

pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |error| OpenError::Io { path, error: Arc::new(error) }
}
