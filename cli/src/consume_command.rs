//! `tidelog consume`: reads records of topics.

use clap::Args;
use futures_util::FutureExt;
use tidelog_client::{Client, ConsumedBatch, Consumer, IsolationLevel};

use crate::command_error::CommandError;
use crate::connection::Connection;
use crate::format_parts::FormatParts;
use crate::offsets::OffsetRange;
use crate::output_format::OutputRecord;
use crate::read_range::{chosen, resolve, topic_in_use};
use crate::record_output::{RecordOutput, output_record};
use crate::running::{self, Interrupt};
use crate::timestamp::now_ms;
use crate::{Options, Outcome};

#[derive(Clone, Debug, Args)]
pub(crate) struct Consume {
    /// The topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// What to read of each partition: start, end, N, N:M, +N (after the start), -N (before the end), @TIME, @TIME:TIME,
    /// @TIME:end, :end. TIME is RFC 3339, a date, milliseconds since 1970, or a duration ago such as -90s. What has an end
    /// goes no further than the log does now, and then stops.
    #[arg(short, long, default_value = "end", value_name = "OFFSETS", allow_hyphen_values = true)]
    offsets: OffsetRange,
    /// The partitions, as in 0,1; all by default.
    #[arg(short, long, value_name = "N,...", value_delimiter = ',')]
    partitions: Vec<u32>,
    /// Stop after so many records.
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// How to write a record: %k key, %v value, %t topic, %p partition, %o offset, %T timestamp in milliseconds since 1970,
    /// %h{name} header, \n; {hex}, {base64} and {json} behind %k and %v. `%v\n` by default.
    #[arg(short, long, conflicts_with = "meta_only")]
    format: Option<FormatParts>,
    /// See no records of transactions that are open or were aborted.
    #[arg(long)]
    read_committed: bool,
    /// Write where records are, when they were made and how large they are, without keys and values.
    #[arg(long)]
    meta_only: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Consume {
    pub(crate) fn run(self, options: Options) -> Result<Outcome, CommandError> {
        let format = output_record(self.format.as_ref(), self.meta_only, options.output)?;
        running::run_in_order(move |interrupt| async move { self.consume(format, interrupt).await })
    }

    async fn consume(&self, format: OutputRecord, mut interrupt: Interrupt) -> Result<Outcome, CommandError> {
        let started = async {
            let client = self.connection.connect().await?;
            self.consumer(&client).await
        };
        let consumer = tokio::select! {
            () = interrupt.asked() => return Ok(Outcome::Done),
            consumer = started => consumer?,
        };
        let Some(mut consumer) = consumer else { return Ok(Outcome::Done) };
        let mut output = RecordOutput::new(format);
        let ended = self.copy(&mut consumer, &mut output, &mut interrupt).await;
        // What came before a failure is written all the same.
        output.flush()?;
        ended?;
        // Nothing more is wanted of it, whatever it says.
        drop(consumer.close().await);
        Ok(Outcome::Done)
    }

    /// Starts to read; `None` if there is nothing to read.
    async fn consumer(&self, client: &Client) -> Result<Option<Consumer>, CommandError> {
        let isolation =
            if self.read_committed { IsolationLevel::ReadCommitted } else { IsolationLevel::ReadUncommitted };
        let (admin, now_ms) = (client.admin(), now_ms());
        let mut builder = client.consumer().isolation_level(isolation);
        let mut is_empty = true;
        let mut seen: Vec<&String> = Vec::new();
        for topic in &self.topics {
            if seen.contains(&topic) {
                continue;
            }
            seen.push(topic);
            for partition in chosen(&topic_in_use(client, topic).await?, &self.partitions)? {
                let range = resolve(&admin, (topic, partition), self.offsets, isolation, now_ms).await?;
                let Some(range) = range else { continue };
                is_empty = false;
                builder = match range.end {
                    Some(end) => builder.assign_until(range.topic, range.partition, range.from, end),
                    None => builder.assign([(range.topic, range.partition, range.from)]),
                };
            }
        }
        if is_empty || self.count == Some(0) {
            return Ok(None);
        }
        builder.build().await.map(Some).map_err(CommandError::ConsumerConfig)
    }

    /// Writes records until there are enough, or no more, or nobody wants them.
    async fn copy(
        &self,
        consumer: &mut Consumer,
        output: &mut RecordOutput,
        interrupt: &mut Interrupt,
    ) -> Result<(), CommandError> {
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 && !output.is_closed() && !interrupt.is_asked() {
            let next = match consumer.next_batch().now_or_never() {
                Some(next) => next,
                None => {
                    // Nothing is there now: whoever reads gets what was gathered.
                    output.flush()?;
                    tokio::select! {
                        () = interrupt.asked() => return Ok(()),
                        next = consumer.next_batch() => next,
                    }
                }
            };
            let Some(batch) = next else { return Ok(()) };
            left -= write(&batch.map_err(CommandError::Consume)?, left, output)?;
        }
        Ok(())
    }
}

/// Writes at most so many records of a batch; gives how many.
fn write(batch: &ConsumedBatch, most: u64, output: &mut RecordOutput) -> Result<u64, CommandError> {
    let mut written = 0;
    for record in batch.records().map_err(CommandError::Batch)? {
        if written == most {
            break;
        }
        output.write(&record.map_err(CommandError::Batch)?)?;
        written += 1;
    }
    Ok(written)
}
