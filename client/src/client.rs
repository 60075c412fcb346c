//! The client: a cluster, and what everything else is built from.

use std::sync::Arc;
use std::time::Duration;

use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::{BrokerId, PartitionId, TopicName};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::backoff::Backoff;
use crate::connections::{ConnectionSettings, Connections};
use crate::metadata::Metadata;
use crate::metadata_cache::{MetadataCache, MetadataSettings};
use crate::{Admin, BrokerError, CallError, ConsumerBuilder, ProducerBuilder, bootstrap};

/// A connection to a cluster: finds brokers and leaders, and holds one connection to each broker that is used.
///
/// Cheap to clone; all clones, producers and consumers share the same connections. Dropping the last of them closes the
/// connections in the background.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What a client and everything built from it share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connections: Arc<Connections>,
    pub(crate) metadata: MetadataCache,
    pub(crate) request_timeout: Duration,
    pub(crate) retries_max: u32,
    pub(crate) backoff: Backoff,
    bootstrap: Vec<String>,
}

/// Sets how a [`Client`] connects and how long it tries.
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    addresses: String,
    connect_timeout: Duration,
    request_timeout: Duration,
    retries_max: u32,
    backoff: Backoff,
    metadata_age_max: Duration,
    allow_auto_create_topics: bool,
    stream_window_bytes: u32,
    connection_window_bytes: u32,
}

impl Client {
    /// Connects with default settings to the cluster of which some brokers are at `host:port[,host:port...]`.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub async fn connect(addresses: impl Into<String>) -> Result<Self, CallError> {
        Self::builder(addresses).connect().await
    }

    /// Starts with default settings for the cluster of which some brokers are at `host:port[,host:port...]`.
    pub fn builder(addresses: impl Into<String>) -> ClientBuilder {
        ClientBuilder {
            addresses: addresses.into(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            retries_max: 10,
            backoff: Backoff::DEFAULT,
            metadata_age_max: Duration::from_secs(300),
            allow_auto_create_topics: true,
            stream_window_bytes: 4 * 1024 * 1024,
            connection_window_bytes: 16 * 1024 * 1024,
        }
    }

    /// Starts a producer.
    pub fn producer(&self) -> ProducerBuilder {
        ProducerBuilder::new(Arc::clone(&self.shared))
    }

    /// Starts a consumer.
    pub fn consumer(&self) -> ConsumerBuilder {
        ConsumerBuilder::new(Arc::clone(&self.shared))
    }

    /// Returns what looks after topics, configs and brokers.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.shared))
    }

    /// Returns the id of the cluster, fixed for its life.
    #[must_use]
    pub fn cluster_id(&self) -> String {
        self.shared.metadata.current().cluster_id().to_owned()
    }
}

impl ClientBuilder {
    /// Sets how long it may take to connect to a broker; 5 s.
    #[must_use]
    pub const fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// Sets how long a request may take, its repeats included; 30 s.
    #[must_use]
    pub const fn request_timeout(mut self, request_timeout: Duration) -> Self {
        self.request_timeout = request_timeout;
        self
    }

    /// Sets how often a request is sent again at most, within its timeout; 10 times.
    #[must_use]
    pub const fn retries_max(mut self, retries_max: u32) -> Self {
        self.retries_max = retries_max;
        self
    }

    /// Sets how long to wait between tries; 100 ms, doubling up to 1 s.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets after how long leaders and brokers are looked up again without a reason; 5 min.
    #[must_use]
    pub const fn metadata_age_max(mut self, metadata_age_max: Duration) -> Self {
        self.metadata_age_max = metadata_age_max;
        self
    }

    /// Sets whether topics that a producer or consumer names and that are missing may be created by the broker, where its
    /// config `auto_create_topics` allows it; they may. [`Admin`] never creates a topic by naming it.
    #[must_use]
    pub const fn allow_auto_create_topics(mut self, allow_auto_create_topics: bool) -> Self {
        self.allow_auto_create_topics = allow_auto_create_topics;
        self
    }

    /// Sets how many bytes may be on the way to this client on one stream, and on all streams of one connection; 4 MiB
    /// and 16 MiB. Links with much delay need more.
    #[must_use]
    pub const fn window_bytes(mut self, stream: u32, connection: u32) -> Self {
        self.stream_window_bytes = stream;
        self.connection_window_bytes = connection;
        self
    }

    /// Connects: returns once a broker has told about the cluster.
    ///
    /// # Errors
    /// If an address is not `host:port`, or no broker answers within the request timeout.
    pub async fn connect(self) -> Result<Client, CallError> {
        let shared = self.unconnected()?;
        shared.retried(|_| shared.metadata.refresh(Vec::new())).await?;
        Ok(Client { shared })
    }

    /// Makes everything that a client has, and asks nobody yet.
    pub(crate) fn unconnected(self) -> Result<Arc<Shared>, CallError> {
        let bootstrap = bootstrap::parse(&self.addresses)?;
        let connections = Arc::new(Connections::new(ConnectionSettings {
            connect_timeout: self.connect_timeout,
            stream_window_bytes: self.stream_window_bytes,
            connection_window_bytes: self.connection_window_bytes,
        }));
        let settings = MetadataSettings {
            request_timeout: self.request_timeout,
            backoff: self.backoff,
            age_max: self.metadata_age_max,
            allow_auto_create_topics: self.allow_auto_create_topics,
        };
        let metadata = MetadataCache::start(Arc::clone(&connections), bootstrap.clone(), settings);
        Ok(Arc::new(Shared {
            connections,
            metadata,
            request_timeout: self.request_timeout,
            retries_max: self.retries_max,
            backoff: self.backoff,
            bootstrap,
        }))
    }
}

/// Whom a call is sent to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// Whichever broker answers.
    Any,
    /// This broker.
    Broker(BrokerId),
    /// Whoever leads this partition.
    Leader(&'a TopicName, PartitionId),
}

impl Shared {
    /// Returns the addresses that the client was given, for errors that are about no single broker.
    pub(crate) fn bootstrap_text(&self) -> String {
        self.bootstrap.join(",")
    }

    /// Calls a broker once, within what is left of the request timeout; `tries` is how often it was tried before. `call` gets
    /// the connection.
    pub(crate) async fn call_once<T, F, R>(&self, target: Target<'_>, tries: u32, call: F) -> Result<T, CallError>
    where
        F: Fn(Channel) -> R,
        R: Future<Output = Result<Response<T>, Status>>,
    {
        let address = self.address(target, tries).await?;
        let channel = self.connections.channel(&address)?;
        let answer = call(channel).await;
        answer.map(Response::into_inner).map_err(|status| CallError::from_status(&address, &status))
    }

    /// Runs `attempt` until it succeeds, fails for good, or time or tries run out; it is told how often it was run before.
    pub(crate) async fn retried<T, F, R>(&self, attempt: F) -> Result<T, CallError>
    where
        F: Fn(u32) -> R,
        R: Future<Output = Result<T, CallError>>,
    {
        let deadline = Instant::now() + self.request_timeout;
        let mut failures = 0;
        loop {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let Ok(result) = timeout(remaining, attempt(failures)).await else {
                return Err(CallError::TimedOut { address: self.bootstrap_text(), after: self.request_timeout });
            };
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            failures += 1;
            let delay = self.backoff.delay_as_asked(error.retry_after(), failures, fastrand::f64());
            let next_try = Instant::now() + delay;
            if !error.is_retriable() || failures > self.retries_max || next_try >= deadline {
                return Err(error);
            }
            sleep_until(next_try).await;
        }
    }

    /// Finds the address of a target; the try decides which of several brokers is meant.
    async fn address(&self, target: Target<'_>, tries: u32) -> Result<String, CallError> {
        match target {
            Target::Leader(topic, partition) => {
                if tries > 0 || self.metadata.current().route(topic, partition).is_none() {
                    let errors = self.metadata.refresh(vec![topic.clone()]).await?;
                    self.check_known(topic, partition, errors.get(topic))?;
                }
            }
            Target::Any | Target::Broker(_) if tries > 0 => {
                // Without fresh metadata the old one is as good as any.
                let _ = self.metadata.refresh(Vec::new()).await;
            }
            Target::Any | Target::Broker(_) => {}
        }
        let picture = self.metadata.current();
        match target {
            Target::Any => Ok(self.any_address(&picture, tries)),
            Target::Broker(broker) => picture.address(broker).map(ToString::to_string).ok_or(CallError::NoLeader),
            Target::Leader(topic, partition) => {
                picture.route(topic, partition).map(|route| route.address.to_string()).ok_or(CallError::NoLeader)
            }
        }
    }

    /// Checks that there is such a partition, after a refresh that said `error` of the topic.
    fn check_known(
        &self,
        topic: &TopicName,
        partition: PartitionId,
        error: Option<&BrokerError>,
    ) -> Result<(), CallError> {
        let picture = self.metadata.current();
        let count = picture.topic(topic.as_str()).map_or(0, |topic| topic.partitions.len());
        if (partition.get() as usize) < count {
            return Ok(());
        }
        let missing = || {
            let message = format!("topic {topic} has {count} partitions, {partition} is none of them");
            BrokerError::of_code(ErrorCode::UnknownTopicOrPartition, message)
        };
        let error = error.cloned().unwrap_or_else(missing);
        Err(CallError::Refused { address: self.bootstrap_text(), error })
    }

    /// Picks a broker, another one at every try.
    fn any_address(&self, picture: &Metadata, tries: u32) -> String {
        let known: Vec<&str> = picture.brokers().map(|(_, address)| &**address).collect();
        let given = || self.bootstrap.iter().map(String::as_str).collect();
        let candidates: Vec<&str> = if known.is_empty() { given() } else { known };
        candidates[tries as usize % candidates.len()].to_owned()
    }
}
