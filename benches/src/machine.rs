//! What the figures were measured on.

use std::env;
use std::fmt;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// The machine, the moment and the command.
#[derive(Clone, Debug)]
pub struct Machine {
    cores: usize,
    processor: String,
    memory: String,
    kernel: String,
    file_system: String,
    date: String,
    command: String,
    optimised: bool,
    load: String,
    load_at_end: String,
}

impl Machine {
    /// Describes this machine, with the file system that `dir` lies on, and the command line of this run of `program`.
    /// What cannot be found out is empty.
    #[must_use]
    pub fn describe(program: &str, dir: &Path) -> Self {
        let arguments: Vec<String> = env::args().skip(1).collect();
        Self {
            cores: thread::available_parallelism().map_or(0, Into::into),
            processor: field("/proc/cpuinfo", "model name"),
            memory: field("/proc/meminfo", "MemTotal"),
            kernel: text("/proc/sys/kernel/osrelease"),
            file_system: file_system(dir),
            date: date(),
            command: [program].into_iter().chain(arguments.iter().map(String::as_str)).collect::<Vec<_>>().join(" "),
            optimised: !cfg!(debug_assertions),
            load: text("/proc/loadavg"),
            load_at_end: String::new(),
        }
    }

    /// Notes that the run is over.
    pub fn note_end(&mut self) {
        self.load_at_end = text("/proc/loadavg");
    }

    /// Returns the load averages at the end of the run, once it was noted.
    #[must_use]
    pub fn load_at_end(&self) -> &str {
        &self.load_at_end
    }

    /// Gives all of it, for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "cores": self.cores,
            "processor": self.processor,
            "memory": self.memory,
            "kernel": self.kernel,
            "file_system": self.file_system,
            "date": self.date,
            "command": self.command,
            "optimised": self.optimised,
            "load_average_at_start": self.load,
            "load_average_at_end": self.load_at_end,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} cores ({}), {}", self.date, self.cores, self.processor, self.memory)?;
        writeln!(f, "Linux {}, {}, load average {}", self.kernel, self.file_system, self.load)?;
        write!(f, "command: {}; figures are medians [smallest, largest]", self.command)?;
        if !self.optimised {
            write!(f, "\nBuilt without optimisation: these figures mean nothing.")?;
        }
        Ok(())
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Gives the first value of a key in a file of `key : value` lines.
fn field(path: &str, key: &str) -> String {
    let text = text(path);
    let values = text.lines().filter_map(|line| line.split_once(':')).filter(|(found, _)| found.trim() == key);
    values.map(|(_, value)| value.trim().to_owned()).next().unwrap_or_default()
}

/// Gives type and options of the file system that is mounted nearest above `dir`.
fn file_system(dir: &Path) -> String {
    let mounts = text("/proc/mounts");
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|mount| mount.len() > 3 && dir.starts_with(mount[1]));
    above.max_by_key(|mount| mount[1].len()).map_or_else(String::new, |mount| format!("{} ({})", mount[2], mount[3]))
}

/// Gives today's date, in UTC.
fn date() -> String {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    // Years that begin in March end with the day that leaps; 719468 days lie between the first of them and 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}
