//! Configs as texts, from a file, the environment and the command line.

use std::collections::BTreeMap;
use std::fmt;

use tidelog_proto::api::v1;
use tidelog_raft::metadata::{TopicConfigKey, TopicConfigs, nearest};
use toml::{Table, Value};

use super::error::{ConfigError, topic_key};
use super::key::BrokerConfigKey;

/// What variables of the environment begin with.
const VARIABLE_PREFIX: &str = "TIDELOG_";

/// Variables of the same prefix that are the command line's, not the broker's.
const OTHER_VARIABLES: [&str; 4] = ["TIDELOG_BOOTSTRAP", "TIDELOG_CONTEXT", "TIDELOG_CONFIG", "TIDELOG_LOG"];

/// What was set, and where. A stronger source replaces a weaker one, whatever the order in which they are read.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    set: BTreeMap<BrokerConfigKey, Set>,
    topic: BTreeMap<TopicConfigKey, Set>,
}

/// A value as text.
#[derive(Clone, Debug)]
struct Set {
    text: String,
    source: Source,
}

/// Where a value stands, the weakest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// It is built in.
    Default,
    /// A file.
    File(String),
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

impl Settings {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// It is not TOML, or has a key that does not exist, or a value that is none.
    pub fn read_file(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            file: name.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let source = Source::File(name.to_owned());
        for (key, value) in table {
            match value {
                Value::Table(topic) if key == "topic" => {
                    for (key, value) in topic {
                        let key = format!("topic.{key}");
                        let text = scalar(&source, &key, value)?;
                        self.set(&key, text, source.clone())?;
                    }
                }
                value => {
                    let text = scalar(&source, &key, value)?;
                    self.set(&key, text, source.clone())?;
                }
            }
        }
        Ok(())
    }

    /// Reads the variables that begin with `TIDELOG_`: `TIDELOG_NODE_ID` is `node_id`, `TIDELOG_TOPIC_RETENTION_MS` is
    /// `topic.retention_ms`.
    ///
    /// # Errors
    /// One of them is no config.
    pub fn read_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (variable, text) in variables {
            let Some(name) = variable.strip_prefix(VARIABLE_PREFIX) else { continue };
            if OTHER_VARIABLES.contains(&variable.as_str()) {
                continue;
            }
            let name = name.to_ascii_lowercase();
            let key = name.strip_prefix("topic_").map_or_else(|| name.clone(), |key| format!("topic.{key}"));
            self.set(&key, text, Source::Variable(variable))?;
        }
        Ok(())
    }

    /// Takes a flag of the command line: its key, and its value as text.
    ///
    /// # Errors
    /// There is no such config.
    pub fn set_flag(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let flag = format!("--{}", key.replace('_', "-"));
        self.set(key, value.to_owned(), Source::Flag(flag))
    }

    /// Gives the text of a config and where it stands; its default where nobody set it.
    pub(super) fn get(&self, key: BrokerConfigKey) -> Option<(&str, Source)> {
        match self.set.get(&key) {
            Some(set) => Some((&set.text, set.source.clone())),
            None => key.default_value().map(|text| (text, Source::Default)),
        }
    }

    /// Lists every config of the broker as it is told to who asks, by key. None of them can be changed while it runs.
    #[must_use]
    pub fn described(&self) -> Vec<v1::Config> {
        let mut configs: Vec<v1::Config> = BrokerConfigKey::ALL
            .iter()
            .map(|key| {
                let set = self.get(*key);
                let is_default = set.as_ref().is_none_or(|(_, source)| *source == Source::Default);
                let source = if is_default { v1::ConfigSource::Default } else { v1::ConfigSource::Broker };
                v1::Config {
                    key: key.to_string(),
                    value: set.map(|(text, _)| text.to_owned()),
                    source: source.into(),
                    read_only: true,
                    sensitive: false,
                }
            })
            .collect();
        configs.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        configs
    }

    /// Gives what is set for all topics.
    pub(super) fn topic_configs(&self) -> Result<TopicConfigs, ConfigError> {
        let mut configs = TopicConfigs::default();
        for (key, set) in &self.topic {
            let refused = |error| ConfigError::Topic { source: set.source.clone(), error };
            configs.set(key.as_str(), Some(&set.text)).map_err(refused)?;
        }
        Ok(configs)
    }

    fn set(&mut self, key: &str, text: String, source: Source) -> Result<(), ConfigError> {
        let set = Set { text, source };
        if let Some(known) = BrokerConfigKey::from_key(key) {
            replace_weaker(&mut self.set, known, set);
        } else if let Some(known) = key.strip_prefix("topic.").and_then(TopicConfigKey::from_key) {
            replace_weaker(&mut self.topic, known, set);
        } else {
            let known = BrokerConfigKey::ALL.iter().map(|key| key.as_str().to_owned());
            let known = known.chain(TopicConfigKey::ALL.iter().map(|key| topic_key(*key)));
            let nearest = nearest(key, known).unwrap_or_default();
            return Err(ConfigError::UnknownKey { source: set.source, key: key.to_owned(), nearest });
        }
        Ok(())
    }
}

fn replace_weaker<K: Ord>(into: &mut BTreeMap<K, Set>, key: K, set: Set) {
    let is_weaker = into.get(&key).is_some_and(|current| rank(&set.source) < rank(&current.source));
    if !is_weaker {
        into.insert(key, set);
    }
}

const fn rank(source: &Source) -> u8 {
    match source {
        Source::Default => 0,
        Source::File(_) => 1,
        Source::Variable(_) => 2,
        Source::Flag(_) => 3,
    }
}

/// Writes a value of a file as text.
fn scalar(source: &Source, key: &str, value: Value) -> Result<String, ConfigError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            Err(ConfigError::ValueType { source: source.clone(), key: key.to_owned() })
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(name) | Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}
