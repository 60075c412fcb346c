//! Sends the lines of standard input to a topic: `produce orders < lines.txt`.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, BufRead};

use tidelog_client::{Client, Compression, Record};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let topic = std::env::args().nth(1).ok_or("usage: produce TOPIC < lines")?;
    let client = Client::connect("127.0.0.1:7420").await?;
    let producer = client.producer().compression(Compression::Lz4).build().await?;

    let mut last = None;
    for line in io::stdin().lock().lines() {
        // Waits for room in the buffer, not for the broker.
        last = Some(producer.send(Record::to(&topic).value(line?)).await?);
    }
    producer.flush().await?;
    if let Some(delivery) = last {
        let stored = delivery.await?;
        // Unknown only if an earlier try was stored and its answer lost.
        let offset = stored.offset.map_or("unknown".to_owned(), |offset| offset.to_string());
        println!("the last line is in partition {} at offset {offset}", stored.partition);
    }
    producer.close().await?;
    Ok(())
}
