//! What becomes of a record that was taken.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tidelog_proto::ids::{Offset, PartitionId, TopicName};
use tokio::sync::oneshot;

use super::window::Appended;
use crate::ProduceError;
use crate::metadata::Topic;

/// Where a record is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// Its offset. `None` with `Acks::None`, and where the broker says that an earlier try was stored but not where.
    pub offset: Option<Offset>,
    /// Its time, in milliseconds since the start of 1970 UTC: its own, or the leader's where the topic stamps that.
    pub timestamp_ms: i64,
}

/// Resolves once the record is acked, or failed for good. Dropping it changes nothing for the record.
#[derive(Debug)]
#[must_use = "only an awaited delivery tells whether the record is stored"]
pub struct Delivery {
    answer: oneshot::Receiver<Result<RecordMetadata, ProduceError>>,
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| answer.unwrap_or(Err(ProduceError::Abandoned)))
    }
}

/// Who waits for one record.
#[derive(Debug)]
pub(super) struct Waiting {
    answer: oneshot::Sender<Result<RecordMetadata, ProduceError>>,
    topic: Arc<Topic>,
    partition: PartitionId,
    timestamp_ms: i64,
}

impl Waiting {
    /// Makes both ends of a delivery.
    pub(super) fn pair(topic: Arc<Topic>, partition: PartitionId, timestamp_ms: i64) -> (Self, Delivery) {
        let (sender, answer) = oneshot::channel();
        (Self { answer: sender, topic, partition, timestamp_ms }, Delivery { answer })
    }

    /// Tells what became of the record that is the `place`th of its batch.
    pub(super) fn resolve(self, place: u64, result: &Result<Appended, ProduceError>) {
        let result = match result {
            Err(error) => Err(error.clone()),
            Ok(appended) => Ok(RecordMetadata {
                topic: self.topic.name.clone(),
                partition: self.partition,
                offset: appended.base_offset.and_then(|base| base.checked_add(place)),
                timestamp_ms: appended.log_append_time_ms.unwrap_or(self.timestamp_ms),
            }),
        };
        // Whoever sent the record may not care.
        let _ = self.answer.send(result);
    }
}
