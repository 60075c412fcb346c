//! Which offsets of which partitions a command reads.

use tidelog_client::{Admin, Client, IsolationLevel, Offset, OffsetSpec, Position, TopicDescription};

use crate::command_error::CommandError;
use crate::offsets::{OffsetRange, Place};

/// What to read of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionRange {
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) from: Position,
    /// Exclusive; `None`: without an end.
    pub(crate) end: Option<Offset>,
}

/// Describes a topic; where brokers create topics when they are named, it is created.
pub(crate) async fn topic_in_use(client: &Client, topic: &str) -> Result<TopicDescription, CommandError> {
    let admin = client.admin();
    let unknown = match admin.describe_topic(topic).await.map_err(CommandError::from) {
        Ok(described) => return Ok(described),
        Err(error @ CommandError::UnknownTopic { .. }) => error,
        Err(error) => return Err(error),
    };
    let cluster = admin.describe_cluster().await?;
    let Some(broker) = cluster.controller.or_else(|| cluster.brokers.first().map(|broker| broker.id)) else {
        return Err(unknown);
    };
    let configs = admin.describe_broker_configs(broker).await?;
    let creates = |key: &str, value: Option<&str>| key == "auto_create_topics" && value == Some("true");
    if !configs.iter().any(|config| creates(&config.key, config.value.as_deref())) {
        return Err(unknown);
    }
    // A consumer that asks for the topic makes the broker create it.
    let consumer = client.consumer().assign([(topic, 0, Position::End)]).build().await;
    drop(consumer.map_err(CommandError::ConsumerConfig)?.close().await);
    Ok(admin.describe_topic(topic).await?)
}

/// Gives the numbers of the partitions that are asked for; of all, if none is.
pub(crate) fn chosen(topic: &TopicDescription, asked: &[u32]) -> Result<Vec<u32>, CommandError> {
    let partition_count = topic.partitions.len();
    if let Some(&partition) = asked.iter().find(|partition| **partition as usize >= partition_count) {
        return Err(CommandError::UnknownPartition { topic: topic.name.to_string(), partition, partition_count });
    }
    let mut numbers: Vec<u32> = match asked {
        [] => topic.partitions.iter().map(|partition| partition.partition.get()).collect(),
        asked => asked.to_vec(),
    };
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// Finds a range in a partition; `None` if nothing is in it. A range with an end goes no further than the log does now, so
/// it always ends.
pub(crate) async fn resolve(
    admin: &Admin,
    (topic, partition): (&str, u32),
    range: OffsetRange,
    isolation: IsolationLevel,
    now_ms: i64,
) -> Result<Option<PartitionRange>, CommandError> {
    let looked_up = LookUp { admin, topic, partition, isolation, now_ms };
    let Some(to) = range.to else {
        let from = match range.from {
            Place::Start => Position::Start,
            Place::End => Position::End,
            Place::Time(time) => Position::Timestamp(time.resolve(now_ms)),
            place => Position::Offset(looked_up.offset(place).await?),
        };
        return Ok(Some(PartitionRange { topic: topic.to_owned(), partition, from, end: None }));
    };
    let (from, to) = (looked_up.offset(range.from).await?, looked_up.offset(to).await?);
    let end = to.min(looked_up.latest().await?);
    let range = PartitionRange { topic: topic.to_owned(), partition, from: Position::Offset(from), end: Some(end) };
    Ok((from < end).then_some(range))
}

/// A partition whose offsets are looked up.
struct LookUp<'a> {
    admin: &'a Admin,
    topic: &'a str,
    partition: u32,
    isolation: IsolationLevel,
    now_ms: i64,
}

impl LookUp<'_> {
    async fn offset(&self, place: Place) -> Result<Offset, CommandError> {
        Ok(match place {
            Place::Offset(offset) => Offset::new(offset),
            Place::Start => self.earliest().await?,
            Place::End => self.latest().await?,
            Place::AfterStart(count) => {
                let offset = self.earliest().await?.get().saturating_add(count);
                Offset::new(offset).min(self.latest().await?)
            }
            Place::BeforeEnd(count) => {
                let offset = self.latest().await?.get().saturating_sub(count);
                Offset::new(offset).max(self.earliest().await?)
            }
            Place::Time(time) => match self.look_up(OffsetSpec::Timestamp(time.resolve(self.now_ms))).await? {
                Some(offset) => offset,
                None => self.latest().await?,
            },
        })
    }

    async fn earliest(&self) -> Result<Offset, CommandError> {
        Ok(self.look_up(OffsetSpec::Earliest).await?.unwrap_or(Offset::ZERO))
    }

    async fn latest(&self) -> Result<Offset, CommandError> {
        Ok(self.look_up(OffsetSpec::Latest(self.isolation)).await?.unwrap_or(Offset::ZERO))
    }

    async fn look_up(&self, spec: OffsetSpec) -> Result<Option<Offset>, CommandError> {
        Ok(self.admin.list_offset(self.topic, self.partition, spec).await?.offset)
    }
}
