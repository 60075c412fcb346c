//! What is read from a log, beside what its model gives.

use tidelog_log::ReadError;
use tidelog_proto::batch::DecodeLimits;
use tidelog_proto::ids::{Offset, RaftIndex};

use super::{Failure, TrackedLog};

/// Results that a slow reader keeps.
const HELD_MAX: usize = 12;

impl TrackedLog {
    /// Reads batches and compares them.
    ///
    /// Gives the offset to read on from; `None` where `from` is out of range.
    pub(crate) fn check_read(
        &mut self,
        from: Offset,
        limit: Offset,
        max_bytes: u64,
    ) -> Result<Option<Offset>, Failure> {
        let (start, end) = (self.model.log_start_offset, self.model.end_offset());
        let outcome = self.log().reader.read(from, limit, max_bytes);
        if from < start || from > end {
            match outcome {
                Err(ReadError::OffsetOutOfRange { offset, log_start_offset, log_end_offset }) => {
                    assert_eq!((offset, log_start_offset, log_end_offset), (from, start, end));
                    return Ok(None);
                }
                other => panic!("offset {from} of {start} to {end} was not refused: {other:?}"),
            }
        }
        let found = outcome?;
        let mut batches = self.model.batches_from(from, limit, max_bytes);
        if self.may_read_less() {
            batches.truncate(found.batches.len().max(1));
        }
        assert_eq!(found.batches, batches, "from {from} below {limit}, {max_bytes} bytes");
        let next_offset = found.next_offset;
        let next_offsets = self.model.next_offsets(from, limit, batches.len());
        let reads_on = next_offsets.contains(&next_offset);
        assert!(reads_on, "from {from} below {limit}, {max_bytes} bytes: {next_offset}, not {next_offsets:?}");
        for batch in found.batches {
            let copy = batch.bytes().to_vec();
            self.hold(batch.into_bytes(), copy);
        }
        Ok(Some(next_offset))
    }

    /// Reads entries and compares them. Gives how many.
    pub(crate) fn check_entries(&mut self, from: RaftIndex, to: RaftIndex, max_bytes: u64) -> Result<u64, Failure> {
        let (start, end) = (self.model.raft_start, self.model.end_index());
        let outcome = self.log().reader.read_entries(from, to, max_bytes);
        if from < start || to > end {
            match outcome {
                Err(ReadError::IndexOutOfRange { raft_start, end_index, .. }) => {
                    assert_eq!((raft_start, end_index), (start, end));
                    return Ok(0);
                }
                other => panic!("entries {from} to {to} of {start} to {end} were not refused: {other:?}"),
            }
        }
        let found = outcome?;
        let mut expected = self.model.entries_between(from, to, max_bytes);
        if self.may_read_less() {
            expected.truncate(found.len().max(1));
        }
        assert_eq!(found, expected, "entries {from} to {to}, {max_bytes} bytes");
        for frame in found {
            let copy = frame.body().to_vec();
            self.hold(frame.body().clone(), copy);
        }
        Ok(expected.len() as u64)
    }

    /// Whether what was just read may have ended at a request that failed.
    fn may_read_less(&self) -> bool {
        self.reads_may_fail || self.machine.is_down()
    }

    /// Looks a timestamp up and compares.
    pub(crate) fn check_timestamp(&mut self, timestamp: i64, limit: Offset) -> Result<(), Failure> {
        let found = self.log().reader.offset_for_timestamp(timestamp, limit, DecodeLimits::DEFAULT)?;
        let expected = self.model.first_since(timestamp, limit.min(self.model.end_offset()));
        assert_eq!(found, expected, "first record since {timestamp} below {limit}");
        Ok(())
    }

    /// Reads everything in every way, in steps of some size.
    ///
    /// # Panics
    /// If anything differs from the model.
    pub(crate) fn check_everything(&mut self) -> Result<(), Failure> {
        self.check_ends();
        let max_bytes = [1, 300, 2_000, u64::MAX][self.rng.index(4)];
        let end = self.model.end_index();
        let mut from = self.model.raft_start;
        while from < end {
            from = from + self.check_entries(from, end, max_bytes)?;
        }
        let mut from = self.model.log_start_offset;
        while from < self.model.end_offset() {
            let next = self.check_read(from, Offset::MAX, max_bytes)?.expect("it is in range");
            assert!(next > from, "reading stands still at {from}");
            from = next;
        }
        for timestamp in self.some_timestamps() {
            self.check_timestamp(timestamp, Offset::MAX)?;
        }
        Ok(())
    }

    /// Checks what costs no reading.
    pub(crate) fn check_ends(&mut self) {
        let reader = self.log().reader.clone();
        let writer = &self.log().writer;
        let ends = (writer.end_offset(), writer.end_index());
        let durable_end = writer.durable_end();
        assert_eq!(ends, (reader.log_end_offset(), reader.end_index()));
        assert_eq!(ends, (self.model.end_offset(), self.model.end_index()));
        assert_eq!(durable_end, self.model.durable_end);
        let starts = (reader.log_start_offset(), reader.raft_start());
        assert_eq!(starts, (self.model.log_start_offset, self.model.raft_start));
        assert_eq!(reader.committed_end(), self.model.told_committed_end);
        self.model.check_segments(&reader.segments());
    }

    /// Picks a few timestamps that records have, and their neighbours.
    pub(super) fn some_timestamps(&mut self) -> Vec<i64> {
        let records: Vec<i64> =
            self.model.entries.iter().flat_map(|entry| &entry.records).map(|record| record.timestamp).collect();
        let mut some = vec![i64::MIN, i64::MAX, 0];
        for _ in 0..3.min(records.len()) {
            let timestamp = records[self.rng.index(records.len())];
            some.extend([timestamp, timestamp.saturating_add(1)]);
        }
        some
    }

    /// Keeps a slice for a while, as a slow reader does.
    fn hold(&mut self, bytes: bytes::Bytes, copy: Vec<u8>) {
        self.held.push_back((bytes, copy));
        if self.held.len() > HELD_MAX {
            let dropped = self.rng.index(self.held.len());
            let (bytes, copy) = self.held.swap_remove_back(dropped).expect("it is in range");
            assert_eq!(bytes, copy, "bytes changed in a reader's hands");
        }
    }
}
