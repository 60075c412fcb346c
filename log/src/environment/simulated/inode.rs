//! The content of one file: what the page cache holds, and what is known to be on the disk.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use super::extents::Extents;
use super::page::{PAGE_BYTES, PageState, UnsyncedPage, flip, page_and_offset, page_parts, pages_of, writable};
use super::power_loss::PowerLoss;
use super::rng::Rng;

/// Lengths kept since the last sync besides the live one, the durable one always among them.
const LENS_MAX: usize = 4;

/// How often a page was on the disk already when a sync failed.
const WRITTEN_BEFORE_FAILURE_PERCENT: u64 = 25;

/// A file without its name.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// The live image. A missing page reads as zeros.
    pages: BTreeMap<u64, PageState>,
    /// Pages whose live state is not known to be on the disk. It may name pages that the live image no longer has.
    unsynced: BTreeMap<u64, UnsyncedPage>,
    len_bytes: u64,
    /// Lengths before the live one, oldest first: the durable one, then those since. Empty while the length is synced.
    earlier_lens: Vec<u64>,
    /// Pages that count against the capacity of the disk.
    blocks: Extents,
    /// Whether a name leads here.
    pub(super) linked: bool,
    /// Open files and mappings of this life: an inode without a name keeps its blocks while there are any.
    pub(super) handles: usize,
}

impl Inode {
    /// Makes an empty file with a name.
    pub(super) fn new() -> Self {
        Self { linked: true, ..Self::default() }
    }

    pub(super) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    pub(super) fn blocks(&self) -> &Extents {
        &self.blocks
    }

    /// Copies live bytes out. The range must lie below the end of the file.
    pub(super) fn read(&self, buffer: &mut [u8], position_bytes: u64) {
        for part in page_parts(position_bytes, buffer.len()) {
            let into = &mut buffer[part.within_range];
            match self.pages.get(&part.page) {
                Some(Some(page)) => into.copy_from_slice(&page[part.within_page]),
                Some(None) | None => into.fill(0),
            }
        }
    }

    /// Changes live bytes, extending the file where they reach past its end.
    pub(super) fn write(&mut self, bytes: &[u8], position_bytes: u64) {
        for part in page_parts(position_bytes, bytes.len()) {
            let page = self.page_for_change(part.page);
            writable(page)[part.within_page].copy_from_slice(&bytes[part.within_range]);
        }
        let range = position_bytes..position_bytes + bytes.len() as u64;
        self.blocks.insert(pages_of(&range));
        if !bytes.is_empty() {
            self.extend_to(range.end);
        }
    }

    /// Gives blocks to a range and extends the file to its end.
    pub(super) fn allocate(&mut self, range: &Range<u64>) {
        self.blocks.insert(pages_of(range));
        self.extend_to(range.end);
    }

    /// Cuts the file, or extends it by a hole.
    pub(super) fn set_len(&mut self, len_bytes: u64) {
        if len_bytes < self.len_bytes {
            let first_cut = len_bytes.div_ceil(PAGE_BYTES as u64);
            for (page, state) in self.pages.split_off(&first_cut) {
                note_state(&mut self.unsynced, page, state);
            }
            self.blocks.cut(first_cut);
            let (last, within_page) = page_and_offset(len_bytes);
            if self.pages.contains_key(&last) {
                writable(self.page_for_change(last))[within_page..].fill(0);
            }
        }
        self.note_len(len_bytes);
    }

    /// Makes the content and the length durable, except for pages that an earlier failure abandoned.
    pub(super) fn sync(&mut self) {
        self.unsynced.retain(|_, page| page.is_abandoned());
        self.earlier_lens.clear();
    }

    /// Fails to sync: some pages reached the disk, at least one did not, and all of them count as clean from now on.
    pub(super) fn fail_sync(&mut self, rng: &mut Rng) {
        let newest_lost = self.unsynced.iter().rev().find(|(_, page)| !page.is_abandoned()).map(|(&page, _)| page);
        self.unsynced.retain(|&number, page| {
            if page.is_abandoned() {
                return true;
            }
            let lost = Some(number) == newest_lost || !rng.percent(WRITTEN_BEFORE_FAILURE_PERCENT);
            if lost {
                page.abandon();
            }
            lost
        });
    }

    /// Finds the file as a loss of power leaves it.
    pub(super) fn survivor(&self, loss: &mut PowerLoss) -> Self {
        let lens: Vec<u64> = self.earlier_lens.iter().copied().chain([self.len_bytes]).collect();
        let len_bytes = lens[loss.pick(lens.len())];
        let mut pages = self.pages.clone();
        let mut blocks = self.blocks.clone();
        for (&number, unsynced) in &self.unsynced {
            let live = pages.entry(number).or_default();
            *live = unsynced.survivor(live, loss);
            if live.is_some() {
                blocks.insert(number..number + 1);
            }
        }
        let mut survivor = Self { pages, blocks, len_bytes: u64::MAX, ..Self::new() };
        survivor.set_len(len_bytes);
        survivor.sync();
        survivor
    }

    /// Replaces both images.
    pub(super) fn set_contents(&mut self, bytes: &[u8]) {
        self.set_len(0);
        self.write(bytes, 0);
        self.unsynced.clear();
        self.earlier_lens.clear();
    }

    /// Flips bits of a byte in both images, and in every state between.
    pub(super) fn flip(&mut self, position_bytes: u64, mask: u8) {
        let (page, within_page) = page_and_offset(position_bytes);
        flip(self.pages.entry(page).or_default(), within_page, mask);
        if let Some(unsynced) = self.unsynced.get_mut(&page) {
            unsynced.flip(within_page, mask);
        }
    }

    /// Gives a live page whose state so far is kept in mind.
    fn page_for_change(&mut self, page: u64) -> &mut PageState {
        let live = self.pages.entry(page).or_default();
        note_state(&mut self.unsynced, page, live.clone());
        live
    }

    fn extend_to(&mut self, end_bytes: u64) {
        self.note_len(self.len_bytes.max(end_bytes));
    }

    fn note_len(&mut self, len_bytes: u64) {
        if len_bytes == self.len_bytes {
            return;
        }
        if self.earlier_lens.len() == LENS_MAX {
            self.earlier_lens.remove(1);
        }
        self.earlier_lens.push(self.len_bytes);
        self.len_bytes = len_bytes;
    }
}

/// Keeps the state that a page had before it changes.
fn note_state(unsynced: &mut BTreeMap<u64, UnsyncedPage>, page: u64, state: PageState) {
    match unsynced.entry(page) {
        Entry::Vacant(entry) => {
            entry.insert(UnsyncedPage::new(state));
        }
        Entry::Occupied(mut entry) => entry.get_mut().push(state),
    }
}
