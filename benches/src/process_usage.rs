//! What a process has used, as Linux tells it in `/proc`.

use std::fs;
use std::io;

use rustix::param::clock_ticks_per_second;

/// What a process has used up to a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessUsage {
    /// Processor time of all its threads, also those that have ended, in seconds: user and system. In steps of a tick,
    /// which is 10 ms on most machines.
    pub cpu_seconds: f64,
    /// Memory that is resident now, pages of mapped files included.
    pub resident_bytes: u64,
    /// The part of it that belongs to no file.
    pub resident_anonymous_bytes: u64,
    /// The most that was ever resident.
    pub resident_peak_bytes: u64,
    /// Files, sockets and all else that is open.
    pub open_descriptors: usize,
}

impl ProcessUsage {
    /// Reads what a running process has used.
    ///
    /// # Errors
    /// If there is no such process, or not all is told about it.
    pub fn of(process_id: u32) -> io::Result<Self> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{process_id}/{file}"));
        let untold = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("/proc does not tell {what}"));
        let ticks = cpu_ticks(&read("stat")?).ok_or_else(|| untold("processor times"))?;
        let status = read("status")?;
        let memory = |key: &str| status_bytes(&status, key).ok_or_else(|| untold(key));
        Ok(Self {
            cpu_seconds: ticks as f64 / clock_ticks_per_second() as f64,
            resident_bytes: memory("VmRSS")?,
            resident_anonymous_bytes: memory("RssAnon")?,
            resident_peak_bytes: memory("VmHWM")?,
            open_descriptors: fs::read_dir(format!("/proc/{process_id}/fd"))?.count(),
        })
    }
}

/// Finds user and system time, the 14th and 15th field. The second one is a name that may hold anything, in brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut times = behind_name.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

/// Finds the value of a line such as `VmRSS: 1234 kB`.
fn status_bytes(status: &str, key: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_memory_are_found() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 1 2 3 4 150 25 0 0 20 0 9 0 100 1000 200";
        assert_eq!(cpu_ticks(stat), Some(175));
        assert_eq!(status_bytes("Name:\tx\nVmHWM:\t   8 kB\nVmRSS:\t   4 kB\n", "VmRSS"), Some(4096));
    }

    #[test]
    fn this_process_has_used_something() {
        let usage = ProcessUsage::of(std::process::id()).unwrap();
        assert!(usage.resident_peak_bytes >= usage.resident_bytes && usage.resident_anonymous_bytes > 0);
        assert!(usage.open_descriptors > 2);
    }
}
