//! Records that wait to be sent: one queue of batches for each partition. Pure: time is handed in, nothing waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tidelog_proto::batch::{BatchBuilder, Compression, NewRecord, PushError};
use tidelog_proto::ids::{PartitionId, TopicName};

/// How batches are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchSettings {
    pub(super) compression: Compression,
    /// When a batch counts as full, before compression. A larger record gets a batch of its own.
    pub(super) batch_bytes: u32,
    /// The largest batch, before compression.
    pub(super) batch_bytes_max: u32,
    /// How much all records that are not done may take together.
    pub(super) buffer_bytes: usize,
    /// How long a batch waits to be filled while others of its partition are on the way.
    pub(super) linger: Duration,
}

/// Batches in the queues may make room for this part of the buffer before there are records for it: enough for the batches
/// of some busy partitions, little beside what the records may take.
const RESERVED_SHARE: usize = 8;

/// The place of a partition among those that this producer ever wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(usize);

/// The place of a batch among all batches of this producer, in the order in which they were begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BatchNumber(u64);

/// Records of one partition that travel together, and the tokens of those who wait for them.
#[derive(Debug)]
pub(super) struct GatheredBatch<T> {
    pub(super) number: BatchNumber,
    pub(super) builder: BatchBuilder,
    pub(super) tokens: T,
    pub(super) created_at: Duration,
    /// What its records take of the buffer.
    pub(super) buffered_bytes: usize,
    /// The room that was made for its records when it was begun.
    reserved_bytes: u32,
    /// Whether it leaves without waiting for more: it is full, or somebody waits for a flush.
    is_closed: bool,
}

/// A record was not taken; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AppendError {
    /// There is no room in the buffer.
    BufferFull,
    /// It does not fit into any batch.
    TooLarge { batch_bytes: u64, batch_bytes_max: u32 },
}

/// All queues.
///
/// Invariants: a queue holds batches in the order in which they were begun, only its last one is open; the buffer counts
/// every record that was taken and not released.
#[derive(Debug)]
pub(super) struct Accumulator<T> {
    settings: BatchSettings,
    queues: Vec<PartitionQueue<T>>,
    slots: BTreeMap<TopicName, BTreeMap<PartitionId, Slot>>,
    /// The slots whose queues are not empty.
    filled: BTreeSet<Slot>,
    next_number: u64,
    buffered_bytes: usize,
    /// The room that was made for all batches in the queues when they were begun, whether records fill it or not.
    reserved_bytes: usize,
}

#[derive(Debug)]
struct PartitionQueue<T> {
    topic: TopicName,
    partition: PartitionId,
    batches: VecDeque<GatheredBatch<T>>,
    /// How large the last batch was that left, before compression; 0 before the first.
    last_batch_bytes: usize,
}

impl<T: Default> Accumulator<T> {
    pub(super) const fn new(settings: BatchSettings) -> Self {
        Self {
            settings,
            queues: Vec::new(),
            slots: BTreeMap::new(),
            filled: BTreeSet::new(),
            next_number: 0,
            buffered_bytes: 0,
            reserved_bytes: 0,
        }
    }

    /// Returns the slot of a partition, a new one if it has none.
    pub(super) fn slot(&mut self, topic: &TopicName, partition: PartitionId) -> Slot {
        if let Some(slot) = self.slots.get(topic).and_then(|of_topic| of_topic.get(&partition)) {
            return *slot;
        }
        let slot = Slot(self.queues.len());
        let (topic_name, batches) = (topic.clone(), VecDeque::new());
        self.queues.push(PartitionQueue { topic: topic_name, partition, batches, last_batch_bytes: 0 });
        self.slots.entry(topic.clone()).or_default().insert(partition, slot);
        slot
    }

    /// Returns the partition of a slot.
    pub(super) fn partition(&self, slot: Slot) -> (&TopicName, PartitionId) {
        let queue = &self.queues[slot.0];
        (&queue.topic, queue.partition)
    }

    /// Lists the slots where records wait.
    pub(super) fn filled(&self) -> impl Iterator<Item = Slot> {
        self.filled.iter().copied()
    }

    /// Returns how much of the buffer is taken.
    #[cfg(test)]
    pub(super) const fn buffered_bytes(&self) -> usize {
        self.buffered_bytes
    }

    /// Returns for how many bytes batches in the queues made room when they were begun.
    #[cfg(test)]
    pub(super) const fn reserved_bytes(&self) -> usize {
        self.reserved_bytes
    }

    /// Takes a record that needs `bytes` of the buffer: tells the time if that begins a batch (`now`), and lets whoever
    /// waits for it join the others of its batch (`join`). Returns what that gave, and whether there is something to do
    /// that the sender may not know of: a first batch, or one that is full.
    pub(super) fn append<J>(
        &mut self,
        slot: Slot,
        record: &NewRecord<'_>,
        bytes: usize,
        now: impl FnOnce() -> Duration,
        join: impl FnOnce(&mut T) -> J,
    ) -> Result<(J, bool), AppendError> {
        if self.buffered_bytes.saturating_add(bytes) > self.settings.buffer_bytes {
            return Err(AppendError::BufferFull);
        }
        let PartitionQueue { batches: queue, last_batch_bytes, .. } = &mut self.queues[slot.0];
        let was_empty = queue.is_empty();
        let mut begun = None;
        let open = queue.back_mut().filter(|batch| !batch.is_closed);
        let is_in_open = match open {
            None => false,
            Some(open) => match open.builder.push(record) {
                Ok(()) => true,
                Err(PushError::Full { .. } | PushError::TimestampDelta { .. } | PushError::RecordTooLarge { .. }) => {
                    false
                }
            },
        };
        if !is_in_open {
            let last_bytes = queue.back().map_or(*last_batch_bytes, |full| full.builder.encoded_bytes());
            let reserved_bytes = self.settings.reserve_bytes(last_bytes, self.reserved_bytes);
            begun = Some((begin(self.settings, record, reserved_bytes)?, reserved_bytes));
        }
        let closed = begun.is_some() && !was_empty;
        if let Some((builder, reserved_bytes)) = begun {
            if let Some(full) = queue.back_mut() {
                full.is_closed = true;
            }
            let number = BatchNumber(self.next_number);
            self.next_number += 1;
            self.reserved_bytes += reserved_bytes as usize;
            let is_closed = false;
            let created_at = now();
            queue.push_back(GatheredBatch {
                number,
                builder,
                tokens: T::default(),
                created_at,
                buffered_bytes: 0,
                reserved_bytes,
                is_closed,
            });
        }
        let batch = queue.back_mut().expect("one was begun if there was none");
        let joined = join(&mut batch.tokens);
        batch.buffered_bytes += bytes;
        self.buffered_bytes += bytes;
        if was_empty {
            self.filled.insert(slot);
        }
        let is_full = batch.builder.encoded_bytes() >= self.settings.batch_bytes as usize;
        batch.is_closed |= is_full;
        Ok((joined, was_empty || closed || is_full))
    }

    /// Takes the next batch of a partition if it may leave: it is closed, has lingered, or nothing of its partition is on
    /// the way (`is_idle`).
    pub(super) fn take(&mut self, slot: Slot, now: Duration, is_idle: bool) -> Option<GatheredBatch<T>> {
        let first = self.queues[slot.0].batches.front()?;
        let may_leave = is_idle || first.is_closed || first.created_at + self.settings.linger <= now;
        if may_leave { self.take_first(slot) } else { None }
    }

    /// Takes the first batch of a partition, if there is one.
    fn take_first(&mut self, slot: Slot) -> Option<GatheredBatch<T>> {
        let queue = &mut self.queues[slot.0];
        let first = queue.batches.pop_front()?;
        queue.last_batch_bytes = first.builder.encoded_bytes();
        self.reserved_bytes -= first.reserved_bytes as usize;
        if queue.batches.is_empty() {
            self.filled.remove(&slot);
        }
        Some(first)
    }

    /// Returns when the next batch of a partition leaves at the latest; `None` if there is none.
    pub(super) fn leaves_at(&self, slot: Slot) -> Option<Duration> {
        let first = self.queues[slot.0].batches.front()?;
        Some(if first.is_closed { first.created_at } else { first.created_at + self.settings.linger })
    }

    /// Returns when the oldest batch of a partition was begun.
    pub(super) fn oldest_created_at(&self, slot: Slot) -> Option<Duration> {
        self.queues[slot.0].batches.front().map(|batch| batch.created_at)
    }

    /// Takes the batches that were begun at or before `deadline`.
    pub(super) fn take_begun_until(&mut self, deadline: Duration) -> Vec<(Slot, GatheredBatch<T>)> {
        let mut taken = Vec::new();
        for slot in self.filled.clone() {
            while self.oldest_created_at(slot).is_some_and(|created_at| created_at <= deadline) {
                taken.extend(self.take_first(slot).map(|batch| (slot, batch)));
            }
        }
        taken
    }

    /// Closes every batch, so that all leave as soon as they can, and returns the number that the next batch will get.
    pub(super) fn close_batches(&mut self) -> BatchNumber {
        for slot in &self.filled {
            for batch in &mut self.queues[slot.0].batches {
                batch.is_closed = true;
            }
        }
        BatchNumber(self.next_number)
    }

    /// Returns the oldest batch that is waiting.
    pub(super) fn oldest(&self) -> Option<BatchNumber> {
        self.filled.iter().filter_map(|slot| self.queues[slot.0].batches.front()).map(|batch| batch.number).min()
    }

    /// Gives room in the buffer back.
    pub(super) fn release(&mut self, bytes: usize) {
        self.buffered_bytes = self.buffered_bytes.checked_sub(bytes).expect("only what was taken is released");
    }
}

impl BatchSettings {
    /// Returns for how many bytes a new batch makes room at once: as many as the partition's last one had and a few more,
    /// as far as all batches together may. Without room, a batch grows with its records.
    fn reserve_bytes(&self, last_batch_bytes: usize, reserved_bytes: usize) -> u32 {
        let wanted = last_batch_bytes.saturating_add(last_batch_bytes / 8);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).min(self.batch_bytes);
        let reserved_bytes_max = self.buffer_bytes / RESERVED_SHARE;
        if reserved_bytes.saturating_add(wanted as usize) <= reserved_bytes_max { wanted } else { 0 }
    }
}

/// Begins a batch with this record: of the usual size, or of its own if it is larger.
fn begin(settings: BatchSettings, record: &NewRecord<'_>, reserve_bytes: u32) -> Result<BatchBuilder, AppendError> {
    for limit in [settings.batch_bytes, settings.batch_bytes_max] {
        let mut builder = BatchBuilder::new(settings.compression).batch_bytes_max(limit).reserve(reserve_bytes);
        match builder.push(record) {
            Ok(()) => return Ok(builder),
            Err(PushError::RecordTooLarge { batch_bytes, batch_bytes_max }) if limit == settings.batch_bytes_max => {
                return Err(AppendError::TooLarge { batch_bytes, batch_bytes_max });
            }
            Err(PushError::RecordTooLarge { .. } | PushError::Full { .. } | PushError::TimestampDelta { .. }) => {}
        }
    }
    let batch_bytes_max = settings.batch_bytes_max;
    Err(AppendError::TooLarge { batch_bytes: u64::from(batch_bytes_max) + 1, batch_bytes_max })
}
