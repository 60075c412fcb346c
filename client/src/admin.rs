//! Looks after topics, configs, records and brokers.
//!
//! One file for each subject: `topics`, `configs`, `records`, `cluster`.

mod cluster;
mod configs;
mod error;
mod records;
mod topics;

use std::sync::Arc;

pub use cluster::{BrokerDescription, BrokerStatus, ClusterDescription, DataDirStatus};
pub use configs::{ConfigChange, ConfigEntry, ConfigSource};
pub use error::{AdminError, Subject};
pub use records::{ListedOffset, OffsetSpec};
use tidelog_proto::api::{FieldError, TopicSelector, v1};
use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::TopicName;
use tonic::transport::Channel;
use tonic::{Response, Status};
pub use topics::{CreatedTopic, NewTopic, PartitionDescription, ReplicaDescription, TopicDescription, TopicListing};

use crate::client::{Shared, Target};
use crate::{BrokerError, CallError};

/// Looks after topics, configs, records and brokers.
///
/// Every call is tried again after failures that may pass, within the client's request timeout. A change whose answer was
/// lost may therefore be made, and its repeat refused: with `TOPIC_ALREADY_EXISTS`, for example. What is committed may be
/// unknown to some brokers for a moment; that a topic is unknown is told at once.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Arc<Shared>,
}

impl Admin {
    pub(crate) const fn new(client: Arc<Shared>) -> Self {
        Self { client }
    }

    /// Calls a broker about one subject, again after failures that may pass, also those in the answer's body. `read` takes
    /// the answer apart.
    async fn about<T, A, F, R>(
        &self,
        subject: Subject,
        target: Target<'_>,
        call: F,
        read: impl Fn(T) -> Result<A, Refusal>,
    ) -> Result<A, AdminError>
    where
        F: Fn(Channel) -> R,
        R: Future<Output = Result<Response<T>, Status>>,
    {
        let (call, read) = (&call, &read);
        let address = self.client.bootstrap_text();
        let address = &address;
        let answer = self.client.retried(|tries| async move {
            let answer = match self.client.call_once(target, tries, call).await {
                Err(CallError::Refused { error, .. }) if is_final(&error) => return Ok(Err(error)),
                answer => answer?,
            };
            match read(answer) {
                Ok(value) => Ok(Ok(value)),
                Err(Refusal::Field(error)) => Err(CallError::Malformed { address: address.clone(), error }),
                Err(Refusal::Broker(error)) if is_final(&error) => Ok(Err(error)),
                Err(Refusal::Broker(error)) => Err(CallError::Refused { address: address.clone(), error }),
            }
        });
        match answer.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) | Err(CallError::Refused { error, .. }) => Err(AdminError::Refused { subject, error }),
            Err(error) => Err(AdminError::Call(error)),
        }
    }
}

/// Why an answer holds no result.
enum Refusal {
    Broker(BrokerError),
    Field(FieldError),
}

impl From<v1::Error> for Refusal {
    fn from(error: v1::Error) -> Self {
        Self::Broker(error.into())
    }
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

/// Tells whether another try is no use. A topic that is unknown most likely was misspelt.
fn is_final(error: &BrokerError) -> bool {
    !error.is_retriable() || matches!(error.code, Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId))
}

/// Checks a topic's name.
fn topic_name(topic: &str) -> Result<TopicName, AdminError> {
    TopicName::new(topic).map_err(|error| AdminError::TopicName { topic: topic.to_owned(), error })
}

/// Names a topic in a request.
fn topic_ref(topic: &TopicName) -> v1::TopicRef {
    v1::TopicRef::from(&TopicSelector::Name(topic.clone()))
}

/// Takes the only result out of an answer about one thing.
fn only<T>(results: Vec<T>) -> Result<T, FieldError> {
    results.into_iter().next().ok_or(FieldError::Missing { field: "results" })
}
