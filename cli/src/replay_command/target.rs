//! Where a replay goes.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::str::FromStr;

use tidelog_client::{Client, Compression, ConsumedRecord, Partitioning, Producer, Record};

use super::ReplayError;
use super::state::ReplayState;
use crate::command_error::CommandError;
use crate::deliveries::Deliveries;
use crate::output_format::OutputRecord;
use crate::read_range::topic_in_use;
use crate::record_output::RecordOutput;

/// Bytes that are gathered before they are written to a file.
const BUFFER_BYTES: usize = 256 * 1024;

/// Where a replay goes, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Into {
    Stdout,
    File(PathBuf),
    Topic(String),
}

/// Where a replay goes, open.
pub(super) enum Target {
    Stdout(RecordOutput),
    File { path: PathBuf, file: File, format: OutputRecord, buffer: Vec<u8>, bytes: u64 },
    Topic { name: String, producer: Producer, deliveries: Deliveries<()>, keeps_partitions: bool },
}

impl Into {
    /// Where it is noted how far the replay is, if nobody says.
    pub(super) fn default_state(&self) -> Option<PathBuf> {
        let Self::File(path) = self else { return None };
        let mut name = path.as_os_str().to_owned();
        name.push(".replay");
        Some(name.into())
    }
}

impl FromStr for Into {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "stdout" => Ok(Self::Stdout),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("topic", topic)) if !topic.is_empty() => Ok(Self::Topic(topic.to_owned())),
            _ => Err("stdout, file:PATH and topic:NAME are allowed".to_owned()),
        }
    }
}

impl fmt::Display for Into {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Topic(topic) => write!(f, "topic:{topic}"),
        }
    }
}

impl Target {
    /// Opens the target where an earlier replay left it.
    pub(super) async fn open(
        into: &Into,
        format: OutputRecord,
        client: &Client,
        partition_count: usize,
        state: &ReplayState,
    ) -> Result<Self, CommandError> {
        match into {
            Into::Stdout => Ok(Self::Stdout(RecordOutput::new(format))),
            Into::File(path) => {
                let file = open_file(path, state)?;
                let buffer = Vec::with_capacity(BUFFER_BYTES);
                Ok(Self::File { path: path.clone(), file, format, buffer, bytes: state.bytes })
            }
            Into::Topic(name) => {
                let topic = topic_in_use(client, name).await?;
                let builder = client.producer().compression(Compression::Lz4).partitioning(Partitioning::KeyHash);
                let producer = builder.build().await.map_err(CommandError::ProducerConfig)?;
                let keeps_partitions = topic.partitions.len() == partition_count;
                Ok(Self::Topic { name: name.clone(), producer, deliveries: Deliveries::new(), keeps_partitions })
            }
        }
    }

    /// Takes a record.
    pub(super) async fn write(&mut self, record: &ConsumedRecord) -> Result<(), CommandError> {
        match self {
            Self::Stdout(output) => output.write(record),
            Self::File { format, buffer, .. } => {
                format.write(record, buffer);
                if buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush().await }
            }
            Self::Topic { name, producer, deliveries, keeps_partitions } => {
                let sent = producer.send(copied(record, name, *keeps_partitions)).await;
                let delivery = sent.map_err(|error| {
                    let counts = deliveries.counts();
                    CommandError::Replay(ReplayError::NotStored { cause: error.to_string(), counts })
                })?;
                deliveries.push((), delivery).await;
                failure_of(deliveries)
            }
        }
    }

    /// Lets out what was gathered: who follows a slow replay sees each record when it is due.
    #[expect(clippy::unused_async, reason = "beside the other calls, which wait")]
    pub(super) async fn flush(&mut self) -> Result<(), CommandError> {
        match self {
            Self::Stdout(output) => output.flush(),
            Self::File { path, file, buffer, bytes, .. } => {
                file.write_all(buffer).map_err(|error| CommandError::Io { path: path.clone(), error })?;
                *bytes += buffer.len() as u64;
                buffer.clear();
                Ok(())
            }
            // The producer sends by itself.
            Self::Topic { .. } => Ok(()),
        }
    }

    /// Waits until everything is where it belongs; gives the length of a file.
    pub(super) async fn make_durable(&mut self) -> Result<u64, CommandError> {
        self.flush().await?;
        match self {
            Self::Stdout(_) => Ok(0),
            Self::File { path, file, bytes, .. } => {
                file.sync_data().map_err(|error| CommandError::Io { path: path.clone(), error })?;
                Ok(*bytes)
            }
            Self::Topic { producer, deliveries, .. } => {
                // Fails only where it was closed, which it is not.
                drop(producer.flush().await);
                deliveries.collect_all().await;
                failure_of(deliveries).map(|()| 0)
            }
        }
    }

    /// Tells whether nobody reads any more.
    pub(super) const fn is_closed(&self) -> bool {
        match self {
            Self::Stdout(output) => output.is_closed(),
            Self::File { .. } | Self::Topic { .. } => false,
        }
    }
}

fn failure_of(deliveries: &mut Deliveries<()>) -> Result<(), CommandError> {
    let counts = deliveries.counts();
    deliveries.take_failure().map_or(Ok(()), |((), error)| {
        Err(CommandError::Replay(ReplayError::NotStored { cause: error.to_string(), counts }))
    })
}

fn copied(record: &ConsumedRecord, topic: &str, keeps_partition: bool) -> Record {
    let mut copy = Record::to(topic).timestamp(record.timestamp_ms);
    if keeps_partition {
        copy = copy.partition(record.partition.get());
    }
    if let Some(key) = &record.key {
        copy = copy.key(key.clone());
    }
    if let Some(value) = &record.value {
        copy = copy.value(value.clone());
    }
    for header in &record.headers {
        copy = match header.value {
            Some(value) => copy.header(header.key, bytes::Bytes::copy_from_slice(value)),
            None => copy.null_header(header.key),
        };
    }
    copy
}

/// Makes the file, or cuts the one of an earlier replay to what was noted.
fn open_file(path: &PathBuf, state: &ReplayState) -> Result<File, CommandError> {
    let io_error = |error| CommandError::Io { path: path.clone(), error };
    if !state.is_resumed {
        return OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => CommandError::Replay(ReplayError::FileExists { path: path.clone() }),
            _ => io_error(error),
        });
    }
    let mut file = OpenOptions::new().write(true).open(path).map_err(io_error)?;
    if file.metadata().map_err(io_error)?.len() < state.bytes {
        return Err(CommandError::Replay(ReplayError::FileCut { path: path.clone() }));
    }
    file.set_len(state.bytes).map_err(io_error)?;
    file.seek(SeekFrom::End(0)).map_err(io_error)?;
    Ok(file)
}
