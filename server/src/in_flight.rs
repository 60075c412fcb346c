//! How many produced bytes may be on the way, on a connection and in all.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::assembly::AssemblyRoom;

/// What a batch counts beside its bytes: the ack and what is kept until then.
const BATCH_OVERHEAD_BYTES: u32 = 512;

/// The largest budget, so that sums of two stay within 32 bits.
pub(crate) const BYTES_IN_FLIGHT_MAX: u32 = 1 << 30;

/// The budget of one connection; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionBudget {
    bytes: Arc<Semaphore>,
    bytes_max: u32,
    /// For what no session has taken yet.
    assembly_room: AssemblyRoom,
}

/// The budgets that one call takes from. Who finds them used up waits, and reads nothing meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct InFlightBudget {
    connection: ConnectionBudget,
    broker: Arc<Semaphore>,
}

/// Bytes on the way. Given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct BytesInFlight {
    /// `None` where they are counted with those of an earlier batch.
    permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl ConnectionBudget {
    pub(crate) fn new(bytes_max: u32) -> Self {
        let bytes_max = bytes_max.min(BYTES_IN_FLIGHT_MAX);
        Self { bytes: Arc::new(Semaphore::new(bytes_max as usize)), bytes_max, assembly_room: AssemblyRoom::new() }
    }

    pub(crate) fn assembly_room(&self) -> AssemblyRoom {
        self.assembly_room.clone()
    }
}

impl InFlightBudget {
    pub(crate) fn new(connection: ConnectionBudget, broker: Arc<Semaphore>) -> Self {
        Self { connection, broker }
    }

    /// Waits until there is room for as many bytes, which are never more than a connection may have in all.
    pub(crate) async fn acquire(&self, bytes: u32) -> BytesInFlight {
        let bytes = bytes.min(self.connection.bytes_max);
        // The connection first: one that is over its own budget does not queue for everybody's.
        let connection = Arc::clone(&self.connection.bytes).acquire_many_owned(bytes).await;
        let broker = Arc::clone(&self.broker).acquire_many_owned(bytes).await;
        // Neither is ever closed.
        BytesInFlight { permits: connection.ok().zip(broker.ok()) }
    }

    #[cfg(test)]
    pub(crate) fn available(&self) -> (usize, usize) {
        (self.connection.bytes.available_permits(), self.broker.available_permits())
    }
}

impl BytesInFlight {
    /// Takes those of one batch out, or what is left.
    pub(crate) fn split(&mut self, bytes: u32) -> Self {
        let Some((connection, broker)) = &mut self.permits else { return Self::default() };
        let bytes = (bytes as usize).min(connection.num_permits()).min(broker.num_permits());
        Self { permits: connection.split(bytes).zip(broker.split(bytes)) }
    }
}

/// Gives what a batch of this length counts.
pub(crate) fn batch_cost(batch_bytes: usize) -> u32 {
    u32::try_from(batch_bytes).unwrap_or(u32::MAX).saturating_add(BATCH_OVERHEAD_BYTES)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn budget(connection: u32, broker: usize) -> InFlightBudget {
        InFlightBudget::new(ConnectionBudget::new(connection), Arc::new(Semaphore::new(broker)))
    }

    #[test]
    fn bytes_come_back_when_each_part_is_dropped() {
        let budget = budget(100, 1000);
        let mut taken = budget.acquire(90).now_or_never().unwrap();
        assert_eq!(budget.available(), (10, 910));
        let part = taken.split(60);
        drop(taken);
        assert_eq!(budget.available(), (40, 940));
        drop(part);
        assert_eq!(budget.available(), (100, 1000));
    }

    #[test]
    fn who_finds_either_used_up_waits() {
        let small = budget(100, 1000);
        let taken = small.acquire(60).now_or_never().unwrap();
        assert!(small.acquire(60).now_or_never().is_none());
        drop(taken);
        assert!(small.acquire(60).now_or_never().is_some());

        let crowded = budget(100, 50);
        let taken = crowded.acquire(40).now_or_never().unwrap();
        assert!(crowded.acquire(40).now_or_never().is_none());
        drop(taken);
        assert_eq!(crowded.available(), (100, 50));
    }

    #[test]
    fn a_request_above_the_whole_budget_takes_all_of_it() {
        let budget = budget(100, 1000);
        let mut taken = budget.acquire(5000).now_or_never().unwrap();
        assert_eq!(budget.available(), (0, 900));
        let (first, second) = (taken.split(80), taken.split(80));
        drop((taken, second));
        assert_eq!(budget.available(), (20, 920));
        drop(first);
        assert_eq!(budget.available(), (100, 1000));
    }
}
