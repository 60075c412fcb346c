//! The cluster and its brokers.

use tidelog_proto::api::{FieldError, v1};
use tidelog_proto::ids::BrokerId;

use super::{Admin, AdminError, Refusal, Subject};
use crate::client::Target;
use crate::connections::admin_stub;

/// The brokers that make up a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster's id, fixed for its life.
    pub cluster_id: String,
    /// The broker that leads the metadata group; `None` if none does now.
    pub controller: Option<BrokerId>,
    /// Every registered broker, by rising number, also one that is down now.
    pub brokers: Vec<BrokerDescription>,
}

/// A broker, and where clients reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerDescription {
    /// Its number.
    pub id: BrokerId,
    /// The address that it advertises: `host:port`.
    pub address: String,
    /// The rack, zone or room that it stands in, if that is configured.
    pub rack: Option<String>,
}

/// How a broker is, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerStatus {
    /// Its number and address.
    pub broker: BrokerDescription,
    /// The version of its program.
    pub version: String,
    /// When it started, in milliseconds since the start of 1970 UTC by its own clock.
    pub started_ms: i64,
    /// How many replicas it holds.
    pub replica_count: u32,
    /// How many of these partitions it leads.
    pub leader_count: u32,
    /// Its data directory, if it tells about it.
    pub data_dir: Option<DataDirStatus>,
}

/// A data directory and the disk that it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataDirStatus {
    /// How large the file system is, in bytes.
    pub total_bytes: u64,
    /// How many bytes of it are free.
    pub free_bytes: u64,
    /// Below how many free bytes the broker refuses produce.
    pub reserve_bytes: u64,
    /// How many bytes the logs take.
    pub log_bytes: u64,
}

impl Admin {
    /// Tells which brokers make up the cluster.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, AdminError> {
        let call = |channel| async move { admin_stub(channel).describe_cluster(v1::DescribeClusterRequest {}).await };
        self.about(Subject::Cluster, Target::Any, call, |answer| {
            Ok::<_, Refusal>(ClusterDescription {
                cluster_id: answer.cluster_id,
                controller: answer.controller_id.map(BrokerId::new),
                brokers: answer.brokers.into_iter().map(BrokerDescription::from).collect(),
            })
        })
        .await
    }

    /// Tells how a broker is.
    ///
    /// # Errors
    /// If there is no such broker, or it does not answer.
    pub async fn describe_broker(&self, broker: BrokerId) -> Result<BrokerStatus, AdminError> {
        let call = |channel| async move { admin_stub(channel).describe_broker(v1::DescribeBrokerRequest {}).await };
        self.about(Subject::Broker(broker), Target::Broker(broker), call, |answer| {
            let broker = answer.broker.ok_or(FieldError::Missing { field: "broker" })?;
            Ok::<_, Refusal>(BrokerStatus {
                broker: broker.into(),
                version: answer.version,
                started_ms: answer.started_ms,
                replica_count: answer.replica_count,
                leader_count: answer.leader_count,
                data_dir: answer.data_dir.map(|dir| DataDirStatus {
                    total_bytes: dir.total_bytes,
                    free_bytes: dir.free_bytes,
                    reserve_bytes: dir.reserve_bytes,
                    log_bytes: dir.log_bytes,
                }),
            })
        })
        .await
    }
}

impl From<v1::BrokerAddress> for BrokerDescription {
    fn from(broker: v1::BrokerAddress) -> Self {
        Self { id: BrokerId::new(broker.broker_id), address: broker.address, rack: broker.rack }
    }
}
