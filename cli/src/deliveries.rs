//! What became of the records that a command sent.

use std::collections::VecDeque;
use std::fmt;

use futures_util::FutureExt;
use tidelog_client::{Delivery, ProduceError};

/// Records that may wait for their acks at once. The producer bounds their bytes; this bounds what is kept of those that were
/// acked while an earlier one, of another partition, waits.
const WAITING_MAX: usize = 1 << 18;

/// Records on their way, in the order in which they were sent, each with where it came from.
#[derive(Debug)]
pub(crate) struct Deliveries<P> {
    waiting: VecDeque<(P, Delivery)>,
    counts: DeliveryCounts,
    /// The first that failed.
    failure: Option<(P, ProduceError)>,
}

/// How many records went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeliveryCounts {
    /// Acked, as far as was asked for.
    pub(crate) acked: u64,
    /// Not stored.
    pub(crate) refused: u64,
    /// Without an ack, and stored perhaps.
    pub(crate) unknown: u64,
}

impl<P> Deliveries<P> {
    pub(crate) const fn new() -> Self {
        Self { waiting: VecDeque::new(), counts: DeliveryCounts { acked: 0, refused: 0, unknown: 0 }, failure: None }
    }

    /// Takes a record that was sent; waits for the first ones if there are too many.
    pub(crate) async fn push(&mut self, place: P, delivery: Delivery) {
        self.waiting.push_back((place, delivery));
        self.collect_ready();
        while self.waiting.len() > WAITING_MAX {
            self.collect_one().await;
        }
    }

    /// Counts what is done.
    pub(crate) fn collect_ready(&mut self) {
        while let Some((_, delivery)) = self.waiting.front_mut() {
            let Some(result) = delivery.now_or_never() else { return };
            self.count(result.map(drop));
        }
    }

    /// Waits for all.
    pub(crate) async fn collect_all(&mut self) {
        while !self.waiting.is_empty() {
            self.collect_one().await;
        }
    }

    async fn collect_one(&mut self) {
        if let Some((_, delivery)) = self.waiting.front_mut() {
            let result = delivery.await;
            self.count(result.map(drop));
        }
    }

    fn count(&mut self, result: Result<(), ProduceError>) {
        let Some((place, _)) = self.waiting.pop_front() else { return };
        match result {
            Ok(()) => self.counts.acked += 1,
            Err(error) => {
                let count = if error.may_be_stored() { &mut self.counts.unknown } else { &mut self.counts.refused };
                *count += 1;
                self.failure.get_or_insert((place, error));
            }
        }
    }

    pub(crate) const fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(crate) const fn counts(&self) -> DeliveryCounts {
        self.counts
    }

    /// Takes the first failure.
    pub(crate) const fn take_failure(&mut self) -> Option<(P, ProduceError)> {
        self.failure.take()
    }
}

impl fmt::Display for DeliveryCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acked, refused, unknown } = self;
        write!(f, "of the records sent, {acked} were acked, {refused} are not stored")?;
        if *unknown > 0 { write!(f, ", {unknown} may be stored or not") } else { Ok(()) }
    }
}
