//! What is written, synced and taken over when.

use std::io;
use std::sync::Arc;

use tidelog_log::environment::Environment;

use super::FILE_BYTES_MAX;
use super::error::SaveError;
use super::file_header::{FILE_HEADER_BYTES, FileHeader, FileState};
use super::groups::Groups;
use super::record::{Entry, GROUP_STATE_BYTES_MAX, Stamp};
use super::recovery::{JournalFile, Recovered};
use super::shared::Noted;

/// Files get room for this many times the state that makes them grow, so that the state is copied at most once while three
/// times its size is written.
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
            position_bytes: 0,
            next_sequence: scan.next_sequence,
            durable_end: 0,
            witnessed_end: 0,
            failed: None,
        };
        writer.reserve(scan.groups.len())?;
        writer.take_over(scan.groups)?;
        Ok(writer)
    }

    pub(super) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Writes entries, and committed indexes that were noted, and makes them durable: one write and one sync.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub(super) fn save(&mut self, mut entries: Vec<Entry>, mut noted: Noted) -> Result<(), SaveError> {
        for entry in &entries {
            // What was noted of a group does not hold for the next one of that identity.
            if let Entry::Removed(group) = entry {
                noted.remove(group);
            }
        }
        entries.extend(self.news(noted));
        self.append(&entries)?;
        self.sync()
    }

    /// Writes what was noted, and how far the journal is durable. Nothing is synced, unless the file is full and the
    /// other one takes over.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub(super) fn write_lazily(&mut self, noted: Noted) -> Result<(), SaveError> {
        let mut entries = self.news(noted);
        if entries.is_empty() && self.witnessed_end < self.durable_end {
            entries.push(Entry::Durable);
        }
        self.append(&entries)
    }

    /// Writes and syncs what is left, so that damage to anything written before can be told from a torn tail.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub(super) fn close(&mut self, noted: Noted) -> Result<(), SaveError> {
        self.write_lazily(noted)?;
        self.sync()
    }

    /// Leaves out what was written already.
    fn news(&self, noted: Noted) -> Vec<Entry> {
        let is_news = |group, index| self.groups.get(group).is_none_or(|state| state.committed < Some(index));
        let news = noted.into_iter().filter(|&(group, index)| is_news(group, index));
        news.map(|(group, index)| Entry::Committed(group, index)).collect()
    }

    /// Writes entries behind the last one, or with the whole state into the other file.
    fn append(&mut self, entries: &[Entry]) -> Result<(), SaveError> {
        self.failed.clone().map_or(Ok(()), Err)?;
        if entries.is_empty() {
            return Ok(());
        }
        self.reserve(self.groups.len() + self.groups.count_new(entries))?;
        let bytes = self.encode(entries, self.live_header, self.durable_end);
        if self.position_bytes + bytes.len() as u64 > self.live.len_bytes {
            let mut groups = self.groups.clone();
            groups.apply_all(entries);
            return self.take_over(groups);
        }
        self.or_poison(self.live.write(&bytes, self.position_bytes))?;
        self.position_bytes += bytes.len() as u64;
        self.next_sequence += entries.len() as u64;
        self.witnessed_end = self.durable_end;
        self.groups.apply_all(entries);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SaveError> {
        if self.durable_end < self.next_sequence {
            self.or_poison(self.live.sync())?;
            self.durable_end = self.next_sequence;
        }
        Ok(())
    }

    fn encode(&self, entries: &[Entry], header: FileHeader, durable_end: u64) -> Vec<u8> {
        let seed = header.seed();
        let mut bytes = Vec::new();
        for (sequence, entry) in (self.next_sequence..).zip(entries) {
            entry.encode_into(Stamp { sequence, durable_end }, seed, &mut bytes);
        }
        bytes
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
        assert!(bytes.len() as u64 <= self.spare.len_bytes, "a state of {} bytes has no room", bytes.len());

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

    /// Gives both files real blocks for the state of this many groups, and more if it has to. So a full disk is met before
    /// a new group is taken, and stops no other.
    fn reserve(&mut self, groups: usize) -> Result<(), SaveError> {
        let needed_bytes = FILE_HEADER_BYTES as u64 + groups as u64 * GROUP_STATE_BYTES_MAX;
        if needed_bytes <= self.live.len_bytes.min(self.spare.len_bytes) {
            return Ok(());
        }
        let no_space = SaveError::NoSpace { needed_bytes };
        if needed_bytes > FILE_BYTES_MAX {
            return Err(no_space);
        }
        let wanted = (needed_bytes * GROWTH).max(self.file_bytes_min).min(FILE_BYTES_MAX);
        for file in [&mut self.live, &mut self.spare] {
            match file.extend(wanted) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(no_space),
                extended => {
                    let extended = extended.map_err(|error| file.failed(error));
                    extended.inspect_err(|error| self.failed = Some(error.clone()))?;
                }
            }
        }
        Ok(())
    }

    /// Remembers a failure: nothing is written any more, and nothing is tried again.
    fn or_poison(&mut self, outcome: Result<(), SaveError>) -> Result<(), SaveError> {
        outcome.inspect_err(|error| self.failed = Some(error.clone()))
    }
}

impl JournalFile {
    fn extend(&mut self, len_bytes: u64) -> io::Result<()> {
        if self.len_bytes < len_bytes {
            self.file.allocate(self.len_bytes..len_bytes)?;
            self.len_bytes = len_bytes;
        }
        Ok(())
    }

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
