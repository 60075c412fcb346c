//! A broker under a steady load of many clients, and then idle: errors, memory, processor time.
//!
//! See `benches/README.md` for what is counted.

#![forbid(unsafe_code)]

mod idle;
mod load;
mod record;
mod watch;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tidelog_benches::machine::Machine;
use tidelog_benches::report::{self, Section};
use tidelog_benches::{Outcome, broker_process, interrupt};

/// Runs a broker under a steady load, and idle, and tells what it used.
#[derive(Parser)]
#[command(name = "soak")]
struct Arguments {
    /// Where to write. A folder is made there and removed again. The folder of this program if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How long the load lasts after the warm-up.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(4..=86_400))]
    seconds: u64,
    /// How long the same load warms the broker up: until the rings of every Raft group were walked through once.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    warm_up_seconds: u64,
    /// Partitions under load, spread over the consumers.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    partitions: u32,
    /// Producers, each with a client of its own that writes to all partitions in turn.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    producers: u32,
    /// Consumers, each with a client of its own.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    consumers: u32,
    /// Records that each producer sends in a second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(32..=65_536))]
    record_bytes: u32,
    /// How long it is watched while nothing happens.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=3_600))]
    idle_seconds: u64,
    /// Partitions of the broker that is only idle.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    idle_partitions: u32,
    /// Only these parts.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Also writes the figures here, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A part of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The load, and the quiet after it.
    Load,
    /// Many partitions that nobody uses.
    Idle,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the parts; tells whether all targets were reached.
fn run(arguments: &Arguments) -> Outcome<bool> {
    interrupt::listen()?;
    // Says what to build before anything is done.
    broker_process::binary()?;
    let parent = match &arguments.dir {
        Some(dir) => dir.clone(),
        None => env::current_exe()?.parent().map(Path::to_owned).ok_or("this program lies nowhere")?,
    };
    let scratch = tempfile::Builder::new().prefix("soak-").tempdir_in(parent)?;
    let mut machine = Machine::describe("soak", scratch.path());
    println!("{machine}");
    let wants = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    let mut sections: Vec<Section> = Vec::new();
    if wants(Part::Load) {
        sections.push(load::measure(&scratch.path().join("load"), arguments)?);
        println!("\n{}", sections[sections.len() - 1]);
    }
    if wants(Part::Idle) {
        sections.push(idle::measure(&scratch.path().join("idle"), arguments)?);
        println!("\n{}", sections[sections.len() - 1]);
    }
    machine.note_end();
    println!("load average at the end: {}", machine.load_at_end());
    if let Some(path) = &arguments.json {
        fs::write(path, format!("{:#}\n", report::json(&machine, &sections)))?;
    }
    scratch.close()?;
    Ok(sections.iter().flat_map(|section| &section.targets).all(report::Target::is_reached))
}
