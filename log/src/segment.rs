//! One segment as readers see it: its mapping and its indexes, opened when they are first needed.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use tidelog_proto::frame::FrameSeed;
use tidelog_proto::ids::{Offset, RaftIndex};
use tidelog_proto::segment_header::SegmentHeader;

use crate::environment::{Environment, Mapping, OpenMode, StorageFile, remove_if_there};
use crate::identity::{LOG_ENDING, LogIdentity, OFFSET_INDEX_ENDING, SegmentName, TIME_INDEX_ENDING};
use crate::index_header::SegmentSummary;
use crate::segment_scan;
use crate::sparse_index::{OffsetEntry, SparseIndex, TimeEntry};

/// What every segment of a log shares.
#[derive(Debug)]
pub(crate) struct SegmentContext {
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) dir: PathBuf,
    pub(crate) identity: LogIdentity,
    pub(crate) seed: FrameSeed,
    pub(crate) index_interval_bytes: u32,
}

impl SegmentContext {
    pub(crate) fn path(&self, name: SegmentName, ending: &str) -> PathBuf {
        name.path(&self.dir, ending)
    }

    pub(crate) fn header(&self, name: SegmentName) -> SegmentHeader {
        self.identity.segment_header(name)
    }
}

/// Both indexes of a segment.
#[derive(Debug)]
pub(crate) struct SegmentIndexes {
    pub(crate) offsets: SparseIndex<OffsetEntry>,
    pub(crate) times: SparseIndex<TimeEntry>,
}

impl SegmentIndexes {
    /// Starts empty indexes without files.
    pub(crate) fn in_memory() -> Self {
        Self { offsets: SparseIndex::in_memory(), times: SparseIndex::in_memory() }
    }

    /// Starts empty index files.
    pub(crate) fn create(context: &SegmentContext, name: SegmentName) -> io::Result<Self> {
        let indexes = Self::in_memory();
        indexes.create_files(context, name)?;
        Ok(indexes)
    }

    /// Gives indexes in memory new files.
    pub(crate) fn create_files(&self, context: &SegmentContext, name: SegmentName) -> io::Result<()> {
        let environment = context.environment.as_ref();
        self.offsets.create_file(environment, &context.path(name, OFFSET_INDEX_ENDING))?;
        self.times.create_file(environment, &context.path(name, TIME_INDEX_ENDING))
    }

    /// Opens both index files if they are sound and close a segment with exactly this summary, for searching only with
    /// [`OpenMode::Read`].
    pub(crate) fn open(
        context: &SegmentContext,
        name: SegmentName,
        summary: &SegmentSummary,
        mode: OpenMode,
    ) -> io::Result<Option<Self>> {
        let environment = context.environment.as_ref();
        let offset_path = context.path(name, OFFSET_INDEX_ENDING);
        let time_path = context.path(name, TIME_INDEX_ENDING);
        let offsets = SparseIndex::open(environment, &offset_path, context.identity, name, mode)?;
        let times = SparseIndex::open(environment, &time_path, context.identity, name, mode)?;
        let indexes = match (offsets, times) {
            (Some((offsets, offset_header)), Some((times, time_header)))
                if offset_header.summary == *summary
                    && time_header.summary == *summary
                    && time_header.entry_count == offset_header.entry_count =>
            {
                Self { offsets, times }
            }
            _ => return Ok(None),
        };
        let last = indexes.offsets.last()?;
        let lies_within = last.is_none_or(|entry| u64::from(entry.position_bytes) < summary.log_bytes);
        Ok(lies_within.then_some(indexes))
    }

    pub(crate) fn push(&self, (offset_entry, time_entry): (OffsetEntry, TimeEntry)) -> io::Result<()> {
        self.offsets.push(offset_entry)?;
        self.times.push(time_entry)
    }

    /// Starts new index files with the first `len` entries of these, up to the first that has changed since it was written.
    pub(crate) fn copy(&self, context: &SegmentContext, name: SegmentName, len: usize) -> io::Result<Self> {
        let copy = Self::create(context, name)?;
        let entries = |number| io::Result::Ok(self.offsets.get(number)?.zip(self.times.get(number)?));
        for number in 0..len {
            match entries(number) {
                Ok(Some(entries)) => copy.push(entries)?,
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => break,
                Err(error) => return Err(error),
            }
        }
        Ok(copy)
    }

    /// Writes what waits in memory, if there is room.
    pub(crate) fn write_pending(&self) -> io::Result<()> {
        self.offsets.write_pending()?;
        self.times.write_pending()
    }

    pub(crate) fn cut(&self, len: usize) {
        self.offsets.cut(len);
        self.times.cut(len);
    }

    pub(crate) fn close(&self, identity: LogIdentity, name: SegmentName, summary: SegmentSummary) -> io::Result<()> {
        self.offsets.close(identity, name, summary)?;
        self.times.close(identity, name, summary)
    }
}

/// A segment. The active one and the sealed ones differ in what they know from the start.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) context: Arc<SegmentContext>,
    pub(crate) name: SegmentName,
    /// What a sealed segment holds; `None` for the active one, whose end is in the [`LogView`](crate::view::LogView).
    pub(crate) summary: Option<SegmentSummary>,
    /// The file of the active segment, and of a sealed one that had to be opened: what it holds then stays readable when
    /// the name is taken by another file. Most sealed segments need none, their mapping holds on to it.
    file: OnceLock<Arc<dyn StorageFile>>,
    /// Made when first read, and again when the active segment has outgrown it.
    mapping: RwLock<Option<Arc<dyn Mapping>>>,
    /// Loading checks the files and rebuilds them if in doubt, once at a time.
    indexes: Mutex<LoadedIndexes>,
    /// How many bytes to map at least, so that an active segment is mapped once.
    map_bytes: u64,
}

/// The indexes of a segment, once somebody has searched them.
#[derive(Debug)]
struct LoadedIndexes {
    indexes: Option<Arc<SegmentIndexes>>,
    /// The segment is no part of the log any more: whatever stands under its name is not its own.
    is_retired: bool,
}

impl LoadedIndexes {
    fn new(indexes: Option<Arc<SegmentIndexes>>) -> Mutex<Self> {
        Mutex::new(Self { indexes, is_retired: false })
    }
}

impl Segment {
    /// A segment that is being written.
    pub(crate) fn active(
        context: Arc<SegmentContext>,
        name: SegmentName,
        file: Arc<dyn StorageFile>,
        indexes: Arc<SegmentIndexes>,
        map_bytes: u64,
    ) -> Self {
        Self {
            context,
            name,
            summary: None,
            file: OnceLock::from(file),
            mapping: RwLock::new(None),
            indexes: LoadedIndexes::new(Some(indexes)),
            map_bytes,
        }
    }

    /// A segment that will not be written again. Nothing is opened yet.
    pub(crate) fn sealed(context: Arc<SegmentContext>, name: SegmentName, summary: SegmentSummary) -> Self {
        Self {
            context,
            name,
            summary: Some(summary),
            file: OnceLock::new(),
            mapping: RwLock::new(None),
            indexes: LoadedIndexes::new(None),
            map_bytes: summary.log_bytes,
        }
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.context.path(self.name, LOG_ENDING)
    }

    pub(crate) fn base_offset(&self) -> Offset {
        self.name.base_offset
    }

    pub(crate) fn base_index(&self) -> RaftIndex {
        self.name.base_index
    }

    /// Takes published bytes that never change again, without copying.
    pub(crate) fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.mapping(range.end)?.bytes(range)
    }

    /// Copies published bytes that a truncation may still cut: the caller checks afterwards whether one came between.
    pub(crate) fn copy(&self, range: Range<u64>) -> io::Result<Bytes> {
        let len = usize::try_from(range.end - range.start).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; len];
        self.file()?.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes.into())
    }

    /// Opens all that reading needs, so that a sealed segment stays readable when its files are replaced.
    pub(crate) fn pin(&self) -> Result<(), segment_scan::ScanError> {
        let log_bytes = self.summary.map_or(0, |summary| summary.log_bytes);
        self.file()
            .and_then(|_| self.mapping(log_bytes))
            .map_err(|error| segment_scan::ScanError::io(self.log_path(), error))?;
        self.indexes().map(drop)
    }

    /// Gives the indexes. Those of a sealed segment are checked when they are first asked for, and rebuilt from the log
    /// if there is any doubt about them.
    pub(crate) fn indexes(&self) -> Result<Arc<SegmentIndexes>, segment_scan::ScanError> {
        let io_error = |error| segment_scan::ScanError::io(self.log_path(), error);
        let mut loaded = self.loaded_indexes();
        if let Some(indexes) = &loaded.indexes {
            return Ok(Arc::clone(indexes));
        }
        if loaded.is_retired {
            return Err(io_error(io::ErrorKind::NotFound.into()));
        }
        // An active segment's are there from the start.
        let summary = self.summary.ok_or_else(|| io_error(io::ErrorKind::NotFound.into()))?;
        let found = SegmentIndexes::open(&self.context, self.name, &summary, OpenMode::Read).map_err(io_error)?;
        let indexes = match found {
            Some(indexes) => indexes,
            None => segment_scan::rebuild_indexes(self, &summary)?,
        };
        let indexes = Arc::new(indexes);
        loaded.indexes = Some(Arc::clone(&indexes));
        Ok(indexes)
    }

    /// Notes that an index led to something wrong, or was not what it was when it was checked: a sealed segment's are
    /// checked again before the next search.
    pub(crate) fn doubt_indexes(&self) {
        let mut loaded = self.loaded_indexes();
        if self.summary.is_some() && !loaded.is_retired {
            loaded.indexes = None;
        }
    }

    /// Keeps readers of older views from making index files again: those of the segment are about to go.
    pub(crate) fn retire(&self) {
        self.loaded_indexes().is_retired = true;
    }

    fn loaded_indexes(&self) -> MutexGuard<'_, LoadedIndexes> {
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the file for somebody who reads it once: it is not held on to.
    pub(crate) fn open_file(&self) -> io::Result<Arc<dyn StorageFile>> {
        let opened = match self.file.get() {
            Some(file) => return Ok(Arc::clone(file)),
            None => self.context.environment.open_file(&self.log_path(), OpenMode::Read),
        };
        // Whoever replaces a file pins the old one first, so what was just opened may be the new one, or nothing.
        match self.file.get() {
            Some(file) => Ok(Arc::clone(file)),
            None => opened,
        }
    }

    fn file(&self) -> io::Result<Arc<dyn StorageFile>> {
        if let Some(file) = self.file.get() {
            return Ok(Arc::clone(file));
        }
        let file = self.context.environment.open_file(&self.log_path(), OpenMode::Read)?;
        Ok(Arc::clone(self.file.get_or_init(|| file)))
    }

    fn mapping(&self, len_bytes: u64) -> io::Result<Arc<dyn Mapping>> {
        let reaches = |mapping: &Arc<dyn Mapping>| mapping.len_bytes() >= len_bytes;
        let mapped = self.mapping.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(mapping) = mapped.filter(reaches) {
            return Ok(mapping);
        }
        let mut mapped = self.mapping.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(mapping) = mapped.as_ref().filter(|mapping| reaches(mapping)) {
            return Ok(Arc::clone(mapping));
        }
        let file = match self.file.get() {
            Some(file) => Arc::clone(file),
            None => self.context.environment.open_file(&self.log_path(), OpenMode::Read)?,
        };
        let mapping = file.map(len_bytes.max(self.map_bytes))?;
        *mapped = Some(Arc::clone(&mapping));
        Ok(mapping)
    }
}

/// Removes the three files of a segment, the log first, so that indexes never outlive it unseen. Missing ones are fine.
pub(crate) fn remove_files(environment: &dyn Environment, dir: &Path, name: SegmentName) -> io::Result<()> {
    [LOG_ENDING, OFFSET_INDEX_ENDING, TIME_INDEX_ENDING]
        .iter()
        .try_for_each(|ending| remove_if_there(environment, &name.path(dir, ending)))
}
