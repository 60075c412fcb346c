//! How a producer is set up.

use std::sync::Arc;
use std::time::Duration;

use tidelog_proto::api::Acks;
use tidelog_proto::batch::Compression;

use super::accumulator::BatchSettings;
use super::dispatch::SendSettings;
use crate::client::Shared;
use crate::connections::MESSAGE_BYTES_MAX;
use crate::partitioner::{KeyHash, Partitioner, RoundRobin, Sticky};
use crate::{Producer, ProducerConfigError};

/// The most batches of one partition on the way: as many as brokers remember of a producer.
const IN_FLIGHT_MAX: usize = 5;

/// When a request counts as full: large enough that its cost does not show, small enough that acks come often.
const REQUEST_BYTES: usize = 1024 * 1024;

/// How much later than the broker's own deadline an ack may come before the stream counts as stuck.
const ACK_GRACE: Duration = Duration::from_secs(5);

/// What a request takes around its batches at most, so that one batch always fits into a message.
const REQUEST_OVERHEAD_BYTES: usize = 1024;

/// Who chooses the partitions of records that name none.
#[derive(Debug)]
pub enum Partitioning {
    /// [`KeyHash`]: by key, as Kafka's clients; without a key one partition until a batch is full.
    KeyHash,
    /// [`RoundRobin`]: the next partition for every record.
    RoundRobin,
    /// [`Sticky`]: one partition until a batch is full, whatever the key.
    Sticky,
    /// Nobody: a record that names no partition is refused.
    Manual,
    /// The application.
    Own(Box<dyn Partitioner>),
}

/// Sets how a [`Producer`] gathers and sends records.
#[derive(Debug)]
#[must_use = "nothing is started before `build`"]
pub struct ProducerBuilder {
    client: Arc<Shared>,
    compression: Compression,
    batch_bytes: u32,
    batch_bytes_max: u32,
    buffer_bytes: usize,
    linger: Duration,
    in_flight_max: usize,
    acks: Acks,
    is_idempotent: bool,
    delivery_timeout: Duration,
    max_block: Duration,
    partitioning: Partitioning,
}

/// A producer's settings, checked.
#[derive(Debug)]
pub(super) struct ProducerSettings {
    pub(super) batches: BatchSettings,
    pub(super) sending: SendSettings,
    pub(super) acks: Acks,
    pub(super) request_timeout: Duration,
    pub(super) max_block: Duration,
    /// `None` if records must name their partition.
    pub(super) partitioner: Option<Box<dyn Partitioner>>,
}

impl ProducerBuilder {
    pub(crate) const fn new(client: Arc<Shared>) -> Self {
        Self {
            client,
            compression: Compression::None,
            batch_bytes: 256 * 1024,
            batch_bytes_max: 1024 * 1024,
            buffer_bytes: 32 * 1024 * 1024,
            linger: Duration::from_millis(5),
            in_flight_max: IN_FLIGHT_MAX,
            acks: Acks::All,
            is_idempotent: true,
            delivery_timeout: Duration::from_secs(120),
            max_block: Duration::from_secs(60),
            partitioning: Partitioning::KeyHash,
        }
    }

    /// Sets how batches are compressed: none, gzip or lz4; not at all by default.
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets when a batch counts as full, before compression; 256 KiB.
    pub const fn batch_bytes(mut self, batch_bytes: u32) -> Self {
        self.batch_bytes = batch_bytes;
        self
    }

    /// Sets the largest batch that one large record may make; 1 MiB, which is what topics take by default.
    pub const fn batch_bytes_max(mut self, batch_bytes_max: u32) -> Self {
        self.batch_bytes_max = batch_bytes_max;
        self
    }

    /// Sets how much the records that are not acked yet may take together; 32 MiB. `send` waits for room.
    pub const fn buffer_bytes(mut self, buffer_bytes: usize) -> Self {
        self.buffer_bytes = buffer_bytes;
        self
    }

    /// Sets how long a batch waits to be filled while others of its partition are on the way; 5 ms. A batch with nothing of
    /// its partition before it leaves at once.
    pub const fn linger_ms(mut self, linger_ms: u64) -> Self {
        self.linger = Duration::from_millis(linger_ms);
        self
    }

    /// Sets how many batches of one partition may be on the way; 5, which is also the most.
    pub const fn in_flight_max(mut self, in_flight_max: usize) -> Self {
        self.in_flight_max = in_flight_max;
        self
    }

    /// Sets when a record counts as appended; committed by default. Anything weaker switches idempotence off.
    pub const fn acks(mut self, acks: Acks) -> Self {
        self.acks = acks;
        self
    }

    /// Sets whether repeats are recognised by the brokers, so that each record is stored once and in order; they are.
    pub const fn idempotent(mut self, is_idempotent: bool) -> Self {
        self.is_idempotent = is_idempotent;
        self
    }

    /// Sets how long a record may take until its ack, all tries included; 120 s.
    pub const fn delivery_timeout(mut self, delivery_timeout: Duration) -> Self {
        self.delivery_timeout = delivery_timeout;
        self
    }

    /// Sets how long `send` may wait for the topic's partitions and for room in the buffer; 60 s.
    pub const fn max_block(mut self, max_block: Duration) -> Self {
        self.max_block = max_block;
        self
    }

    /// Sets who chooses partitions; by the hash of the key by default.
    pub fn partitioning(mut self, partitioning: Partitioning) -> Self {
        self.partitioning = partitioning;
        self
    }

    /// Starts the producer.
    ///
    /// # Errors
    /// If a setting is out of its range.
    #[expect(clippy::unused_async, reason = "transactions will ask the cluster here, and callers must not notice")]
    pub async fn build(self) -> Result<Producer, ProducerConfigError> {
        let client = Arc::clone(&self.client);
        Ok(Producer::start(client, self.checked()?))
    }

    fn checked(self) -> Result<ProducerSettings, ProducerConfigError> {
        match self.compression {
            Compression::None | Compression::Gzip | Compression::Lz4 => {}
            Compression::Snappy | Compression::Zstd => {
                return Err(ProducerConfigError::Compression { codec: self.compression.name() });
            }
        }
        let largest = (MESSAGE_BYTES_MAX - REQUEST_OVERHEAD_BYTES) as u64;
        in_range("batch_bytes_max", self.batch_bytes_max.into(), 128, largest)?;
        in_range("batch_bytes", self.batch_bytes.into(), 128, self.batch_bytes_max.into())?;
        in_range("buffer_bytes", self.buffer_bytes as u64, self.batch_bytes.into(), u32::MAX.into())?;
        in_range("in_flight_max", self.in_flight_max as u64, 1, IN_FLIGHT_MAX as u64)?;
        let timeout_ms = u64::try_from(self.delivery_timeout.as_millis()).unwrap_or(u64::MAX);
        in_range("delivery_timeout", timeout_ms, 1, 7 * 24 * 3_600_000)?;
        let batch_bytes = self.batch_bytes as usize;
        let partitioner: Option<Box<dyn Partitioner>> = match self.partitioning {
            Partitioning::KeyHash => Some(Box::new(KeyHash::new(batch_bytes))),
            Partitioning::RoundRobin => Some(Box::new(RoundRobin::new())),
            Partitioning::Sticky => Some(Box::new(Sticky::new(batch_bytes))),
            Partitioning::Manual => None,
            Partitioning::Own(own) => Some(own),
        };
        let request_timeout = self.client.request_timeout;
        Ok(ProducerSettings {
            batches: BatchSettings {
                compression: self.compression,
                batch_bytes: self.batch_bytes,
                batch_bytes_max: self.batch_bytes_max,
                buffer_bytes: self.buffer_bytes,
                linger: self.linger,
            },
            sending: SendSettings {
                is_idempotent: self.is_idempotent && self.acks == Acks::All,
                has_acks: self.acks != Acks::None,
                in_flight_max: self.in_flight_max,
                request_bytes: REQUEST_BYTES,
                delivery_timeout: self.delivery_timeout,
                ack_timeout: request_timeout + ACK_GRACE,
                backoff: self.client.backoff,
            },
            acks: self.acks,
            request_timeout,
            max_block: self.max_block,
            partitioner,
        })
    }
}

fn in_range(name: &'static str, value: u64, min: u64, max: u64) -> Result<(), ProducerConfigError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(ProducerConfigError::OutOfRange { name, value, min, max }) }
}
