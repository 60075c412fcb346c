//! Giving out producer ids.

use tidelog_proto::ids::{BrokerId, ProducerId};

use super::{MetadataError, MetadataLimit, MetadataOutcome, MetadataState};
use crate::metadata::ProducerIdBlock;

/// Where producer ids end: the largest that a batch can name is the last that is given out.
pub(in crate::metadata) const PRODUCER_IDS_END: u64 = i64::MAX.unsigned_abs() + 1;

impl MetadataState {
    pub(super) fn allocate_producer_ids(
        &mut self,
        broker_id: BrokerId,
        count: u32,
    ) -> Result<MetadataOutcome, MetadataError> {
        if self.broker(broker_id).is_none() {
            return Err(MetadataError::UnknownBroker { broker_id });
        }
        if count == 0 {
            return Err(MetadataError::NoProducerIds);
        }
        MetadataLimit::ProducerIdsPerBlock.check(count as usize)?;
        let first = self.next_producer_id;
        let end = first.get().checked_add(u64::from(count)).filter(|end| *end <= PRODUCER_IDS_END);
        self.next_producer_id = ProducerId::new(end.ok_or(MetadataError::ProducerIdsUsedUp)?);
        Ok(MetadataOutcome::ProducerIdsAllocated(ProducerIdBlock { first, count }))
    }
}
