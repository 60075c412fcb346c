//! Reads everything that a topic holds now, all partitions, batch by batch, and ends: `replay_range orders`.

#![forbid(unsafe_code)]

use std::error::Error;

use futures_util::StreamExt;
use tidelog_client::{Client, IsolationLevel, Offset, OffsetSpec, Position};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let topic = std::env::args().nth(1).ok_or("usage: replay_range TOPIC")?;
    let client = Client::connect("127.0.0.1:7420").await?;
    let admin = client.admin();

    let mut consumer = client.consumer();
    for partition in admin.describe_topic(&topic).await?.partitions {
        let number = partition.partition.get();
        let latest = OffsetSpec::Latest(IsolationLevel::ReadUncommitted);
        let end = admin.list_offset(&topic, number, latest).await?.offset.unwrap_or(Offset::ZERO);
        consumer = consumer.assign_until(&topic, number, Position::Start, end);
    }

    let mut batches = consumer.build().await?.into_batches();
    let mut count = 0;
    while let Some(batch) = batches.next().await.transpose()? {
        for record in batch.records()? {
            let record = record?;
            count += 1;
            println!("{}/{} {} bytes", record.partition, record.offset, record.value.map_or(0, |value| value.len()));
        }
    }
    println!("{count} records");
    batches.into_records().close().await?;
    Ok(())
}
