//! From what the metadata say to what is open here: replicas are opened, told of new configs, closed and removed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::ready;
use futures_util::{StreamExt, stream};
use tidelog_log::storage::Durability;
use tidelog_log::{LogConfig, LogIdentity};
use tidelog_proto::ids::{BrokerId, LeaderEpoch, TopicId};
use tidelog_raft::metadata::{self, FlushMode, MetadataCommand, MetadataState, TopicSettings};
use tidelog_raft::{Group, Leadership, ReplicaId};

use super::Node;
use crate::hosted_partition::HostedPartition;
use crate::partition_table::{Placement, Topic, Topology};

/// Partitions that are opened or closed at once: each waits for the disk most of the time.
const AT_ONCE: usize = 16;

/// After how long what has failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// A replica that is open.
#[derive(Debug)]
pub(super) struct OpenPartition {
    pub(super) group: Arc<Group>,
    /// The same replica as clients use it, with the configs that the log was told.
    pub(super) hosted: Arc<HostedPartition>,
}

/// The replicas that this broker is to hold, and by which configs.
type Wanted = BTreeMap<LogIdentity, (ReplicaId, Arc<TopicSettings>)>;

/// Follows the metadata until the node stops.
pub(super) async fn reconcile_for_ever(node: Arc<Node>) {
    let (mut state, mut stopping) = (node.metadata.state(), node.stopping.subscribe());
    loop {
        let now = state.borrow_and_update().clone();
        let has_failed = reconcile(&node, &now).await;
        node.reconciled.send_replace(now.metadata_version());
        let retry = async { if has_failed { tokio::time::sleep(RETRY).await } else { std::future::pending().await } };
        tokio::select! {
            changed = state.changed() => if changed.is_err() { break },
            _ = stopping.wait_for(|stopping| *stopping) => break,
            () = retry => {}
        }
    }
}

/// Makes what is open here what `state` says; `true` where something failed and has to be tried again.
async fn reconcile(node: &Arc<Node>, state: &MetadataState) -> bool {
    let me = node.config.broker_id;
    let wanted: Wanted = state
        .topics()
        .flat_map(|topic| {
            let settings = Arc::new(topic.configs.settings(&node.config.topics.configs));
            let here = |(identity, partition): (LogIdentity, &metadata::Partition)| {
                partition.replica_on(me).map(|replica| (identity, replica))
            };
            let replicas: Vec<_> = topic.partitions().filter_map(here).collect();
            replicas.into_iter().map(move |(identity, replica)| (identity, (replica, Arc::clone(&settings))))
        })
        .collect();
    let mut has_failed = open_missing(node, &wanted).await;
    has_failed |= tell_settings(node, &wanted).await;
    node.path.table.replace(topology_of(state, me, &node.partitions()));

    // Nobody finds them any more.
    let unwanted: Vec<(LogIdentity, Arc<OpenPartition>)> = {
        let mut open = node.partitions();
        let gone: Vec<_> = open.keys().filter(|identity| !wanted.contains_key(identity)).copied().collect();
        gone.into_iter().filter_map(|identity| open.remove_entry(&identity)).collect()
    };
    if let Err(error) = close_all(unwanted.into_iter().map(|(_, partition)| partition)).await {
        tracing::warn!(%error, "a deleted partition was not closed in order");
    }
    has_failed | remove_deleted(node, state).await
}

/// Opens the replicas that are wanted and not open; `true` where one could not be opened.
async fn open_missing(node: &Arc<Node>, wanted: &Wanted) -> bool {
    let missing: Vec<(LogIdentity, ReplicaId, Arc<TopicSettings>)> = {
        let open = node.partitions();
        let missing = wanted.iter().filter(|(identity, _)| !open.contains_key(identity));
        missing.map(|(identity, (replica, settings))| (*identity, *replica, Arc::clone(settings))).collect()
    };
    let opened = missing
        .into_iter()
        .map(|(identity, replica, settings)| open_one(Arc::clone(node), identity, replica, settings));
    let failures = stream::iter(opened).buffer_unordered(AT_ONCE).filter(|opened| ready(!opened)).count().await;
    failures > 0
}

/// Opens a replica; `false` where it could not be opened.
async fn open_one(node: Arc<Node>, identity: LogIdentity, replica: ReplicaId, settings: Arc<TopicSettings>) -> bool {
    let durability = durability_of(&settings);
    let config = settings.log_config(&LogConfig::default());
    match node.host.open_group(identity, replica.incarnation(), config, durability).await {
        Ok(group) => {
            let group = Arc::new(group);
            let hosted = Arc::new(HostedPartition::new(Arc::clone(&group) as _, settings));
            let partition = OpenPartition { group, hosted };
            node.partitions().insert(identity, Arc::new(partition));
            true
        }
        Err(error) => {
            tracing::error!(partition = %identity, %error, "a partition cannot be opened");
            false
        }
    }
}

/// Tells open replicas of configs that have changed; `true` where that failed.
async fn tell_settings(node: &Node, wanted: &Wanted) -> bool {
    let changed: Vec<(Arc<OpenPartition>, Arc<TopicSettings>)> = {
        let open = node.partitions();
        let pairs = wanted.iter().filter_map(|(identity, (_, settings))| Some((open.get(identity)?, settings)));
        let changed = pairs.filter(|(partition, settings)| partition.hosted.settings() != **settings);
        changed.map(|(partition, settings)| (Arc::clone(partition), Arc::clone(settings))).collect()
    };
    let mut has_failed = false;
    for (partition, settings) in changed {
        match partition.group.set_config(settings.log_config(&LogConfig::default()), durability_of(&settings)).await {
            Ok(()) => partition.hosted.set_settings(settings),
            Err(error) => {
                has_failed = true;
                tracing::error!(partition = ?partition.group, %error, "configs could not be put in force");
            }
        }
    }
    has_failed
}

/// Removes what is left of deleted topics, and says so; `true` where that failed.
async fn remove_deleted(node: &Node, state: &MetadataState) -> bool {
    let me = node.config.broker_id;
    let mut has_failed = false;
    let pending: BTreeSet<TopicId> = state.deletions_pending_on(me).collect();
    for topic_id in pending {
        if let Err(error) = node.host.remove_topic(topic_id).await {
            has_failed = true;
            tracing::error!(topic = %topic_id, %error, "the files of a deleted topic could not be removed");
            continue;
        }
        let confirm = MetadataCommand::ReplicaDataDeleted { broker_id: me, topic_id };
        if let Err(error) = node.metadata.propose(&confirm).await {
            has_failed = true;
            tracing::warn!(topic = %topic_id, %error, "the end of a topic could not be confirmed");
        }
    }
    has_failed
}

/// Closes partitions, several at once.
///
/// # Errors
/// The first that could not be closed; all others are.
pub(super) async fn close_all(partitions: impl Iterator<Item = Arc<OpenPartition>>) -> io::Result<()> {
    let closing: Vec<_> = partitions.map(close_one).collect();
    let closed: Vec<io::Result<()>> = stream::iter(closing).buffer_unordered(AT_ONCE).collect().await;
    closed.into_iter().collect()
}

async fn close_one(partition: Arc<OpenPartition>) -> io::Result<()> {
    partition.group.close().await
}

/// Gives what is known of all topics, as the data path looks them up.
fn topology_of(state: &MetadataState, me: BrokerId, open: &BTreeMap<LogIdentity, Arc<OpenPartition>>) -> Topology {
    let mut topology = Topology::default();
    for (broker_id, broker) in state.brokers() {
        topology.put_broker(broker_id, broker.address.as_str());
    }
    for topic in state.topics() {
        let placement = |(identity, partition): (LogIdentity, &metadata::Partition)| match open.get(&identity) {
            Some(open) => Placement::Here(Arc::clone(&open.hosted)),
            None => {
                let other = partition.replicas.first().map(|replica| replica.broker()).filter(|broker| *broker != me);
                Placement::Elsewhere(Leadership { leader: other, epoch: LeaderEpoch::new(0), is_serving: false })
            }
        };
        topology.put_topic(Arc::new(Topic {
            id: topic.id,
            name: topic.name.clone(),
            is_internal: topic.internal,
            partitions: topic.partitions().map(placement).collect(),
        }));
    }
    topology
}

fn durability_of(settings: &TopicSettings) -> Durability {
    match settings.flush_mode {
        FlushMode::Commit => Durability::Synced,
        FlushMode::Interval => Durability::Written,
    }
}
