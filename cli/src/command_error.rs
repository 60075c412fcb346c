//! Why a command could not do what it was asked, and what to do about it.

use std::fmt::{self, Display as _};
use std::io;
use std::path::PathBuf;

use tidelog_client::{
    AdminError, CallError, ConsumeError, ConsumerConfigError, ErrorCode, ProducerConfigError, Subject,
};
use tidelog_log::inspect::{DumpError, ExportError, VerifyError};
use tidelog_proto::batch::BatchError;
use tidelog_server::BrokerError;
use tidelog_server::config::ConfigError;

use crate::contexts::ContextError;
use crate::produce_command::ProduceFailure;
use crate::replay_command::ReplayError;
use crate::usage_error::UsageError;

use crate::demo_command::TourError;

/// A command that could not do what it was asked.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// A file could not be shown.
    Dump(DumpError),
    /// A log could not be verified.
    Verify(VerifyError),
    /// A log could not be exported.
    Export(ExportError),
    /// There is no log in a directory.
    NoLogs { dir: PathBuf },
    /// The tour was cut short.
    Demo(TourError),
    /// There is no text to take the tour with.
    NoText,
    /// Results could not be written.
    Output(io::Error),
    /// A file or directory could not be found, listed, read or written.
    Io { path: PathBuf, error: io::Error },
    /// What was asked for contradicts itself, or is out of bounds.
    Usage(UsageError),
    /// A broker's config is not allowed.
    Config(ConfigError),
    /// A broker did not start, or did not end in order.
    Broker(Box<BrokerError>),
    /// What is to be logged cannot be read.
    LogFilter { variable: &'static str, text: String },
    /// The runtime did not start, or signals cannot be received.
    Runtime(io::Error),
    /// The second signal ended the command before its work was in order.
    Interrupted,
    /// The command broke; where was said before.
    Broken,
    /// Named contexts cannot be used.
    Context(ContextError),
    /// No broker could be asked.
    Connect { addresses: String, error: CallError },
    /// A request was refused or not answered.
    Admin(AdminError),
    /// A topic is not there.
    UnknownTopic { topic: String },
    /// A topic has no partition of this number.
    UnknownPartition { topic: String, partition: u32, partition_count: usize },
    /// A producer was not started.
    ProducerConfig(ProducerConfigError),
    /// Not all records were stored.
    Produce(Box<ProduceFailure>),
    /// A consumer was not started.
    ConsumerConfig(ConsumerConfigError),
    /// A partition cannot be read on.
    Consume(ConsumeError),
    /// A batch cannot be decoded.
    Batch(BatchError),
    /// A replay could not begin or go on.
    Replay(ReplayError),
}

impl CommandError {
    /// Gives the exit code: 2 for what the command line alone decides.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            _ => 1,
        }
    }
}

impl From<AdminError> for CommandError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Refused { subject: Subject::Topic(topic) | Subject::Partition(topic, _), error }
                if matches!(error.code, Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId)) =>
            {
                Self::UnknownTopic { topic: topic.to_string() }
            }
            error => Self::Admin(error),
        }
    }
}

impl From<UsageError> for CommandError {
    fn from(error: UsageError) -> Self {
        Self::Usage(error)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dump(error) => {
                error.fmt(f)?;
                f.write_str(match error {
                    DumpError::UnknownFile { .. } => {
                        "; give a .log, .index or .timeindex file of a log, or its checkpoint"
                    }
                    DumpError::SegmentHeader { .. } => {
                        "; if it is a segment all the same, its frames are shown once it lies where segments do, in \
                         DATA_DIR/TOPIC_ID/PARTITION, under its own name"
                    }
                    DumpError::SmallFile(_) | DumpError::Io { .. } => "",
                })
            }
            Self::Verify(error) => error.fmt(f),
            Self::Export(error) => {
                error.fmt(f)?;
                f.write_str(match error {
                    ExportError::TargetExists { .. } => "; choose another name, or replace it with --force",
                    ExportError::TargetInLog { .. } => "; choose a file elsewhere",
                    ExportError::Damaged(_) => "; nothing was exported; tidelog log verify lists all damage",
                    ExportError::Log(VerifyError::NotALog { .. }) => {
                        "; give the directory of one log, DATA_DIR/TOPIC_ID/PARTITION"
                    }
                    ExportError::Log(_) | ExportError::Target { .. } => "",
                })
            }
            Self::NoLogs { dir } => write!(
                f,
                "{}: there is no log; give a data directory, or the directory of one log, DATA_DIR/TOPIC_ID/PARTITION",
                dir.display()
            ),
            Self::Demo(error) => error.fmt(f),
            Self::NoText => f.write_str("there is no text to produce; name a file or a directory with some"),
            Self::Output(error) => write!(f, "results could not be written to the standard output: {error}"),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            other => other.fmt_online(f),
        }
    }
}

impl CommandError {
    /// Shows what went wrong with brokers and their clients.
    fn fmt_online(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(f),
            Self::Config(error) => config_advice(error, f),
            Self::Broker(error) => broker_advice(error, f),
            Self::LogFilter { variable, text } => {
                write!(f, "{variable} is {text:?}, which is no filter; info or info,openraft=debug is")
            }
            Self::Runtime(error) => write!(f, "the machine gives no threads or signals: {error}"),
            Self::Interrupted => f.write_str("ended at once by a second signal"),
            Self::Broken => f.write_str("the command broke; this is a defect"),
            Self::Context(error) => error.fmt(f),
            Self::Connect { addresses, error } => {
                write!(f, "{error}")?;
                match error {
                    CallError::Address { .. } => Ok(()),
                    _ => write!(f, "; is a broker running at {addresses}? Another is named by --bootstrap HOST:PORT"),
                }
            }
            Self::Admin(error) => error.fmt(f),
            Self::UnknownTopic { topic } => {
                write!(
                    f,
                    "there is no topic {topic}; tidelog topic create {topic} makes it, tidelog topic list shows all"
                )
            }
            Self::UnknownPartition { topic, partition, partition_count } => {
                write!(f, "topic {topic} has no partition {partition}, it has {partition_count}")
            }
            Self::ProducerConfig(error) => error.fmt(f),
            Self::Produce(failure) => failure.fmt(f),
            Self::ConsumerConfig(error) => error.fmt(f),
            Self::Consume(error) => error.fmt(f),
            Self::Batch(error) => error.fmt(f),
            Self::Replay(error) => error.fmt(f),
            Self::Demo(_)
            | Self::NoText
            | Self::Dump(_)
            | Self::Verify(_)
            | Self::Export(_)
            | Self::NoLogs { .. }
            | Self::Output(_)
            | Self::Io { .. } => Ok(()),
        }
    }
}

fn config_advice(error: &ConfigError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    error.fmt(f)?;
    f.write_str(match error {
        ConfigError::Missing { .. } => "; give --data-dir DIR, or set it in the file of --config",
        ConfigError::UnknownKey { .. } => "; tidelog config print-default lists all",
        _ => "",
    })
}

fn broker_advice(error: &BrokerError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        BrokerError::Config(error) => config_advice(error, f),
        BrokerError::Bind(bind) if bind.error.kind() == io::ErrorKind::AddrInUse => write!(
            f,
            "{} is in use by another process; choose another port with --listen or --http, port 0 takes any",
            bind.address
        ),
        error => error.fmt(f),
    }
}
