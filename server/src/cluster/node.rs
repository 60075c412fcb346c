//! A broker at work on its data directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidelog_log::LogIdentity;
use tidelog_log::environment::Environment;
use tidelog_proto::api::{TopicSelector, v1};
use tidelog_proto::ids::{BrokerId, RaftIndex, TopicId};
use tidelog_raft::metadata::{
    Address, BootId, ClusterVersion, MetadataCommand, MetadataError, Rack, RegisterBroker, TopicConfigs,
};
use tidelog_raft::{Host, HostConfig, HostError, MetadataGroup, ProduceError, ProposeError, ReplicatedLog as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::maintenance;
use super::producer_ids::ProducerIds;
use super::reconcile::{OpenPartition, close_all, reconcile_for_ever};
use crate::data_path::{DataPath, now_ms};

/// How long a group of one may take to elect itself: it has nobody to wait for but its disk.
const ELECTION_DEADLINE: Duration = Duration::from_secs(60);

/// How long calls wait for partitions that are without a leader.
const LEADER_DEADLINE: Duration = Duration::from_secs(10);

/// What a broker is told about itself.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Where its data is.
    pub data_dir: PathBuf,
    /// Its number in the cluster.
    pub broker_id: BrokerId,
    /// Where clients reach it.
    pub address: Address,
    /// Where it stands; `None` where this is not configured.
    pub rack: Option<Rack>,
    /// How its directory is worked on.
    pub host: HostConfig,
    /// What new topics get where a request says nothing.
    pub topics: TopicDefaults,
    /// How often old segments are looked for.
    pub cleanup_interval: Duration,
    /// Below how many free bytes of the file system produce is refused.
    pub disk_reserve_bytes: u64,
    /// All configs of the broker, as they are told to who asks.
    pub described: Vec<v1::Config>,
}

/// What new topics get where a request says nothing.
#[derive(Clone, Debug)]
pub struct TopicDefaults {
    /// How many partitions.
    pub num_partitions: u32,
    /// How many replicas of each, if there are as many brokers.
    pub default_replication_factor: u32,
    /// Whether a topic that is asked for and missing is created.
    pub auto_create_topics: bool,
    /// Configs of every topic that does not set them itself.
    pub configs: TopicConfigs,
}

/// A broker at work. One for each process.
#[derive(Debug)]
pub struct Node {
    pub(super) config: NodeConfig,
    pub(super) host: Host,
    pub(super) metadata: MetadataGroup,
    pub(super) path: Arc<DataPath>,
    pub(super) producer_ids: ProducerIds,
    pub(super) started_ms: i64,
    /// The replicas that are open. Changed by the reconciling task only, and taken at the end.
    partitions: Mutex<BTreeMap<LogIdentity, Arc<OpenPartition>>>,
    /// The metadata version up to which partitions were opened and closed. Sent by the reconciling task.
    pub(super) reconciled: watch::Sender<RaftIndex>,
    /// Becomes `true` once: the background tasks end.
    pub(super) stopping: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Node {
    /// Takes the data directory, joins its cluster, which may be a new one, and opens its partitions in the background.
    ///
    /// # Errors
    /// The directory cannot be used, or the metadata group refuses the broker.
    pub async fn start(
        environment: Arc<dyn Environment>,
        path: Arc<DataPath>,
        config: NodeConfig,
    ) -> Result<Arc<Self>, StartError> {
        let (data_dir, broker_id, host_config) = (config.data_dir.clone(), config.broker_id, config.host.clone());
        let boot_id = boot_id(environment.as_ref());
        let open = move || Host::open(environment, &data_dir, broker_id, host_config);
        let host =
            tokio::task::spawn_blocking(open).await.map_err(|_| StartError::Stopped)?.map_err(StartError::Host)?;
        let metadata = host.open_metadata().await.map_err(StartError::Host)?;
        let mut leadership = metadata.leadership();
        let elected = leadership.wait_for(|leadership| leadership.is_serving);
        match tokio::time::timeout(ELECTION_DEADLINE, elected).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(StartError::Stopped),
            Err(_) => return Err(StartError::NotElected),
        }
        register(&host, &metadata, &config, boot_id).await?;
        let node = Arc::new(Self {
            config,
            host,
            metadata,
            path,
            producer_ids: ProducerIds::default(),
            started_ms: now_ms(),
            partitions: Mutex::default(),
            reconciled: watch::Sender::new(RaftIndex::ZERO),
            stopping: watch::Sender::new(false),
            tasks: Mutex::default(),
        });
        let tasks =
            [tokio::spawn(reconcile_for_ever(Arc::clone(&node))), tokio::spawn(maintenance::run(Arc::clone(&node)))];
        node.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
        Ok(node)
    }

    /// Gives the metadata group.
    #[must_use]
    pub fn metadata(&self) -> &MetadataGroup {
        &self.metadata
    }

    /// Waits until every partition that was assigned to this broker by now is open, or could not be opened.
    pub async fn wait_until_reconciled(&self) {
        let version = self.metadata.state().borrow().metadata_version();
        // The task ends only when the node does.
        drop(self.reconciled.subscribe().wait_for(|reconciled| *reconciled >= version).await);
    }

    /// Waits until these topics' partitions that are to be here are open and have a leader that takes records, so that who
    /// comes next is not refused. Not for ever: a partition may have none for long.
    pub(crate) async fn wait_until_led(&self, topics: &[TopicSelector]) {
        let ids: BTreeSet<TopicId> = {
            let state = self.metadata.state().borrow().clone();
            topics.iter().filter_map(|topic| state.select(topic)).map(|topic| topic.id).collect()
        };
        self.wait_until_settled(|topic| ids.contains(&topic)).await;
    }

    /// As [`Node::wait_until_led`], for all topics.
    pub(crate) async fn wait_until_all_led(&self) {
        self.wait_until_settled(|_| true).await;
    }

    async fn wait_until_settled(&self, is_meant: impl Fn(TopicId) -> bool) {
        let me = self.config.broker_id;
        let led = async {
            self.wait_until_reconciled().await;
            let mut leaderships: Vec<_> = {
                let open = self.partitions();
                let meant = open.iter().filter(|(identity, _)| is_meant(identity.topic_id));
                meant.map(|(_, partition)| partition.group.leadership()).collect()
            };
            for leadership in &mut leaderships {
                // Where the group has stopped there is nothing to wait for.
                drop(leadership.wait_for(|leadership| leadership.is_settled(me)).await);
            }
        };
        if tokio::time::timeout(LEADER_DEADLINE, led).await.is_err() {
            tracing::warn!(seconds = LEADER_DEADLINE.as_secs(), "a partition has had no leader since it was opened");
        }
    }

    /// Closes every partition, then the metadata group, then the directory. Streams have to be ended before; what they did not
    /// get an answer to by then is not answered.
    ///
    /// # Errors
    /// What could not be closed. Everything acknowledged is on disk nevertheless.
    pub async fn stop(self: Arc<Self>) -> Result<(), StartError> {
        self.stopping.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.await.map_err(|_| StartError::Stopped)?;
        }
        let open = std::mem::take(&mut *self.partitions());
        let closed = close_all(open.into_values()).await;
        let metadata_closed = self.metadata.close().await;
        let Some(node) = Arc::into_inner(self) else { return Err(StartError::InUse) };
        let host = node.host;
        let stopped = tokio::task::spawn_blocking(move || host.shutdown()).await.map_err(|_| StartError::Stopped)?;
        closed.and(metadata_closed).map_err(StartError::Close)?;
        stopped.map_err(StartError::Host)
    }

    pub(super) fn partitions(&self) -> MutexGuard<'_, BTreeMap<LogIdentity, Arc<OpenPartition>>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the cluster if it is new, and this broker known to it.
async fn register(
    host: &Host,
    metadata: &MetadataGroup,
    config: &NodeConfig,
    boot_id: BootId,
) -> Result<(), StartError> {
    let identity = host.identity();
    let format =
        MetadataCommand::FormatCluster { cluster_id: identity.cluster_id, cluster_version: ClusterVersion::NEWEST };
    metadata.propose(&format).await.map_err(StartError::Register)?;
    let register = MetadataCommand::RegisterBroker(RegisterBroker {
        broker_id: identity.broker_id,
        address: config.address.clone(),
        rack: config.rack.clone(),
        directory_id: identity.directory_id,
        boot_counter: host.boot_counter(),
        boot_id,
        cluster_version_max: ClusterVersion::NEWEST,
    });
    metadata.propose(&register).await.map(drop).map_err(StartError::Register)
}

fn boot_id(environment: &dyn Environment) -> BootId {
    let number = u128::from(environment.random_u64()) << 64 | u128::from(environment.random_u64());
    BootId::new(number.to_le_bytes())
}

/// A broker that could not start, or not stop in order.
#[derive(Debug)]
pub enum StartError {
    /// The data directory, or what is in it, cannot be used.
    Host(HostError),
    /// The metadata group does not take the broker.
    Register(ProposeError),
    /// The metadata group has no leader.
    NotElected,
    /// A log could not be closed.
    Close(io::Error),
    /// Somebody still uses the broker.
    InUse,
    /// A task has ended before its time.
    Stopped,
}

impl StartError {
    /// Tells whether the metadata group refuses the broker, and why.
    #[must_use]
    pub fn refusal(&self) -> Option<&MetadataError> {
        match self {
            Self::Register(ProposeError::Refused(error)) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => error.fmt(f),
            Self::Register(ProposeError::Group(ProduceError::Stopped)) => {
                f.write_str("the metadata group has stopped while the broker was registered")
            }
            Self::Register(error) => write!(f, "the cluster does not take this broker: {error}"),
            Self::NotElected => {
                write!(f, "the metadata group has had no leader for {} s", ELECTION_DEADLINE.as_secs())
            }
            Self::Close(error) => write!(f, "a log could not be closed: {error}"),
            Self::InUse => f.write_str("the broker is still in use"),
            Self::Stopped => f.write_str("a task of the broker has ended before its time"),
        }
    }
}

impl std::error::Error for StartError {}
