//! Every config: its bounds, its default, what it becomes.
#![allow(clippy::unwrap_used, reason = "tests")]

use tidelog_log::{CleanupPolicy, LogConfig};
use tidelog_proto::batch::{ProduceLimits, TimestampType};

use super::test_commands::{set, unset};
use super::{
    ConfigKind, ConfigSource, ConfigValue, FlushMode, TopicConfigError, TopicConfigKey, TopicConfigs, TopicSettings,
};

const GARBAGE: [&str; 8] = ["", " ", "abc", "1 ", "1e3", "0x1", "--1", "99999999999999999999999"];

fn with(key: TopicConfigKey, value: &str) -> Result<TopicConfigs, TopicConfigError> {
    TopicConfigs::default().altered(&[set(key.as_str(), value)])
}

fn settings(key: TopicConfigKey, value: &str) -> TopicSettings {
    with(key, value).unwrap().settings(&TopicConfigs::default())
}

#[test]
fn every_config_takes_its_bounds_and_nothing_beyond() {
    for key in TopicConfigKey::ALL.iter().copied() {
        let (mut allowed, mut refused): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        match key.kind() {
            ConfigKind::Number { min, max } | ConfigKind::NumberOrNone { min, max } => {
                allowed.extend([min.to_string(), max.to_string()]);
                refused.extend([(max + 1).to_string()]);
                refused.extend(min.checked_sub(1).map(|below| below.to_string()));
            }
            ConfigKind::Share => {
                allowed.extend(["0", "1"].map(str::to_owned));
                refused.extend(["-0.000001", "1.000001"].map(str::to_owned));
            }
            ConfigKind::Word(words) => {
                allowed.extend(words.iter().map(|word| (*word).to_owned()));
                refused.extend(words.iter().map(|word| word.to_uppercase()));
            }
        }
        let unlimited = if matches!(key.kind(), ConfigKind::NumberOrNone { .. }) { &mut allowed } else { &mut refused };
        unlimited.extend(["none", "-1"].map(str::to_owned));
        refused.extend(GARBAGE.map(str::to_owned));
        for value in allowed {
            let configs = with(key, &value).unwrap();
            let canonical = configs.get(key).unwrap().to_string();
            assert_eq!(with(key, &canonical).unwrap(), configs, "{key} = {value}");
            let config = configs.settings(&TopicConfigs::default()).log_config(&LogConfig::default());
            assert_eq!(config.validate(), Ok(()), "{key} = {value}");
        }
        for value in refused {
            let error = with(key, &value).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(key.as_str()) && message.contains(&key.kind().to_string()), "{message}");
            assert_eq!(error, TopicConfigError::Value { key, value });
        }
        assert_eq!(key.kind().parse(&key.default_value().to_string()), Some(key.default_value()), "{key}");
    }
}

#[test]
fn bounds_and_defaults_are_as_documented() {
    let documented = [
        ("batch_bytes_max", "1048576", "a whole number from 61 to 8323072"),
        ("cleanup_policy", "delete", "one of compact | compact,delete | delete"),
        ("decompressed_batch_bytes_max", "67108864", "a whole number from 1024 to 67108864"),
        ("delete_retention_ms", "86400000", "a whole number from 0 to 9223372036854775807"),
        ("flush_mode", "commit", "one of commit | interval"),
        ("headers_max", "64", "a whole number from 0 to 4096"),
        ("index_interval_bytes", "4096", "a whole number from 512 to 67108864"),
        ("min_cleanable_dirty_ratio", "0.5", "a number from 0 to 1 of at most 6 decimals"),
        ("min_compaction_lag_ms", "0", "a whole number from 0 to 9223372036854775807"),
        ("retention_bytes", "none", "a whole number from 0 to 9223372036854775807, or none"),
        ("retention_ms", "604800000", "a whole number from 0 to 9223372036854775807, or none"),
        ("segment_bytes", "1073741824", "a whole number from 512 to 2147483648"),
        ("segment_ms", "604800000", "a whole number from 1 to 9223372036854775807"),
        ("timestamp_ahead_max_ms", "3600000", "a whole number from 0 to 9223372036854775807, or none"),
        ("timestamp_type", "create_time", "one of create_time | log_append_time"),
    ];
    let configs = TopicConfigs::default();
    let described = configs.describe(&configs).map(|config| {
        assert_eq!(config.source, ConfigSource::Default);
        (config.key.as_str(), config.value.to_string(), config.key.kind().to_string())
    });
    let documented = documented.map(|(key, value, kind)| (key, value.to_owned(), kind.to_owned()));
    assert_eq!(described.collect::<Vec<_>>(), documented);
}

#[test]
fn defaults_are_those_of_the_engine_and_of_produce() {
    let configs = TopicConfigs::default();
    let settings = configs.settings(&configs);
    assert_eq!(settings.log_config(&LogConfig::default()), LogConfig::default());
    let hour_ms = 60 * 60 * 1000;
    let limits = ProduceLimits { timestamp_ms_max: 5 + hour_ms, ..ProduceLimits::default() };
    assert_eq!(settings.produce_limits(5), limits);
    assert_eq!(settings.flush_mode, FlushMode::Commit);
}

#[test]
fn every_config_reaches_its_setting() {
    let defaults = TopicConfigs::default();
    let defaults = defaults.settings(&defaults);
    for key in TopicConfigKey::ALL.iter().copied() {
        let other = match key.kind() {
            ConfigKind::Number { min, .. } | ConfigKind::NumberOrNone { min, .. } => (min + 7).to_string(),
            ConfigKind::Share => "0.25".to_owned(),
            ConfigKind::Word(words) => {
                let default = key.default_value().to_string();
                (*words.iter().find(|word| **word != default).unwrap()).to_owned()
            }
        };
        assert_ne!(settings(key, &other), defaults, "{key} = {other}");
    }
    assert_eq!(settings(TopicConfigKey::CleanupPolicy, "compact").cleanup_policy, CleanupPolicy::Compact);
    for both in ["compact,delete", "delete,compact"] {
        assert_eq!(settings(TopicConfigKey::CleanupPolicy, both).cleanup_policy, CleanupPolicy::CompactDelete);
    }
    assert_eq!(settings(TopicConfigKey::TimestampType, "log_append_time").timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(settings(TopicConfigKey::RetentionMs, "none").retention_ms, None);
    assert_eq!(settings(TopicConfigKey::RetentionBytes, "0").retention_bytes, Some(0));
    let share = settings(TopicConfigKey::MinCleanableDirtyRatio, "0.25").min_cleanable_dirty_ratio;
    assert!((share - 0.25).abs() < f64::EPSILON);
    assert_eq!(settings(TopicConfigKey::FlushMode, "interval").flush_mode, FlushMode::Interval);
}

#[test]
fn produce_follows_the_topic() {
    let compacted = settings(TopicConfigKey::CleanupPolicy, "compact").produce_limits(0);
    assert!(compacted.keys_required && compacted.walk_compressed);
    assert_eq!(settings(TopicConfigKey::TimestampType, "log_append_time").produce_limits(0).timestamp_ms_max, i64::MAX);
    assert_eq!(settings(TopicConfigKey::TimestampAheadMaxMs, "none").produce_limits(0).timestamp_ms_max, i64::MAX);
    let far = settings(TopicConfigKey::TimestampAheadMaxMs, "9223372036854775807");
    assert_eq!(far.produce_limits(i64::MAX - 1).timestamp_ms_max, i64::MAX);
    assert_eq!(settings(TopicConfigKey::HeadersMax, "3").produce_limits(0).headers_max, 3);
    assert_eq!(settings(TopicConfigKey::BatchBytesMax, "100").produce_limits(0).batch_bytes_max, 100);
    let limits = settings(TopicConfigKey::DecompressedBatchBytesMax, "2048").produce_limits(0);
    assert_eq!(limits.decode.decompressed_bytes_max, 2048);
}

#[test]
fn the_topic_is_stronger_than_the_broker_and_the_broker_than_the_default() {
    let broker = TopicConfigs::default().altered(&[set("retention_ms", "1"), set("segment_ms", "2")]).unwrap();
    let topic = TopicConfigs::default().altered(&[set("retention_ms", "3")]).unwrap();
    let of = |key| {
        let config = topic.in_force(key, &broker);
        (config.value, config.source)
    };
    assert_eq!(of(TopicConfigKey::RetentionMs), (ConfigValue::Number(3), ConfigSource::Topic));
    assert_eq!(of(TopicConfigKey::SegmentMs), (ConfigValue::Number(2), ConfigSource::Broker));
    assert_eq!(of(TopicConfigKey::FlushMode), (ConfigValue::Word("commit"), ConfigSource::Default));
    let back = topic.altered(&[unset("retention_ms")]).unwrap();
    assert_eq!(back, TopicConfigs::default());
    assert_eq!(back.settings(&broker).retention_ms, Some(1));
    assert!(matches!(topic.altered(&[unset("nonsense")]), Err(TopicConfigError::UnknownKey { .. })));
}
