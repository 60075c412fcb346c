//! A mapping of a simulated file. It copies, and panics where a real one would kill the process.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::handle::Handle;
use super::machine::State;
use super::published::PublishedBytes;
use crate::environment::Mapping;

/// The first bytes of a file, as they are at the time of each call.
#[derive(Debug)]
pub(super) struct SimulatedMapping {
    handle: Handle,
    len_bytes: u64,
}

impl SimulatedMapping {
    pub(super) fn new(handle: Handle, len_bytes: u64) -> Self {
        Self { handle, len_bytes }
    }

    /// Checks that `range` may be touched and gives its length.
    ///
    /// # Panics
    /// If the range reaches past the end of the file.
    fn locate(&self, state: &State, range: &Range<u64>) -> io::Result<usize> {
        state.faults.check_power()?;
        let len_bytes = range.end.checked_sub(range.start).ok_or(io::ErrorKind::InvalidInput)?;
        if range.end > self.len_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let file_bytes = state.disk.inode(self.handle.inode).len_bytes();
        assert!(
            range.end <= file_bytes || len_bytes == 0,
            "SIGBUS: {}: read of {range:?} through a mapping, past the end of the file at {file_bytes}",
            self.handle.path.display(),
        );
        Ok(usize::try_from(len_bytes).map_err(|_| io::ErrorKind::UnexpectedEof)?)
    }
}

impl Mapping for SimulatedMapping {
    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn bytes(self: Arc<Self>, range: Range<u64>) -> io::Result<Bytes> {
        let Handle { machine, inode, .. } = &self.handle;
        let mut state = machine.lock();
        let mut content = vec![0; self.locate(&state, &range)?];
        state.disk.inode(*inode).read(&mut content, range.start);
        let published = Arc::new(PublishedBytes { position_bytes: range.start, content });
        state.published.entry(*inode).or_default().note(&published);
        Ok(Bytes::from_owner(PublishedSlice { published }))
    }

    fn read_exact_at(&self, buffer: &mut [u8], position_bytes: u64) -> io::Result<()> {
        let Handle { machine, inode, .. } = &self.handle;
        let state = machine.lock();
        let end_bytes = position_bytes.checked_add(buffer.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.locate(&state, &(position_bytes..end_bytes))?;
        state.disk.inode(*inode).read(buffer, position_bytes);
        Ok(())
    }
}

/// A slice in a reader's hands. While it lives, so does the one strong reference to what was published.
struct PublishedSlice {
    published: Arc<PublishedBytes>,
}

impl AsRef<[u8]> for PublishedSlice {
    fn as_ref(&self) -> &[u8] {
        &self.published.content
    }
}
