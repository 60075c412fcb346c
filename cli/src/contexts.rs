//! Named clusters, in a file of the user's: `$XDG_CONFIG_HOME/tidelog/contexts.toml`, or `~/.config/...`.

use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::command_error::CommandError;
use crate::usage_error::UsageError;

/// Named clusters, and which of them is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contexts {
    pub(crate) current: Option<String>,
    /// Name and addresses, by name.
    pub(crate) bootstrap: std::collections::BTreeMap<String, String>,
}

/// Named clusters that cannot be used.
#[derive(Debug)]
pub(crate) enum ContextError {
    /// There is none of this name.
    Unknown { name: String, known: Vec<String> },
    /// There is one of this name.
    Exists { name: String },
    /// The file is not as it is written here.
    File { path: PathBuf, reason: String },
}

impl Contexts {
    /// Reads the file; nothing is in one that is not there.
    pub(crate) fn load(path: &Path) -> Result<Self, CommandError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(CommandError::Io { path: path.to_owned(), error }),
        };
        Self::parse(&text).map_err(|reason| CommandError::Context(ContextError::File { path: path.to_owned(), reason }))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string().trim_end().to_owned())?;
        let mut contexts = Self::default();
        for (key, value) in table {
            match (key.as_str(), value) {
                ("current", Value::String(name)) => contexts.current = Some(name),
                ("contexts", Value::Table(named)) => {
                    for (name, context) in named {
                        let Some(Value::String(bootstrap)) = context.get("bootstrap") else {
                            return Err(format!("context {name} has no bootstrap = \"host:port\""));
                        };
                        contexts.bootstrap.insert(name, bootstrap.clone());
                    }
                }
                (key, _) => return Err(format!("{key} is not known, or no text or table")),
            }
        }
        Ok(contexts)
    }

    fn to_text(&self) -> String {
        let mut table = Table::new();
        if let Some(current) = &self.current {
            table.insert("current".to_owned(), Value::String(current.clone()));
        }
        let named = self.bootstrap.iter().map(|(name, bootstrap)| {
            let context = Table::from_iter([("bootstrap".to_owned(), Value::String(bootstrap.clone()))]);
            (name.clone(), Value::Table(context))
        });
        table.insert("contexts".to_owned(), Value::Table(named.collect()));
        table.to_string()
    }

    /// Replaces the file at once: whoever reads it sees the old or the new one.
    pub(crate) fn store(&self, path: &Path) -> Result<(), CommandError> {
        write_atomically(path, self.to_text().as_bytes())
    }

    /// Gives the addresses of a context.
    pub(crate) fn addresses(&self, name: &str) -> Result<&str, CommandError> {
        self.bootstrap.get(name).map(String::as_str).ok_or_else(|| {
            let known = self.bootstrap.keys().cloned().collect();
            CommandError::Context(ContextError::Unknown { name: name.to_owned(), known })
        })
    }
}

/// Writes a file beside its place, makes it durable, and moves it there.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = dir.join(name);
    let write = || {
        fs::create_dir_all(dir)?;
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|error| CommandError::Io { path: path.to_owned(), error })
}

/// Says where the file is.
///
/// # Errors
/// The environment names no place for it.
pub(crate) fn contexts_path() -> Result<PathBuf, CommandError> {
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let dir = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    Ok(dir.ok_or(UsageError::NoConfigDir)?.join("tidelog").join("contexts.toml"))
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, known } if known.is_empty() => {
                write!(f, "there is no context {name}; tidelog context add {name} HOST:PORT makes it")
            }
            Self::Unknown { name, known } => write!(f, "there is no context {name}; there are {}", known.join(", ")),
            Self::Exists { name } => write!(f, "context {name} exists; remove it first, or choose another name"),
            Self::File { path, reason } => write!(f, "{}: {reason}", path.display()),
        }
    }
}

impl std::error::Error for ContextError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/tidelog/contexts.toml");
        assert_eq!(Contexts::load(&path).unwrap(), Contexts::default());
        let mut contexts = Contexts { current: Some("a b\"".to_owned()), ..Contexts::default() };
        contexts.bootstrap.insert("a b\"".to_owned(), "h:1,i:2".to_owned());
        contexts.store(&path).unwrap();
        contexts.bootstrap.insert("other".to_owned(), "j:3".to_owned());
        contexts.store(&path).unwrap();
        assert_eq!(Contexts::load(&path).unwrap(), contexts);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn files_of_another_form_are_refused() {
        for text in ["x = 1", "current = 1", "contexts = 1", "[contexts]\na = 1", "[contexts.a]\nb = 1", "["] {
            assert!(Contexts::parse(text).is_err(), "{text}");
        }
    }
}
