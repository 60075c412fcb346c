//! Creates a topic, changes a config and shows both the topic and the cluster: `admin orders`.

#![forbid(unsafe_code)]

use std::error::Error;

use tidelog_client::{Client, ConfigChange, NewTopic};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let topic = std::env::args().nth(1).ok_or("usage: admin TOPIC")?;
    let client = Client::connect("127.0.0.1:7420").await?;
    let admin = client.admin();

    admin.create_topic(NewTopic::new(&topic).partitions(3).config("retention_ms", "86400000")).await?;
    let shorter = ConfigChange::Set { key: "retention_ms".to_owned(), value: "3600000".to_owned() };
    admin.alter_topic_configs(&topic, [shorter]).await?;

    let described = admin.describe_topic(&topic).await?;
    for partition in &described.partitions {
        let leader = partition.leader.map_or("nobody now".to_owned(), |leader| format!("broker {leader}"));
        let replicas = partition.replicas.len();
        println!("{topic}/{} is led by {leader}, {replicas} brokers hold it", partition.partition);
    }
    for broker in admin.describe_cluster().await?.brokers {
        println!("broker {} at {}", broker.id, broker.address);
    }
    Ok(())
}
