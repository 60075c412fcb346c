//! Topics: create, list, describe, add partitions, delete.

use tidelog_proto::api::{self, FieldError, v1};
use tidelog_proto::ids::{BrokerId, LeaderEpoch, Offset, PartitionId, TopicId, TopicName};

use super::{Admin, AdminError, ConfigEntry, Refusal, Subject, only, topic_name, topic_ref};
use crate::client::Target;
use crate::connections::admin_stub;

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing is created before `create_topic`"]
pub struct NewTopic {
    name: String,
    partition_count: Option<u32>,
    replication_factor: Option<u32>,
    configs: Vec<v1::NewConfig>,
}

impl NewTopic {
    /// Starts with the brokers' defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), partition_count: None, replication_factor: None, configs: Vec::new() }
    }

    /// Sets how many partitions it has; the brokers' `num_partitions` if never called.
    pub const fn partitions(mut self, partition_count: u32) -> Self {
        self.partition_count = Some(partition_count);
        self
    }

    /// Sets how many replicas each partition has; the brokers' default if never called.
    pub const fn replication_factor(mut self, replication_factor: u32) -> Self {
        self.replication_factor = Some(replication_factor);
        self
    }

    /// Sets a config that differs from its default.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push(v1::NewConfig { key: key.into(), value: value.into() });
        self
    }
}

/// A topic that was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; `None` if it was only checked.
    pub id: Option<TopicId>,
    /// How many partitions it has.
    pub partition_count: u32,
    /// How many replicas each partition has.
    pub replication_factor: u32,
}

/// A topic in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicListing {
    /// Its name.
    pub name: TopicName,
    /// Its id.
    pub id: TopicId,
    /// Whether it belongs to the brokers.
    pub internal: bool,
    /// How many partitions it has.
    pub partition_count: u32,
    /// How many replicas each partition is meant to have.
    pub replication_factor: u32,
}

/// All about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: TopicName,
    /// Its id.
    pub id: TopicId,
    /// Whether it belongs to the brokers.
    pub internal: bool,
    /// How many replicas each partition is meant to have.
    pub replication_factor: u32,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionDescription>,
    /// All configs that are in force, by key.
    pub configs: Vec<ConfigEntry>,
}

/// All about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number.
    pub partition: PartitionId,
    /// The broker that leads it; `None` if none does now.
    pub leader: Option<BrokerId>,
    /// The epoch of that leader.
    pub leader_epoch: LeaderEpoch,
    /// The brokers that hold a replica, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Its log as the broker that answered has it; `None` if that holds no replica.
    pub replica: Option<ReplicaDescription>,
}

/// One broker's replica of a partition, at the time of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaDescription {
    /// The first offset kept, inclusive.
    pub log_start_offset: Offset,
    /// The first offset that is not known to be committed, exclusive.
    pub high_watermark: Offset,
    /// The offset that the next record will get.
    pub log_end_offset: Offset,
    /// How many bytes its files take on the disk.
    pub log_bytes: u64,
}

impl Admin {
    /// Creates a topic.
    ///
    /// # Errors
    /// If the topic cannot be created, or nobody answers.
    pub async fn create_topic(&self, topic: NewTopic) -> Result<CreatedTopic, AdminError> {
        self.create(topic, false).await
    }

    /// Checks whether a topic could be created, and creates nothing.
    ///
    /// # Errors
    /// If the topic could not be created, or nobody answers.
    pub async fn check_topic(&self, topic: NewTopic) -> Result<CreatedTopic, AdminError> {
        self.create(topic, true).await
    }

    async fn create(&self, topic: NewTopic, validate_only: bool) -> Result<CreatedTopic, AdminError> {
        let subject = Subject::Topic(topic_name(&topic.name)?);
        let topic = v1::NewTopic {
            name: topic.name,
            partition_count: topic.partition_count,
            replication_factor: topic.replication_factor,
            configs: topic.configs,
        };
        let request = v1::CreateTopicsRequest { topics: vec![topic], validate_only };
        let call = |channel| {
            let request = request.clone();
            async move { admin_stub(channel).create_topics(request).await }
        };
        self.about(subject, Target::Any, call, |answer| match only(answer.results)?.result {
            None => Err(FieldError::Missing { field: "results.result" }.into()),
            Some(v1::create_topics_result::Result::Error(error)) => Err((*error).into()),
            Some(v1::create_topics_result::Result::Created(created)) => {
                let id = (!created.topic_id.is_empty()).then(|| api::topic_id("topic_id", &created.topic_id));
                Ok(CreatedTopic {
                    id: id.transpose()?,
                    partition_count: created.partition_count,
                    replication_factor: created.replication_factor,
                })
            }
        })
        .await
    }

    /// Lists all topics by name; those that belong to the brokers too, if asked for.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn list_topics(&self, include_internal: bool) -> Result<Vec<TopicListing>, AdminError> {
        let request = v1::ListTopicsRequest { include_internal };
        let call = |channel| async move { admin_stub(channel).list_topics(request).await };
        self.about(Subject::Cluster, Target::Any, call, |answer| {
            let listed = answer.topics.into_iter().map(|topic| {
                Ok(TopicListing {
                    name: name_of(&topic.name)?,
                    id: api::topic_id("topics.topic_id", &topic.topic_id)?,
                    internal: topic.internal,
                    partition_count: topic.partition_count,
                    replication_factor: topic.replication_factor,
                })
            });
            Ok(listed.collect::<Result<_, FieldError>>()?)
        })
        .await
    }

    /// Tells all about a topic.
    ///
    /// # Errors
    /// If there is no such topic, or nobody answers.
    pub async fn describe_topic(&self, topic: &str) -> Result<TopicDescription, AdminError> {
        let name = topic_name(topic)?;
        let request = v1::DescribeTopicsRequest { topics: vec![topic_ref(&name)] };
        let call = |channel| {
            let request = request.clone();
            async move { admin_stub(channel).describe_topics(request).await }
        };
        self.about(Subject::Topic(name), Target::Any, call, |answer| match only(answer.results)?.result {
            None => Err(FieldError::Missing { field: "results.result" }.into()),
            Some(v1::describe_topics_result::Result::Error(error)) => Err((*error).into()),
            Some(v1::describe_topics_result::Result::Topic(topic)) => Ok(described(topic)?),
        })
        .await
    }

    /// Adds partitions until the topic has `partition_count`. Keys may belong to other partitions from then on.
    ///
    /// # Errors
    /// If there is no such topic, it has as many already, or nobody answers.
    pub async fn create_partitions(&self, topic: &str, partition_count: u32) -> Result<(), AdminError> {
        let name = topic_name(topic)?;
        let topics = vec![v1::TopicPartitionCount { topic: Some(topic_ref(&name)), partition_count }];
        let request = v1::CreatePartitionsRequest { topics, validate_only: false };
        let call = |channel| {
            let request = request.clone();
            async move { admin_stub(channel).create_partitions(request).await }
        };
        let read = |answer: v1::CreatePartitionsResponse| done(only(answer.results)?.error);
        self.about(Subject::Topic(name), Target::Any, call, read).await
    }

    /// Deletes a topic and all its records, for good.
    ///
    /// # Errors
    /// If there is no such topic, or nobody answers.
    pub async fn delete_topic(&self, topic: &str) -> Result<(), AdminError> {
        let name = topic_name(topic)?;
        let request = v1::DeleteTopicsRequest { topics: vec![topic_ref(&name)] };
        let call = |channel| {
            let request = request.clone();
            async move { admin_stub(channel).delete_topics(request).await }
        };
        let read = |answer: v1::DeleteTopicsResponse| done(only(answer.results)?.error);
        self.about(Subject::Topic(name), Target::Any, call, read).await
    }
}

/// Reads a result that is only an error or none.
pub(super) fn done(error: Option<v1::Error>) -> Result<(), Refusal> {
    error.map_or(Ok(()), |error| Err(error.into()))
}

fn name_of(name: &str) -> Result<TopicName, FieldError> {
    TopicName::new(name).map_err(|error| FieldError::TopicName { field: "topics.name", error })
}

fn described(topic: v1::TopicDescription) -> Result<TopicDescription, FieldError> {
    let partitions = topic.partitions.into_iter().map(|partition| {
        let metadata = partition.metadata.ok_or(FieldError::Missing { field: "partitions.metadata" })?;
        Ok(PartitionDescription {
            partition: PartitionId::new(metadata.partition),
            leader: metadata.leader_id.map(BrokerId::new),
            leader_epoch: api::leader_epoch("partitions.metadata.leader_epoch", metadata.leader_epoch)?,
            replicas: metadata.replica_ids.into_iter().map(BrokerId::new).collect(),
            replica: partition.replica.map(replica).transpose()?,
        })
    });
    Ok(TopicDescription {
        name: name_of(&topic.name)?,
        id: api::topic_id("topic_id", &topic.topic_id)?,
        internal: topic.internal,
        replication_factor: topic.replication_factor,
        partitions: partitions.collect::<Result<_, FieldError>>()?,
        configs: topic.configs.into_iter().map(ConfigEntry::from).collect(),
    })
}

fn replica(replica: v1::ReplicaDescription) -> Result<ReplicaDescription, FieldError> {
    Ok(ReplicaDescription {
        log_start_offset: api::offset("replica.log_start_offset", replica.log_start_offset)?,
        high_watermark: api::offset("replica.high_watermark", replica.high_watermark)?,
        log_end_offset: api::offset("replica.log_end_offset", replica.log_end_offset)?,
        log_bytes: replica.log_bytes,
    })
}
