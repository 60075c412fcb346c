//! Pages of a file: the unit in which the page cache reaches the disk, or does not.

use std::ops::Range;
use std::sync::Arc;

use super::power_loss::PowerLoss;

/// Bytes in a page.
pub(super) const PAGE_BYTES: usize = 4096;

/// Bytes that a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// States kept per unsynced page besides the live one, the durable one always among them.
const STATES_MAX: usize = 4;

/// The content of a page at some time; `None` where it was never written, and so reads as zeros.
pub(super) type PageState = Option<Arc<[u8; PAGE_BYTES]>>;

/// A page whose live state is not known to be on the disk.
#[derive(Clone, Debug)]
pub(super) struct UnsyncedPage {
    /// Earlier states, oldest first: the durable one, then those since, without the live one. Never empty.
    earlier: Vec<PageState>,
    /// A sync failed: the page counts as clean, although the disk holds the first of `earlier`.
    abandoned: bool,
}

impl UnsyncedPage {
    /// Begins to follow a page that the disk holds as `durable`.
    pub(super) fn new(durable: PageState) -> Self {
        Self { earlier: vec![durable], abandoned: false }
    }

    /// Notes the live state before another change.
    pub(super) fn push(&mut self, live: PageState) {
        if self.earlier.len() == STATES_MAX {
            self.earlier.remove(1);
        }
        self.earlier.push(live);
        self.abandoned = false;
    }

    /// Takes the page for clean without having written it, as the kernel does after a failed write-back.
    pub(super) fn abandon(&mut self) {
        self.earlier.truncate(1);
        self.abandoned = true;
    }

    /// Tells whether a sync would pass the page over.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Finds the page as a loss of power leaves it.
    pub(super) fn survivor(&self, live: &PageState, loss: &mut PowerLoss) -> PageState {
        let states: Vec<&PageState> =
            if self.abandoned { self.earlier.iter().collect() } else { self.earlier.iter().chain([live]).collect() };
        if states.len() > 1 && loss.tears() {
            return Some(Arc::new(torn(&states, loss)));
        }
        states[loss.pick(states.len())].clone()
    }

    /// Flips bits in every state of the page.
    pub(super) fn flip(&mut self, within_page: usize, mask: u8) {
        for state in &mut self.earlier {
            flip(state, within_page, mask);
        }
    }
}

/// Flips bits of a byte.
pub(super) fn flip(state: &mut PageState, within_page: usize, mask: u8) {
    writable(state)[within_page] ^= mask;
}

/// Gives the bytes of a page to write to, apart from any other state that shared them.
pub(super) fn writable(state: &mut PageState) -> &mut [u8; PAGE_BYTES] {
    Arc::make_mut(state.get_or_insert_with(|| Arc::new([0; PAGE_BYTES])))
}

/// Puts a page together from sectors of several states.
fn torn(states: &[&PageState], loss: &mut PowerLoss) -> [u8; PAGE_BYTES] {
    let mut page = [0; PAGE_BYTES];
    for start in (0..PAGE_BYTES).step_by(SECTOR_BYTES) {
        if let Some(state) = states[loss.pick_for_sector(states.len())] {
            let sector = start..start + SECTOR_BYTES;
            page[sector.clone()].copy_from_slice(&state[sector]);
        }
    }
    page
}

/// The part of a byte range that lies in one page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PagePart {
    /// Number of the page in its file.
    pub(super) page: u64,
    /// Where the part lies in the page.
    pub(super) within_page: Range<usize>,
    /// Where the part lies in the whole range.
    pub(super) within_range: Range<usize>,
}

/// Splits `len` bytes from `position_bytes` on into pages. The end of the range must not overflow.
pub(super) fn page_parts(position_bytes: u64, len: usize) -> impl Iterator<Item = PagePart> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let (page, start) = page_and_offset(position_bytes + done as u64);
        let step = (PAGE_BYTES - start).min(len - done);
        let part = PagePart { page, within_page: start..start + step, within_range: done..done + step };
        done += step;
        Some(part)
    })
}

/// Finds the page of a byte, and its place in it.
pub(super) fn page_and_offset(position_bytes: u64) -> (u64, usize) {
    let page_bytes = PAGE_BYTES as u64;
    #[expect(clippy::cast_possible_truncation, reason = "it is below the size of a page")]
    let within_page = (position_bytes % page_bytes) as usize;
    (position_bytes / page_bytes, within_page)
}

/// Tells which pages a byte range touches.
pub(super) fn pages_of(range: &Range<u64>) -> Range<u64> {
    if range.is_empty() { 0..0 } else { range.start / PAGE_BYTES as u64..range.end.div_ceil(PAGE_BYTES as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_split_at_page_boundaries() {
        let parts: Vec<PagePart> = page_parts(4_000, 5_000).collect();
        assert_eq!(
            parts,
            [
                PagePart { page: 0, within_page: 4_000..4_096, within_range: 0..96 },
                PagePart { page: 1, within_page: 0..4_096, within_range: 96..4_192 },
                PagePart { page: 2, within_page: 0..808, within_range: 4_192..5_000 },
            ]
        );
        assert_eq!(page_parts(4_096, 0).count(), 0);
        assert_eq!(pages_of(&(4_000..9_000)), 0..3);
        assert!(pages_of(&(4_096..4_096)).is_empty());
    }

    #[test]
    fn the_durable_state_stays_however_often_a_page_changes() {
        let filled = |byte| Some(Arc::new([byte; PAGE_BYTES]));
        let mut page = UnsyncedPage::new(filled(1));
        for byte in 2..100 {
            page.push(filled(byte));
        }
        assert_eq!(page.earlier.len(), STATES_MAX);
        assert_eq!(page.earlier[0], filled(1));
        assert_eq!(page.earlier[STATES_MAX - 1], filled(99));
    }
}
