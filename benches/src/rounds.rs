//! Letting contestants run in turns, so that whatever else goes on on the machine hits all of them.

use crate::spread::Spread;

use crate::report::Row;
use crate::{Outcome, interrupt};

/// Something that is measured beside others.
pub struct Contestant<'a> {
    run: Box<dyn FnMut() -> Outcome<f64> + 'a>,
}

impl<'a> Contestant<'a> {
    /// `run` sets up, gives the figure of one turn, and cleans up.
    pub fn new(run: impl FnMut() -> Outcome<f64> + 'a) -> Self {
        Self { run: Box::new(run) }
    }
}

/// The figures of all turns.
#[derive(Clone, Debug)]
pub struct Rounds {
    /// One line of figures for each round, in the order of the contestants.
    figures: Vec<Vec<f64>>,
}

impl Rounds {
    /// Gives every contestant `rounds` turns.
    ///
    /// # Errors
    /// If a turn fails, or somebody asks the program to end.
    pub fn run(rounds: usize, mut contestants: Vec<Contestant<'_>>) -> Outcome<Self> {
        let mut turn = |contestant: &mut Contestant<'_>| {
            interrupt::check()?;
            (contestant.run)()
        };
        let round = |_| contestants.iter_mut().map(&mut turn).collect();
        Ok(Self { figures: (0..rounds).map(round).collect::<Outcome<_>>()? })
    }

    /// Sums up one contestant.
    ///
    /// # Panics
    /// If there was no round.
    #[must_use]
    pub fn spread(&self, contestant: usize) -> Spread {
        Spread::of(self.figures.iter().map(|round| round[contestant]))
    }

    /// Sums up how the figures of one contestant relate to those of another in the same round.
    ///
    /// # Panics
    /// If there was no round.
    #[must_use]
    pub fn ratio(&self, contestant: usize, to: usize) -> Spread {
        Spread::of(self.figures.iter().map(|round| round[contestant] / round[to]))
    }

    /// Sums up what is derived from the figures of each round, which are in the order of the contestants.
    ///
    /// # Panics
    /// If there was no round.
    #[must_use]
    pub fn derived(&self, of: impl Fn(&[f64]) -> f64) -> Spread {
        Spread::of(self.figures.iter().map(|round| of(round)))
    }

    /// Makes a row: every contestant, and the ratio of `tidelog` to `ceiling`.
    ///
    /// # Panics
    /// If there was no round.
    #[must_use]
    pub fn row(&self, name: String, tidelog: usize, ceiling: usize) -> Row {
        let contestants = self.figures.first().map_or(0, Vec::len);
        let mut cells: Vec<_> = (0..contestants).map(|contestant| self.spread(contestant)).collect();
        cells.push(self.ratio(tidelog, ceiling));
        Row { name, cells }
    }
}
