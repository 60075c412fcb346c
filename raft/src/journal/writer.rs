//! What is written, synced and taken over when.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tidelog_log::LogIdentity;
use tidelog_log::environment::Environment;
use tidelog_proto::ids::RaftIndex;

use super::FILE_BYTES_MAX;
use super::error::SaveError;
use super::file_header::{FILE_HEADER_BYTES, FileHeader, FileState};
use super::groups::Groups;
use super::record::{Entry, Stamp};
use super::recovery::{JournalFile, Recovered};

/// A file gets room for this many times the state that it begins with, so that the state is copied at
/// most once while three times its size is written.
const GROWTH: u64 = 4;

/// Owns both files and the state of all groups.
#[derive(Debug)]
pub(super) struct JournalWriter {
    environment: Arc<dyn Environment>,
    file_bytes_min: u64,
    live: JournalFile,
    live_header: FileHeader,
    /// The other file. Nothing in it counts.
    spare: JournalFile,
    /// No header has a later one.
    generation: u64,
    /// What the live file says, unsynced records included.
    groups: Groups,
    /// Committed indexes that are not written yet.
    noted: BTreeMap<LogIdentity, RaftIndex>,
    /// Where the next record goes, and its number.
    position_bytes: u64,
    next_sequence: u64,
    /// Every record below it is durable.
    durable_end: u64,
    /// What the last record says of `durable_end`. Damage between the two could pass for a torn tail.
    witnessed_end: u64,
    /// Set by the first failure, for good.
    failed: Option<SaveError>,
}

impl JournalWriter {
    /// Takes over what was found, into the other file: whatever the found one holds, in whichever cache, is durable
    /// afterwards, and its torn tail is left behind.
    pub(super) fn start(
        environment: Arc<dyn Environment>,
        file_bytes_min: u64,
        recovered: Recovered,
    ) -> Result<Self, SaveError> {
        let Recovered { live, live_header, spare, scan, generation } = recovered;
        let mut writer = Self {
            environment,
            file_bytes_min,
            live,
            live_header,
            spare,
            generation,
            groups: Groups::default(),
            noted: BTreeMap::new(),
            position_bytes: 0,
            next_sequence: scan.next_sequence,
            durable_end: 0,
            witnessed_end: 0,
            failed: None,
        };
        writer.take_over(scan.groups)?;
        Ok(writer)
    }

    pub(super) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Remembers committed indexes, to be written with whatever is written next.
    pub(super) fn note(&mut self, noted: BTreeMap<LogIdentity, RaftIndex>) {
        for (group, index) in noted {
            let known = self.noted.entry(group).or_insert(index);
            *known = index.max(*known);
        }
    }

    /// Writes entries, and what was noted, and makes them durable: one write and one sync.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub(super) fn save(&mut self, mut entries: Vec<Entry>) -> Result<(), SaveError> {
        self.usable()?;
        for entry in &entries {
            // What was noted of a group does not hold for the next one of that identity.
            if let Entry::Removed(group) = entry {
                self.noted.remove(group);
            }
        }
        entries.extend(self.due_notes());
        let bytes = self.encode(&entries, self.live_header, self.durable_end);
        if self.has_room(&bytes) {
            self.write(&bytes, &entries)?;
            self.or_poison(self.live.sync())?;
            self.durable_end = self.next_sequence;
        } else {
            let mut next = self.groups.clone();
            next.apply_all(&entries);
            self.take_over(next)?;
        }
        self.noted.clear();
        Ok(())
    }

    /// Writes what was noted, and how far the journal is durable, without a sync. Where the file has no room for it,
    /// it waits for whoever needs a sync.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub(super) fn write_lazily(&mut self) -> Result<(), SaveError> {
        self.usable()?;
        let mut entries: Vec<Entry> = self.due_notes().collect();
        if entries.is_empty() && self.witnessed_end == self.durable_end {
            return Ok(());
        }
        if entries.is_empty() {
            entries.push(Entry::Durable);
        }
        let bytes = self.encode(&entries, self.live_header, self.durable_end);
        if self.has_room(&bytes) {
            self.write(&bytes, &entries)?;
            self.noted.clear();
        }
        Ok(())
    }

    /// Writes and syncs what is left, so that damage to anything written before can be told from a torn tail.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub(super) fn close(&mut self) -> Result<(), SaveError> {
        self.usable()?;
        let is_witnessed = self.witnessed_end == self.next_sequence;
        let is_whole = self.durable_end == self.next_sequence && self.due_notes().next().is_none();
        if is_witnessed && is_whole { Ok(()) } else { self.save(vec![Entry::Durable]) }
    }

    /// Lists what was noted and is news.
    fn due_notes(&self) -> impl Iterator<Item = Entry> {
        let is_news = |group, index| self.groups.get(group).is_none_or(|state| state.committed < Some(index));
        let notes = self.noted.iter().map(|(&group, &index)| (group, index));
        notes.filter(move |&(group, index)| is_news(group, index)).map(|(group, index)| Entry::Committed(group, index))
    }

    fn encode(&self, entries: &[Entry], header: FileHeader, durable_end: u64) -> Vec<u8> {
        let seed = header.seed();
        let mut bytes = Vec::new();
        for (sequence, entry) in (self.next_sequence..).zip(entries) {
            entry.encode_into(Stamp { sequence, durable_end }, seed, &mut bytes);
        }
        bytes
    }

    fn has_room(&self, bytes: &[u8]) -> bool {
        self.position_bytes + bytes.len() as u64 <= self.live.len_bytes
    }

    fn write(&mut self, bytes: &[u8], entries: &[Entry]) -> Result<(), SaveError> {
        self.or_poison(self.live.write(bytes, self.position_bytes))?;
        self.position_bytes += bytes.len() as u64;
        self.next_sequence += entries.len() as u64;
        self.witnessed_end = self.durable_end;
        self.groups.apply_all(entries);
        Ok(())
    }

    /// Writes the whole state into the spare file and makes it the live one.
    ///
    /// Until the old file is durably retired it holds everything that was acknowledged; from then on the new one does.
    fn take_over(&mut self, groups: Groups) -> Result<(), SaveError> {
        let mut header = FileHeader {
            state: FileState::Live,
            generation: self.generation + 1,
            salt: self.environment.random_u64(),
            first_sequence: self.next_sequence,
            base_end_bytes: 0,
        };
        let entries = groups.entries();
        let records = self.encode(&entries, header, self.next_sequence);
        header.base_end_bytes = (FILE_HEADER_BYTES + records.len()) as u64;
        let bytes = [header.encode().as_slice(), &records].concat();
        self.make_room(bytes.len() as u64)?;

        self.or_poison(self.spare.write(&bytes, 0))?;
        self.or_poison(self.spare.sync())?;
        let retired = FileHeader { state: FileState::Retired, ..self.live_header };
        self.or_poison(self.live.write(&retired.encode(), 0))?;
        self.or_poison(self.live.sync())?;

        std::mem::swap(&mut self.live, &mut self.spare);
        self.live_header = header;
        self.generation = header.generation;
        self.groups = groups;
        self.position_bytes = header.base_end_bytes;
        self.next_sequence += entries.len() as u64;
        self.durable_end = self.next_sequence;
        self.witnessed_end = self.next_sequence;
        Ok(())
    }

    /// Gives the spare file real blocks for a state and what will follow it. On a full disk those do that it has.
    fn make_room(&mut self, base_bytes: u64) -> Result<(), SaveError> {
        if base_bytes > FILE_BYTES_MAX {
            return Err(SaveError::NoSpace { needed_bytes: base_bytes });
        }
        let wanted = (base_bytes * GROWTH).max(self.file_bytes_min).min(FILE_BYTES_MAX);
        match self.spare.file.allocate(0..wanted) {
            Ok(()) => self.spare.len_bytes = self.spare.len_bytes.max(wanted),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                if base_bytes > self.spare.len_bytes {
                    return Err(SaveError::NoSpace { needed_bytes: base_bytes });
                }
            }
            Err(error) => return self.or_poison(Err(self.spare.failed(error))),
        }
        Ok(())
    }

    fn usable(&self) -> Result<(), SaveError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Remembers a failure: nothing is written any more, and nothing is tried again.
    fn or_poison(&mut self, outcome: Result<(), SaveError>) -> Result<(), SaveError> {
        outcome.inspect_err(|error| self.failed = Some(error.clone()))
    }
}

impl JournalFile {
    fn write(&self, bytes: &[u8], position_bytes: u64) -> Result<(), SaveError> {
        self.file.write_all_at(bytes, position_bytes).map_err(|error| self.failed(error))
    }

    fn sync(&self) -> Result<(), SaveError> {
        self.file.sync_data().map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> SaveError {
        SaveError::Failed { path: self.path.clone(), error: Arc::new(error) }
    }
}
