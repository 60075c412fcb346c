//! `tidelog topic list`.

use clap::Args;
use serde_json::json;
use tidelog_client::Admin;

use crate::command_error::CommandError;
use crate::connection::Connection;
use crate::output::Output;
use crate::table::Table;

#[derive(Clone, Debug, Args)]
pub(crate) struct List {
    /// List topics that belong to the brokers too.
    #[arg(long)]
    internal: bool,
    #[command(flatten)]
    pub(super) connection: Connection,
}

impl List {
    pub(super) async fn run(&self, admin: &Admin, output: &mut Output) -> Result<(), CommandError> {
        let mut table = Table::new(&["TOPIC", "PARTITIONS", "REPLICAS", "ID"]);
        for topic in admin.list_topics(self.internal).await? {
            let (name, id) = (topic.name.to_string(), topic.id.to_string());
            let object = json!({
                "type": "topic",
                "name": name,
                "id": id,
                "internal": topic.internal,
                "partition_count": topic.partition_count,
                "replication_factor": topic.replication_factor,
            });
            table.row([name, topic.partition_count.to_string(), topic.replication_factor.to_string(), id], object);
        }
        table.write(output)
    }
}
