//! What may be read from a log that was damaged: exactly what was written, or a refusal that names the place.

use tidelog_log::{LogReader, ReadError};
use tidelog_proto::batch::{DecodeLimits, RecordBatch};
use tidelog_proto::frame::Frame;
use tidelog_proto::ids::{Offset, RaftIndex};

use crate::input::Input;

/// Everything that is read from a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// First offset that is served.
    pub log_start_offset: Offset,
    /// Offset of the next record.
    pub end_offset: Offset,
    /// The entries from the Raft start on.
    pub entries: Vec<Frame>,
    /// Index of the first entry, and of the next one where there is none.
    pub raft_start: RaftIndex,
    batches: Vec<RecordBatch>,
    /// Offset and timestamp of every record of a batch that is no control batch.
    records: Vec<(Offset, i64)>,
}

/// What was done to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing that could matter: everything is there.
    Exact,
    /// Bytes changed, but none of them under a true checksum: everything is there, or refused as damaged. So many entries
    /// from the Raft start on stand before the damage, and are there.
    Damaged(usize),
    /// Checksums were made true over other bytes: nothing is known but that reading ends, and what is returned is whole.
    Forged,
}

impl Content {
    /// Takes down what a sound log holds.
    ///
    /// # Errors
    /// A read fails.
    pub fn of(reader: &LogReader) -> Result<Self, ReadError> {
        let (entries, batches) = read_all(reader)?;
        let mut content = Self {
            log_start_offset: reader.log_start_offset(),
            end_offset: reader.log_end_offset(),
            entries,
            raft_start: reader.raft_start(),
            batches: Vec::new(),
            records: Vec::new(),
        };
        content.extend(batches);
        Ok(content)
    }

    /// All batches.
    #[must_use]
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Index of the next entry.
    #[must_use]
    pub fn end_index(&self) -> RaftIndex {
        self.raft_start + self.entries.len() as u64
    }

    /// Adds an entry.
    ///
    /// # Panics
    /// If its records cannot be read.
    pub fn push(&mut self, frame: Frame) {
        self.end_offset = frame.next_offset();
        self.extend(frame.batch());
        self.entries.push(frame);
    }

    fn extend(&mut self, batches: impl IntoIterator<Item = RecordBatch>) {
        for batch in batches {
            if !batch.header().is_control() {
                let records = batch.records(DecodeLimits::DEFAULT).expect("what was written is sound");
                let records = records.map(|record| record.expect("what was written is sound"));
                self.records.extend(records.map(|record| (record.offset, record.timestamp)));
            }
            self.batches.push(batch);
        }
    }

    /// Keeps the first entries only, as many as `len`.
    pub fn truncate(&mut self, len: usize) {
        for cut in self.entries.drain(len.min(self.entries.len())..).rev() {
            self.end_offset = cut.base_offset();
            if cut.batch().is_some() {
                self.batches.pop();
            }
        }
        let kept = self.records.partition_point(|(offset, _)| *offset < self.end_offset);
        self.records.truncate(kept);
    }

    /// Finds the first record in `range` that is not older than `timestamp`, control records left out.
    fn first_since(&self, timestamp: i64, range: &std::ops::Range<Offset>) -> Option<(Offset, i64)> {
        let mut later = self.records.iter().filter(|(offset, time)| *time >= timestamp && range.contains(offset));
        later.next().copied()
    }
}

/// Everything that a reader gives, as it is.
pub type Found = (Vec<Frame>, Vec<RecordBatch>);

/// Reads all there is: the entries from the Raft start on, and the batches.
///
/// # Errors
/// The first read that fails.
pub fn read_all(reader: &LogReader) -> Result<Found, ReadError> {
    let entries = reader.read_entries(reader.raft_start(), reader.end_index(), u64::MAX)?;
    let batches = reader.read(reader.log_start_offset(), Offset::MAX, u64::MAX)?.batches;
    Ok((entries, batches))
}

/// Checks that a log holds `content`, by reading all of it in steps of about `step_bytes`.
///
/// # Panics
/// If anything is missing, foreign, repeated or out of order, except where `trust` excuses it.
pub fn check_all(reader: &LogReader, content: &Content, trust: Trust, step_bytes: u64) {
    if trust != Trust::Forged {
        assert_eq!(reader.log_start_offset(), content.log_start_offset);
        assert_eq!(reader.raft_start(), content.raft_start);
        assert_eq!(reader.end_index(), content.end_index());
        assert_eq!(reader.log_end_offset(), content.end_offset);
    }
    let mut from = reader.raft_start();
    while from < reader.end_index() {
        let read = check_entries(reader, content, trust, (from, reader.end_index()), step_bytes);
        let Some(last) = read.and_then(|frames| frames.last().map(|frame| frame.stamp().index)) else { break };
        assert!(last >= from, "entry {last} does not belong to what follows {from}");
        from = last.next();
    }
    if let Trust::Damaged(sound) = trust {
        let sound_end = reader.raft_start() + sound.min(content.entries.len()) as u64;
        assert!(from >= sound_end, "entry {from} is refused but stands before the damage, as those below {sound_end}");
    }
    let mut from = reader.log_start_offset();
    while from < reader.log_end_offset() {
        let Some(next) = check_batches(reader, content, trust, (from, Offset::MAX), step_bytes) else { break };
        assert!(next > from || trust == Trust::Forged, "reading stands still at offset {from}");
        if next <= from {
            break;
        }
        from = next;
    }
}

/// Checks a few reads and searches that `input` chooses.
///
/// # Panics
/// As [`check_all`].
pub fn check_some(reader: &LogReader, content: &Content, trust: Trust, input: &mut Input<'_>) {
    let some_offset = |input: &mut Input<'_>| Offset::new(input.below(100) as u64);
    let some_index = |input: &mut Input<'_>| RaftIndex::new(input.below(50) as u64);
    for _ in 0..2 {
        let step_bytes = u64::from(input.u16());
        check_batches(reader, content, trust, (some_offset(input), some_offset(input)), step_bytes);
        check_entries(reader, content, trust, (some_index(input), some_index(input)), step_bytes);
        let timestamp = 1_699_999_999_000 + i64::from(input.u16() % 6000);
        check_timestamp(reader, content, trust, timestamp, some_offset(input));
    }
}

/// Reads batches and gives the offset to read on from; `None` after a refusal.
fn check_batches(
    reader: &LogReader,
    content: &Content,
    trust: Trust,
    (from, limit): (Offset, Offset),
    max_bytes: u64,
) -> Option<Offset> {
    let read = match reader.read(from, limit, max_bytes) {
        Ok(read) => read,
        Err(error) => {
            let out_of_range = from < content.log_start_offset || from > content.end_offset;
            check_refusal(&error, trust, out_of_range);
            return None;
        }
    };
    for batch in &read.batches {
        assert_eq!(batch.verify_crc(), Ok(()), "a batch is returned that was not checked");
    }
    if trust == Trust::Forged {
        return Some(read.next_offset);
    }
    let first = content.batches.partition_point(|batch| batch.header().next_offset() <= from);
    let starts_below = |batch: &&RecordBatch| from < limit && batch.header().base_offset() < limit;
    let below = content.batches[first..].iter().take_while(starts_below);
    let expected: Vec<_> = below.take(read.batches.len().max(1)).collect();
    assert_eq!(read.batches.iter().collect::<Vec<_>>(), expected, "from offset {from} below {limit}");
    let bytes: u64 = expected.iter().map(|batch| batch.bytes().len() as u64).sum();
    assert!(expected.len() <= 1 || bytes <= max_bytes, "{bytes} bytes where {max_bytes} were asked for");
    if let Some(unread) = content.batches.get(first + expected.len()) {
        let not_past = unread.header().base_offset().max(from);
        assert!(read.next_offset <= not_past, "{} would miss what is read from {not_past}", read.next_offset);
    }
    Some(read.next_offset)
}

/// Reads entries; `None` after a refusal.
fn check_entries(
    reader: &LogReader,
    content: &Content,
    trust: Trust,
    (from, to): (RaftIndex, RaftIndex),
    max_bytes: u64,
) -> Option<Vec<Frame>> {
    let frames = match reader.read_entries(from, to, max_bytes) {
        Ok(frames) => frames,
        Err(error) => {
            check_refusal(&error, trust, from < content.raft_start || to > content.end_index());
            return None;
        }
    };
    for frame in &frames {
        assert_eq!(frame.view().verify_body(), Ok(()), "an entry is returned that was not checked");
    }
    if trust == Trust::Forged {
        return Some(frames);
    }
    let place = |index: RaftIndex| index.distance_from(content.raft_start).and_then(|at| usize::try_from(at).ok());
    let asked_for = place(from).zip(place(to)).and_then(|(from, to)| content.entries.get(from..to)).unwrap_or(&[]);
    let expected = &asked_for[..asked_for.len().min(frames.len().max(1))];
    assert_eq!(frames, expected, "entries {from} to {to}");
    let bytes: u64 = expected.iter().map(|frame| frame.frame_bytes() as u64).sum();
    assert!(expected.len() <= 1 || bytes <= max_bytes, "{bytes} bytes where {max_bytes} were asked for");
    Some(frames)
}

fn check_timestamp(reader: &LogReader, content: &Content, trust: Trust, timestamp: i64, limit: Offset) {
    let found = match reader.offset_for_timestamp(timestamp, limit, DecodeLimits::DEFAULT) {
        Ok(found) => found.map(|found| (found.offset, found.timestamp)),
        Err(error) => return check_refusal(&error, trust, false),
    };
    if trust != Trust::Forged {
        let expected = content.first_since(timestamp, &(content.log_start_offset..limit));
        assert_eq!(found, expected, "first record since {timestamp} below offset {limit}");
    }
}

fn check_refusal(error: &ReadError, trust: Trust, out_of_range: bool) {
    let excused = match error {
        ReadError::OffsetOutOfRange { .. } | ReadError::IndexOutOfRange { .. } => out_of_range,
        ReadError::Damaged(_) => matches!(trust, Trust::Damaged(_)),
        ReadError::Batch { .. } | ReadError::Io { .. } => false,
    };
    assert!(excused || trust == Trust::Forged, "{error}");
    assert!(!error.to_string().is_empty());
}
