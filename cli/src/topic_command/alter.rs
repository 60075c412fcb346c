//! `tidelog topic alter`.

use clap::Args;
use serde_json::json;
use tidelog_client::{Admin, ConfigChange};

use super::{key_value, plural};
use crate::command_error::CommandError;
use crate::connection::Connection;
use crate::output::Output;

#[derive(Clone, Debug, Args)]
pub(crate) struct Alter {
    /// Its name.
    topic: String,
    /// A config to set, or, with nothing behind the `=`, to put back to its default; may repeat. All of them, or none.
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = key_value, required = true)]
    config: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) connection: Connection,
}

impl Alter {
    pub(super) async fn run(&self, admin: &Admin, output: &mut Output) -> Result<(), CommandError> {
        let changes = self.config.iter().map(|(key, value)| match value.as_str() {
            "" => ConfigChange::Reset { key: key.clone() },
            value => ConfigChange::Set { key: key.clone(), value: value.to_owned() },
        });
        admin.alter_topic_configs(&self.topic, changes).await?;
        let count = u32::try_from(self.config.len()).unwrap_or(u32::MAX);
        let text = format!("topic {}: {} changed", self.topic, plural(count, "config", "configs"));
        output.line(text, || json!({ "type": "altered", "name": self.topic, "config_count": count }))
    }
}
