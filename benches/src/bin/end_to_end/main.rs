//! Tidelog from end to end, through the client crate to a broker in a process of its own, and what this machine's disk
//! and gRPC alone can do in the same run.
//!
//! See `benches/README.md` for what each row means.

#![forbid(unsafe_code)]

mod bare_client;
mod bare_server;
mod consume;
mod latency;
mod open_loop;
mod paced_records;
mod produce;
mod scale;
mod shape;
mod tidelog;
mod values;
mod workload;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tidelog_benches::machine::Machine;
use tidelog_benches::report::{self, Section};
use tidelog_benches::{Outcome, broker_process, interrupt};

use bare_server::ServeBare;
use scale::Scale;
use tidelog::Tidelog;

/// Measures Tidelog from end to end, and the ceilings of this machine.
#[derive(Parser)]
#[command(name = "end-to-end")]
struct Arguments {
    /// Where to write, on the file system in question. A folder is made there and removed again. It takes up to 2 GiB.
    /// The folder of this program if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Little of everything, once: shows that the program works, and nothing about the machine.
    #[arg(long)]
    quick: bool,
    /// How often each contestant has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Only these parts.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Also writes the figures here, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Hidden>,
}

/// What this program starts itself for.
#[derive(Clone, Copy, Debug, Subcommand)]
enum Hidden {
    /// Serves gRPC and stores nothing.
    #[command(hide = true)]
    ServeBare(ServeBare),
}

/// A part of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Durable produce.
    Produce,
    /// Catch-up consume.
    Consume,
    /// Latency at a modest rate.
    Latency,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("end-to-end: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<()> {
    if let Some(Hidden::ServeBare(serve)) = arguments.command {
        return serve.run();
    }
    interrupt::listen()?;
    // Says what to build before anything is done.
    broker_process::binary()?;
    let parent = match &arguments.dir {
        Some(dir) => dir.clone(),
        None => env::current_exe()?.parent().map(Path::to_owned).ok_or("this program lies nowhere")?,
    };
    let scratch = tempfile::Builder::new().prefix("end-to-end-").tempdir_in(parent)?;
    let scale = if arguments.quick { Scale::quick() } else { Scale::full(arguments.rounds.into()) };
    let mut machine = Machine::describe("end-to-end", scratch.path());
    println!("{machine}");

    let sections = measure(&arguments.only, scratch.path(), &scale)?;
    machine.note_end();
    println!("load average at the end: {}", machine.load_at_end());
    if let Some(path) = &arguments.json {
        fs::write(path, format!("{:#}\n", report::json(&machine, &sections)))?;
    }
    scratch.close()?;
    Ok(())
}

/// Measures the parts, all of them if none is named, and prints each as soon as it is there.
fn measure(only: &[Part], dir: &Path, scale: &Scale) -> Outcome<Vec<Section>> {
    let wants = |part| only.is_empty() || only.contains(&part);
    let mut sections = Vec::new();
    let mut add = |section: Section| {
        println!("\n{section}");
        sections.push(section);
    };
    let tidelog = Tidelog::start(dir)?;
    if wants(Part::Produce) {
        add(produce::measure(dir, &tidelog, scale)?);
    }
    if wants(Part::Consume) {
        add(consume::measure(&tidelog, scale)?);
    }
    if wants(Part::Latency) {
        add(latency::measure(dir, &tidelog, scale)?);
    }
    tidelog.stop()?;
    Ok(sections)
}
