//! The guard of the rule that published bytes never change while a reader holds them.
//!
//! On a real machine a slice of a mapping *is* the page cache, so changing those bytes is undefined behaviour, and cutting
//! the file beneath them is SIGBUS. Neither shows in a test there; here both are found at once.

use std::ops::Range;
use std::sync::{Arc, Weak};

/// Dropped slices tolerated before they are swept out.
const SWEEP_MIN: usize = 16;

/// Bytes that were handed out, as they were then: the owner behind the slice.
#[derive(Debug)]
pub(super) struct PublishedBytes {
    pub(super) position_bytes: u64,
    pub(super) content: Vec<u8>,
}

/// The ranges of one file that were handed out.
#[derive(Debug, Default)]
pub(super) struct PublishedRanges {
    handed_out: Vec<Weak<PublishedBytes>>,
    /// Length at which `handed_out` is swept next.
    sweep_at: usize,
    /// No range reaches past this; most writes begin above it and need no search.
    end_bytes: u64,
}

impl PublishedRanges {
    /// Notes a range that a reader now holds.
    pub(super) fn note(&mut self, bytes: &Arc<PublishedBytes>) {
        if self.handed_out.len() >= self.sweep_at {
            self.handed_out.retain(|bytes| bytes.strong_count() > 0);
            self.sweep_at = SWEEP_MIN.max(2 * self.handed_out.len());
        }
        self.handed_out.push(Arc::downgrade(bytes));
        self.end_bytes = self.end_bytes.max(range_of(&bytes.content, bytes.position_bytes).end);
    }

    /// Finds a held range whose bytes would not be the same after a write.
    pub(super) fn changed_by(&self, written: &[u8], position_bytes: u64) -> Option<Range<u64>> {
        if position_bytes >= self.end_bytes {
            return None;
        }
        let written_range = range_of(written, position_bytes);
        self.handed_out.iter().filter_map(Weak::upgrade).find_map(|held| {
            let held_range = range_of(&held.content, held.position_bytes);
            let before = part_within(&held.content, held.position_bytes, &written_range);
            let after = part_within(written, position_bytes, &held_range);
            (before != after).then_some(held_range)
        })
    }

    /// Finds a held range that would reach past the end of the file.
    pub(super) fn cut_by(&self, len_bytes: u64) -> Option<Range<u64>> {
        let mut held = self.handed_out.iter().filter_map(Weak::upgrade);
        held.find_map(|held| Some(range_of(&held.content, held.position_bytes)).filter(|range| range.end > len_bytes))
    }
}

fn range_of(bytes: &[u8], position_bytes: u64) -> Range<u64> {
    position_bytes..position_bytes + bytes.len() as u64
}

/// Takes the part of `bytes`, which stand at `position_bytes`, that lies in `range`; empty where they do not meet.
fn part_within<'a>(bytes: &'a [u8], position_bytes: u64, range: &Range<u64>) -> &'a [u8] {
    let index =
        |position: u64| usize::try_from(position.saturating_sub(position_bytes)).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[index(range.start)..index(range.end)]
}
