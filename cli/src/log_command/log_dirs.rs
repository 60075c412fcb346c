//! Finding the logs of a data directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tidelog_log::{LogIdentity, SegmentName};
use tidelog_proto::ids::TopicId;

use crate::command_error::CommandError;

/// What every log has from its first moment on.
const CHECKPOINT_FILE: &str = "checkpoint";

/// What a broker that has used a data directory leaves there.
const LOCK_FILE: &str = "lock";

/// The logs that a path stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogDirs {
    /// Their directories, sorted by topic and partition.
    pub(super) logs: Vec<PathBuf>,
    /// The data directory that they lie in, as far as their place tells.
    pub(super) data_dir: Option<PathBuf>,
}

impl LogDirs {
    /// Finds the log that `dir` is, or the logs of the topic or data directory that it is.
    ///
    /// # Errors
    /// There is no log, or a directory could not be listed.
    pub(super) fn find(dir: &Path) -> Result<Self, CommandError> {
        if LogIdentity::of_dir(dir).is_some() || is_log(dir)? {
            let data_dir = LogIdentity::of_dir(dir).and_then(|_| dir.ancestors().nth(2)).map(Path::to_owned);
            return Ok(Self { logs: vec![dir.to_owned()], data_dir });
        }
        if is_topic(dir) {
            return Ok(Self { logs: logs_of_topic(dir)?, data_dir: dir.parent().map(Path::to_owned) });
        }
        let mut topics = subdirectories(dir)?;
        topics.retain(|topic| is_topic(topic));
        topics.sort();
        let mut logs = Vec::new();
        for topic in &topics {
            logs.extend(logs_of_topic(topic)?);
        }
        let is_data_dir = !logs.is_empty() || dir.join(LOCK_FILE).is_file();
        if !is_data_dir {
            return Err(CommandError::NoLogs { dir: dir.to_owned() });
        }
        Ok(Self { logs, data_dir: Some(dir.to_owned()) })
    }
}

fn is_topic(dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.parse::<TopicId>().is_ok_and(|topic_id| topic_id.to_string() == name))
}

fn logs_of_topic(dir: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let mut logs = subdirectories(dir)?;
    logs.retain(|log| LogIdentity::of_dir(log).is_some());
    logs.sort_by_key(|log| LogIdentity::of_dir(log).map(|identity| identity.partition));
    Ok(logs)
}

/// Tells whether a directory holds the files of a log, whatever its name is.
fn is_log(dir: &Path) -> Result<bool, CommandError> {
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name == CHECKPOINT_FILE || SegmentName::parse_log(name).is_some())
    };
    Ok(entries(dir)?.iter().any(is_ours))
}

fn subdirectories(dir: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let mut entries = entries(dir)?;
    entries.retain(|path| path.is_dir());
    Ok(entries)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let listed = fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    listed.map_err(|error: io::Error| CommandError::Io { path: dir.to_owned(), error })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const TOPIC: &str = "7d444840-9dc0-11d1-b245-5ffdce74fad2";

    fn find(dir: &Path) -> LogDirs {
        LogDirs::find(dir).unwrap()
    }

    #[test]
    fn logs_are_found_from_every_level() {
        let temporary = tempfile::tempdir().unwrap();
        let data_dir = temporary.path();
        let topic = data_dir.join(TOPIC);
        let logs: Vec<_> = ["2", "10"].iter().map(|partition| topic.join(partition)).collect();
        logs.iter().for_each(|log| fs::create_dir_all(log).unwrap());
        fs::create_dir_all(topic.join("not-a-partition")).unwrap();
        fs::create_dir_all(data_dir.join("not-a-topic/3")).unwrap();
        let all = LogDirs { logs: logs.clone(), data_dir: Some(data_dir.to_owned()) };
        assert_eq!(find(data_dir), all);
        assert_eq!(find(&topic), all);
        assert_eq!(find(&logs[1]), LogDirs { logs: vec![logs[1].clone()], data_dir: Some(data_dir.to_owned()) });
    }

    #[test]
    fn a_log_may_have_any_name() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path();
        fs::write(dir.join("some.log"), "").unwrap();
        assert!(matches!(LogDirs::find(dir), Err(CommandError::NoLogs { .. })));
        fs::write(dir.join("00000000000000000000-0.log"), "").unwrap();
        assert_eq!(find(dir), LogDirs { logs: vec![dir.to_owned()], data_dir: None });
    }

    #[test]
    fn a_data_directory_may_hold_no_logs_yet() {
        let temporary = tempfile::tempdir().unwrap();
        fs::write(temporary.path().join(LOCK_FILE), "").unwrap();
        assert_eq!(find(temporary.path()).logs, [""; 0].map(PathBuf::from));
    }
}
