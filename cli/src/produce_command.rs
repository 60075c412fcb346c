//! `tidelog produce`: appends records to a topic.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde_json::json;
use tidelog_client::{
    Acks, Client, Compression, Partitioning, ProduceError, Producer, Record, SendError, TopicDescription,
};
use tokio::sync::mpsc;

use crate::byte_text::{ByteCount, Counted};
use crate::command_error::CommandError;
use crate::connection::Connection;
use crate::deliveries::{Deliveries, DeliveryCounts};
use crate::input_format::{InputFormat, InputRecord};
use crate::output::Output;
use crate::progress::Progress;
use crate::read_range::topic_in_use;
use crate::record_input::{self, Chunk, Origin, ReadError};
use crate::running::{self, Interrupt};
use crate::usage_error::UsageError;
use crate::{Options, Outcome};

/// What topics take of a batch unless they are told otherwise.
const BATCH_BYTES_MAX: u32 = 1024 * 1024;

#[derive(Clone, Debug, Args)]
pub(crate) struct Produce {
    /// The topic.
    topic: String,
    /// Files to read records from, one a line unless --format says otherwise; `-` is the standard input, which is read if
    /// no file and no --value is given.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A record to send, instead of what is in files; may repeat.
    #[arg(short, long, value_name = "TEXT", conflicts_with = "files", allow_hyphen_values = true)]
    value: Vec<String>,
    /// The key of every record that has none of its own.
    #[arg(short, long, allow_hyphen_values = true)]
    key: Option<String>,
    /// A header of every record; may repeat.
    #[arg(short = 'H', long, value_name = "NAME:VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// How records stand in the input: %k key (none if empty), %v value, %p partition, %T timestamp, %h{name} header, each up to
    /// the characters behind it; {hex}, {base64} and {json} behind %k and %v decode. What stands last ends a record, a line
    /// break if nothing does.
    #[arg(short, long)]
    format: Option<InputFormat>,
    /// How batches are compressed.
    #[arg(short = 'z', long, value_enum, default_value_t = Codec::None, value_name = "CODEC")]
    compression: Codec,
    /// Who chooses partitions: key-hash takes them from the key, and where there is none fills one after the other.
    #[arg(long, value_enum, value_name = "NAME")]
    partitioner: Option<PartitionerName>,
    /// The partition of every record.
    #[arg(short, long, value_name = "N")]
    partition: Option<u32>,
    /// What a record counts as stored by: all, a majority has synced it; leader, the leader has; none, it was sent.
    #[arg(long, value_enum, default_value_t = AcksName::All, value_name = "ACKS")]
    acks: AcksName,
    /// How long a batch may wait to be filled, in milliseconds, while others are on their way.
    #[arg(long, default_value_t = 5, value_name = "MS")]
    linger: u64,
    /// When a batch counts as full, in bytes.
    #[arg(long, default_value_t = 256 * 1024, value_name = "N")]
    batch_bytes: u32,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Codec {
    None,
    Gzip,
    Lz4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PartitionerName {
    KeyHash,
    RoundRobin,
    Sticky,
    Manual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AcksName {
    All,
    Leader,
    None,
}

fn header(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once(':').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or("a header is NAME:VALUE, such as source:web")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Produce {
    pub(crate) fn run(self, options: Options) -> Result<Outcome, CommandError> {
        self.check()?;
        running::run_in_order(move |interrupt| async move { self.produce(options, interrupt).await })
    }

    fn check(&self) -> Result<(), UsageError> {
        let is_manual = self.partitioner.map(|name| name == PartitionerName::Manual);
        if self.partition.is_some() && is_manual == Some(false) {
            return Err(UsageError::PartitionWithoutManual);
        }
        let format_has_partition = self.format.as_ref().is_some_and(InputFormat::has_partition);
        if is_manual == Some(true) && self.partition.is_none() && !format_has_partition {
            return Err(UsageError::ManualWithoutPartition);
        }
        if self.format.is_some() && !self.value.is_empty() {
            return Err(UsageError::FormatAndValues);
        }
        Ok(())
    }

    async fn produce(&self, options: Options, mut interrupt: Interrupt) -> Result<Outcome, CommandError> {
        let started = Instant::now();
        let start = async {
            let client = self.connection.connect().await?;
            let topic = topic_in_use(&client, &self.topic).await?;
            self.producer(&client, &topic).await
        };
        let producer = tokio::select! {
            // Nothing was read yet.
            () = interrupt.asked() => return Ok(Outcome::Done),
            producer = start => producer?,
        };
        let mut chunks = self.chunks()?;
        let mut sending = Sending {
            producer: producer.clone(),
            deliveries: Deliveries::new(),
            progress: Progress::bytes(options.quiet),
            bytes: 0,
        };
        let mut stopped = None;
        while stopped.is_none() && !sending.deliveries.has_failed() {
            let chunk = tokio::select! {
                biased;
                () = interrupt.asked() => break,
                chunk = chunks.recv() => chunk,
            };
            let Some(chunk) = chunk else { break };
            stopped = self.send_all(chunk, &mut sending, &mut interrupt).await;
        }
        // Fails only where it was closed before.
        drop(producer.close().await);
        sending.deliveries.collect_all().await;
        let counts = sending.deliveries.counts();
        drop(sending.progress);
        let cause = match (sending.deliveries.take_failure(), stopped) {
            (Some((origin, error)), _) => Some((origin, Cause::Delivery(error))),
            (None, stopped) => stopped,
        };
        if let Some((origin, cause)) = cause {
            return Err(CommandError::Produce(Box::new(ProduceFailure { origin, cause, counts })));
        }
        self.report(counts.acked, sending.bytes, started, options)?;
        Ok(Outcome::Done)
    }

    /// Sends a chunk; gives what makes it stop, if anything does.
    async fn send_all(
        &self,
        chunk: Chunk,
        sending: &mut Sending,
        interrupt: &mut Interrupt,
    ) -> Option<(Origin, Cause)> {
        for read in chunk.records {
            let bytes = read.input_bytes;
            let sent = tokio::select! {
                biased;
                sent = sending.producer.send(self.record(read.record)) => sent,
                () = interrupt.asked() => return None,
            };
            match sent {
                Ok(delivery) => sending.deliveries.push(read.origin, delivery).await,
                Err(error) => return Some((read.origin, Cause::Send(error))),
            }
            sending.bytes += bytes;
            sending.progress.advance(bytes);
            if sending.deliveries.has_failed() {
                return None;
            }
        }
        chunk.failure.map(|(origin, error)| (origin, Cause::Read(error)))
    }

    async fn producer(&self, client: &Client, topic: &TopicDescription) -> Result<Producer, CommandError> {
        let taken = topic.configs.iter().find(|config| config.key == "batch_bytes_max");
        let taken = taken.and_then(|config| config.value.as_ref()?.parse().ok()).unwrap_or(BATCH_BYTES_MAX);
        let compression = match self.compression {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::Gzip,
            Codec::Lz4 => Compression::Lz4,
        };
        let partitioning = match self.partitioner {
            None | Some(PartitionerName::KeyHash) => Partitioning::KeyHash,
            Some(PartitionerName::RoundRobin) => Partitioning::RoundRobin,
            Some(PartitionerName::Sticky) => Partitioning::Sticky,
            Some(PartitionerName::Manual) => Partitioning::Manual,
        };
        let acks = match self.acks {
            AcksName::All => Acks::All,
            AcksName::Leader => Acks::Leader,
            AcksName::None => Acks::None,
        };
        let builder = client.producer().compression(compression).partitioning(partitioning).acks(acks);
        // A topic may take less than a full batch is by default.
        let batch_bytes = if self.batch_bytes == 256 * 1024 { self.batch_bytes.min(taken) } else { self.batch_bytes };
        let builder = builder.linger_ms(self.linger).batch_bytes(batch_bytes).batch_bytes_max(taken);
        builder.build().await.map_err(CommandError::ProducerConfig)
    }

    /// Begins to read; values from the command line are a single chunk.
    fn chunks(&self) -> Result<mpsc::Receiver<Chunk>, CommandError> {
        let format = self.format.clone().unwrap_or_else(InputFormat::value_line);
        if self.value.is_empty() {
            let files = if self.files.is_empty() { vec![PathBuf::from("-")] } else { self.files.clone() };
            return record_input::start(&files, format);
        }
        let records = (1..).zip(&self.value).map(|(number, value)| record_input::ReadRecord {
            origin: Origin::Value { number },
            record: InputRecord { value: Some(Bytes::copy_from_slice(value.as_bytes())), ..InputRecord::default() },
            input_bytes: value.len() as u64,
        });
        let chunk = Chunk { records: records.collect(), failure: None };
        let (sender, receiver) = mpsc::channel(1);
        // There is room for one.
        drop(sender.try_send(chunk));
        Ok(receiver)
    }

    fn record(&self, input: InputRecord) -> Record {
        let mut record = Record::to(&self.topic);
        if let Some(key) = input.key.or_else(|| self.key.as_ref().map(|key| Bytes::copy_from_slice(key.as_bytes()))) {
            record = record.key(key);
        }
        if let Some(value) = input.value {
            record = record.value(value);
        }
        for (name, value) in &self.header {
            record = record.header(name, Bytes::copy_from_slice(value.as_bytes()));
        }
        for (name, value) in input.headers {
            record = record.header(name, value);
        }
        if let Some(partition) = input.partition.or(self.partition) {
            record = record.partition(partition);
        }
        if let Some(timestamp_ms) = input.timestamp_ms {
            record = record.timestamp(timestamp_ms);
        }
        record
    }

    fn report(&self, records: u64, bytes: u64, started: Instant, options: Options) -> Result<(), CommandError> {
        let elapsed = started.elapsed();
        let verb = if self.acks == AcksName::None { "sent to" } else { "stored in" };
        let counted = Counted(records, "record", "records");
        let size = ByteCount(bytes);
        let text = format!("{counted} {verb} topic {} ({size} in {:.1} s)", self.topic, elapsed.as_secs_f64());
        let mut output = Output::new(options.output);
        output.line(text, || {
            let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            json!({
                "type": "produced",
                "topic": self.topic,
                "records": records,
                "input_bytes": bytes,
                "elapsed_ms": elapsed_ms,
                "acked": self.acks != AcksName::None,
            })
        })?;
        output.finish()
    }
}

/// What is on its way.
struct Sending {
    producer: Producer,
    deliveries: Deliveries<Origin>,
    progress: Progress,
    /// Of the input.
    bytes: u64,
}

/// Not all records were stored.
#[derive(Debug)]
pub(crate) struct ProduceFailure {
    /// The first record that was not.
    origin: Origin,
    cause: Cause,
    counts: DeliveryCounts,
}

/// Why a record was not stored.
#[derive(Debug)]
enum Cause {
    Read(ReadError),
    Send(SendError),
    Delivery(ProduceError),
}

impl fmt::Display for ProduceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        match &self.cause {
            Cause::Read(error) => error.fmt(f)?,
            Cause::Send(error) => error.fmt(f)?,
            Cause::Delivery(error) => error.fmt(f)?,
        }
        write!(f, "; {}; nothing behind them was sent", self.counts)
    }
}

impl std::error::Error for ProduceFailure {}
