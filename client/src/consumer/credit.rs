//! How many bytes brokers may push, so that what is buffered stays within its bound. Pure.

use std::collections::BTreeMap;

/// A stream to a broker; a new one to the same broker is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamId(pub(super) u64);

/// The credit of all streams of a consumer.
///
/// Invariant: the credit that a broker has left and what is buffered of its stream are together at most one share of
/// `buffer_bytes`, the last batch beyond the credit left aside. There are as many shares as there may be streams, so that
/// all streams together stay within `buffer_bytes`, and one that has credit and nothing to push starves no other.
#[derive(Debug)]
pub(super) struct Credit {
    buffer_bytes: i64,
    shares: i64,
    /// What is buffered, also from streams that are gone.
    buffered_bytes: i64,
    streams: BTreeMap<StreamId, Balance>,
}

/// The account of one stream.
#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    /// What the broker may still push; below 0 after a batch that was larger than what was left.
    credit_bytes: i64,
    /// What came on this stream and was not taken by the application.
    buffered_bytes: i64,
}

/// A grant is worth a message from this part of a share on.
const GRANT_PART: i64 = 4;

impl Credit {
    pub(super) fn new(buffer_bytes: u32) -> Self {
        Self { buffer_bytes: buffer_bytes.into(), shares: 1, buffered_bytes: 0, streams: BTreeMap::new() }
    }

    /// Sets how many streams there may be at once.
    pub(super) fn set_shares(&mut self, streams_max: usize) {
        self.shares = signed(streams_max).max(1);
    }

    /// Opens the account of a new stream, which has no credit yet.
    pub(super) fn open(&mut self, stream: StreamId) {
        self.streams.entry(stream).or_default();
    }

    /// Tells whether a stream has an account.
    pub(super) fn is_open(&self, stream: StreamId) -> bool {
        self.streams.contains_key(&stream)
    }

    /// Lists the streams that have an account.
    pub(super) fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.streams.keys().copied()
    }

    /// Closes the account of a stream that is gone; its credit is worth nothing any more.
    pub(super) fn close(&mut self, stream: StreamId) {
        self.streams.remove(&stream);
    }

    /// Takes a pushed batch off a stream's credit.
    pub(super) fn pushed(&mut self, stream: StreamId, bytes: usize) {
        if let Some(balance) = self.streams.get_mut(&stream) {
            balance.credit_bytes -= signed(bytes);
        }
    }

    /// Notes that a batch is kept.
    pub(super) fn keep(&mut self, stream: StreamId, bytes: usize) {
        self.buffered_bytes += signed(bytes);
        if let Some(balance) = self.streams.get_mut(&stream) {
            balance.buffered_bytes += signed(bytes);
        }
    }

    /// Notes that a kept batch is gone: taken, or dropped.
    pub(super) fn release(&mut self, stream: StreamId, bytes: usize) {
        self.buffered_bytes -= signed(bytes);
        debug_assert!(self.buffered_bytes >= 0, "only what was kept is released");
        if let Some(balance) = self.streams.get_mut(&stream) {
            balance.buffered_bytes -= signed(bytes);
        }
    }

    /// Returns how much a stream is to be granted now, if it is worth a message; it counts as granted.
    pub(super) fn grant(&mut self, stream: StreamId) -> Option<u32> {
        let bytes = self.due(stream)?;
        let balance = self.streams.get_mut(&stream)?;
        balance.credit_bytes += i64::from(bytes);
        Some(bytes)
    }

    /// Tells whether any stream is to be granted something.
    pub(super) fn has_grants(&self) -> bool {
        self.streams.keys().any(|stream| self.due(*stream).is_some())
    }

    fn due(&self, stream: StreamId) -> Option<u32> {
        let balance = self.streams.get(&stream)?;
        let share = self.buffer_bytes / self.shares.max(signed(self.streams.len()));
        // What a lost stream left behind is taken by the application some day; until then it counts for everyone.
        let of_streams: i64 = self.streams.values().map(|balance| balance.buffered_bytes).sum();
        let left_behind = self.buffered_bytes - of_streams;
        let bytes = share - balance.credit_bytes - balance.buffered_bytes - left_behind;
        let is_worth_it = bytes >= share / GRANT_PART || balance.credit_bytes <= 0;
        // A grant that does not bring the credit above 0 moves nothing.
        let moves = balance.credit_bytes + bytes > 0;
        u32::try_from(bytes).ok().filter(|bytes| *bytes > 0 && is_worth_it && moves)
    }

    /// Returns what is buffered.
    #[cfg(test)]
    pub(super) fn buffered_bytes(&self) -> i64 {
        self.buffered_bytes
    }
}

/// Lengths of batches fit into 32 bits.
fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: StreamId = StreamId(1);
    const B: StreamId = StreamId(2);
    const C: StreamId = StreamId(3);

    #[test]
    fn one_stream_gets_the_whole_buffer_and_what_is_taken_comes_back_in_parts_worth_a_message() {
        let mut credit = Credit::new(100);
        credit.open(A);
        assert_eq!(credit.grant(A), Some(100));
        credit.pushed(A, 60);
        credit.keep(A, 60);
        assert_eq!(credit.grant(A), None);
        credit.release(A, 20);
        assert_eq!(credit.grant(A), None, "20 are not worth it");
        credit.release(A, 40);
        assert_eq!(credit.grant(A), Some(60));
    }

    #[test]
    fn a_batch_larger_than_the_buffer_does_not_stop_the_stream() {
        let mut credit = Credit::new(100);
        credit.open(A);
        assert_eq!(credit.grant(A), Some(100));
        credit.pushed(A, 1_000);
        credit.keep(A, 1_000);
        assert_eq!(credit.grant(A), None);
        credit.release(A, 1_000);
        assert_eq!(credit.grant(A), Some(1_000), "back to the whole buffer");
    }

    #[test]
    fn streams_share_and_what_a_lost_stream_left_behind_still_counts() {
        let mut credit = Credit::new(100);
        credit.set_shares(2);
        credit.open(A);
        assert_eq!(credit.grant(A), Some(50));
        credit.pushed(A, 40);
        credit.keep(A, 40);
        credit.close(A);
        credit.open(B);
        credit.open(C);
        assert_eq!((credit.grant(B), credit.grant(C)), (Some(10), Some(10)));
        credit.release(A, 40);
        assert_eq!((credit.grant(B), credit.grant(C)), (Some(40), Some(40)));
    }

    #[test]
    fn a_stream_with_unused_credit_starves_no_other() {
        let mut credit = Credit::new(100);
        credit.set_shares(1);
        credit.open(A);
        assert_eq!(credit.grant(A), Some(100));
        credit.open(B);
        assert_eq!(credit.grant(B), Some(50));
    }
}
