//! Sends records to partitions of the application's choice: large ones to the last partition, the others by their key.

#![forbid(unsafe_code)]

use std::error::Error;

use tidelog_client::partitioner::{KeyHash, PartitionRequest, Partitioner};
use tidelog_client::{Client, PartitionId, Partitioning, Record};

/// From how many bytes on a record is large.
const LARGE_BYTES: usize = 100_000;

#[derive(Debug, Default)]
struct LargeApart {
    others: KeyHash,
}

impl Partitioner for LargeApart {
    fn partition(&mut self, request: &PartitionRequest<'_>) -> PartitionId {
        if request.record_bytes >= LARGE_BYTES {
            return PartitionId::new(request.partition_count - 1);
        }
        self.others.partition(request)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let topic = std::env::args().nth(1).ok_or("usage: partitioner TOPIC")?;
    let client = Client::connect("127.0.0.1:7420").await?;
    let own = Partitioning::Own(Box::new(LargeApart::default()));
    let producer = client.producer().partitioning(own).build().await?;

    let small = producer.send(Record::to(&topic).key("k").value("small")).await?;
    let large = producer.send(Record::to(&topic).key("k").value(vec![b'x'; LARGE_BYTES])).await?;
    println!("small: partition {}, large: partition {}", small.await?.partition, large.await?.partition);
    producer.close().await?;
    Ok(())
}
