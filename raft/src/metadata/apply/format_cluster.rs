//! Making the cluster, and what its brokers may use.

use super::{MetadataError, MetadataOutcome, MetadataState};
use crate::metadata::state::Cluster;
use crate::metadata::{ClusterId, ClusterVersion};

impl MetadataState {
    pub(super) fn format_cluster(
        &mut self,
        cluster_id: ClusterId,
        version: ClusterVersion,
    ) -> Result<MetadataOutcome, MetadataError> {
        match self.cluster {
            Some(cluster) if cluster.id == cluster_id => Ok(MetadataOutcome::Unchanged),
            Some(cluster) => Err(MetadataError::FormattedOtherwise { cluster_id: cluster.id }),
            None if version < ClusterVersion::FIRST => {
                Err(MetadataError::ClusterVersion { current: None, found: version })
            }
            None => {
                self.cluster = Some(Cluster { id: cluster_id, version });
                Ok(MetadataOutcome::ClusterFormatted)
            }
        }
    }

    pub(super) fn set_cluster_version(
        &mut self,
        cluster: Cluster,
        version: ClusterVersion,
    ) -> Result<MetadataOutcome, MetadataError> {
        if version == cluster.version {
            return Ok(MetadataOutcome::Unchanged);
        }
        if version < cluster.version {
            return Err(MetadataError::ClusterVersion { current: Some(cluster.version), found: version });
        }
        if let Some((broker_id, broker)) = self.brokers().find(|(_, broker)| broker.cluster_version_max < version) {
            let knows = broker.cluster_version_max;
            return Err(MetadataError::BrokerTooOld { broker_id, knows, needs: version });
        }
        self.cluster = Some(Cluster { version, ..cluster });
        Ok(MetadataOutcome::ClusterVersionSet(version))
    }
}
