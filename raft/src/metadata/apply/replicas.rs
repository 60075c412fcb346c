//! Issuing the replicas of new partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_proto::ids::{BrokerId, PartitionId};

use super::{MetadataError, MetadataLimit, MetadataState};
use crate::metadata::command::Assignment;
use crate::metadata::{AssignmentError, Partition};
use crate::replica_id::ReplicaId;

/// New partitions whose replicas were checked, and which incarnations come after them.
pub(super) struct NewPartitions {
    pub(super) partitions: Vec<Partition>,
    /// Of those brokers only that get a replica.
    next_incarnations: BTreeMap<BrokerId, u32>,
}

impl MetadataState {
    /// Makes replicas of assignments, each under an incarnation that no replica of its broker ever had. Changes nothing
    /// yet.
    pub(super) fn new_partitions(
        &self,
        first_partition: PartitionId,
        replication_factor: u32,
        assignments: &[Assignment],
    ) -> Result<NewPartitions, MetadataError> {
        let mut new =
            NewPartitions { partitions: Vec::with_capacity(assignments.len()), next_incarnations: BTreeMap::new() };
        for (number, assignment) in (first_partition.get()..).zip(assignments) {
            let partition = PartitionId::new(number);
            let refused = |error| MetadataError::Assignment { partition, error };
            self.check_assignment(replication_factor, &assignment.brokers).map_err(refused)?;
            MetadataLimit::ReplicasPerPartition.check(assignment.brokers.len())?;
            let mut replicas = Vec::with_capacity(assignment.brokers.len());
            for broker_id in assignment.brokers.iter().copied() {
                let unknown = || refused(AssignmentError::UnknownBroker { broker_id });
                let broker = self.broker(broker_id).ok_or_else(unknown)?;
                let next = new.next_incarnations.entry(broker_id).or_insert(broker.next_incarnation);
                replicas.push(ReplicaId::new(broker_id, *next));
                *next = next.checked_add(1).ok_or(MetadataError::IncarnationsUsedUp { broker_id })?;
            }
            new.partitions.push(Partition { replicas });
        }
        Ok(new)
    }

    fn check_assignment(&self, replication_factor: u32, brokers: &[BrokerId]) -> Result<(), AssignmentError> {
        if brokers.is_empty() {
            return Err(AssignmentError::Empty);
        }
        if u32::try_from(brokers.len()).ok() != Some(replication_factor) {
            return Err(AssignmentError::ReplicationFactor { expected: replication_factor, found: brokers.len() });
        }
        for (position, broker_id) in brokers.iter().copied().enumerate() {
            if self.broker(broker_id).is_none() {
                return Err(AssignmentError::UnknownBroker { broker_id });
            }
            // All before this one are known and differ, so there are no more of them than brokers.
            if brokers[..position].contains(&broker_id) {
                return Err(AssignmentError::Twice { broker_id });
            }
        }
        Ok(())
    }

    /// Notes which incarnations were issued, and gives the partitions.
    pub(super) fn issue(&mut self, new: NewPartitions) -> Vec<Partition> {
        let brokers = Arc::make_mut(&mut self.brokers);
        for (broker_id, next_incarnation) in new.next_incarnations {
            if let Some(broker) = brokers.get_mut(&broker_id) {
                broker.next_incarnation = next_incarnation;
            }
        }
        self.partition_count += new.partitions.len();
        new.partitions
    }
}
