//! What a loss of power leaves of everything that was not synced.

use super::rng::Rng;

/// Decides, item by item, which of the states since the last sync is found when power comes back.
#[derive(Debug)]
pub(super) struct PowerLoss {
    rng: Rng,
    mood: Mood,
}

/// How kind one loss of power is as a whole. Both extremes are rare by chance alone where many pages are dirty, so they
/// are drawn on purpose.
#[derive(Clone, Copy, Debug)]
enum Mood {
    /// Nothing that was not synced survives.
    AllLost,
    /// Everything survives.
    AllKept,
    /// Each item by its own luck: the newest state this often, otherwise any of them.
    Mixed { newest_percent: u64 },
}

/// How often a page is torn between states, in a mixed loss.
const TORN_PERCENT: u64 = 15;

impl PowerLoss {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mood = match rng.below(8) {
            0 => Mood::AllLost,
            1 => Mood::AllKept,
            _ => Mood::Mixed { newest_percent: [0, 30, 60, 90][rng.index(4)] },
        };
        Self { rng, mood }
    }

    /// Picks one of `states` states, the durable one first, the newest one last.
    pub(super) fn pick(&mut self, states: usize) -> usize {
        let newest = states.saturating_sub(1);
        match self.mood {
            _ if newest == 0 => 0,
            Mood::AllLost => 0,
            Mood::AllKept => newest,
            Mood::Mixed { newest_percent } if self.rng.percent(newest_percent) => newest,
            Mood::Mixed { .. } => self.rng.index(states),
        }
    }

    /// Decides whether the next page is torn.
    pub(super) fn tears(&mut self) -> bool {
        matches!(self.mood, Mood::Mixed { .. }) && self.rng.percent(TORN_PERCENT)
    }

    /// Picks one of `states` states for a sector of a torn page.
    pub(super) fn pick_for_sector(&mut self, states: usize) -> usize {
        self.rng.index(states)
    }
}
