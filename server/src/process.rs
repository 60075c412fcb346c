//! The life of a broker process around its partitions: ports, readiness, an ordered end.
//!
//! Who starts a broker binds the ports first, since port 0 gets its number there; opens the partitions and puts them into the
//! table; serves; and closes the partitions once [`Process::shutdown`] has returned, when nobody uses them any more.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tidelog_proto::api::v1::broker_server::BrokerServer;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use crate::broker_service::BrokerService;
use crate::config::BrokerConfig;
use crate::data_path::DataPath;
use crate::disk_watch::DiskWatch;
use crate::grpc_server;
use crate::http_server::{self, Observed};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// The ports of a broker, bound and not served yet.
#[derive(Debug)]
pub struct Ports {
    grpc: TcpListener,
    http: TcpListener,
}

/// A broker that serves.
#[derive(Debug)]
pub struct Process {
    path: Arc<DataPath>,
    /// Why clients are not served; `None`: they are.
    unready: watch::Sender<Option<&'static str>>,
    health: HealthReporter,
    grpc: JoinHandle<Result<(), tonic::transport::Error>>,
    http: JoinHandle<()>,
    disk: JoinHandle<()>,
    stop_grpc: oneshot::Sender<()>,
    stop_http: oneshot::Sender<()>,
    shutdown_timeout: Duration,
}

/// How a process ended.
#[derive(Debug)]
pub enum Ended {
    /// Every stream was answered to its end.
    Drained,
    /// Streams were still open when the time was over.
    Cut,
    /// The gRPC port had failed before.
    Failed(tonic::transport::Error),
}

/// A port that could not be bound.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the machine answered.
    pub error: io::Error,
}

impl Ports {
    /// Binds both ports.
    ///
    /// # Errors
    /// An address is in use, or not this machine's.
    pub fn bind(config: &BrokerConfig) -> Result<Self, BindError> {
        Ok(Self { grpc: bind(config.listen)?, http: bind(config.http_listen)? })
    }

    /// Gives the address of the gRPC port, with its number.
    ///
    /// # Errors
    /// The machine does not tell.
    pub fn grpc_address(&self) -> io::Result<SocketAddr> {
        self.grpc.local_addr()
    }

    /// Gives the address of the HTTP port, with its number.
    ///
    /// # Errors
    /// The machine does not tell.
    pub fn http_address(&self) -> io::Result<SocketAddr> {
        self.http.local_addr()
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A broker that starts again does not wait until connections of the one before are forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bound().map_err(|error| BindError { address, error })
}

impl Process {
    /// Begins to serve `routes` and the HTTP port. Not ready until [`Process::set_ready`].
    pub fn start(
        ports: Ports,
        (routes, health): (Routes, HealthReporter),
        path: Arc<DataPath>,
        disk: DiskWatch,
        config: &BrokerConfig,
    ) -> Self {
        let (unready, reason) = watch::channel(Some("the broker is starting"));
        let (stop_grpc, grpc_stopped) = oneshot::channel::<()>();
        let (stop_http, http_stopped) = oneshot::channel::<()>();
        let observation = Arc::new(Observation { path: Arc::clone(&path), unready: reason });
        // Dropping the other end stops as well.
        let grpc = grpc_server::serve(ports.grpc, routes, Arc::clone(&path), config.grpc, grpc_stopped.map(drop));
        let http = http_server::serve(ports.http, observation, config.http, http_stopped.map(drop));
        Self {
            disk: tokio::spawn(disk.run(Arc::downgrade(&path))),
            path,
            unready,
            health,
            grpc: tokio::spawn(grpc),
            http: tokio::spawn(http),
            stop_grpc,
            stop_http,
            shutdown_timeout: config.shutdown_timeout,
        }
    }

    /// Tells the world that clients are served.
    pub async fn set_ready(&self) {
        self.health.set_serving::<BrokerServer<BrokerService>>().await;
        self.unready.send_replace(None);
    }

    /// Ends: tells so, accepts nothing more, ends the streams with what they took answered, cuts what is left when the time
    /// is over. Metrics and health are told until then.
    pub async fn shutdown(mut self) -> Ended {
        self.unready.send_replace(Some("the broker is shutting down"));
        self.health.set_not_serving::<BrokerServer<BrokerService>>().await;
        // Who watches has been told; their streams end with that, or the port would wait for them.
        for service in [<BrokerServer<BrokerService> as NamedService>::NAME, ""] {
            self.health.clear_service_status(service).await;
        }
        drop(self.stop_grpc);
        self.path.end_streams();
        let ended = match timeout(self.shutdown_timeout, &mut self.grpc).await {
            Ok(Ok(Ok(()))) => Ended::Drained,
            Ok(Ok(Err(error))) => Ended::Failed(error),
            // A panic in it has been reported where it happened.
            Ok(Err(_)) => Ended::Cut,
            Err(_) => {
                self.grpc.abort();
                Ended::Cut
            }
        };
        self.disk.abort();
        drop(self.stop_http);
        drop(self.http.await);
        ended
    }
}

/// What the HTTP port tells of the process.
#[derive(Debug)]
struct Observation {
    path: Arc<DataPath>,
    unready: watch::Receiver<Option<&'static str>>,
}

impl Observed for Observation {
    fn metrics(&self) -> String {
        self.path.metrics_text()
    }

    fn ready(&self) -> Result<(), String> {
        self.unready.borrow().map_or(Ok(()), |reason| Err(reason.to_owned()))
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be listened at: {}", self.address, self.error)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
