//! A sparse index: sorted 16-byte entries behind an [`IndexHeader`], searched through the mapping.
//!
//! Two of them stand beside each segment: offsets and Raft indexes to positions, and timestamps to offsets. While a
//! segment is active the newest entries wait in memory until a page of them is full. An index is a cache: the file of an
//! active segment is never trusted after a crash, and that of a sealed one only with a header that vouches for it.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crc32fast::Hasher;

use crate::environment::{Environment, Mapping, OpenMode, StorageFile, remove_if_there};
use crate::identity::{LogIdentity, SegmentName};
use crate::index_header::{INDEX_HEADER_BYTES, IndexHeader, IndexKind, SegmentSummary};

/// Length of an entry of either index.
pub(crate) const ENTRY_BYTES: usize = 16;

/// Where an entry's checksum stands.
const CRC_AT: usize = ENTRY_BYTES - 4;

/// Entries that wait in memory before they are written: one page.
const PENDING_MAX: usize = 4096 / ENTRY_BYTES;

/// Probes of a search that go where the key should be. With keys that rise evenly the third is rarely off by more than a
/// line of the processor's cache.
const GUESSES: usize = 3;

/// Bytes read at once when a whole index is checked.
const CHECK_BYTES: usize = 64 * 1024;

/// Something that a sparse index is made of.
pub(crate) trait IndexEntry: Copy + Send + Sync {
    /// Which file the entries stand in.
    const KIND: IndexKind;

    /// The last four bytes are the checksum of the others: no frame would give a wrong entry away, the search would just
    /// start behind what it looks for.
    fn encode(self) -> [u8; ENTRY_BYTES];

    /// Reads back what [`IndexEntry::encode`] gave, without a look at the checksum.
    fn decode(bytes: [u8; ENTRY_BYTES]) -> Self;
}

/// Where a frame stands: one entry at most per `index_interval_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetEntry {
    /// Base offset of the frame, less the segment's.
    pub relative_offset: u32,
    /// Raft index of the frame, less the segment's.
    pub relative_index: u32,
    /// Byte position of the frame in the segment file.
    pub position_bytes: u32,
}

impl IndexEntry for OffsetEntry {
    const KIND: IndexKind = IndexKind::Offset;

    fn encode(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[0..4].copy_from_slice(&self.relative_offset.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.relative_index.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.position_bytes.to_le_bytes());
        with_crc(bytes)
    }

    fn decode([a, b, c, d, e, f, g, h, i, j, k, l, ..]: [u8; ENTRY_BYTES]) -> Self {
        Self {
            relative_offset: u32::from_le_bytes([a, b, c, d]),
            relative_index: u32::from_le_bytes([e, f, g, h]),
            position_bytes: u32::from_le_bytes([i, j, k, l]),
        }
    }
}

/// What is known of the timestamps before an offset. Each stands beside the [`OffsetEntry`] of the same frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// No record of the segment below the offset has a larger timestamp.
    pub max_timestamp: i64,
    /// The offset, less the segment's base offset.
    pub relative_offset: u32,
}

impl IndexEntry for TimeEntry {
    const KIND: IndexKind = IndexKind::Time;

    fn encode(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[0..8].copy_from_slice(&self.max_timestamp.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.relative_offset.to_le_bytes());
        with_crc(bytes)
    }

    fn decode([a, b, c, d, e, f, g, h, i, j, k, l, ..]: [u8; ENTRY_BYTES]) -> Self {
        Self {
            max_timestamp: i64::from_le_bytes([a, b, c, d, e, f, g, h]),
            relative_offset: u32::from_le_bytes([i, j, k, l]),
        }
    }
}

fn with_crc(mut entry: [u8; ENTRY_BYTES]) -> [u8; ENTRY_BYTES] {
    let crc = crc32fast::hash(&entry[..CRC_AT]);
    entry[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    entry
}

fn is_sound(entry: &[u8; ENTRY_BYTES]) -> bool {
    entry[CRC_AT..] == crc32fast::hash(&entry[..CRC_AT]).to_le_bytes()
}

/// A sparse index of one segment. One writer pushes and cuts; any number of readers search.
#[derive(Debug)]
pub(crate) struct SparseIndex<E> {
    /// What entries are written to. Not there before [`SparseIndex::create_file`], and not where the index is only
    /// searched: a sealed index needs no descriptor beside its mapping.
    file: OnceLock<Arc<dyn StorageFile>>,
    /// Shared with readers, who search while the writer pushes: held for a binary search, never across I/O of theirs.
    entries: RwLock<Entries<E>>,
}

#[derive(Debug)]
struct Entries<E> {
    /// Reaches over all entries in the file; replaced when the file has outgrown it.
    mapping: Option<Arc<dyn Mapping>>,
    /// How many entries stand in the file. They come first.
    written: usize,
    /// The entries after them.
    pending: Vec<E>,
}

impl<E> Entries<E> {
    fn len(&self) -> usize {
        self.written + self.pending.len()
    }
}

impl<E: IndexEntry> SparseIndex<E> {
    /// Starts an empty index that is all in memory, until it is given a file.
    pub(crate) fn in_memory() -> Self {
        let entries = Entries { mapping: None, written: 0, pending: Vec::new() };
        Self { file: OnceLock::new(), entries: RwLock::new(entries) }
    }

    /// Starts an empty index in the file at `path`, whatever was there before.
    ///
    /// # Errors
    /// The file could not be made.
    pub(crate) fn create(environment: &dyn Environment, path: &Path) -> io::Result<Self> {
        let index = Self::in_memory();
        index.create_file(environment, path)?;
        Ok(index)
    }

    /// Gives an index in memory a new file at `path`, whatever was there before: who has the old one open keeps it. The
    /// entries are written with the next full page, or when it is closed.
    ///
    /// # Errors
    /// The file could not be made.
    pub(crate) fn create_file(&self, environment: &dyn Environment, path: &Path) -> io::Result<()> {
        remove_if_there(environment, path)?;
        let file = environment.open_file(path, OpenMode::CreateNew)?;
        self.file.set(file).map_err(|_| io::ErrorKind::AlreadyExists.into())
    }

    /// Opens the index at `path` if its header fits the segment and its entries are what the header vouches for, to be
    /// pushed to again or, with [`OpenMode::Read`], only to be searched.
    ///
    /// # Errors
    /// The file could not be read. A missing, foreign or damaged index is `None`, not an error.
    pub(crate) fn open(
        environment: &dyn Environment,
        path: &Path,
        identity: LogIdentity,
        name: SegmentName,
        mode: OpenMode,
    ) -> io::Result<Option<(Self, IndexHeader)>> {
        let Some((file, header)) = open_header(environment, path, E::KIND, identity, name, mode)? else {
            return Ok(None);
        };
        let written = header.entry_count as usize;
        if entries_crc(file.as_ref(), written)? != Some(header.entries_crc) {
            return Ok(None);
        }
        let mapping = Some(file.map(file_bytes(written))?);
        let entries = RwLock::new(Entries { mapping, written, pending: Vec::new() });
        let file = if mode == OpenMode::Read { OnceLock::new() } else { OnceLock::from(file) };
        Ok(Some((Self { file, entries }, header)))
    }

    /// Adds an entry. Its keys must not be below those of the last one.
    ///
    /// # Errors
    /// A full page of entries could not be written.
    pub(crate) fn push(&self, entry: E) -> io::Result<()> {
        let is_page = {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            entries.pending.push(entry);
            entries.pending.len() > PENDING_MAX
        };
        if is_page && self.file.get().is_some() { self.write_pending() } else { Ok(()) }
    }

    /// Writes the entries that wait in memory. On a full disk they wait on: frames have their space by now, and no more will
    /// come while there is none.
    ///
    /// # Errors
    /// They could not be written for another reason.
    pub(crate) fn write_pending(&self) -> io::Result<()> {
        match self.write_all_pending() {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
            outcome => outcome,
        }
    }

    /// Drops every entry from number `len` on.
    pub(crate) fn cut(&self, len: usize) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if len < entries.written {
            entries.written = len;
            entries.pending.clear();
        } else {
            let keep = len - entries.written;
            entries.pending.truncate(keep);
        }
    }

    /// Finds the last entry whose `key` is at most `limit`. Keys must not fall from entry to entry. With the entry comes
    /// its number.
    ///
    /// # Errors
    /// The file could not be read.
    pub(crate) fn last_up_to(&self, limit: i64, key: impl Fn(&E) -> i64) -> io::Result<Option<(usize, E)>> {
        {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            if entries.written == 0 || self.is_mapped(&entries) {
                return search(&entries, limit, key);
            }
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if !self.is_mapped(&entries) {
            // Twice what is needed, so that a growing index is mapped a handful of times, not once a page.
            entries.mapping = Some(self.file()?.map(file_bytes(entries.written) * 2)?);
        }
        search(&entries, limit, key)
    }

    /// Gives the last entry.
    ///
    /// # Errors
    /// The file could not be read.
    pub(crate) fn last(&self) -> io::Result<Option<E>> {
        let len = self.entries.read().unwrap_or_else(PoisonError::into_inner).len();
        len.checked_sub(1).map_or(Ok(None), |number| self.get(number))
    }

    /// Gives entry number `number`; `None` past the end.
    ///
    /// # Errors
    /// The file could not be read.
    pub(crate) fn get(&self, number: usize) -> io::Result<Option<E>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(pending) = number.checked_sub(entries.written) {
            return Ok(entries.pending.get(pending).copied());
        }
        let mut bytes = [0; ENTRY_BYTES];
        match entries.mapping.as_ref().filter(|_| self.is_mapped(&entries)) {
            Some(mapping) => mapping.read_exact_at(&mut bytes, file_bytes(number))?,
            None => self.file()?.read_exact_at(&mut bytes, file_bytes(number))?,
        }
        if is_sound(&bytes) { Ok(Some(E::decode(bytes))) } else { Err(changed()) }
    }

    /// Writes what waits in memory and the header, cuts the file to its length and makes it durable. Where the file does not
    /// hold what was written to it, it gets no header, and the index is made again when it is needed.
    ///
    /// # Errors
    /// A write or the sync failed; the index is then as good as missing.
    pub(crate) fn close(&self, identity: LogIdentity, name: SegmentName, summary: SegmentSummary) -> io::Result<()> {
        self.write_all_pending()?;
        let written = self.entries.read().unwrap_or_else(PoisonError::into_inner).written;
        let entry_count = u32::try_from(written).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let file = self.file()?;
        let header = entries_crc(file.as_ref(), written)?.map(|entries_crc| IndexHeader {
            identity,
            name,
            summary,
            entry_count,
            entries_crc,
        });
        file.set_len(file_bytes(written))?;
        file.write_all_at(&header.map_or([0; INDEX_HEADER_BYTES], |header| header.encode(E::KIND)), 0)?;
        file.sync_data()
    }

    /// Gives the memory that entries wait in.
    #[cfg(test)]
    pub(crate) fn pending_bytes(&self) -> usize {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.pending.capacity() * size_of::<E>()
    }

    fn is_mapped(&self, entries: &Entries<E>) -> bool {
        entries.mapping.as_ref().is_some_and(|mapping| file_bytes(entries.written) <= mapping.len_bytes())
    }

    /// Writes the entries that wait in memory. Readers search on meanwhile; nobody else changes the index.
    fn write_all_pending(&self) -> io::Result<()> {
        let (bytes, position_bytes) = {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            let bytes: Vec<u8> = entries.pending.iter().flat_map(|entry| entry.encode()).collect();
            (bytes, file_bytes(entries.written))
        };
        self.file()?.write_all_at(&bytes, position_bytes)?;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.written += entries.pending.len();
        // Not only emptied: after recovery a whole index waited here.
        entries.pending = Vec::new();
        Ok(())
    }

    fn file(&self) -> io::Result<&Arc<dyn StorageFile>> {
        self.file.get().ok_or_else(|| io::ErrorKind::PermissionDenied.into())
    }
}

/// Computes the checksum of the first `count` entries in an index file; `None` where one of them has changed.
fn entries_crc(file: &dyn StorageFile, count: usize) -> io::Result<Option<u32>> {
    let mut crc = Hasher::new();
    let mut buffer = vec![0; CHECK_BYTES.min(count * ENTRY_BYTES)];
    let mut at = INDEX_HEADER_BYTES as u64;
    let end = file_bytes(count);
    while at < end {
        let part = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        file.read_exact_at(&mut buffer[..part], at)?;
        let (entries, _) = buffer[..part].as_chunks::<ENTRY_BYTES>();
        if !entries.iter().all(is_sound) {
            return Ok(None);
        }
        crc.update(&buffer[..part]);
        at += part as u64;
    }
    Ok(Some(crc.finalize()))
}

/// Length of an index file with `count` entries.
fn file_bytes(count: usize) -> u64 {
    (INDEX_HEADER_BYTES + count * ENTRY_BYTES) as u64
}

/// Opens an index file and reads its header; `None` where it is missing, damaged, of another segment, or not exactly as
/// long as it says.
pub(crate) fn open_header(
    environment: &dyn Environment,
    path: &Path,
    kind: IndexKind,
    identity: LogIdentity,
    name: SegmentName,
    mode: OpenMode,
) -> io::Result<Option<(Arc<dyn StorageFile>, IndexHeader)>> {
    let file = match environment.open_file(path, mode) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len_bytes = file.len_bytes()?;
    if len_bytes < INDEX_HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut bytes = [0; INDEX_HEADER_BYTES];
    file.read_exact_at(&mut bytes, 0)?;
    let header = IndexHeader::decode(kind, &bytes).filter(|header| {
        header.identity == identity && header.name == name && file_bytes(header.entry_count as usize) == len_bytes
    });
    Ok(header.map(|header| (file, header)))
}

/// Searches the written entries through the mapping, then the pending ones.
///
/// Most logs grow evenly, so the first probes go where the key would stand if keys rose by the same amount from entry to
/// entry; then the rest is halved. Halving alone reads one page after the other that is in no cache.
fn search<E: IndexEntry>(entries: &Entries<E>, limit: i64, key: impl Fn(&E) -> i64) -> io::Result<Option<(usize, E)>> {
    let pending_at = |number: usize| number.checked_sub(entries.written).map(|pending| entries.pending[pending]);
    let stored_at = |number: usize| -> io::Result<[u8; ENTRY_BYTES]> {
        let mapping = entries.mapping.as_ref().ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut bytes = [0; ENTRY_BYTES];
        mapping.read_exact_at(&mut bytes, file_bytes(number))?;
        Ok(bytes)
    };
    let key_at =
        |number| pending_at(number).map_or_else(|| stored_at(number).map(E::decode), Ok).map(|entry| key(&entry));
    let sound_at = |number| match pending_at(number) {
        Some(entry) => Ok(entry),
        None => Some(stored_at(number)?).filter(is_sound).map(E::decode).ok_or_else(changed),
    };
    let Some(last) = entries.len().checked_sub(1) else { return Ok(None) };
    let (first_key, last_key) = (key_at(0)?, key_at(last)?);
    // How many entries lie between a key and the limit, if keys rise evenly.
    let entries_from = |key: i64| {
        let entries = u128::from(limit.abs_diff(key)) * last as u128 / u128::from(last_key.abs_diff(first_key).max(1));
        usize::try_from(entries).unwrap_or(usize::MAX)
    };
    let (mut low, mut high) = (0, entries.len());
    let mut guess = if limit < first_key { 0 } else { entries_from(first_key).min(last) };
    for probe in 0.. {
        let at = if probe < GUESSES { guess } else { low + (high - low) / 2 };
        let key = key_at(at)?;
        if key <= limit {
            low = at + 1;
        } else {
            high = at;
        }
        if low == high {
            break;
        }
        guess = if key <= limit {
            at.saturating_add(entries_from(key)).clamp(low, high - 1)
        } else {
            at.saturating_sub(entries_from(key)).clamp(low, high - 1)
        };
    }
    // Whatever led here: what lies left and right of the place decides, if both are what was written.
    if low <= last && key(&sound_at(low)?) <= limit {
        return Err(changed());
    }
    let Some(number) = low.checked_sub(1) else { return Ok(None) };
    let entry = sound_at(number)?;
    if key(&entry) <= limit { Ok(Some((number, entry))) } else { Err(changed()) }
}

fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an index entry has changed since it was written")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::environment::simulated::SimulatedEnvironment;

    /// Index of `keys`, all but the last few of them in a file if there are many.
    fn index_of(keys: &[i64]) -> SparseIndex<TimeEntry> {
        let machine = SimulatedEnvironment::new(1);
        let index = SparseIndex::create(&machine, Path::new("times")).unwrap();
        for (relative_offset, &max_timestamp) in (0..).zip(keys) {
            index.push(TimeEntry { max_timestamp, relative_offset }).unwrap();
        }
        index
    }

    fn found(index: &SparseIndex<TimeEntry>, limit: i64) -> Option<usize> {
        let found = index.last_up_to(limit, |entry| entry.max_timestamp).unwrap();
        found.map(|(number, entry)| {
            assert_eq!(entry.relative_offset as usize, number);
            number
        })
    }

    proptest! {
        /// What a search finds does not depend on how the keys rise.
        #[test]
        fn a_search_finds_what_halving_finds(
            mut keys in prop_oneof![
                prop::collection::vec(any::<i64>(), 0..40),
                prop::collection::vec(-5..5_i64, 0..40),
                prop::collection::vec(0..1_000_000_i64, 0..900),
                prop::collection::vec(prop_oneof![Just(i64::MIN), Just(i64::MAX), -9..9_i64], 0..40),
            ],
            other in any::<i64>(),
        ) {
            keys.sort_unstable();
            let index = index_of(&keys);
            let around = keys.iter().flat_map(|key| [key.saturating_sub(1), *key, key.saturating_add(1)]);
            for limit in around.chain([other, i64::MIN, i64::MAX]) {
                let expected = keys.partition_point(|&key| key <= limit).checked_sub(1);
                prop_assert_eq!(found(&index, limit), expected, "limit {}", limit);
            }
        }
    }

    /// Most of the entries looked at, over searches for every tenth key.
    fn probes_max(keys: &[i64]) -> u32 {
        let index = index_of(keys);
        let probes = |limit| {
            let probes = Cell::new(0);
            let count = |entry: &TimeEntry| {
                probes.set(probes.get() + 1);
                entry.max_timestamp
            };
            index.last_up_to(limit, count).unwrap();
            probes.get()
        };
        keys.iter().step_by(10).map(|&key| probes(key)).max().unwrap()
    }

    #[test]
    fn a_search_goes_straight_where_keys_rise_evenly_and_by_halves_elsewhere() {
        // The first, the last and the two that decide are always looked at.
        let even: Vec<i64> = (0..20_000).map(|number| 1_700_000_000_000 + number * 37).collect();
        assert!(probes_max(&even) <= 7, "{}", probes_max(&even));
        let uneven: Vec<i64> = (0..20_000).map(|number| number * number * number).collect();
        assert!(probes_max(&uneven) <= 4 + 3 + 15, "{}", probes_max(&uneven));
    }
}
