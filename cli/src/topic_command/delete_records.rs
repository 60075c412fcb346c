//! `tidelog topic delete-records`.

use clap::Args;
use serde_json::json;
use tidelog_client::{Admin, Offset};

use crate::command_error::CommandError;
use crate::connection::Connection;
use crate::output::Output;

#[derive(Clone, Debug, Args)]
pub(crate) struct DeleteRecords {
    /// The topic and the number of the partition.
    #[arg(value_name = "TOPIC/PARTITION", value_parser = topic_partition)]
    partition: (String, u32),
    /// The first offset that stays, or `end` for all that is committed.
    #[arg(long, value_name = "OFFSET", value_parser = before)]
    before: Before,
    #[command(flatten)]
    pub(super) connection: Connection,
}

/// Where deleting stops.
#[derive(Clone, Copy, Debug)]
enum Before {
    Offset(Offset),
    End,
}

fn topic_partition(text: &str) -> Result<(String, u32), String> {
    let parts = text.rsplit_once('/').and_then(|(topic, partition)| Some((topic.to_owned(), partition.parse().ok()?)));
    parts.filter(|(topic, _)| !topic.is_empty()).ok_or_else(|| "a partition is TOPIC/N, such as orders/0".to_owned())
}

fn before(text: &str) -> Result<Before, String> {
    if text == "end" {
        return Ok(Before::End);
    }
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let offset = if is_plain { text.parse().ok() } else { None }.filter(|offset| *offset <= Offset::MAX.get());
    offset.map(|offset| Before::Offset(Offset::new(offset))).ok_or_else(|| "an offset, or end".to_owned())
}

impl DeleteRecords {
    pub(super) async fn run(&self, admin: &Admin, output: &mut Output) -> Result<(), CommandError> {
        let (topic, partition) = (&self.partition.0, self.partition.1);
        // Tells at once where there is no such topic or partition.
        let partition_count = admin.describe_topic(topic).await?.partitions.len();
        if partition as usize >= partition_count {
            let topic = topic.clone();
            return Err(CommandError::UnknownPartition { topic, partition, partition_count });
        }
        let start = match self.before {
            Before::Offset(offset) => admin.delete_records(topic, partition, offset).await?,
            Before::End => admin.delete_all_records(topic, partition).await?,
        };
        output.line(
            format_args!("{topic}/{partition} starts at offset {start} now"),
            || json!({ "type": "partition", "topic": topic, "partition": partition, "log_start_offset": start.get() }),
        )
    }
}
