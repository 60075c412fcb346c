//! Clocks, randomness, threads and files reach the log and the journal through the environment only, or a simulation
//! could not replay them from one seed.

use super::source::{Source, contains_words};

/// Where the machine is reached through the environment only.
const SIMULATED: [&str; 3] = ["log/src/", "raft/src/journal.rs", "raft/src/journal/"];

/// What may be named there only behind the environment: modules of the standard library and of `rustix`, whose error
/// numbers anyone may use, types, and methods that ask the file system.
const OUTSIDE_WORLD: [&str; 17] = [
    "fs",
    "thread",
    "net",
    "process",
    "Instant",
    "SystemTime",
    "RandomState",
    "mm",
    "memmap2",
    "tempfile",
    "exists",
    "try_exists",
    "metadata",
    "read_dir",
    "canonicalize",
    "is_file",
    "is_dir",
];

/// Where it may be named: the real environment, and the mapping that it hands out.
const BEHIND_THE_ENVIRONMENT: [&str; 2] = ["log/src/environment/real", "log/src/mapped_file.rs"];

/// Complains about every such name outside tests.
pub(super) fn complaints(sources: &[Source]) -> Vec<String> {
    let simulated = sources.iter().filter(|source| SIMULATED.iter().any(|path| source.path.starts_with(path)));
    let inside = simulated.filter(|source| !BEHIND_THE_ENVIRONMENT.iter().any(|path| source.path.starts_with(path)));
    inside.flat_map(source_complaints).collect()
}

fn source_complaints(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (line, code) in source.lines_outside_tests() {
        for name in OUTSIDE_WORLD.iter().filter(|name| contains_words(code, name)) {
            complaints.push(format!("{}:{line}: {name} outside the environment", source.path));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints_about(path: &str, text: &str) -> usize {
        complaints(&[Source::parse(path, text)]).len()
    }

    #[test]
    fn every_way_around_the_environment_is_found() {
        for way in [
            "use std::fs;",
            "use std::{fs, io};",
            "std::fs::read(path)",
            "std::thread::spawn(f)",
            "let start = Instant::now();",
            "let now = SystemTime::now();",
            "path.exists()",
            "rustix::fs::fdatasync(fd)",
        ] {
            assert_ne!(complaints_about("log/src/segment.rs", way), 0, "{way}");
            assert_ne!(complaints_about("log/src/environment/simulated/disk.rs", way), 0, "{way}");
            assert_ne!(complaints_about("raft/src/journal/writer.rs", way), 0, "{way}");
            assert_eq!(complaints_about("log/src/environment/real.rs", way), 0, "{way}");
            assert_eq!(complaints_about("proto/src/ids.rs", way), 0, "{way}");
        }
    }

    #[test]
    fn tests_and_comments_may_name_them() {
        let text = "// std::fs\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}";
        assert_eq!(complaints_about("log/src/segment.rs", text), 0);
    }
}
