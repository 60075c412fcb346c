//! `tidelog topic add-partitions`.

use clap::Args;
use serde_json::json;
use tidelog_client::Admin;

use super::plural;
use crate::command_error::CommandError;
use crate::connection::Connection;
use crate::output::Output;

#[derive(Clone, Debug, Args)]
pub(crate) struct AddPartitions {
    /// Its name.
    topic: String,
    /// How many partitions it has then.
    #[arg(value_name = "N")]
    partitions: u32,
    #[command(flatten)]
    pub(super) connection: Connection,
}

impl AddPartitions {
    pub(super) async fn run(&self, admin: &Admin, output: &mut Output) -> Result<(), CommandError> {
        admin.create_partitions(&self.topic, self.partitions).await?;
        let text = format!("topic {} has {}", self.topic, plural(self.partitions, "partition", "partitions"));
        output.line(text, || json!({ "type": "topic", "name": self.topic, "partition_count": self.partitions }))
    }
}
