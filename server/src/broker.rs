//! A whole broker: ports, partitions, services, and the order in which they begin and end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tidelog_log::environment::{Environment, RealEnvironment};
use tidelog_raft::HostConfig;
use tidelog_raft::metadata::{Address, AddressError, Rack, RackError};

use crate::broker_service::BrokerService;
use crate::cluster::admin::AdminService;
use crate::cluster::{Node, NodeConfig, StartError, TopicDefaults};
use crate::config::{BrokerConfig, ConfigError, Settings};
use crate::data_path::DataPath;
use crate::disk_watch::DiskWatch;
use crate::grpc_server;
use crate::process::{BindError, Ended, Ports, Process};

/// A broker that serves. Alone it is a whole cluster.
///
/// Dropping it ends it without order: everything acknowledged is on disk, and the next start recovers.
#[derive(Debug)]
pub struct Broker {
    process: Process,
    node: Arc<Node>,
    address: SocketAddr,
    http_address: SocketAddr,
}

impl Broker {
    /// Starts a broker and waits until it serves its partitions.
    ///
    /// # Errors
    /// A config is not allowed, a port or the data directory cannot be used, or the cluster refuses the broker.
    pub async fn start(settings: &Settings) -> Result<Self, BrokerError> {
        let config = BrokerConfig::new(settings).map_err(BrokerError::Config)?;
        let ports = Ports::bind(&config).map_err(BrokerError::Bind)?;
        let address = ports.grpc_address().map_err(BrokerError::Io)?;
        let http_address = ports.http_address().map_err(BrokerError::Io)?;
        let environment: Arc<dyn Environment> = Arc::new(RealEnvironment::new());
        let path = Arc::new(DataPath::new(config.data_path));
        let disk = DiskWatch {
            environment: Arc::clone(&environment),
            dir: config.data_dir.clone(),
            reserve_bytes: config.disk_reserve_bytes,
        };
        let node_config = node_config(&config, address, settings)?;
        let node = Node::start(environment, Arc::clone(&path), node_config).await.map_err(BrokerError::Start)?;
        node.wait_until_all_led().await;
        disk.look(&path).await;
        let (routes, health) = grpc_server::routes(BrokerService::new(Arc::clone(&path), Arc::new(Arc::clone(&node))));
        let routes = routes.add_service(AdminService::new(Arc::clone(&node)).into_server());
        let process = Process::start(ports, (routes, health), path, disk, &config);
        process.set_ready().await;
        Ok(Self { process, node, address, http_address })
    }

    /// Gives the address of the gRPC port, with its number.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives the address of the HTTP port, with its number.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Gives what the broker knows of its cluster.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Ends in order: accepts nothing more, answers what was taken, closes every partition.
    ///
    /// # Errors
    /// Something could not be closed. Everything acknowledged is on disk nevertheless.
    pub async fn stop(self) -> Result<(), BrokerError> {
        let ended = self.process.shutdown().await;
        let stopped = self.node.stop().await;
        match ended {
            // What was cut off learns of it as of any lost connection.
            Ended::Drained | Ended::Cut => {}
            Ended::Failed(error) => return Err(BrokerError::Serve(error)),
        }
        stopped.map_err(BrokerError::Start)
    }
}

fn node_config(config: &BrokerConfig, listen: SocketAddr, settings: &Settings) -> Result<NodeConfig, BrokerError> {
    let advertised = config.advertise.clone().unwrap_or_else(|| listen.to_string());
    Ok(NodeConfig {
        data_dir: config.data_dir.clone(),
        broker_id: config.node_id,
        address: Address::new(advertised).map_err(BrokerError::Address)?,
        rack: config.rack.clone().map(Rack::new).transpose().map_err(BrokerError::Rack)?,
        host: HostConfig::default(),
        topics: TopicDefaults {
            num_partitions: config.num_partitions,
            default_replication_factor: config.default_replication_factor,
            auto_create_topics: config.auto_create_topics,
            configs: config.topic.clone(),
        },
        cleanup_interval: config.cleanup_interval,
        disk_reserve_bytes: config.disk_reserve_bytes,
        described: settings.described(),
    })
}

/// A broker that cannot start, or did not end in order.
#[derive(Debug)]
pub enum BrokerError {
    /// A config is not allowed.
    Config(ConfigError),
    /// A port cannot be bound.
    Bind(BindError),
    /// The address under which it is to be reached is none.
    Address(AddressError),
    /// The rack is no name of one.
    Rack(RackError),
    /// Its data directory cannot be used, or its cluster refuses it.
    Start(StartError),
    /// The gRPC port has failed.
    Serve(tonic::transport::Error),
    /// The machine does not answer.
    Io(io::Error),
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::Address(error) => error.fmt(f),
            Self::Rack(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
            Self::Serve(error) => write!(f, "the gRPC port has failed: {error}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BrokerError {}
