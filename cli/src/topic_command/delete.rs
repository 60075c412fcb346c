//! `tidelog topic delete`.

use clap::Args;
use serde_json::json;
use tidelog_client::Admin;

use crate::command_error::CommandError;
use crate::connection::Connection;
use crate::output::Output;

#[derive(Clone, Debug, Args)]
pub(crate) struct Delete {
    /// Its name.
    topic: String,
    #[command(flatten)]
    pub(super) connection: Connection,
}

impl Delete {
    pub(super) async fn run(&self, admin: &Admin, output: &mut Output) -> Result<(), CommandError> {
        admin.delete_topic(&self.topic).await?;
        let text = format!("topic {} is deleted", self.topic);
        output.line(text, || json!({ "type": "deleted", "name": self.topic }))
    }
}
