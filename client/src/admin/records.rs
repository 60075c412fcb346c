//! Records of partitions: where they are, and deleting the first ones.

use futures_util::{StreamExt, stream};
use tidelog_proto::api::{self, FieldError, IsolationLevel, v1};
use tidelog_proto::ids::{Offset, PartitionId};

use super::{Admin, AdminError, Subject, only, topic_name, topic_ref};
use crate::client::Target;
use crate::connections::{admin_stub, broker_stub};

/// Offsets that are looked up at the same time: enough to hide the delay of a network, few enough for any broker.
const LOOKUPS_MAX: usize = 16;

/// A place in a partition that is to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first record kept.
    Earliest,
    /// Where the next record for a reader of this isolation level will be.
    Latest(IsolationLevel),
    /// The first record whose timestamp is this or later, in milliseconds since the start of 1970 UTC.
    Timestamp(i64),
}

/// An offset that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; `None` if no record has the time asked for or a later one.
    pub offset: Option<Offset>,
    /// The timestamp of the record there, if it was looked up by time.
    pub timestamp_ms: Option<i64>,
}

impl Admin {
    /// Looks up an offset of a partition, at its leader.
    ///
    /// # Errors
    /// If there is no such partition, or its leader does not answer.
    pub async fn list_offset(&self, topic: &str, partition: u32, spec: OffsetSpec) -> Result<ListedOffset, AdminError> {
        let name = topic_name(topic)?;
        let (place, isolation) = match spec {
            OffsetSpec::Earliest => (named(v1::NamedOffset::Earliest), IsolationLevel::ReadUncommitted),
            OffsetSpec::Latest(isolation) => (named(v1::NamedOffset::Latest), isolation),
            OffsetSpec::Timestamp(timestamp_ms) => {
                (v1::list_offsets_query::Place::TimestampMs(timestamp_ms), IsolationLevel::ReadUncommitted)
            }
        };
        let query = v1::ListOffsetsQuery { topic: Some(topic_ref(&name)), partition, place: Some(place) };
        let isolation_level = v1::IsolationLevel::from(isolation).into();
        let request = v1::ListOffsetsRequest { queries: vec![query], isolation_level };
        let call = |channel| {
            let request = request.clone();
            async move { broker_stub(channel).list_offsets(request).await }
        };
        let partition = PartitionId::new(partition);
        let subject = Subject::Partition(name.clone(), partition);
        self.about(subject, Target::Leader(&name, partition), call, |answer| match only(answer.results)?.result {
            None => Err(FieldError::Missing { field: "results.result" }.into()),
            Some(v1::list_offsets_result::Result::Error(error)) => Err((*error).into()),
            Some(v1::list_offsets_result::Result::Listed(listed)) => {
                let offset = listed.offset.map(|offset| api::offset("results.listed.offset", offset)).transpose()?;
                Ok(ListedOffset { offset, timestamp_ms: listed.timestamp_ms })
            }
        })
        .await
    }

    /// Looks up many offsets, each at the leader of its partition and a few at a time; answers in the order of the queries.
    pub async fn list_offsets<T: Into<String>>(
        &self,
        queries: impl IntoIterator<Item = (T, u32, OffsetSpec)>,
    ) -> Vec<Result<ListedOffset, AdminError>> {
        let queries: Vec<(String, u32, OffsetSpec)> =
            queries.into_iter().map(|(topic, partition, spec)| (topic.into(), partition, spec)).collect();
        let lookups = queries.iter().map(|(topic, partition, spec)| self.list_offset(topic, *partition, *spec));
        stream::iter(lookups).buffered(LOOKUPS_MAX).collect().await
    }

    /// Deletes the records of a partition below `before`, for good, and returns its log start offset then.
    ///
    /// # Errors
    /// If there is no such partition, the offset is above its high watermark, or its leader does not answer.
    pub async fn delete_records(&self, topic: &str, partition: u32, before: Offset) -> Result<Offset, AdminError> {
        self.delete(topic, partition, v1::delete_records_partition::End::BeforeOffset(before.get())).await
    }

    /// Deletes every committed record of a partition, for good, and returns its log start offset then.
    ///
    /// # Errors
    /// If there is no such partition, or its leader does not answer.
    pub async fn delete_all_records(&self, topic: &str, partition: u32) -> Result<Offset, AdminError> {
        self.delete(topic, partition, v1::delete_records_partition::End::All(true)).await
    }

    async fn delete(
        &self,
        topic: &str,
        partition: u32,
        end: v1::delete_records_partition::End,
    ) -> Result<Offset, AdminError> {
        let name = topic_name(topic)?;
        let partitions = vec![v1::DeleteRecordsPartition { topic: Some(topic_ref(&name)), partition, end: Some(end) }];
        let request = v1::DeleteRecordsRequest { partitions };
        let call = |channel| {
            let request = request.clone();
            async move { admin_stub(channel).delete_records(request).await }
        };
        let partition = PartitionId::new(partition);
        let subject = Subject::Partition(name.clone(), partition);
        self.about(subject, Target::Leader(&name, partition), call, |answer| match only(answer.results)?.result {
            None => Err(FieldError::Missing { field: "results.result" }.into()),
            Some(v1::delete_records_result::Result::Error(error)) => Err((*error).into()),
            Some(v1::delete_records_result::Result::LogStartOffset(offset)) => {
                Ok(api::offset("results.log_start_offset", offset)?)
            }
        })
        .await
    }
}

fn named(offset: v1::NamedOffset) -> v1::list_offsets_query::Place {
    v1::list_offsets_query::Place::Named(offset.into())
}
