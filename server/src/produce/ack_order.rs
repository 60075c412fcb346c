//! The order in which acks leave.

use std::collections::VecDeque;

/// Answers that become known in any order and leave in the order of their questions. No I/O, no clock.
#[derive(Debug)]
pub(super) struct AckOrder<T> {
    /// The ticket of the first slot.
    first: u64,
    /// One slot for each question that was not answered to the end; `None` while its answer is not known.
    slots: VecDeque<Option<T>>,
}

/// A place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl<T> Default for AckOrder<T> {
    fn default() -> Self {
        Self { first: 0, slots: VecDeque::new() }
    }
}

impl<T> AckOrder<T> {
    /// Takes the next place.
    pub(super) fn push(&mut self) -> Ticket {
        self.slots.push_back(None);
        Ticket(self.first + self.slots.len() as u64 - 1)
    }

    /// Notes the answer for a place. A place has one answer: later ones change nothing.
    pub(super) fn settle(&mut self, ticket: Ticket, answer: T) {
        let place = ticket.0.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(slot) = place.and_then(|place| self.slots.get_mut(place)) {
            slot.get_or_insert(answer);
        }
    }

    /// Takes the next answer, if all before it were taken and it is known.
    pub(super) fn pop(&mut self) -> Option<T> {
        let answer = self.slots.front_mut()?.take()?;
        self.slots.pop_front();
        self.first += 1;
        Some(answer)
    }

    /// Tells whether every question was answered to the end.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn answers_leave_in_order_and_once_whenever_they_come(count in 0..40_usize, seed: u64) {
            let mut order = AckOrder::default();
            let mut unsettled: Vec<(usize, Ticket)> = (0..count).map(|place| (place, order.push())).collect();
            let (mut seed, mut left) = (seed, Vec::new());
            while !unsettled.is_empty() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let chosen = usize::try_from(seed >> 33).unwrap() % unsettled.len();
                let (place, ticket) = unsettled.swap_remove(chosen);
                order.settle(ticket, place);
                order.settle(ticket, usize::MAX);
                left.extend(std::iter::from_fn(|| order.pop()));
                // Everything before the first that is not known has left, and nothing behind it.
                let first_unknown = unsettled.iter().map(|(place, _)| *place).min().unwrap_or(count);
                prop_assert_eq!(left.len(), first_unknown);
            }
            prop_assert!(order.is_empty());
            prop_assert_eq!(left, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_late_answer_for_a_place_that_left_changes_nothing() {
        let mut order = AckOrder::default();
        let ticket = order.push();
        order.settle(ticket, 1);
        assert_eq!(order.pop(), Some(1));
        order.push();
        order.settle(ticket, 2);
        assert_eq!(order.pop(), None);
    }
}
