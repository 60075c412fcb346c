//! Configs of topics and brokers.

use tidelog_proto::api::v1;
use tidelog_proto::ids::BrokerId;

use super::topics::done;
use super::{Admin, AdminError, Refusal, Subject, only, topic_name, topic_ref};
use crate::client::Target;
use crate::connections::admin_stub;

/// A config as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its key.
    pub key: String,
    /// Its value as text; `None` if it is not set and has no default, or is secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed while the broker runs.
    pub read_only: bool,
    /// Whether its value is secret.
    pub sensitive: bool,
}

/// Where the value of a config comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConfigSource {
    /// It was built in.
    Default,
    /// The broker's file, environment or flags.
    Broker,
    /// It was set for this topic.
    Topic,
    /// From somewhere that this build does not know.
    Unknown,
}

/// A change of one config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets a value.
    Set {
        /// The key.
        key: String,
        /// The new value as text.
        value: String,
    },
    /// Goes back to the default.
    Reset {
        /// The key.
        key: String,
    },
}

impl From<v1::Config> for ConfigEntry {
    fn from(config: v1::Config) -> Self {
        let source = match config.source() {
            v1::ConfigSource::Default => ConfigSource::Default,
            v1::ConfigSource::Broker => ConfigSource::Broker,
            v1::ConfigSource::Topic => ConfigSource::Topic,
            v1::ConfigSource::Unspecified => ConfigSource::Unknown,
        };
        let (read_only, sensitive) = (config.read_only, config.sensitive);
        Self { key: config.key, value: config.value, source, read_only, sensitive }
    }
}

impl From<ConfigChange> for v1::ConfigChange {
    fn from(change: ConfigChange) -> Self {
        match change {
            ConfigChange::Set { key, value } => Self { key, value: Some(value) },
            ConfigChange::Reset { key } => Self { key, value: None },
        }
    }
}

impl Admin {
    /// Changes configs of a topic: all of these, or none.
    ///
    /// # Errors
    /// If there is no such topic, a key or value is wrong, or nobody answers.
    pub async fn alter_topic_configs(
        &self,
        topic: &str,
        changes: impl IntoIterator<Item = ConfigChange>,
    ) -> Result<(), AdminError> {
        let name = topic_name(topic)?;
        let changes = changes.into_iter().map(v1::ConfigChange::from).collect();
        let topics = vec![v1::TopicConfigChanges { topic: Some(topic_ref(&name)), changes }];
        let request = v1::AlterTopicConfigsRequest { topics, validate_only: false };
        let call = |channel| {
            let request = request.clone();
            async move { admin_stub(channel).alter_topic_configs(request).await }
        };
        let read = |answer: v1::AlterTopicConfigsResponse| done(only(answer.results)?.error);
        self.about(Subject::Topic(name), Target::Any, call, read).await
    }

    /// Tells all configs of a topic that are in force, by key.
    ///
    /// # Errors
    /// If there is no such topic, or nobody answers.
    pub async fn describe_topic_configs(&self, topic: &str) -> Result<Vec<ConfigEntry>, AdminError> {
        let name = topic_name(topic)?;
        let resource = v1::config_resource::Resource::Topic(topic_ref(&name));
        self.describe_configs(Subject::Topic(name), Target::Any, resource).await
    }

    /// Tells all configs of a broker that are in force, by key.
    ///
    /// # Errors
    /// If there is no such broker, or it does not answer.
    pub async fn describe_broker_configs(&self, broker: BrokerId) -> Result<Vec<ConfigEntry>, AdminError> {
        let resource = v1::config_resource::Resource::BrokerId(broker.get());
        self.describe_configs(Subject::Broker(broker), Target::Broker(broker), resource).await
    }

    async fn describe_configs(
        &self,
        subject: Subject,
        target: Target<'_>,
        resource: v1::config_resource::Resource,
    ) -> Result<Vec<ConfigEntry>, AdminError> {
        let resources = vec![v1::ConfigResource { resource: Some(resource) }];
        let request = v1::DescribeConfigsRequest { resources };
        let call = |channel| {
            let request = request.clone();
            async move { admin_stub(channel).describe_configs(request).await }
        };
        self.about(subject, target, call, |answer: v1::DescribeConfigsResponse| {
            let result = only(answer.results)?;
            done(result.error)?;
            Ok::<_, Refusal>(result.configs.into_iter().map(ConfigEntry::from).collect())
        })
        .await
    }
}
