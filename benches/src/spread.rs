//! Medians and percentiles.

/// What came out of several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Sums up the figures of at least one run.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (figures.first(), figures.last()) else { panic!("there was no run") };
        let median = f64::midpoint(figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
        Self { median, min, max }
    }
}

/// Gives the smallest of the sorted samples that at least `percent` % of them do not exceed.
///
/// # Panics
/// If there are none.
#[must_use]
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    per_mille(sorted, percent * 10)
}

/// As [`percentile`], of a thousand.
///
/// # Panics
/// If there are none.
#[must_use]
pub fn per_mille(sorted: &[u64], per_mille: usize) -> u64 {
    let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
    sorted[rank - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
    }

    #[test]
    fn a_percentile_is_a_sample() {
        let samples: Vec<u64> = (1..=200).collect();
        assert_eq!([0, 50, 99, 100].map(|percent| percentile(&samples, percent)), [1, 100, 198, 200]);
        assert_eq!(percentile(&[7], 99), 7);
        let samples: Vec<u64> = (1..=2000).collect();
        assert_eq!([500, 999, 1000].map(|share| per_mille(&samples, share)), [1000, 1998, 2000]);
    }
}
