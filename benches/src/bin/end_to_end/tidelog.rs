//! Tidelog as applications meet it: a broker of a release build in a process of its own, and the client crate here.
//!
//! Producers and consumers have their defaults, but for what a row of a table says.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use tidelog_benches::Outcome;
use tidelog_benches::broker_process::BrokerProcess;
use tidelog_benches::process_usage::ProcessUsage;
use tidelog_client::{
    Client, Compression, ConsumerBuilder, Delivery, IsolationLevel, NewTopic, Offset, OffsetSpec, Position, Producer,
    Record,
};
use tokio::runtime::Runtime;

/// The broker, and a client of it.
#[derive(Debug)]
pub(crate) struct Tidelog {
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    broker: BrokerProcess,
    data_dir: PathBuf,
    topics: Cell<u32>,
}

/// What producing many records took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Produced {
    /// From the first record to the last ack.
    pub(crate) time: Duration,
    pub(crate) cpu: CpuSeconds,
}

/// What reading a topic brought.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Consumed {
    pub(crate) records: u64,
    /// Of values, and what was read of batches. The other one of both is 0.
    pub(crate) value_bytes: u64,
    pub(crate) batch_bytes: u64,
    pub(crate) batches: u64,
    /// From building the consumer to its end.
    pub(crate) time: Duration,
    pub(crate) cpu: CpuSeconds,
}

/// Processor time, of all threads of both processes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuSeconds {
    pub(crate) broker: f64,
    /// This program, whose work is that of the client crate.
    pub(crate) client: f64,
}

/// How an application reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    /// Record by record, each decoded.
    Records,
    /// Batch by batch, as they are stored.
    Batches,
}

impl Tidelog {
    /// Starts a broker below `dir`, and connects.
    pub(crate) fn start(dir: &Path) -> Outcome<Self> {
        let data_dir = dir.join("broker");
        let broker = BrokerProcess::start(&data_dir, &[])?;
        // As most applications have it.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let client = runtime.block_on(Client::connect(broker.address()))?;
        Ok(Self { runtime, client, broker, data_dir, topics: Cell::new(0) })
    }

    /// Ends both in order.
    pub(crate) fn stop(self) -> Outcome<()> {
        let Self { runtime, client, broker, .. } = self;
        drop(client);
        // Closes the connections, for which the broker would wait.
        drop(runtime);
        broker.stop()?;
        Ok(())
    }

    /// Returns what the broker writes into.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Creates a topic with a name of its own, and the other configs by default.
    pub(crate) fn create_topic(&self, partitions: u32) -> Outcome<String> {
        let number = self.topics.get() + 1;
        self.topics.set(number);
        let name = format!("topic-{number}");
        let topic = NewTopic::new(&name).partitions(partitions);
        self.runtime.block_on(self.client.admin().create_topic(topic))?;
        Ok(name)
    }

    /// Deletes a topic and all its records.
    pub(crate) fn delete_topic(&self, topic: &str) -> Outcome<()> {
        Ok(self.runtime.block_on(self.client.admin().delete_topic(topic))?)
    }

    /// Makes a producer that has sent one record of the topic: it is connected and has its identity.
    pub(crate) fn warm_producer(&self, topic: &str, compression: Compression) -> Outcome<Producer> {
        self.runtime.block_on(async {
            let producer = self.client.producer().compression(compression).build().await?;
            producer.send(Record::to(topic)).await?.await?;
            Ok(producer)
        })
    }

    /// Sends all records and waits for all acks.
    pub(crate) fn produce(&self, producer: Producer, records: Vec<Record>) -> Outcome<Produced> {
        let before = self.cpu()?;
        let sending = async { tokio::spawn(send_all(producer, records)).await? };
        let (time, deliveries, producer) = self.runtime.block_on(sending)?;
        let cpu = self.cpu()?.since(before);
        self.runtime.block_on(async {
            for delivery in deliveries {
                delivery.await?;
            }
            producer.close().await?;
            Outcome::Ok(())
        })?;
        Ok(Produced { time, cpu })
    }

    /// Reads all that is in a topic now.
    pub(crate) fn consume(&self, topic: &str, partitions: u32, reading: Reading) -> Outcome<Consumed> {
        let ends = self.ends(topic, partitions)?;
        let mut consumer = self.client.consumer();
        for (partition, end) in (0..).zip(ends) {
            consumer = consumer.assign_until(topic, partition, Position::Start, end);
        }
        let before = self.cpu()?;
        let mut consumed = self.runtime.block_on(async {
            match reading {
                Reading::Records => tokio::spawn(read_records(consumer)).await?,
                Reading::Batches => tokio::spawn(read_batches(consumer)).await?,
            }
        })?;
        consumed.cpu = self.cpu()?.since(before);
        Ok(consumed)
    }

    fn cpu(&self) -> Outcome<CpuSeconds> {
        let client = ProcessUsage::of(process::id())?.cpu_seconds;
        Ok(CpuSeconds { broker: self.broker.usage()?.cpu_seconds, client })
    }

    /// Looks up where each partition ends.
    fn ends(&self, topic: &str, partitions: u32) -> Outcome<Vec<Offset>> {
        let latest = OffsetSpec::Latest(IsolationLevel::ReadUncommitted);
        let queries = (0..partitions).map(|partition| (topic, partition, latest));
        let found = self.runtime.block_on(self.client.admin().list_offsets(queries));
        found.into_iter().map(|listed| Ok(listed?.offset.unwrap_or(Offset::ZERO))).collect()
    }
}

impl CpuSeconds {
    fn since(self, before: Self) -> Self {
        Self { broker: self.broker - before.broker, client: self.client - before.client }
    }
}

impl Consumed {
    /// Adds what another consumer read after this one.
    pub(crate) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.value_bytes += other.value_bytes;
        self.batch_bytes += other.batch_bytes;
        self.batches += other.batches;
        self.time += other.time;
        self.cpu.broker += other.cpu.broker;
        self.cpu.client += other.cpu.client;
    }
}

async fn send_all(producer: Producer, records: Vec<Record>) -> Outcome<(Duration, Vec<Delivery>, Producer)> {
    let mut deliveries = Vec::with_capacity(records.len());
    let start = Instant::now();
    for record in records {
        deliveries.push(producer.send(record).await?);
    }
    producer.flush().await?;
    Ok((start.elapsed(), deliveries, producer))
}

async fn read_records(consumer: ConsumerBuilder) -> Outcome<Consumed> {
    let start = Instant::now();
    let mut consumer = consumer.build().await?;
    let mut consumed = Consumed::default();
    while let Some(record) = consumer.next().await.transpose()? {
        consumed.records += 1;
        consumed.value_bytes += record.value.map_or(0, |value| value.len() as u64);
    }
    consumed.time = start.elapsed();
    consumer.close().await?;
    Ok(consumed)
}

async fn read_batches(consumer: ConsumerBuilder) -> Outcome<Consumed> {
    let start = Instant::now();
    let mut consumer = consumer.build().await?;
    let mut consumed = Consumed::default();
    while let Some(batch) = consumer.next_batch().await.transpose()? {
        consumed.batches += 1;
        consumed.records += u64::from(batch.stored().header().record_count());
        consumed.batch_bytes += batch.stored().bytes().len() as u64;
    }
    consumed.time = start.elapsed();
    consumer.close().await?;
    Ok(consumed)
}
