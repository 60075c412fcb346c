//! What becomes of a record that was taken: told once for each batch, to whoever waits for one of its records.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use tidelog_proto::ids::{Offset, PartitionId, TopicName};

use super::window::Appended;
use crate::ProduceError;

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
    batch: Arc<BatchOutcome>,
    /// The record's place in its batch.
    place: u32,
    timestamp_ms: i64,
    /// Where its waker is among those of the batch; `None` before it had to wait.
    waker_place: Option<usize>,
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let delivery = &mut *self;
        match delivery.batch.poll(&mut delivery.waker_place, context.waker()) {
            None => Poll::Pending,
            Some(Err(error)) => Poll::Ready(Err(error.clone())),
            Some(Ok(appended)) => Poll::Ready(Ok(RecordMetadata {
                topic: delivery.batch.topic.clone(),
                partition: delivery.batch.partition,
                offset: appended.base_offset.and_then(|base| base.checked_add(delivery.place.into())),
                timestamp_ms: appended.log_append_time_ms.unwrap_or(delivery.timestamp_ms),
            })),
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(place) = self.waker_place {
            self.batch.forget(place);
        }
    }
}

/// What becomes of a batch; shared by the batch and the deliveries of its records.
#[derive(Debug)]
struct BatchOutcome {
    topic: TopicName,
    partition: PartitionId,
    /// Set once, before the wakers are taken: who finds it unset while holding the wakers is woken.
    result: OnceLock<Result<Appended, ProduceError>>,
    /// Who waits, at most one for each record; `None` where somebody does no longer. Held to put one in or to take all
    /// out, never while one is woken or dropped.
    wakers: Mutex<Vec<Option<Waker>>>,
}

impl BatchOutcome {
    /// Returns the result; if there is none yet, sees to it that `waker` is woken once there is.
    fn poll(&self, waker_place: &mut Option<usize>, waker: &Waker) -> Option<&Result<Appended, ProduceError>> {
        if let Some(result) = self.result.get() {
            return Some(result);
        }
        let waker = waker.clone();
        let mut wakers = self.lock_wakers();
        if let Some(result) = self.result.get() {
            return Some(result);
        }
        let replaced = match waker_place.and_then(|place| wakers.get_mut(place)) {
            Some(known) => known.replace(waker),
            None => {
                *waker_place = Some(wakers.len());
                wakers.push(Some(waker));
                None
            }
        };
        drop(wakers);
        // Only now: with it may go a task that holds another delivery of this batch.
        drop(replaced);
        None
    }

    /// Wakes a delivery that was dropped no more.
    fn forget(&self, place: usize) {
        let waker = self.lock_wakers().get_mut(place).and_then(Option::take);
        drop(waker);
    }

    fn tell(&self, result: Result<Appended, ProduceError>) {
        if self.result.set(result).is_ok() {
            let wakers = std::mem::take(&mut *self.lock_wakers());
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }

    fn lock_wakers(&self) -> MutexGuard<'_, Vec<Option<Waker>>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everybody who waits for the records of one batch. Dropped without a word, it tells them that nobody knows.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// `None` before the first record joins.
    outcome: Option<Arc<BatchOutcome>>,
    records: u32,
}

impl Waiting {
    /// Lets the next record of the batch join; all are of the same partition.
    pub(super) fn join(&mut self, topic: &TopicName, partition: PartitionId, timestamp_ms: i64) -> Delivery {
        let outcome = self.outcome.get_or_insert_with(|| {
            let (result, wakers) = (OnceLock::new(), Mutex::default());
            Arc::new(BatchOutcome { topic: topic.clone(), partition, result, wakers })
        });
        let place = self.records;
        self.records += 1;
        Delivery { batch: Arc::clone(outcome), place, timestamp_ms, waker_place: None }
    }

    /// Tells what became of the batch.
    pub(super) fn resolve(mut self, result: Result<Appended, ProduceError>) {
        if let Some(outcome) = self.outcome.take() {
            outcome.tell(result);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            outcome.tell(Err(ProduceError::Abandoned));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wakes {
        fn poll(self: &Arc<Self>, delivery: &mut Delivery) -> Poll<Result<RecordMetadata, ProduceError>> {
            Pin::new(delivery).poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
        }

        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn join(waiting: &mut Waiting, timestamp_ms: i64) -> Delivery {
        waiting.join(&TopicName::new("t").unwrap(), PartitionId::new(3), timestamp_ms)
    }

    fn appended_at(base_offset: u64) -> Result<Appended, ProduceError> {
        Ok(Appended { base_offset: Some(Offset::new(base_offset)), log_append_time_ms: None })
    }

    #[test]
    fn each_record_of_a_batch_is_told_its_own_offset_and_time() {
        let mut waiting = Waiting::default();
        let mut deliveries = [join(&mut waiting, 5), join(&mut waiting, 6)];
        waiting.resolve(appended_at(40));
        let told = deliveries.each_mut().map(|delivery| match Arc::new(Wakes::default()).poll(delivery) {
            Poll::Ready(Ok(told)) => (told.offset.map(Offset::get), told.timestamp_ms, told.partition.get()),
            other => panic!("{other:?}"),
        });
        assert_eq!(told, [(Some(40), 5, 3), (Some(41), 6, 3)]);
    }

    #[test]
    fn those_who_wait_are_woken_once_by_the_last_waker_and_those_who_left_are_not() {
        let mut waiting = Waiting::default();
        let (mut stays, mut leaves) = (join(&mut waiting, 0), join(&mut waiting, 0));
        let [old, new, left] = std::array::from_fn(|_| Arc::new(Wakes::default()));
        assert!(old.poll(&mut stays).is_pending() && left.poll(&mut leaves).is_pending());
        assert!(new.poll(&mut stays).is_pending());
        drop(leaves);
        assert_eq!((Arc::strong_count(&old), Arc::strong_count(&left)), (1, 1), "no waker is kept for nothing");
        waiting.resolve(appended_at(0));
        assert_eq!([&old, &new, &left].map(|wakes| wakes.count()), [0, 1, 0]);
        assert!(new.poll(&mut stays).is_ready());
    }

    #[test]
    fn a_batch_that_is_dropped_without_a_word_is_abandoned() {
        let mut waiting = Waiting::default();
        let mut delivery = join(&mut waiting, 0);
        let wakes = Arc::new(Wakes::default());
        assert!(wakes.poll(&mut delivery).is_pending());
        drop(waiting);
        assert_eq!(wakes.count(), 1);
        assert!(matches!(wakes.poll(&mut delivery), Poll::Ready(Err(ProduceError::Abandoned))));
    }
}
