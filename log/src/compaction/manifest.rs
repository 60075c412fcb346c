//! The one durable record that decides a swap.

use std::path::PathBuf;

use tidelog_proto::ids::{Offset, RaftIndex};

use crate::identity::SegmentName;
use crate::segment::SegmentContext;
use crate::small_file::{self, SmallFileError, SmallFileFault, SmallFileKind};

/// Name of the manifest in a log's directory. It is there only while a swap is under way.
pub(super) const MANIFEST_FILE: &str = "compaction";

const NAME_BYTES: usize = 16;

/// The swap that is under way: the first of the names is the output's, and all of them go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The names of the replaced segments, oldest first; never empty.
    pub(crate) sources: Vec<SegmentName>,
    /// Length of the output.
    pub(crate) log_bytes: u64,
}

impl Manifest {
    pub(crate) fn path(context: &SegmentContext) -> PathBuf {
        context.dir.join(MANIFEST_FILE)
    }

    pub(super) fn write(&self, context: &SegmentContext) -> std::io::Result<()> {
        let mut payload = Vec::with_capacity(8 + self.sources.len() * NAME_BYTES);
        payload.extend_from_slice(&self.log_bytes.to_le_bytes());
        for source in &self.sources {
            payload.extend_from_slice(&source.base_offset.get().to_le_bytes());
            payload.extend_from_slice(&source.base_index.get().to_le_bytes());
        }
        let kind = SmallFileKind::CompactionManifest;
        small_file::write(context.environment.as_ref(), &Self::path(context), kind, &payload)
    }

    pub(crate) fn read(context: &SegmentContext) -> Result<Option<Self>, SmallFileError> {
        let path = Self::path(context);
        let kind = SmallFileKind::CompactionManifest;
        let Some(payload) = small_file::read(context.environment.as_ref(), &path, kind)? else { return Ok(None) };
        Self::decode(&payload).ok_or(SmallFileError::Damaged { path, fault: SmallFileFault::Content }).map(Some)
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let (log_bytes, names) = payload.split_first_chunk::<8>()?;
        let (numbers, rest) = names.as_chunks::<8>();
        if numbers.is_empty() || numbers.len() % 2 != 0 || !rest.is_empty() {
            return None;
        }
        let name = |pair: &[[u8; 8]]| SegmentName {
            base_offset: Offset::new(u64::from_le_bytes(pair[0])),
            base_index: RaftIndex::new(u64::from_le_bytes(pair[1])),
        };
        let sources: Vec<_> = numbers.chunks_exact(2).map(name).collect();
        sources
            .is_sorted_by(|one, next| one < next)
            .then_some(Self { sources, log_bytes: u64::from_le_bytes(*log_bytes) })
    }
}
