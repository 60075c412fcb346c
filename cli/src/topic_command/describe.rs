//! `tidelog topic describe`.

use clap::Args;
use serde_json::json;
use tidelog_client::{Admin, BrokerId, ConfigSource, PartitionDescription, TopicDescription};

use crate::byte_text::ByteCount;
use crate::command_error::CommandError;
use crate::connection::Connection;
use crate::output::Output;
use crate::table::Table;

#[derive(Clone, Debug, Args)]
pub(crate) struct Describe {
    /// Its name.
    topic: String,
    #[command(flatten)]
    pub(super) connection: Connection,
}

impl Describe {
    pub(super) async fn run(&self, admin: &Admin, output: &mut Output) -> Result<(), CommandError> {
        let topic = admin.describe_topic(&self.topic).await?;
        let internal = if topic.internal { ", the brokers' own" } else { "" };
        let text =
            format!("topic {} ({}), replication factor {}{internal}\n", topic.name, topic.id, topic.replication_factor);
        output.line(text, || {
            json!({
                "type": "topic",
                "name": topic.name.as_str(),
                "id": topic.id.to_string(),
                "internal": topic.internal,
                "partition_count": topic.partitions.len(),
                "replication_factor": topic.replication_factor,
            })
        })?;
        let mut table =
            Table::new(&["PARTITION", "LEADER", "EPOCH", "REPLICAS", "START", "HIGH WATERMARK", "END", "SIZE"]);
        for partition in &topic.partitions {
            table.row(cells(partition), object(&topic, partition));
        }
        table.write(output)?;
        output.heading("")?;
        configs(&topic, output)
    }
}

fn cells(partition: &PartitionDescription) -> [String; 8] {
    let replicas: Vec<String> = partition.replicas.iter().map(ToString::to_string).collect();
    let number = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let replica = partition.replica;
    [
        partition.partition.to_string(),
        partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
        partition.leader_epoch.to_string(),
        replicas.join(","),
        number(replica.map(|replica| replica.log_start_offset.get())),
        number(replica.map(|replica| replica.high_watermark.get())),
        number(replica.map(|replica| replica.log_end_offset.get())),
        replica.map_or_else(|| "?".to_owned(), |replica| ByteCount(replica.log_bytes).to_string()),
    ]
}

fn object(topic: &TopicDescription, partition: &PartitionDescription) -> serde_json::Value {
    let replica = partition.replica;
    json!({
        "type": "partition",
        "topic": topic.name.as_str(),
        "partition": partition.partition.get(),
        "leader": partition.leader.map(BrokerId::get),
        "leader_epoch": partition.leader_epoch.get(),
        "replicas": partition.replicas.iter().map(|replica| replica.get()).collect::<Vec<_>>(),
        "log_start_offset": replica.map(|replica| replica.log_start_offset.get()),
        "high_watermark": replica.map(|replica| replica.high_watermark.get()),
        "log_end_offset": replica.map(|replica| replica.log_end_offset.get()),
        "log_bytes": replica.map(|replica| replica.log_bytes),
    })
}

fn configs(topic: &TopicDescription, output: &mut Output) -> Result<(), CommandError> {
    let mut table = Table::new(&["CONFIG", "VALUE", "SET BY"]);
    for config in &topic.configs {
        let source = match config.source {
            ConfigSource::Default => "default",
            ConfigSource::Broker => "broker",
            ConfigSource::Topic => "topic",
            ConfigSource::Unknown => "unknown",
        };
        let object = json!({ "type": "config", "key": config.key, "value": config.value, "source": source });
        table.row([config.key.clone(), config.value.clone().unwrap_or_default(), source.to_owned()], object);
    }
    table.write(output)
}
