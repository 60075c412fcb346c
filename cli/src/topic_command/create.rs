//! `tidelog topic create`.

use clap::Args;
use serde_json::json;
use tidelog_client::{Admin, NewTopic};

use super::{key_value, plural};
use crate::command_error::CommandError;
use crate::connection::Connection;
use crate::output::Output;

#[derive(Clone, Debug, Args)]
pub(crate) struct Create {
    /// Its name: 1 to 249 letters, digits, dots, dashes and underscores.
    topic: String,
    /// How many partitions it has; without it, the broker's num_partitions.
    #[arg(short, long, value_name = "N")]
    partitions: Option<u32>,
    /// How many replicas each partition has; without it 3, or the number of brokers where that is smaller.
    #[arg(short, long, value_name = "N")]
    replication_factor: Option<u32>,
    /// A config that differs from its default; may repeat.
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = key_value)]
    config: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) connection: Connection,
}

impl Create {
    pub(super) async fn run(&self, admin: &Admin, output: &mut Output) -> Result<(), CommandError> {
        let mut topic = NewTopic::new(&self.topic);
        if let Some(partitions) = self.partitions {
            topic = topic.partitions(partitions);
        }
        if let Some(replicas) = self.replication_factor {
            topic = topic.replication_factor(replicas);
        }
        for (key, value) in &self.config {
            topic = topic.config(key, value);
        }
        let created = admin.create_topic(topic).await?;
        let (partitions, replicas) = (created.partition_count, created.replication_factor);
        let text = format!(
            "topic {} has {}, {} each",
            self.topic,
            plural(partitions, "partition", "partitions"),
            plural(replicas, "replica", "replicas")
        );
        output.line(text, || {
            json!({
                "type": "topic",
                "name": self.topic,
                "id": created.id.map(|id| id.to_string()),
                "partition_count": partitions,
                "replication_factor": replicas,
            })
        })
    }
}
