//! Registering a broker, at each of its starts.

use std::sync::Arc;

use super::{MetadataError, MetadataLimit, MetadataOutcome, MetadataState};
use crate::metadata::command::RegisterBroker;
use crate::metadata::state::Cluster;
use crate::metadata::{Broker, FIRST_INCARNATION};

impl MetadataState {
    /// A known broker must come with its directory, and the directory must have been started more often than before: a
    /// replica that forgot what it had promised must not vote.
    pub(super) fn register_broker(
        &mut self,
        cluster: Cluster,
        command: &RegisterBroker,
    ) -> Result<MetadataOutcome, MetadataError> {
        let broker_id = command.broker_id;
        if command.cluster_version_max < cluster.version {
            let (knows, needs) = (command.cluster_version_max, cluster.version);
            return Err(MetadataError::BrokerTooOld { broker_id, knows, needs });
        }
        let owner = self.brokers().find(|(_, broker)| broker.directory_id == command.directory_id);
        if let Some((owner, _)) = owner.filter(|(owner, _)| *owner != broker_id) {
            return Err(MetadataError::DirectoryTaken { broker_id: owner });
        }
        let known = self.broker(broker_id);
        if let Some(known) = known {
            check_directory(known, command)?;
        } else {
            MetadataLimit::Brokers.check(self.brokers.len() + 1)?;
        }
        let broker = Broker {
            address: command.address.clone(),
            rack: command.rack.clone(),
            directory_id: command.directory_id,
            boot_counter: command.boot_counter,
            boot_id: command.boot_id,
            cluster_version_max: command.cluster_version_max,
            next_incarnation: known.map_or(FIRST_INCARNATION, |known| known.next_incarnation),
        };
        if known == Some(&broker) {
            return Ok(MetadataOutcome::Unchanged);
        }
        Arc::make_mut(&mut self.brokers).insert(broker_id, broker);
        Ok(MetadataOutcome::BrokerRegistered(broker_id))
    }
}

fn check_directory(known: &Broker, command: &RegisterBroker) -> Result<(), MetadataError> {
    let broker_id = command.broker_id;
    if known.directory_id != command.directory_id {
        return Err(MetadataError::OtherDirectory { broker_id, registered: known.directory_id });
    }
    let is_later_start = command.boot_counter > known.boot_counter;
    let is_same_start = command.boot_counter == known.boot_counter && command.boot_id == known.boot_id;
    if is_later_start || is_same_start {
        return Ok(());
    }
    Err(MetadataError::RolledBack { broker_id, registered: known.boot_counter, found: command.boot_counter })
}
