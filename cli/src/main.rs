//! The `tidelog` binary: reads the command line and runs one command.

#![forbid(unsafe_code)]

use clap::Parser;

/// A partitioned commit log whose acknowledgements mean durable.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {}

fn main() {
    Cli::parse();
}
