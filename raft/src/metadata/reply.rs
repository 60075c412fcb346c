//! Refused commands, and configs, as replies tell them.

use tidelog_proto::api::v1;

use super::{ConfigInForce, ConfigSource, LimitPassed, MetadataError, PlacementError, TopicConfigError};

impl From<&MetadataError> for v1::Error {
    fn from(error: &MetadataError) -> Self {
        match error {
            MetadataError::Config(error) => error.into(),
            MetadataError::Limit(passed) => passed.into(),
            _ => Self::new(error.code(), error.to_string()),
        }
    }
}

impl From<&TopicConfigError> for v1::Error {
    fn from(error: &TopicConfigError) -> Self {
        let config = match error {
            TopicConfigError::UnknownKey { key, nearest } => {
                Some(v1::InvalidConfig { key: key.clone(), value: None, allowed: format!("nearest is {nearest}") })
            }
            TopicConfigError::Value { key, value } => Some(v1::InvalidConfig {
                key: key.to_string(),
                value: Some(value.clone()),
                allowed: key.kind().to_string(),
            }),
            TopicConfigError::Twice { .. } => None,
        };
        Self { config, ..Self::new(error.code(), error.to_string()) }
    }
}

impl From<&LimitPassed> for v1::Error {
    fn from(passed: &LimitPassed) -> Self {
        let limit = v1::ExceededLimit {
            name: passed.limit.name().to_owned(),
            allowed: passed.limit.allowed(),
            actual: Some(passed.actual),
            config_key: None,
        };
        Self { limit: Some(limit), ..Self::new(passed.code(), passed.to_string()) }
    }
}

impl From<&PlacementError> for v1::Error {
    fn from(error: &PlacementError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<ConfigInForce> for v1::Config {
    fn from(config: ConfigInForce) -> Self {
        let source = match config.source {
            ConfigSource::Default => v1::ConfigSource::Default,
            ConfigSource::Broker => v1::ConfigSource::Broker,
            ConfigSource::Topic => v1::ConfigSource::Topic,
        };
        Self {
            key: config.key.to_string(),
            value: Some(config.value.to_string()),
            source: source.into(),
            // Every topic config can be changed, and none is secret.
            read_only: false,
            sensitive: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use tidelog_proto::error_code::ErrorCode;

    use super::*;
    use crate::metadata::{MetadataLimit, TopicConfigKey, TopicConfigs};

    #[test]
    fn a_refused_config_names_key_value_and_what_is_allowed() {
        let error = TopicConfigs::default().set("index_interval_bytes", Some("7")).unwrap_err();
        let reply = v1::Error::from(&MetadataError::Config(error));
        assert_eq!(reply.known_code(), Some(ErrorCode::InvalidConfig));
        assert!(!reply.retriable);
        let config = reply.config.unwrap();
        assert_eq!((config.key.as_str(), config.value.as_deref()), ("index_interval_bytes", Some("7")));
        assert_eq!(config.allowed, "a whole number from 512 to 67108864");
        assert_eq!(
            reply.message,
            "index_interval_bytes = \"7\" is not allowed, a whole number from 512 to 67108864 is, in bytes"
        );

        let error = TopicConfigs::default().set("retention.ms", Some("7")).unwrap_err();
        let reply = v1::Error::from(&MetadataError::Config(error));
        assert_eq!(reply.message, "there is no topic config \"retention.ms\", nearest is retention_ms");
        assert_eq!(reply.config.unwrap().value, None);
    }

    #[test]
    fn a_config_is_told_with_its_source() {
        let mut topic = TopicConfigs::default();
        topic.set("retention_bytes", Some("-1")).unwrap();
        let told = |key| v1::Config::from(topic.in_force(key, &TopicConfigs::default()));
        let set = told(TopicConfigKey::RetentionBytes);
        assert_eq!((set.value.as_deref(), set.source()), (Some("none"), v1::ConfigSource::Topic));
        let default = told(TopicConfigKey::FlushMode);
        assert_eq!((default.key.as_str(), default.source()), ("flush_mode", v1::ConfigSource::Default));
    }

    #[test]
    fn a_passed_limit_is_told_with_both_numbers() {
        for limit in MetadataLimit::ALL {
            let allowed = usize::try_from(limit.allowed()).unwrap();
            assert_eq!(limit.check(allowed), Ok(()));
            let passed = limit.check(allowed + 1).unwrap_err();
            let reply = v1::Error::from(&MetadataError::Limit(passed));
            let told = reply.limit.as_ref().unwrap();
            assert_eq!((told.name.as_str(), told.allowed), (limit.name(), limit.allowed()));
            assert_eq!(told.actual, Some(limit.allowed() + 1));
            assert_eq!(reply.retriable, limit == MetadataLimit::DeletedTopics);
        }
    }
}
