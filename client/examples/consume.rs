//! Follows one partition of a topic from now on: `consume orders 0`.

#![forbid(unsafe_code)]

use std::error::Error;

use tidelog_client::{Client, OutOfRange, Position};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let topic = args.next().ok_or("usage: consume TOPIC [PARTITION]")?;
    let partition = args.next().map_or(Ok(0), |number| number.parse())?;

    let client = Client::connect("127.0.0.1:7420").await?;
    let mut consumer = client
        .consumer()
        .assign([(topic, partition, Position::End)])
        .out_of_range(OutOfRange::Earliest)
        .build()
        .await?;
    while let Some(record) = consumer.next().await.transpose()? {
        let value = record.value.as_deref().map(String::from_utf8_lossy);
        println!("{} {}", record.offset, value.unwrap_or_default());
    }
    consumer.close().await?;
    Ok(())
}
