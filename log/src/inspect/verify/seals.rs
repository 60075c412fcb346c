//! Checking the seal of a segment, its two index files, against the frames.

use std::io;
use std::path::PathBuf;

use crate::frame_chain::FrameMeta;
use crate::identity::{OFFSET_INDEX_ENDING, SegmentName, TIME_INDEX_ENDING};
use crate::index_header::{IndexHeader, IndexKind, SegmentSummary};
use crate::inspect::finding::{Finding, Reason};
use crate::inspect::index_fault::{IndexFault, IndexFileEntry};
use crate::inspect::index_file::{IndexFile, entry_position};
use crate::inspect::log_files::LogFiles;
use crate::segment_tail::SegmentTail;
use crate::sparse_index::{ENTRY_BYTES, IndexEntry, OffsetEntry, TimeEntry};

/// Both index files of a segment.
pub(super) struct Seals {
    offsets: Seal,
    times: Seal,
    /// Number of the entry that comes next.
    number: u64,
    findings: Vec<Finding>,
}

/// One index file.
struct Seal {
    path: PathBuf,
    /// `None` where there is no header to be believed.
    header: Option<IndexHeader>,
    /// `None` where there is nothing to compare with the frames, or no more after the first wrong entry.
    file: Option<IndexFile>,
    /// Told only if no wrong entry explains it.
    wrong_checksum: Option<IndexFault>,
}

impl Seals {
    /// Opens both files and checks whatever can be checked without the frames.
    pub(super) fn open(files: &LogFiles, name: SegmentName) -> Self {
        let mut findings = Vec::new();
        let mut open = |kind, ending| Seal::open(files, name, kind, files.path(name, ending), &mut findings);
        let (offsets, times) = (open(IndexKind::Offset, OFFSET_INDEX_ENDING), open(IndexKind::Time, TIME_INDEX_ENDING));
        if let (Some(of_offsets), Some(of_times)) = (&offsets.header, &times.header)
            && of_offsets.entry_count != of_times.entry_count
        {
            let (offsets, times_count) = (of_offsets.entry_count, of_times.entry_count);
            findings.push(times.finding(0, IndexFault::EntryCount { times: times_count, offsets }));
        }
        Self { offsets, times, number: 0, findings }
    }

    /// Gives what the seal says of the segment.
    pub(super) fn summary(&self) -> Option<SegmentSummary> {
        self.offsets.header.or(self.times.header).map(|header| header.summary)
    }

    /// Checks the entries that point at the frame behind `tail`, and that none points before it.
    pub(super) fn check_entries_at(&mut self, tail: &SegmentTail, frame: &FrameMeta) {
        let expected = tail.due_entries(frame, 0);
        while let Some(bytes) = self.offsets.entry(self.number, &mut self.findings) {
            let stored = OffsetEntry::decode(bytes);
            if u64::from(stored.position_bytes) > tail.position_bytes {
                return;
            }
            let (offset_entry, time_entry) = match expected {
                Some(expected) if u64::from(stored.position_bytes) == tail.position_bytes => expected,
                _ => return self.point_nowhere(stored),
            };
            let place = Some(frame);
            self.offsets.compare(self.number, bytes, offset_entry, place, &mut self.findings);
            if let Some(bytes) = self.times.entry(self.number, &mut self.findings) {
                self.times.compare(self.number, bytes, time_entry, place, &mut self.findings);
            }
            self.number += 1;
        }
    }

    /// Checks what can be told at the end of the frames, `None` where they are damaged. Of a segment that is too short
    /// for its place in the log, the seal is not to blame.
    pub(super) fn finish(mut self, tail: Option<&SegmentTail>, is_short: bool) -> Vec<Finding> {
        if let Some(tail) = tail.filter(|_| !is_short) {
            if let Some(bytes) = self.offsets.entry(self.number, &mut self.findings) {
                self.point_nowhere(OffsetEntry::decode(bytes));
            }
            for seal in [&self.offsets, &self.times] {
                self.findings.extend(seal.wrong_summary(tail));
            }
        }
        for seal in [&self.offsets, &self.times] {
            let fault = seal.wrong_checksum.clone();
            self.findings.extend(fault.map(|fault| seal.finding(entry_position(0), fault)));
        }
        self.findings
    }

    fn point_nowhere(&mut self, stored: OffsetEntry) {
        let number = self.number;
        let fault = IndexFault::Nowhere { number, stored: IndexFileEntry::Offset(stored) };
        self.offsets.report(entry_position(number), fault, None, &mut self.findings);
    }
}

impl Seal {
    fn open(files: &LogFiles, name: SegmentName, kind: IndexKind, path: PathBuf, findings: &mut Vec<Finding>) -> Self {
        let mut seal = Self { path, header: None, file: None, wrong_checksum: None };
        match seal.read(files, name, kind) {
            Ok(None) => {}
            Ok(Some((position_bytes, fault))) => findings.push(seal.finding(position_bytes, fault)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                findings.push(seal.finding(0, IndexFault::Missing));
            }
            Err(error) => findings.push(seal.finding(0, IndexFault::Unreadable(error.kind()))),
        }
        seal
    }

    /// Reads the file; gives what is wrong with it, and where.
    fn read(&mut self, files: &LogFiles, name: SegmentName, kind: IndexKind) -> io::Result<Option<(u64, IndexFault)>> {
        let context = &files.context;
        let mut file = IndexFile::open(context.environment.as_ref(), &self.path, kind)?;
        let header = match &file.header {
            Ok(header) if (header.identity, header.name) == (context.identity, name) => *header,
            Ok(_) => return Ok(Some((0, IndexFault::Foreign))),
            Err(fault) => return Ok(Some((0, fault.clone()))),
        };
        self.header = Some(header);
        match file.check_entries()? {
            Ok(()) => {}
            Err(fault @ IndexFault::Length { file_bytes, expected_bytes }) => {
                return Ok(Some((file_bytes.min(expected_bytes), fault)));
            }
            Err(fault) => self.wrong_checksum = Some(fault),
        }
        self.file = Some(file);
        Ok(None)
    }

    fn entry(&mut self, number: u64, findings: &mut Vec<Finding>) -> Option<[u8; ENTRY_BYTES]> {
        match self.file.as_mut()?.entry(number) {
            Ok(entry) => entry,
            Err(error) => {
                findings.push(self.finding(entry_position(number), IndexFault::Unreadable(error.kind())));
                self.file = None;
                None
            }
        }
    }

    /// Compares an entry with what the frame gives.
    fn compare<E: IndexEntry + Into<IndexFileEntry>>(
        &mut self,
        number: u64,
        stored: [u8; ENTRY_BYTES],
        expected: E,
        frame: Option<&FrameMeta>,
        findings: &mut Vec<Finding>,
    ) {
        if stored == expected.encode() {
            return;
        }
        let (stored, expected) = (E::decode(stored).into(), expected.into());
        let fault = match stored == expected {
            true => IndexFault::EntryChecksum { number },
            false => IndexFault::Entry { number, stored, expected },
        };
        self.report(entry_position(number), fault, frame, findings);
    }

    /// Reports a wrong entry. It explains a wrong checksum; what follows it is not compared.
    fn report(
        &mut self,
        position_bytes: u64,
        fault: IndexFault,
        frame: Option<&FrameMeta>,
        findings: &mut Vec<Finding>,
    ) {
        self.file = None;
        self.wrong_checksum = None;
        findings.push(Finding {
            index: frame.map(|frame| frame.stamp.index),
            offset: frame.map(|frame| frame.base_offset),
            ..self.finding(position_bytes, fault)
        });
    }

    fn wrong_summary(&self, tail: &SegmentTail) -> Option<Finding> {
        let stored = self.header?.summary;
        // Compaction alone knows these two.
        let (is_compacted, tombstones_since_ms) = (stored.is_compacted, stored.tombstones_since_ms);
        let mut expected = SegmentSummary { is_compacted, tombstones_since_ms, ..tail.summary() };
        if tail.is_empty() {
            // Of no meaning in an empty segment.
            expected.last_term = stored.last_term;
            expected.first_append_time_ms = stored.first_append_time_ms;
            expected.last_append_time_ms = stored.last_append_time_ms;
        }
        let fault = || IndexFault::Summary { stored: stored.into(), expected: expected.into() };
        (stored != expected).then(|| self.finding(0, fault()))
    }

    fn finding(&self, position_bytes: u64, fault: IndexFault) -> Finding {
        let reason = Reason::Index(fault);
        Finding { path: self.path.clone(), position_bytes, index: None, offset: None, reason }
    }
}

impl From<OffsetEntry> for IndexFileEntry {
    fn from(entry: OffsetEntry) -> Self {
        Self::Offset(entry)
    }
}

impl From<TimeEntry> for IndexFileEntry {
    fn from(entry: TimeEntry) -> Self {
        Self::Time(entry)
    }
}
