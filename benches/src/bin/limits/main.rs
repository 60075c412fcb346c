//! What this machine can do, and how much of it Tidelog reaches, measured in turns in one run.
//!
//! See `benches/README.md` for what each row means.

#![forbid(unsafe_code)]

mod append;
mod durable;
mod lookup;
mod open;
mod read;
mod sample_log;
mod scale;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use scale::Scale;
use tidelog_benches::Outcome;
use tidelog_benches::machine::Machine;
use tidelog_benches::report::{self, Section};

/// Measures the ceilings of this machine and what Tidelog reaches of them.
#[derive(Parser)]
#[command(name = "limits")]
struct Arguments {
    /// Where to write, on the file system in question. A folder is made there and removed again. It takes up to 11 GiB.
    /// The folder of this program if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Little of everything, once: shows that the program works, and nothing about the machine.
    #[arg(long)]
    quick: bool,
    /// How often each contestant has its turn.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
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
    /// Append without sync.
    Append,
    /// Durable append by group commit.
    Durable,
    /// Sequential read.
    Read,
    /// Lookup by offset and by time.
    Lookup,
    /// Open after a clean stop and after a kill.
    Open,
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let parent = match &arguments.dir {
        Some(dir) => dir.clone(),
        None => std::env::current_exe()?.parent().map(Path::to_owned).ok_or("this program lies nowhere")?,
    };
    let scratch = tempfile::Builder::new().prefix("limits-").tempdir_in(parent)?;
    let scale = if arguments.quick { Scale::quick() } else { Scale::full(arguments.rounds) };
    let mut machine = Machine::describe("limits", scratch.path());
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
    if wants(Part::Append) {
        add(append::measure(dir, scale)?);
    }
    if wants(Part::Durable) {
        add(durable::measure(dir, scale)?);
    }
    if wants(Part::Read) {
        add(read::measure(dir, scale)?);
    }
    if wants(Part::Lookup) {
        add(lookup::measure(dir, scale)?);
    }
    if wants(Part::Open) {
        let large = sample_log::write(&dir.join("large"), scale.large_log_bytes)?;
        let small = sample_log::write(&dir.join("small"), scale.small_log_bytes)?;
        add(open::measure(&small, &large, scale)?);
    }
    Ok(sections)
}
