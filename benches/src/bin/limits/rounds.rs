//! Letting contestants run in turns, so that whatever else goes on on the machine hits all of them.

use tidelog_benches::spread::Spread;

use super::Outcome;
use super::report::Row;

/// Something that is measured beside others.
pub(crate) struct Contestant<'a> {
    run: Box<dyn FnMut() -> Outcome<f64> + 'a>,
}

impl<'a> Contestant<'a> {
    /// `run` sets up, gives the figure of one turn, and cleans up.
    pub(crate) fn new(run: impl FnMut() -> Outcome<f64> + 'a) -> Self {
        Self { run: Box::new(run) }
    }
}

/// The figures of all turns.
pub(crate) struct Rounds {
    /// One line of figures for each round, in the order of the contestants.
    figures: Vec<Vec<f64>>,
}

impl Rounds {
    /// Gives every contestant `rounds` turns.
    pub(crate) fn run(rounds: usize, mut contestants: Vec<Contestant<'_>>) -> Outcome<Self> {
        let round = |_| contestants.iter_mut().map(|contestant| (contestant.run)()).collect();
        Ok(Self { figures: (0..rounds).map(round).collect::<Outcome<_>>()? })
    }

    /// Sums up one contestant.
    pub(crate) fn spread(&self, contestant: usize) -> Spread {
        Spread::of(self.figures.iter().map(|round| round[contestant]))
    }

    /// Sums up how the figures of one contestant relate to those of another in the same round.
    pub(crate) fn ratio(&self, contestant: usize, to: usize) -> Spread {
        Spread::of(self.figures.iter().map(|round| round[contestant] / round[to]))
    }

    /// Makes a row: every contestant, and the ratio of `tidelog` to `ceiling`.
    pub(crate) fn row(&self, name: String, tidelog: usize, ceiling: usize) -> Row {
        let contestants = self.figures.first().map_or(0, Vec::len);
        let mut cells: Vec<_> = (0..contestants).map(|contestant| self.spread(contestant)).collect();
        cells.push(self.ratio(tidelog, ceiling));
        Row { name, cells }
    }
}
