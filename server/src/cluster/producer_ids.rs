//! Producer ids, taken from the metadata group in blocks and given out one by one.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use tidelog_proto::ids::{BrokerId, ProducerId};
use tidelog_raft::metadata::{MetadataCommand, MetadataOutcome};
use tidelog_raft::{MetadataGroup, ProduceError, ProposeError};

/// Ids asked for at once. What is left of a block when the broker stops is never given out.
const BLOCK: u32 = 1000;

/// The ids that this broker may give out.
#[derive(Debug, Default)]
pub(super) struct ProducerIds {
    /// In the order in which they were got. None is empty.
    blocks: Mutex<VecDeque<Range<u64>>>,
}

impl ProducerIds {
    /// Gives an id that nobody else is given.
    ///
    /// # Errors
    /// There is none left, and the metadata group gives no others.
    pub(super) async fn next(&self, broker_id: BrokerId, metadata: &MetadataGroup) -> Result<ProducerId, ProposeError> {
        loop {
            if let Some(id) = self.take() {
                return Ok(id);
            }
            let allocate = MetadataCommand::AllocateProducerIds { broker_id, count: BLOCK };
            let MetadataOutcome::ProducerIdsAllocated(block) = metadata.propose(&allocate).await? else {
                return Err(ProposeError::Group(ProduceError::Stopped));
            };
            let first = block.first.get();
            self.blocks().push_back(first..first.saturating_add(block.count.into()));
        }
    }

    fn take(&self) -> Option<ProducerId> {
        let mut blocks = self.blocks();
        let block = blocks.front_mut()?;
        let id = block.next();
        if block.is_empty() {
            blocks.pop_front();
        }
        id.map(ProducerId::new)
    }

    fn blocks(&self) -> std::sync::MutexGuard<'_, VecDeque<Range<u64>>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
