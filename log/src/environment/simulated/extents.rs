//! Which pages of a file own blocks on the disk.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of page numbers, kept as ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default)]
pub(super) struct Extents {
    /// Start of each range to its end.
    ranges: BTreeMap<u64, u64>,
    /// How many pages all ranges hold together.
    pages: u64,
}

impl Extents {
    /// Tells how many pages are in the set.
    pub(super) fn pages(&self) -> u64 {
        self.pages
    }

    /// Counts the pages of `range` that are not in the set.
    pub(super) fn missing(&self, range: &Range<u64>) -> u64 {
        let mut missing = range.end.saturating_sub(range.start);
        for (&start, &end) in self.ranges.range(..range.end).rev() {
            if end <= range.start {
                break;
            }
            missing -= end.min(range.end) - start.max(range.start);
        }
        missing
    }

    /// Finds the first page from `start` on that is not in the set.
    pub(super) fn first_missing(&self, start: u64) -> u64 {
        match self.ranges.range(..=start).next_back() {
            Some((_, &end)) if end > start => end,
            _ => start,
        }
    }

    /// Adds a range.
    pub(super) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let mut merged = range;
        while let Some((&start, &end)) = self.ranges.range(..=merged.end).next_back() {
            if end < merged.start {
                break;
            }
            self.ranges.remove(&start);
            self.pages -= end - start;
            merged = merged.start.min(start)..merged.end.max(end);
        }
        self.pages += merged.end - merged.start;
        self.ranges.insert(merged.start, merged.end);
    }

    /// Drops every page from `first` on.
    pub(super) fn cut(&mut self, first: u64) {
        for (start, end) in self.ranges.split_off(&first) {
            self.pages -= end - start;
        }
        if let Some(mut last) = self.ranges.last_entry()
            && *last.get() > first
        {
            self.pages -= last.insert(first) - first;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::environment::simulated::rng::Rng;

    #[test]
    fn extents_agree_with_a_plain_set_of_pages() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut extents = Extents::default();
            let mut model = BTreeSet::new();
            for _ in 0..40 {
                let start = rng.below(64);
                let range = start..start + rng.below(12);
                if rng.percent(80) {
                    extents.insert(range.clone());
                    model.extend(range);
                } else {
                    extents.cut(start);
                    model.split_off(&start);
                }
                let probe = rng.below(64);
                let probed = probe..probe + rng.below(20);
                let missing = probed.clone().filter(|page| !model.contains(page)).count() as u64;
                assert_eq!(extents.missing(&probed), missing, "seed {seed}");
                let first_missing = (probe..).find(|page| !model.contains(page));
                assert_eq!(Some(extents.first_missing(probe)), first_missing, "seed {seed}");
                assert_eq!(extents.pages(), model.len() as u64, "seed {seed}");
                assert!(extents.ranges.iter().zip(extents.ranges.iter().skip(1)).all(|(a, b)| a.1 < b.0));
            }
        }
    }
}
