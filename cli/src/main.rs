//! The `tidelog` binary: reads the command line and runs one command.

#![forbid(unsafe_code)]

mod byte_codec;
mod byte_text;
mod cluster_command;
mod command_error;
mod completions_command;
mod config_command;
mod connection;
mod consume_command;
mod context_command;
mod contexts;
mod deliveries;
mod demo_command;
mod format_parts;
mod input_format;
mod log_command;
mod offsets;
mod output;
mod output_format;
mod pacing;
mod produce_command;
mod progress;
mod read_range;
mod record_input;
mod record_output;
mod replay_command;
mod running;
mod serve_command;
mod table;
mod time_text;
mod timestamp;
mod topic_command;
mod usage_error;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use cluster_command::ClusterCommand;
use command_error::CommandError;
use completions_command::Completions;
use config_command::ConfigCommand;
use consume_command::Consume;
use context_command::ContextCommand;
use demo_command::Demo;
use log_command::LogCommand;
use output::OutputFormat;
use produce_command::Produce;
use replay_command::Replay;
use serve_command::Serve;
use topic_command::TopicCommand;

/// A partitioned commit log whose acknowledgements mean durable.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Copy, Debug, Args)]
struct Options {
    /// How to write results to the standard output.
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Text, value_name = "FORMAT")]
    output: OutputFormat,
    /// Show no progress bar. There is none either where the standard error is not a terminal.
    #[arg(long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take a tour: start a broker, produce real text, read it back, replay a part of it, check every record.
    ///
    /// The broker runs within this process and is stopped at the end. Every line of the input becomes a record, with its file
    /// as the key.
    #[command(after_help = "Examples:
  tidelog demo
  tidelog demo /var/log --data-dir demo-data")]
    Demo(Demo),
    /// Run a broker. Alone it is a whole cluster.
    ///
    /// What a flag says wins over the environment (TIDELOG_NODE_ID is node_id, and so on), and that over the file. Once it is
    /// ready, its addresses are written to the standard output; what happens then, to the standard error, filtered by
    /// TIDELOG_LOG (info,openraft=warn by default). SIGINT and SIGTERM end it in order, a second one at once.
    #[command(after_help = "Examples:
  tidelog serve --data-dir data
  tidelog serve --config tidelog.toml --listen 0.0.0.0:7420 --advertise broker1.example:7420")]
    Serve(Box<Serve>),
    /// Create, list, describe, change and delete topics.
    #[command(arg_required_else_help = true)]
    Topic(Box<TopicCommand>),
    /// Append records to a topic: lines of files or of the standard input, or values from the command line.
    ///
    /// Lines are bytes; nothing is made of them. Ends with how many records were stored, or with the first that was not and
    /// what became of the others.
    #[command(after_help = "Examples:
  tidelog produce access < access.log
  tidelog produce orders -f '%k:%v' -z lz4 orders.txt more.txt
  tidelog produce orders -k customer-7 -H source:shop --value 'one order'")]
    Produce(Box<Produce>),
    /// Write records of topics to the standard output.
    ///
    /// Runs until it is interrupted, or for --count records, or to the end of the range.
    #[command(after_help = "Examples:
  tidelog consume access -o start
  tidelog consume orders -o -10 -f '%p/%o %k=%v\\n' -n 10
  tidelog consume orders payments -o @-1h:end --output json")]
    Consume(Box<Consume>),
    /// Write a range of a topic again, as fast as it was or faster, to the standard output, a file or a topic.
    #[command(after_help = "Examples:
  tidelog replay orders --from start --to end --into stdout
  tidelog replay orders --from @-2h --to @-1h --speed 10x --into topic:orders-again
  tidelog replay orders --from 0 --to end --rate 5MB --into file:orders.txt")]
    Replay(Box<Replay>),
    /// Look after the cluster as a whole.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Name clusters, so that --context finds them.
    #[command(subcommand)]
    Context(ContextCommand),
    /// Check and print a broker's configs.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look into segment files offline.
    #[command(subcommand)]
    Log(LogCommand),
    /// Write what a shell needs to complete command lines.
    #[command(after_help = "Example:
  tidelog completions bash > ~/.local/share/bash-completion/completions/tidelog")]
    Completions(Completions),
}

impl Command {
    fn run(self, options: Options) -> Result<Outcome, CommandError> {
        match self {
            Self::Demo(command) => command.run(options),
            Self::Serve(command) => command.run(options),
            Self::Topic(command) => command.run(options),
            Self::Produce(command) => command.run(options),
            Self::Consume(command) => command.run(options),
            Self::Replay(command) => command.run(options),
            Self::Cluster(command) => command.run(options),
            Self::Context(command) => command.run(options),
            Self::Config(command) => command.run(options),
            Self::Log(command) => command.run(options),
            Self::Completions(command) => command.run(options),
        }
    }
}

/// How a command ended that was able to do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// It found damage, and said where.
    Damaged,
    /// The cluster is not healthy; why was said.
    NotHealthy,
}

fn main() -> ExitCode {
    // A wrong command line ends here, with exit code 2.
    let cli = Cli::parse();
    match cli.command.run(cli.options) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Damaged) => ExitCode::FAILURE,
        Ok(Outcome::NotHealthy) => ExitCode::from(10),
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Writes what went wrong to the standard error, if anybody listens there.
fn complain(error: &CommandError) {
    drop(writeln!(std::io::stderr(), "error: {error}"));
}
