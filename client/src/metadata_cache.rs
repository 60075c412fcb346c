//! Keeps the metadata up to date: one task asks, however many want to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tidelog_proto::api::{TopicSelector, v1};
use tidelog_proto::ids::{PartitionId, TopicName};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::backoff::Backoff;
use crate::connections::Connections;
use crate::metadata::{MergeError, Metadata, Topic};
use crate::{BrokerError, CallError, Leader};

/// Questions that may wait for the task. Those who need an answer wait for room; hints are dropped, since a refresh is
/// coming anyway.
const ASKS_MAX: usize = 256;

/// The shortest time between two refreshes, so that many failures at once cost one refresh.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// The longest wait for one broker's answer before the next one is asked: every broker answers from memory, and one that
/// hangs must not keep everybody from the others.
const PATIENCE_MAX: Duration = Duration::from_secs(3);

/// How the cache asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MetadataSettings {
    pub(crate) request_timeout: Duration,
    pub(crate) backoff: Backoff,
    /// How old the picture may get before it is refreshed without a reason.
    pub(crate) age_max: Duration,
    pub(crate) allow_auto_create_topics: bool,
}

/// What is known of a topic could not be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MetadataError {
    Call(CallError),
    Topic(BrokerError),
}

/// A question, and who waits for its answer; nobody does for a hint.
struct Ask {
    topics: Vec<TopicName>,
    /// Whether missing topics may be created.
    may_create: bool,
    reply: Option<oneshot::Sender<Result<Errors, CallError>>>,
}

/// Topics about which nothing is known, and why.
type Errors = Arc<BTreeMap<TopicName, BrokerError>>;

/// A handle on the picture and on the task that keeps it; the task ends with the last handle.
#[derive(Clone, Debug)]
pub(crate) struct MetadataCache {
    picture: Arc<watch::Sender<Arc<Metadata>>>,
    asks: mpsc::Sender<Ask>,
    backoff: Backoff,
}

impl MetadataCache {
    /// Starts the task.
    pub(crate) fn start(connections: Arc<Connections>, bootstrap: Vec<String>, settings: MetadataSettings) -> Self {
        let (asks, receiver) = mpsc::channel(ASKS_MAX);
        let picture = Arc::new(watch::Sender::new(Arc::new(Metadata::default())));
        let task = RefreshTask {
            connections,
            bootstrap,
            settings,
            picture: Arc::clone(&picture),
            asks: receiver,
            last_refresh: None,
        };
        tokio::spawn(task.run());
        Self { picture, asks, backoff: settings.backoff }
    }

    /// Returns the picture as it is now.
    pub(crate) fn current(&self) -> Arc<Metadata> {
        Arc::clone(&self.picture.borrow())
    }

    /// Returns what is known of a topic now.
    pub(crate) fn known_topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.picture.borrow().topic(name).cloned()
    }

    /// Returns a view that tells of changes.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Metadata>> {
        self.picture.subscribe()
    }

    /// Asks for a refresh and does not wait.
    pub(crate) fn refresh_soon(&self, topics: Vec<TopicName>) {
        // A full queue means that a refresh is coming; a closed one, that nobody will need it.
        let _ = self.asks.try_send(Ask { topics, may_create: false, reply: None });
    }

    /// Takes in a leader that a broker named while it refused a request.
    pub(crate) fn take_hint(&self, topic: &TopicName, partition: PartitionId, leader: &Leader) {
        self.picture.send_if_modified(|picture| match picture.with_leader(topic, partition, leader) {
            None => false,
            Some(moved) => {
                *picture = Arc::new(moved);
                true
            }
        });
    }

    /// Refreshes what is known of some topics, and of the brokers.
    pub(crate) async fn refresh(&self, topics: Vec<TopicName>) -> Result<Errors, CallError> {
        self.ask(topics, false).await
    }

    async fn ask(&self, topics: Vec<TopicName>, may_create: bool) -> Result<Errors, CallError> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask { topics, may_create, reply: Some(reply) };
        self.asks.send(ask).await.map_err(|_| CallError::Closed)?;
        answer.await.unwrap_or(Err(CallError::Closed))
    }

    /// Returns a topic, asking for it until the deadline where that is worth it; a missing one may be created.
    pub(crate) async fn topic(&self, name: &TopicName, deadline: Instant) -> Result<Arc<Topic>, MetadataError> {
        let mut failures = 0;
        loop {
            if let Some(topic) = self.known_topic(name.as_str()) {
                return Ok(topic);
            }
            let error = match self.ask(vec![name.clone()], true).await {
                Ok(errors) => match errors.get(name) {
                    None => continue,
                    Some(error) => MetadataError::Topic(error.clone()),
                },
                Err(error) => MetadataError::Call(error),
            };
            failures += 1;
            let next_try = Instant::now() + self.backoff.random_delay(failures);
            if !error.is_retriable() || next_try >= deadline {
                return Err(error);
            }
            sleep_until(next_try).await;
        }
    }
}

impl MetadataError {
    pub(crate) fn is_retriable(&self) -> bool {
        match self {
            Self::Call(error) => error.is_retriable(),
            Self::Topic(error) => error.is_retriable(),
        }
    }
}

/// What several have asked, as one question.
#[derive(Default)]
struct Question {
    topics: BTreeSet<TopicName>,
    may_create: bool,
    replies: Vec<oneshot::Sender<Result<Errors, CallError>>>,
}

/// The task that asks.
struct RefreshTask {
    connections: Arc<Connections>,
    bootstrap: Vec<String>,
    settings: MetadataSettings,
    picture: Arc<watch::Sender<Arc<Metadata>>>,
    asks: mpsc::Receiver<Ask>,
    /// When the last refresh ended; `None` before the first.
    last_refresh: Option<Instant>,
}

impl RefreshTask {
    async fn run(mut self) {
        loop {
            let due = self.refresh_due();
            let first = tokio::select! {
                ask = self.asks.recv() => match ask {
                    None => return,
                    Some(ask) => Some(ask),
                },
                () = sleep_until(due) => None,
            };
            if let Some(last_refresh) = self.last_refresh {
                sleep_until(last_refresh + REFRESH_INTERVAL_MIN).await;
            }
            let question = self.gather(first);
            let result = self.refresh(&question).await;
            self.last_refresh = Some(Instant::now());
            for reply in question.replies {
                // Whoever asked may have gone.
                let _ = reply.send(result.clone());
            }
        }
    }

    /// Returns when the picture is too old.
    fn refresh_due(&self) -> Instant {
        self.last_refresh.unwrap_or_else(Instant::now) + self.settings.age_max
    }

    /// Puts everything that waits into one question; all known topics where nobody asked.
    fn gather(&mut self, first: Option<Ask>) -> Question {
        let mut question = Question::default();
        if first.is_none() {
            question.topics.extend(self.picture.borrow().topic_names().cloned());
        }
        let mut next = first.or_else(|| self.asks.try_recv().ok());
        while let Some(ask) = next {
            question.topics.extend(ask.topics);
            question.may_create |= ask.may_create;
            question.replies.extend(ask.reply);
            next = self.asks.try_recv().ok();
        }
        question
    }

    /// Asks one broker after another until one answers.
    async fn refresh(&self, question: &Question) -> Result<Errors, CallError> {
        let topics = question.topics.iter();
        let request = v1::MetadataRequest {
            topics: topics.map(|name| v1::TopicRef::from(&TopicSelector::Name(name.clone()))).collect(),
            all_topics: false,
            allow_auto_topic_creation: self.settings.allow_auto_create_topics && question.may_create,
        };
        let mut failed = CallError::Closed;
        let candidates = self.candidates();
        let count = u32::try_from(candidates.len()).unwrap_or(u32::MAX).max(1);
        let patience = (self.settings.request_timeout / count).min(PATIENCE_MAX);
        for address in candidates {
            match self.ask(&address, request.clone(), patience).await {
                Ok(response) => match self.take(&address, response) {
                    Ok(errors) => return Ok(errors),
                    Err(error) => failed = error,
                },
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Lists whom to ask: the known brokers in any order, then those that the client was given.
    fn candidates(&self) -> Vec<String> {
        let mut known: Vec<String> = self.picture.borrow().brokers().map(|(_, address)| address.to_string()).collect();
        fastrand::shuffle(&mut known);
        let given: Vec<&String> = self.bootstrap.iter().filter(|address| !known.contains(address)).collect();
        known.iter().chain(given).cloned().collect()
    }

    async fn ask(
        &self,
        address: &str,
        request: v1::MetadataRequest,
        after: Duration,
    ) -> Result<v1::MetadataResponse, CallError> {
        let mut stub = self.connections.broker(address)?;
        match timeout(after, stub.metadata(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(CallError::from_status(address, &status)),
            Err(_) => Err(CallError::TimedOut { address: address.to_owned(), after }),
        }
    }

    /// Takes an answer into the picture.
    fn take(&self, address: &str, response: v1::MetadataResponse) -> Result<Errors, CallError> {
        let mut result = Ok(Errors::default());
        self.picture.send_if_modified(|picture| match picture.merged(response) {
            Ok(merged) => {
                result = Ok(Arc::new(merged.errors));
                let changed = **picture != merged.metadata;
                *picture = Arc::new(merged.metadata);
                changed
            }
            Err(error) => {
                result = Err(merge_failed(address, error));
                false
            }
        });
        let picture = Arc::clone(&self.picture.borrow());
        let known = picture.brokers().map(|(_, address)| &**address);
        self.connections.retain(&known.chain(self.bootstrap.iter().map(String::as_str)).collect());
        result
    }
}

fn merge_failed(address: &str, error: MergeError) -> CallError {
    let address = address.to_owned();
    match error {
        MergeError::WrongCluster { expected, found } => CallError::WrongCluster { address, expected, found },
        MergeError::Field(error) => CallError::Malformed { address, error },
    }
}
