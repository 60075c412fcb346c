//! Records sent at a fixed rate, timed to their acks and to a consumer that follows them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tidelog_benches::Outcome;
use tidelog_benches::batches::FIRST_TIMESTAMP_MS;
use tidelog_benches::json_lines::JsonLines;
use tidelog_benches::raw::settle;
use tidelog_client::{ConsumeError, ConsumedRecord, Consumer, Position, Producer, Record};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::latency::RECORD_BYTES;
use crate::open_loop::{Percentiles, Schedule};
use crate::tidelog::Tidelog;

/// Partitions of the topic.
const PARTITIONS: u32 = 6;

/// Each value begins with when its record was to be sent, in nanoseconds after the start, with so many digits.
const STAMP_BYTES: usize = 20;

/// How long the consumer may take to get the last record after its ack.
const PATIENCE: Duration = Duration::from_secs(30);

/// One turn, each from the time at which the record was to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latencies {
    /// To when the producer had taken it: how late this program was, and whether there was room.
    pub(crate) taken: Percentiles,
    /// To its ack, when whoever waits for it runs.
    pub(crate) acked: Percentiles,
    /// To when the consumer has it.
    pub(crate) consumed: Percentiles,
}

/// Sends records by their keys to all partitions of a new topic.
pub(crate) fn measure(tidelog: &Tidelog, schedule: Schedule, linger_ms: Option<u64>) -> Outcome<Latencies> {
    let topic = tidelog.create_topic(PARTITIONS)?;
    let runtime = &tidelog.runtime;
    let (producer, consumer) = runtime.block_on(async {
        let producer = tidelog.client.producer();
        let producer = match linger_ms {
            Some(linger_ms) => producer.linger_ms(linger_ms),
            None => producer,
        };
        let partitions = (0..PARTITIONS).map(|partition| (topic.as_str(), partition, Position::Start));
        let consumer = tidelog.client.consumer().assign(partitions).build().await?;
        Outcome::Ok((producer.build().await?, consumer))
    })?;
    settle(tidelog.data_dir())?;
    let start = Instant::now();
    let consuming = runtime.spawn(consume(consumer, start, schedule));
    let (taken, acking) = send(tidelog, &producer, &topic, start, schedule)?;
    let (acked, consumed) = runtime.block_on(async {
        let acked = acking.join_all().await.into_iter().collect::<Outcome<Vec<_>>>()?;
        producer.close().await?;
        Outcome::Ok((acked, timeout(PATIENCE, consuming).await???))
    })?;
    tidelog.delete_topic(&topic)?;
    Ok(Latencies {
        taken: Percentiles::of(taken)?,
        acked: Percentiles::of(acked.into_iter().flatten())?,
        consumed: Percentiles::of(consumed)?,
    })
}

/// The tasks that wait for an ack each; those of the warm-up give nothing.
type Acking = JoinSet<Outcome<Option<Duration>>>;

/// Sends all records from this thread, whose sleep is finer than the runtime's.
fn send(
    tidelog: &Tidelog,
    producer: &Producer,
    topic: &str,
    start: Instant,
    schedule: Schedule,
) -> Outcome<(Vec<Duration>, Acking)> {
    let mut lines = JsonLines::new(1);
    let text = lines.line(FIRST_TIMESTAMP_MS, RECORD_BYTES);
    let (mut taken, mut acking) = (Vec::new(), JoinSet::new());
    let handle = tidelog.runtime.handle();
    schedule.run(start, |intended| {
        let after_start = intended - start;
        let value = format!("{:0STAMP_BYTES$}{}", after_start.as_nanos(), &text[STAMP_BYTES..]);
        let record = Record::to(topic).key(lines.user()).value(value);
        let delivery = tidelog.runtime.block_on(producer.send(record))?;
        let counts = schedule.counts(after_start);
        if counts {
            taken.push(intended.elapsed());
        }
        let ack = async move {
            delivery.await?;
            Ok(counts.then(|| intended.elapsed()))
        };
        acking.spawn_on(ack, handle);
        Ok(())
    })?;
    Ok((taken, acking))
}

/// Takes as many records as there are to come, and times those that count.
async fn consume(mut consumer: Consumer, start: Instant, schedule: Schedule) -> Outcome<Vec<Duration>> {
    let mut consumed = Vec::new();
    for _ in 0..schedule.count() {
        let record = consumer.next().await.ok_or("the consumer ended")?;
        let now = Instant::now();
        let sent = sent_after_start(record)?;
        if schedule.counts(sent) {
            consumed.push(now.saturating_duration_since(start + sent));
        }
    }
    consumer.close().await?;
    Ok(consumed)
}

fn sent_after_start(record: Result<ConsumedRecord, ConsumeError>) -> Outcome<Duration> {
    let value: Bytes = record?.value.unwrap_or_default();
    let stamp = value.get(..STAMP_BYTES).ok_or("a record without a time")?;
    Ok(Duration::from_nanos(str::from_utf8(stamp)?.parse()?))
}
