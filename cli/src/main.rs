//! The `tidelog` binary: reads the command line and runs one command.

#![forbid(unsafe_code)]

mod byte_text;
mod command_error;
mod demo_command;
mod log_command;
mod output;
mod progress;
mod timestamp;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use command_error::CommandError;
use demo_command::DemoCommand;
use log_command::LogCommand;
use output::OutputFormat;

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
    Demo(DemoCommand),
    /// Look into segment files offline.
    #[command(subcommand)]
    Log(LogCommand),
}

/// How a command ended that was able to do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// It found damage, and said where.
    Damaged,
}

fn main() -> ExitCode {
    // A wrong command line ends here, with exit code 2.
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Demo(command) => command.run(cli.options),
        Command::Log(command) => command.run(cli.options),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Damaged) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Writes what went wrong to the standard error, if anybody listens there.
fn complain(error: &CommandError) {
    drop(writeln!(std::io::stderr(), "error: {error}"));
}
