//! `tidelog topic`: topics, one file for each verb.

mod add_partitions;
mod alter;
mod create;
mod delete;
mod delete_records;
mod describe;
mod list;

use clap::{Args, Subcommand};
use tidelog_client::Admin;

use crate::command_error::CommandError;
use crate::connection::Connection;
use crate::output::Output;
use crate::{Options, Outcome, running};

#[derive(Clone, Debug, Args)]
pub(crate) struct TopicCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Create a topic.
    #[command(after_help = "Examples:
  tidelog topic create orders -p 6
  tidelog topic create orders -p 6 -r 3 -c retention_ms=86400000 -c cleanup_policy=compact")]
    Create(create::Create),
    /// List all topics.
    #[command(after_help = "Example:
  tidelog topic list --output json")]
    List(list::List),
    /// Show a topic: its partitions, their leaders and offsets, and its configs.
    #[command(after_help = "Example:
  tidelog topic describe orders")]
    Describe(describe::Describe),
    /// Change configs of a topic.
    #[command(after_help = "Examples:
  tidelog topic alter orders -c retention_ms=3600000
  tidelog topic alter orders -c retention_ms=          # back to the default")]
    Alter(alter::Alter),
    /// Add partitions until a topic has so many. Keys may belong to other partitions from then on.
    #[command(after_help = "Example:
  tidelog topic add-partitions orders 12")]
    AddPartitions(add_partitions::AddPartitions),
    /// Delete a topic and all its records, for good.
    #[command(after_help = "Example:
  tidelog topic delete orders")]
    Delete(delete::Delete),
    /// Delete the first records of a partition, for good.
    #[command(after_help = "Examples:
  tidelog topic delete-records orders/0 --before 1000
  tidelog topic delete-records orders/0 --before end")]
    DeleteRecords(delete_records::DeleteRecords),
}

impl TopicCommand {
    pub(crate) fn run(&self, options: Options) -> Result<Outcome, CommandError> {
        running::run(async {
            let mut output = Output::new(options.output);
            match &self.verb {
                Verb::Create(verb) => verb.run(&admin(&verb.connection).await?, &mut output).await?,
                Verb::List(verb) => verb.run(&admin(&verb.connection).await?, &mut output).await?,
                Verb::Describe(verb) => verb.run(&admin(&verb.connection).await?, &mut output).await?,
                Verb::Alter(verb) => verb.run(&admin(&verb.connection).await?, &mut output).await?,
                Verb::AddPartitions(verb) => verb.run(&admin(&verb.connection).await?, &mut output).await?,
                Verb::Delete(verb) => verb.run(&admin(&verb.connection).await?, &mut output).await?,
                Verb::DeleteRecords(verb) => verb.run(&admin(&verb.connection).await?, &mut output).await?,
            }
            output.finish()?;
            Ok(Outcome::Done)
        })
    }
}

async fn admin(connection: &Connection) -> Result<Admin, CommandError> {
    Ok(connection.connect().await?.admin())
}

/// Reads `key=value`; a value may be empty.
fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a config is set by key=value, such as retention_ms=3600000".to_owned()),
    }
}

/// Gives the word for one or more.
fn plural(count: u32, one: &'static str, more: &'static str) -> crate::byte_text::Counted {
    crate::byte_text::Counted(count.into(), one, more)
}
