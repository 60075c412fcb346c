//! Many producers and consumers at once, each record checked to arrive once and in order; then the same broker idle.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidelog_benches::Outcome;
use tidelog_benches::broker_process::BrokerProcess;
use tidelog_benches::report::{Bound, Row, Section, Target};
use tidelog_benches::spread::Spread;
use tidelog_client::{Client, Consumer, Delivery, NewTopic, Partitioning, Position, Record};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::Arguments;
use crate::record::Origin;
use crate::watch::Samples;

const TOPIC: &str = "load";

/// How long consumers may take to get the last records after their acks.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a producer sends: what is due by then, at once.
const TURN: Duration = Duration::from_millis(50);

/// Acks that a producer waits for at most before it looks at the first.
const PENDING_MAX: usize = 100_000;

/// By how much memory may grow between the halves of the load and count as flat: a twentieth, and what an allocator keeps or
/// gives back by chance.
const GROWTH_SHARE: f64 = 0.05;
const GROWTH_MIB: f64 = 8.0;

/// Share of a core that a broker may use when nobody does anything, in percent.
const IDLE_PERCENT: f64 = 3.0;

pub(crate) fn measure(dir: &Path, arguments: &Arguments) -> Outcome<Section> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut broker = BrokerProcess::start(dir, &[])?;
    let received = Arc::new(AtomicU64::new(0));
    let consumers = runtime.block_on(consumers(broker.address(), arguments))?;
    let mut consuming = JoinSet::new();
    for consumer in consumers {
        consuming.spawn_on(consume(consumer, Arc::clone(&received)), runtime.handle());
    }
    let producing = producing(&runtime, broker.address(), arguments)?;

    let half = Duration::from_secs(arguments.seconds) / 2;
    let warm_up = Samples::take(&mut broker, Duration::from_secs(arguments.warm_up_seconds))?;
    let first = Samples::take(&mut broker, half)?;
    let second = Samples::take(&mut broker, half)?;

    let sent = runtime.block_on(producing.join_all()).into_iter().sum::<Outcome<u64>>()?;
    runtime.block_on(all_received(&received, sent, &mut consuming))?;
    // Consumers are connected still, and wait.
    let waiting = Samples::take(&mut broker, Duration::from_secs(arguments.idle_seconds))?;
    if let Some(ended) = consuming.try_join_next() {
        ended??;
        return Err("a consumer has ended by itself".into());
    }
    if received.load(Ordering::Relaxed) > sent {
        return Err("more records were received than sent".into());
    }
    // Closes all connections.
    drop(consuming);
    drop(runtime);
    let alone = Samples::take(&mut broker, Duration::from_secs(arguments.idle_seconds))?;
    let stopped = broker.stop()?;

    let row = |name: &str, samples: &Samples| Row {
        name: name.to_owned(),
        cells: vec![
            Spread::of([samples.cpu_percent()]),
            samples.anonymous_mib(),
            samples.resident_mib(),
            samples.descriptors(),
        ],
    };
    println!(
        "{sent} records of {} bytes from {} producers in {} partitions, all received once and in order by {} consumers; \
         the broker ended in {:.1} s",
        arguments.record_bytes,
        arguments.producers,
        arguments.partitions,
        arguments.consumers,
        stopped.as_secs_f64(),
    );
    let (before, after) = (first.anonymous_mib().median, second.anonymous_mib().median);
    let most = before * (1.0 + GROWTH_SHARE) + GROWTH_MIB;
    Ok(Section {
        title: "A broker under load, and after it",
        columns: vec!["% of a core", "anonymous MiB", "resident MiB", "descriptors"],
        rows: vec![
            row("warm-up", &warm_up),
            row("first half", &first),
            row("second half", &second),
            row("idle, consumers wait", &waiting),
            row("idle, nobody there", &alone),
        ],
        targets: vec![
            Target { name: "anonymous MiB in the second half".to_owned(), bound: Bound::AtMost(most), found: after },
            idle_target("consumers wait", &waiting),
            idle_target("nobody there", &alone),
        ],
    })
}

fn idle_target(name: &str, samples: &Samples) -> Target {
    Target {
        name: format!("% of a core, idle, {name}"),
        bound: Bound::Below(IDLE_PERCENT),
        found: samples.cpu_percent(),
    }
}

/// Creates the topic, and a consumer for each share of its partitions.
async fn consumers(address: &str, arguments: &Arguments) -> Outcome<Vec<Consumer>> {
    let admin = Client::connect(address).await?;
    admin.admin().create_topic(NewTopic::new(TOPIC).partitions(arguments.partitions)).await?;
    let mut consumers = Vec::new();
    for consumer in 0..arguments.consumers.min(arguments.partitions) {
        let client = Client::connect(address).await?;
        let own = (0..arguments.partitions).filter(|partition| partition % arguments.consumers == consumer);
        let assigned = own.map(|partition| (TOPIC, partition, Position::Start));
        consumers.push(client.consumer().assign(assigned).build().await?);
    }
    Ok(consumers)
}

/// Lets all producers begin; each gives how many records were acked.
fn producing(runtime: &Runtime, address: &str, arguments: &Arguments) -> Outcome<JoinSet<Outcome<u64>>> {
    let mut producing = JoinSet::new();
    for producer in 0..arguments.producers {
        let client = runtime.block_on(Client::connect(address))?;
        let load = Load {
            producer: producer.into(),
            partitions: arguments.partitions,
            rate: arguments.rate,
            record_bytes: arguments.record_bytes as usize,
            time: Duration::from_secs(arguments.warm_up_seconds + arguments.seconds),
        };
        producing.spawn_on(produce(client, load), runtime.handle());
    }
    Ok(producing)
}

/// What one producer does.
#[derive(Clone, Copy, Debug)]
struct Load {
    producer: u64,
    partitions: u32,
    /// Records a second.
    rate: u32,
    record_bytes: usize,
    time: Duration,
}

/// Sends at a fixed rate, to one partition after the other; every record has to be acked.
async fn produce(client: Client, load: Load) -> Outcome<u64> {
    let producer = client.producer().partitioning(Partitioning::Manual).build().await?;
    let start = Instant::now();
    let mut turns = interval_at(start, TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pending: Vec<Delivery> = Vec::new();
    let mut sent: u64 = 0;
    loop {
        turns.tick().await;
        let elapsed = start.elapsed().min(load.time);
        let due = u64::try_from(elapsed.as_micros() * u128::from(load.rate) / 1_000_000)?;
        while sent < due {
            // Producers begin at different partitions.
            let turn = sent + load.producer * 7;
            let partition = u32::try_from(turn % u64::from(load.partitions))?;
            let origin = Origin { producer: load.producer, number: sent / u64::from(load.partitions) };
            let record = Record::to(TOPIC).value(origin.value(load.record_bytes)).partition(partition);
            pending.push(producer.send(record).await?);
            sent += 1;
        }
        if elapsed == load.time || pending.len() >= PENDING_MAX {
            if elapsed == load.time {
                producer.flush().await?;
            }
            for delivery in pending.drain(..) {
                delivery.await?;
            }
        }
        if elapsed == load.time {
            producer.close().await?;
            return Ok(sent);
        }
    }
}

/// Reads until it is dropped, and checks that from each producer the next record comes.
async fn consume(mut consumer: Consumer, received: Arc<AtomicU64>) -> Outcome<()> {
    let mut next: BTreeMap<(u32, u64), u64> = BTreeMap::new();
    while let Some(record) = consumer.next().await.transpose()? {
        let origin = Origin::of(record.value.as_deref().unwrap_or_default())?;
        let expected = next.entry((record.partition.get(), origin.producer)).or_default();
        if origin.number != *expected {
            let (partition, offset) = (record.partition, record.offset);
            return Err(
                format!("partition {partition}, offset {offset}: {origin:?} where number {expected} is next").into()
            );
        }
        *expected += 1;
        received.fetch_add(1, Ordering::Relaxed);
    }
    Err("a consumer without an end has ended".into())
}

/// Waits until as many records were received as were sent.
async fn all_received(received: &AtomicU64, sent: u64, consuming: &mut JoinSet<Outcome<()>>) -> Outcome<()> {
    let mut look = tokio::time::interval(TURN);
    let wait = async {
        while received.load(Ordering::Relaxed) < sent {
            tokio::select! {
                _ = look.tick() => {}
                Some(ended) = consuming.join_next() => ended??,
            }
        }
        Outcome::Ok(())
    };
    match timeout(PATIENCE, wait).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("{} of {sent} records were received", received.load(Ordering::Relaxed)).into()),
    }
}
