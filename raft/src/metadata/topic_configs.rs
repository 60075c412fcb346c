//! The configs of a topic: what was set for it, what is in force, and where that comes from.
//!
//! | File | What it decides |
//! |---|---|
//! | `key` | which configs there are, with bounds and defaults |
//! | `value` | how values are written |
//! | `settings` | what the configs in force mean to the log and to produce |
//! | `error` | why a config was refused |

mod error;
mod key;
mod settings;
mod value;

use std::collections::BTreeMap;

pub use error::TopicConfigError;
pub use key::{TOPIC_BATCH_BYTES_MAX, TopicConfigKey};
pub use settings::{FlushMode, TopicSettings};
pub use value::{ConfigKind, ConfigValue};

use super::command::ConfigChange;

/// What was set for a topic. The configs that a broker's file sets for all its topics have the same form.
///
/// Every value is one that its key allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicConfigs {
    set: BTreeMap<TopicConfigKey, ConfigValue>,
}

/// A config that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigInForce {
    /// Which one.
    pub key: TopicConfigKey,
    /// Its value.
    pub value: ConfigValue,
    /// Who set it.
    pub source: ConfigSource,
}

/// Where the value of a config comes from, the strongest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigSource {
    /// It is built in.
    Default,
    /// The broker sets it for all topics.
    Broker,
    /// It was set for this topic.
    Topic,
}

impl TopicConfigs {
    /// Sets a config, or with `None` sets it back to the default.
    ///
    /// # Errors
    /// The key is unknown, or the value not allowed. Nothing is changed then.
    pub fn set(&mut self, key: &str, value: Option<&str>) -> Result<(), TopicConfigError> {
        let known = find(key)?;
        match value {
            Some(text) => {
                let refused = || TopicConfigError::Value { key: known, value: text.to_owned() };
                self.set.insert(known, known.kind().parse(text).ok_or_else(refused)?);
            }
            None => {
                self.set.remove(&known);
            }
        }
        Ok(())
    }

    /// Gives the configs as they are after these changes, all of them together.
    ///
    /// # Errors
    /// The first change that is not allowed; a key may be named once only.
    pub fn altered(&self, changes: &[ConfigChange]) -> Result<Self, TopicConfigError> {
        let mut altered = self.clone();
        for (position, change) in changes.iter().enumerate() {
            let key = find(&change.key)?;
            // Keys before this one are known and differ from each other, so this loop is as short as the table.
            if changes[..position].iter().any(|before| before.key == change.key) {
                return Err(TopicConfigError::Twice { key });
            }
            altered.set(&change.key, change.value.as_deref())?;
        }
        Ok(altered)
    }

    /// Gives what was set for this config; `None` where nothing was.
    #[must_use]
    pub fn get(&self, key: TopicConfigKey) -> Option<ConfigValue> {
        self.set.get(&key).copied()
    }

    /// Lists what was set, by key.
    pub fn iter(&self) -> impl Iterator<Item = (TopicConfigKey, ConfigValue)> {
        self.set.iter().map(|(key, value)| (*key, *value))
    }

    /// Gives the config that is in force on a broker: the topic's, else the broker's, else the default.
    #[must_use]
    pub fn in_force(&self, key: TopicConfigKey, broker: &Self) -> ConfigInForce {
        let of = |source, value| ConfigInForce { key, value, source };
        let topic = self.get(key).map(|value| of(ConfigSource::Topic, value));
        topic
            .or_else(|| broker.get(key).map(|value| of(ConfigSource::Broker, value)))
            .unwrap_or_else(|| of(ConfigSource::Default, key.default_value()))
    }

    /// Lists all configs that are in force on a broker, by key.
    pub fn describe(&self, broker: &Self) -> impl Iterator<Item = ConfigInForce> {
        TopicConfigKey::ALL.iter().map(|key| self.in_force(*key, broker))
    }
}

fn find(key: &str) -> Result<TopicConfigKey, TopicConfigError> {
    let unknown = || TopicConfigError::UnknownKey { key: key.to_owned(), nearest: TopicConfigKey::nearest(key) };
    TopicConfigKey::from_key(key).ok_or_else(unknown)
}
