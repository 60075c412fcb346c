//! What a partition remembers of its idempotent producers: enough to append every batch once, in order.
//!
//! The state follows from the committed entries alone, so every replica has the same, after replay, a snapshot or a
//! truncation. Nothing here reads a clock: age is the distance between append times.
//!
//! Source: KIP-98; Kafka's `ProducerStateManager`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;

use tidelog_proto::batch::ProducerStamp;
use tidelog_proto::ids::{Offset, ProducerEpoch, ProducerId, RaftIndex, Sequence};

/// Batches that are remembered of each producer: a repeat of an older one can no longer be told where it stands. As many
/// as a producer may have in flight.
pub const BATCHES_MAX: usize = 5;

/// How far back a sequence counts as old; anything further is ahead. Half of all sequences, since they wrap.
const OLD_MAX: u32 = Sequence::MAX.get() / 2;

/// Bounds of what is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducersConfig {
    /// Producers of one partition; one more, and the one that has been silent for longest is forgotten. Each costs about
    /// 200 bytes.
    pub producers_max: usize,
    /// A producer is forgotten when the partition's newest entry is this much younger than the producer's last.
    pub producer_id_expiration_ms: u64,
}

impl Default for ProducersConfig {
    fn default() -> Self {
        Self { producers_max: 10_000, producer_id_expiration_ms: 24 * 60 * 60 * 1000 }
    }
}

/// The idempotent producers of one partition, as of its last applied entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    config: ProducersConfig,
    by_id: HashMap<ProducerId, Producer>,
    /// The same producers by their last entry: the first has been silent for longest.
    by_last_index: BTreeMap<RaftIndex, ProducerId>,
}

/// What is remembered of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its incarnation; older ones are fenced.
    pub epoch: ProducerEpoch,
    /// Its last entry.
    pub last_index: RaftIndex,
    /// When that was appended.
    pub last_append_time_ms: i64,
    /// Its last batches under this epoch, oldest first: 1 to [`BATCHES_MAX`].
    pub batches: VecDeque<ProducedBatch>,
}

/// A batch of an idempotent producer, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedBatch {
    /// The sequence of its first offset.
    pub base_sequence: Sequence,
    /// How many sequences it takes, and offsets; at least 1.
    pub offset_count: u32,
    /// Its first offset.
    pub base_offset: Offset,
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It comes next: append it.
    Next,
    /// It was appended before, here: answer with that.
    Repeat(ProducedBatch),
}

impl ProducedBatch {
    /// Gives the sequence that comes after it.
    fn next_sequence(&self) -> Sequence {
        self.base_sequence.advanced_by(self.offset_count)
    }
}

impl Producer {
    /// Starts with no batch.
    pub(crate) fn new(epoch: ProducerEpoch) -> Self {
        let batches = VecDeque::with_capacity(BATCHES_MAX);
        Self { epoch, last_index: RaftIndex::new(0), last_append_time_ms: i64::MIN, batches }
    }

    /// Judges a batch by those before it.
    pub(crate) fn check(&self, stamp: &ProducerStamp, offset_count: u32) -> Result<Verdict, SequenceError> {
        // Markers of transactions carry no sequence and are never repeated by a producer.
        let Some(base_sequence) = stamp.base_sequence else { return Ok(Verdict::Next) };
        if stamp.epoch < self.epoch {
            return Err(SequenceError::Fenced { found: stamp.epoch, current: self.epoch });
        }
        if stamp.epoch > self.epoch {
            let expected = Sequence::new(0);
            let starts = base_sequence == expected;
            return if starts { Ok(Verdict::Next) } else { Err(SequenceError::Gap { expected, found: base_sequence }) };
        }
        let is_repeat =
            |batch: &&ProducedBatch| batch.base_sequence == base_sequence && batch.offset_count == offset_count;
        if let Some(batch) = self.batches.iter().find(is_repeat) {
            return Ok(Verdict::Repeat(*batch));
        }
        let Some(expected) = self.batches.back().map(ProducedBatch::next_sequence) else {
            return Ok(Verdict::Next);
        };
        if base_sequence == expected {
            return Ok(Verdict::Next);
        }
        let sequences = Sequence::MAX.get() + 1;
        let behind = (expected.get() + sequences - base_sequence.get()) % sequences;
        Err(if behind <= OLD_MAX {
            SequenceError::Old { expected, found: base_sequence }
        } else {
            SequenceError::Gap { expected, found: base_sequence }
        })
    }

    /// Adds a batch behind the others, or as the first of a new epoch.
    pub(crate) fn note(&mut self, epoch: ProducerEpoch, batch: ProducedBatch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
        if self.batches.len() == BATCHES_MAX {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
    }
}

impl Producers {
    /// Starts with nothing remembered.
    #[must_use]
    pub fn new(config: ProducersConfig) -> Self {
        Self { config, by_id: HashMap::new(), by_last_index: BTreeMap::new() }
    }

    /// Gives what is remembered of a producer.
    #[must_use]
    pub fn get(&self, id: ProducerId) -> Option<&Producer> {
        self.by_id.get(&id)
    }

    /// Lists the producers, the one that has been silent for longest first.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &Producer)> {
        self.by_last_index.values().filter_map(|id| self.by_id.get(id).map(|producer| (*id, producer)))
    }

    /// Judges a batch by what is remembered. A producer that is not remembered may begin with any sequence: it may have been
    /// silent for so long that it was forgotten.
    ///
    /// # Errors
    /// An old epoch, a gap, or a repeat of a batch that is no longer remembered.
    pub fn check(&self, stamp: &ProducerStamp, offset_count: u32) -> Result<Verdict, SequenceError> {
        self.by_id.get(&stamp.id).map_or(Ok(Verdict::Next), |producer| producer.check(stamp, offset_count))
    }

    /// Notes a committed batch. Whatever the log says is taken: it was judged before it was appended.
    ///
    /// `index` and `append_time_ms` must not be below those of the entries before.
    pub fn apply(&mut self, stamp: &ProducerStamp, batch: ProducedBatch, index: RaftIndex, append_time_ms: i64) {
        self.forget_before(append_time_ms);
        let producer =
            self.by_id.entry(stamp.id).or_insert_with(|| Producer { last_index: index, ..Producer::new(stamp.epoch) });
        self.by_last_index.remove(&producer.last_index);
        producer.note(stamp.epoch, batch);
        producer.last_index = index;
        producer.last_append_time_ms = append_time_ms;
        self.by_last_index.insert(index, stamp.id);
        if self.by_id.len() > self.config.producers_max {
            self.forget_first();
        }
    }

    /// Puts a remembered producer back, as a snapshot tells of it. Producers come in the order of [`Producers::iter`].
    pub fn restore(&mut self, id: ProducerId, producer: Producer) {
        self.by_last_index.insert(producer.last_index, id);
        self.by_id.insert(id, producer);
    }

    /// Forgets the producers whose time is over at `now_ms`, an append time.
    fn forget_before(&mut self, now_ms: i64) {
        let expiration_ms = self.config.producer_id_expiration_ms;
        let expires = |producer: &Producer| {
            let age_ms = now_ms.saturating_sub(producer.last_append_time_ms);
            u64::try_from(age_ms).is_ok_and(|age_ms| age_ms >= expiration_ms)
        };
        while self.iter().next().is_some_and(|(_, first)| expires(first)) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, id)) = self.by_last_index.pop_first() {
            self.by_id.remove(&id);
        }
    }
}

/// A batch that an idempotent producer must not append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceError {
    /// Another producer took over the id.
    Fenced {
        /// The batch's epoch.
        found: ProducerEpoch,
        /// The newest one seen.
        current: ProducerEpoch,
    },
    /// A batch before it is missing.
    Gap {
        /// The sequence that comes next.
        expected: Sequence,
        /// The batch's.
        found: Sequence,
    },
    /// It was appended before, too long ago to say where.
    Old {
        /// The sequence that comes next.
        expected: Sequence,
        /// The batch's.
        found: Sequence,
    },
}

impl fmt::Display for SequenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced { found, current } => write!(f, "producer epoch {found} is fenced by epoch {current}"),
            Self::Gap { expected, found } => write!(f, "sequence {found} where {expected} comes next"),
            Self::Old { expected, found } => write!(f, "sequence {found} was appended long before {expected}"),
        }
    }
}

impl std::error::Error for SequenceError {}
