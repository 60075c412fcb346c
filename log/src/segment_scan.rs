//! Reading a segment from its start: every checksum and every link checked, indexes derived on the way.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tidelog_proto::frame::FrameView;
use tidelog_proto::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};

use crate::damage::{Damage, Fault};
use crate::environment::{OpenMode, StorageFile};
use crate::frame_chain::{Density, FrameChain, FrameMeta};
use crate::identity::{LOG_ENDING, SegmentName};
use crate::index_header::SegmentSummary;
use crate::segment::{Segment, SegmentContext, SegmentIndexes};
use crate::segment_tail::SegmentTail;

/// Bytes read at once by calls.
const READ_BYTES: usize = 256 * 1024;

/// A scan that could not go on.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// The machine could not give us the bytes.
    Io { path: PathBuf, error: io::Error },
    /// The bytes are not what was written.
    Damaged(Box<Damage>),
}

impl ScanError {
    pub(crate) fn io(path: PathBuf, error: io::Error) -> Self {
        Self::Io { path, error }
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Damaged(damage) => damage.fmt(f),
        }
    }
}

/// Where a scan stopped, and why.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// The end of the last sound frame.
    pub(crate) tail: SegmentTail,
    /// What stands there instead of another frame; `None` where the bytes end with the frame.
    pub(crate) stop: Option<Fault>,
}

/// Checks the header of a segment file that should be `name`.
pub(crate) fn check_header(context: &SegmentContext, name: SegmentName, bytes: &[u8]) -> Result<SegmentHeader, Fault> {
    let header = SegmentHeader::decode(bytes).map_err(Fault::SegmentHeader)?;
    if header == context.header(name) { Ok(header) } else { Err(Fault::ForeignSegment) }
}

/// Scans frames in `bytes` (a segment file from its first byte) from `tail` to the first place that is not a frame.
///
/// # Errors
/// An index entry could not be written.
pub(crate) fn scan_frames(
    context: &SegmentContext,
    bytes: &[u8],
    mut tail: SegmentTail,
    density: Density,
    indexes: Option<&SegmentIndexes>,
) -> io::Result<Scanned> {
    loop {
        let rest = usize::try_from(tail.position_bytes).ok().and_then(|position| bytes.get(position..)).unwrap_or(&[]);
        if rest.is_empty() {
            return Ok(Scanned { tail, stop: None });
        }
        let meta = match sound_frame(context, rest, &tail.chain, density) {
            Ok(meta) => meta,
            Err(fault) => return Ok(Scanned { tail, stop: Some(fault) }),
        };
        if let Some(indexes) = indexes
            && let Some(due) = tail.due_entries(&meta, context.index_interval_bytes)
        {
            indexes.push(due)?;
            tail.entries_added();
        }
        let frame_bytes = usize::try_from(meta.frame_bytes).unwrap_or(usize::MAX);
        tail.advance(&meta, &[rest.get(..frame_bytes).unwrap_or(rest)]);
    }
}

/// Reads the frame at the start of `bytes` and checks everything about it.
pub(crate) fn sound_frame(
    context: &SegmentContext,
    bytes: &[u8],
    chain: &FrameChain,
    density: Density,
) -> Result<FrameMeta, Fault> {
    let view = FrameView::parse(context.seed, bytes).map_err(Fault::Frame)?;
    view.verify_body().map_err(Fault::Frame)?;
    let meta = FrameMeta::of_view(&view);
    chain.check(&meta, density).map_err(Fault::Chain)?;
    Ok(meta)
}

/// Tells how the frames of a segment must be linked: compaction leaves gaps.
pub(crate) fn density_of(summary: Option<&SegmentSummary>) -> Density {
    if summary.is_some_and(|summary| summary.is_compacted) { Density::Rising } else { Density::Dense }
}

/// Reads a file by calls, so that a bad sector is an error here before it is a signal in a mapping.
pub(crate) fn read_through(file: &dyn StorageFile, len_bytes: u64) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES.min(usize::try_from(len_bytes).unwrap_or(READ_BYTES))];
    let mut at = 0;
    while at < len_bytes {
        let part = buffer.len().min(usize::try_from(len_bytes - at).unwrap_or(usize::MAX));
        file.read_exact_at(&mut buffer[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

/// Scans a whole segment file that should be sound up to its very end, and derives what it holds.
///
/// # Errors
/// The file could not be read, or it is damaged.
pub(crate) fn scan_sealed(
    context: &SegmentContext,
    name: SegmentName,
    file: &dyn StorageFile,
    density: Density,
    indexes: Option<&SegmentIndexes>,
) -> Result<SegmentTail, ScanError> {
    let path = context.path(name, LOG_ENDING);
    let io_error = |error| ScanError::io(path.clone(), error);
    let len_bytes = file.len_bytes().map_err(io_error)?;
    read_through(file, len_bytes).map_err(io_error)?;
    let bytes = file.map(len_bytes).and_then(|mapping| mapping.bytes(0..len_bytes)).map_err(io_error)?;
    let start = FrameChain::starting_at(name.base_offset, name.base_index);
    let damage = |position_bytes, chain: &FrameChain, fault| {
        ScanError::Damaged(Damage::at(path.clone(), position_bytes, chain, fault))
    };
    let header = check_header(context, name, &bytes).map_err(|fault| damage(0, &start, fault))?;
    let scanned = scan_frames(context, &bytes, SegmentTail::new(header, start), density, indexes).map_err(io_error)?;
    let tail = scanned.tail;
    match scanned.stop {
        None => Ok(tail),
        Some(fault) if !rest_is_unwritten(&bytes, tail.position_bytes) => {
            Err(damage(tail.position_bytes, &tail.chain, fault))
        }
        Some(_) => Ok(tail),
    }
}

/// Makes the indexes of a sealed segment again from its frames, and writes them for the next time if there is room.
///
/// # Errors
/// The file could not be read, is damaged, or is not the one that was sealed.
pub(crate) fn rebuild_indexes(segment: &Segment, summary: &SegmentSummary) -> Result<SegmentIndexes, ScanError> {
    let context = &segment.context;
    let io_error = |error| ScanError::io(segment.log_path(), error);
    let indexes = SegmentIndexes::in_memory();
    let file = segment.open_file().map_err(io_error)?;
    let tail = scan_sealed(context, segment.name, file.as_ref(), density_of(Some(summary)), Some(&indexes))?;
    let found = tail.summary();
    if found.log_crc != summary.log_crc {
        let fault = Fault::SealedChecksum { stored: summary.log_crc, computed: found.log_crc };
        return Err(ScanError::Damaged(Damage::at(segment.log_path(), 0, &found.end(), fault)));
    }
    keep_indexes(context, segment.name, &indexes, *summary).map_err(io_error)?;
    Ok(indexes)
}

/// Writes indexes made in memory. A full disk is no reason to do without them: they are made again the next time.
pub(crate) fn keep_indexes(
    context: &SegmentContext,
    name: SegmentName,
    indexes: &SegmentIndexes,
    summary: SegmentSummary,
) -> io::Result<()> {
    let outcome = indexes.create_files(context, name).and_then(|()| indexes.close(context.identity, name, summary));
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
        outcome => outcome,
    }
}

/// Tells whether everything from `position_bytes` on is zero: allocated, never written.
pub(crate) fn rest_is_unwritten(bytes: &[u8], position_bytes: u64) -> bool {
    let rest = usize::try_from(position_bytes).ok().and_then(|position| bytes.get(position..)).unwrap_or(&[]);
    let mut words = rest.chunks_exact(32);
    words.by_ref().all(|word| word == [0; 32]) && words.remainder().iter().all(|byte| *byte == 0)
}

/// Writes the header of a new segment under a temporary name, makes it durable and gives it its name, in this order:
/// a `.log` file never has a header that is not whole.
pub(crate) fn create_file(context: &SegmentContext, name: SegmentName) -> io::Result<Arc<dyn StorageFile>> {
    let environment = context.environment.as_ref();
    let path = context.path(name, LOG_ENDING);
    let temporary = context.path(name, crate::identity::TEMPORARY_ENDING);
    let file = environment.open_file(&temporary, OpenMode::CreateEmpty)?;
    file.allocate(0..SEGMENT_HEADER_BYTES as u64)?;
    file.write_all_at(&context.header(name).encode(), 0)?;
    file.sync_data()?;
    environment.rename(&temporary, &path)?;
    environment.sync_dir(&context.dir)?;
    Ok(file)
}
