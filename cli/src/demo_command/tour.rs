//! The tour itself.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tempfile::TempDir;
use tidelog_client::{
    AdminError, Client, Compression, ConsumeError, ConsumerConfigError, IsolationLevel, NewTopic, Offset, OffsetSpec,
    Position, ProduceError, ProducerConfigError, Record, SendError,
};
use tidelog_server::config::{ConfigError, Settings};
use tidelog_server::{Broker, BrokerError};

use super::input::Input;
use super::ledger::Ledger;
use crate::command_error::CommandError;
use crate::output::Output;
use crate::progress::Progress;

const TOPIC: &str = "demo";
const PARTITIONS: u32 = 6;

/// Deliveries that are not awaited yet: their records are bounded by the producer's own buffer, these by this.
const UNAWAITED_MAX: usize = 100_000;

/// The second and the third quarter of the time that producing took are replayed.
const REPLAYED_QUARTERS: (u64, u64) = (1, 3);

/// Takes the tour.
pub(super) async fn run(
    input: &Input,
    data_dir: Option<PathBuf>,
    output: &mut Output,
    progress: &dyn Fn() -> Progress,
) -> Result<(), TourError> {
    let temporary = if data_dir.is_none() { Some(TempDir::new().map_err(TourError::Runtime)?) } else { None };
    let dir = data_dir.or_else(|| temporary.as_ref().map(|dir| dir.path().join("data"))).unwrap_or_default();
    let path = dir.display().to_string();
    let broker = start(&path).await?;
    let address = broker.address().to_string();
    let facts = json!({ "address": address, "data_dir": path });
    say(output, "a broker runs", facts, format!("at {address}, data in {path}"))?;
    let client = Client::connect(&address).await.map_err(|error| TourError::Client(error.to_string()))?;
    show(&client, input, output, progress).await?;
    drop(client);
    broker.stop().await.map_err(TourError::Broker)?;
    let (is_kept, text) = match temporary {
        Some(dir) => {
            dir.close().map_err(TourError::Runtime)?;
            (false, "the broker, in order; its temporary data is removed (--data-dir DIR keeps it)".to_owned())
        }
        None => (true, format!("the broker, in order; look into its data with: tidelog log verify {path}")),
    };
    say(output, "stopped", json!({ "data_kept": is_kept }), text)
}

async fn start(data_dir: &str) -> Result<Broker, TourError> {
    let mut settings = Settings::default();
    for (key, value) in [("data_dir", data_dir), ("listen", "127.0.0.1:0"), ("http_listen", "127.0.0.1:0")] {
        settings.set_flag(key, value).map_err(TourError::Config)?;
    }
    Broker::start(&settings).await.map_err(TourError::Broker)
}

/// Shows what a client can do.
async fn show(
    client: &Client,
    input: &Input,
    output: &mut Output,
    progress: &dyn Fn() -> Progress,
) -> Result<(), TourError> {
    client.admin().create_topic(NewTopic::new(TOPIC).partitions(PARTITIONS)).await.map_err(TourError::Admin)?;
    let produced = produce(client, input, &progress()).await?;
    let seconds = produced.took.as_secs_f64();
    let text = format!(
        "{} records with {} keys, {:.1} MB in {seconds:.2} s: {:.0} records/s, {:.1} MB/s, each acked after its sync",
        produced.ledger.records(),
        produced.ledger.keys(),
        mb(input.bytes),
        input.lines as f64 / seconds,
        mb(input.bytes) / seconds,
    );
    let facts = json!({ "records": produced.ledger.records(), "keys": produced.ledger.keys(), "bytes": input.bytes, "seconds": seconds });
    say(output, "produced", facts, text)?;

    let described = client.admin().describe_topic(TOPIC).await.map_err(TourError::Admin)?;
    let log_bytes: u64 = described
        .partitions
        .iter()
        .filter_map(|partition| partition.replica.as_ref())
        .map(|replica| replica.log_bytes)
        .sum();
    let ratio = input.bytes as f64 / log_bytes.max(1) as f64;
    let text = format!("{:.1} MB in {PARTITIONS} partitions, {ratio:.1} times smaller than the text", mb(log_bytes));
    say(output, "on disk", json!({ "log_bytes": log_bytes, "partitions": PARTITIONS, "ratio": ratio }), text)?;

    let read = consume(client, &progress(), |_| true).await?;
    if read.ledger != produced.ledger {
        return Err(TourError::Differs { sent: produced.ledger.records(), came: read.ledger.records() });
    }
    let seconds = read.took.as_secs_f64();
    let text = format!(
        "all {} records back, each once and in the order of its key, in {seconds:.2} s: {:.0} records/s, {:.1} MB/s",
        read.ledger.records(),
        input.lines as f64 / seconds,
        mb(input.bytes) / seconds,
    );
    say(output, "consumed", json!({ "records": read.ledger.records(), "seconds": seconds, "checked": true }), text)?;

    let (from, to) = produced.quarters();
    let expected = consume(client, &progress(), |timestamp| (from..to).contains(&timestamp)).await?;
    let replayed = replay(client, from, to).await?;
    if replayed != expected.ledger {
        return Err(TourError::Differs { sent: expected.ledger.records(), came: replayed.records() });
    }
    let text =
        format!("the {} records of {} ms in the middle, found by their time, checked", replayed.records(), to - from);
    let facts = json!({ "records": replayed.records(), "from_ms": from, "to_ms": to, "checked": true });
    say(output, "replayed", facts, text)
}

fn say(output: &mut Output, step: &str, facts: serde_json::Value, text: String) -> Result<(), TourError> {
    let line = format!("{:<15}{text}", format!("{step}:"));
    output.line(line, || json!({ "step": step, "facts": facts })).map_err(|error| TourError::Output(Box::new(error)))
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

struct Produced {
    ledger: Ledger,
    took: Duration,
    /// The clock at the first record and behind the last.
    first_ms: i64,
    end_ms: i64,
}

impl Produced {
    /// Gives the part of the time that is replayed, in milliseconds since 1970.
    fn quarters(&self) -> (i64, i64) {
        let (from, to) = REPLAYED_QUARTERS;
        let quarter = self.end_ms.abs_diff(self.first_ms).max(4) / 4;
        let at = |quarters: u64| self.first_ms.saturating_add(i64::try_from(quarter * quarters).unwrap_or(i64::MAX));
        (at(from), at(to))
    }
}

async fn produce(client: &Client, input: &Input, progress: &Progress) -> Result<Produced, TourError> {
    let producer = client.producer().compression(Compression::Lz4).build().await.map_err(TourError::ProducerConfig)?;
    let mut ledger = Ledger::default();
    let mut deliveries = FuturesUnordered::new();
    let (started, first_ms) = (Instant::now(), now_ms());
    for file in &input.files {
        let key = Bytes::from(file.key.clone());
        for line in file.lines() {
            ledger.note(&key, &line);
            progress.advance(line.len() as u64);
            let record = Record::to(TOPIC).key(key.clone()).value(line).timestamp(now_ms());
            deliveries.push(producer.send(record).await.map_err(TourError::Send)?);
            while deliveries.len() > UNAWAITED_MAX {
                if let Some(delivered) = deliveries.next().await {
                    delivered.map_err(TourError::Produce)?;
                }
            }
        }
    }
    producer.close().await.map_err(TourError::Send)?;
    while let Some(delivered) = deliveries.next().await {
        delivered.map_err(TourError::Produce)?;
    }
    Ok(Produced { ledger, took: started.elapsed(), first_ms, end_ms: now_ms() })
}

struct Consumed {
    ledger: Ledger,
    took: Duration,
}

/// Reads every partition from its start to its end, and notes the records whose time is wanted.
async fn consume(client: &Client, progress: &Progress, is_wanted: impl Fn(i64) -> bool) -> Result<Consumed, TourError> {
    let mut builder = client.consumer();
    for partition in 0..PARTITIONS {
        let end = end_of(client, partition).await?;
        builder = builder.assign_until(TOPIC, partition, Position::Start, end);
    }
    let started = Instant::now();
    let mut consumer = builder.build().await.map_err(TourError::ConsumerConfig)?;
    let mut ledger = Ledger::default();
    while let Some(record) = consumer.next().await {
        let record = record.map_err(TourError::Consume)?;
        let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
        progress.advance(value.len() as u64);
        if is_wanted(record.timestamp_ms) {
            ledger.note(&key, &value);
        }
    }
    consumer.close().await;
    Ok(Consumed { ledger, took: started.elapsed() })
}

/// Reads from the first record since `from_ms` on, and notes those before `to_ms`.
///
/// Where a record is older than one before it, looking a time up may begin too early and never too late.
async fn replay(client: &Client, from_ms: i64, to_ms: i64) -> Result<Ledger, TourError> {
    let mut builder = client.consumer();
    for partition in 0..PARTITIONS {
        let end = end_of(client, partition).await?;
        builder = builder.assign_until(TOPIC, partition, Position::Timestamp(from_ms), end);
    }
    let mut consumer = builder.build().await.map_err(TourError::ConsumerConfig)?;
    let mut ledger = Ledger::default();
    while let Some(record) = consumer.next().await {
        let record = record.map_err(TourError::Consume)?;
        if (from_ms..to_ms).contains(&record.timestamp_ms) {
            ledger.note(&record.key.unwrap_or_default(), &record.value.unwrap_or_default());
        }
    }
    consumer.close().await;
    Ok(ledger)
}

async fn end_of(client: &Client, partition: u32) -> Result<Offset, TourError> {
    let latest = OffsetSpec::Latest(IsolationLevel::ReadUncommitted);
    let listed = client.admin().list_offset(TOPIC, partition, latest).await.map_err(TourError::Admin)?;
    Ok(listed.offset.unwrap_or(Offset::ZERO))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What stopped the tour.
#[derive(Debug)]
pub(crate) enum TourError {
    /// The machine gave no threads, or no temporary directory.
    Runtime(io::Error),
    /// The broker's configs are not allowed.
    Config(ConfigError),
    /// The broker did not start, or did not stop in order.
    Broker(BrokerError),
    /// The broker was not reached.
    Client(String),
    /// The topic was not created, or not found.
    Admin(AdminError),
    /// The producer was not set up.
    ProducerConfig(ProducerConfigError),
    /// A record was not taken.
    Send(SendError),
    /// A record was not stored.
    Produce(ProduceError),
    /// The consumer was not set up.
    ConsumerConfig(ConsumerConfigError),
    /// A partition could not be read.
    Consume(ConsumeError),
    /// What came back is not what was sent.
    Differs {
        /// Records sent.
        sent: u64,
        /// Records that came back.
        came: u64,
    },
    /// Results could not be written.
    Output(Box<CommandError>),
}

impl fmt::Display for TourError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::Broker(error) => error.fmt(f),
            Self::Client(error) => f.write_str(error),
            Self::Admin(error) => error.fmt(f),
            Self::ProducerConfig(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
            Self::Produce(error) => error.fmt(f),
            Self::ConsumerConfig(error) => error.fmt(f),
            Self::Consume(error) => error.fmt(f),
            Self::Differs { sent, came } => {
                write!(f, "{sent} records were sent and {came} came back, or not the same or not in their order")
            }
            Self::Output(error) => error.fmt(f),
        }
    }
}
