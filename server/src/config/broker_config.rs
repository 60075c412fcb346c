//! The configs of a broker, typed and within their bounds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tidelog_proto::ids::BrokerId;
use tidelog_raft::metadata::{Address, TopicConfigs};

use super::error::ConfigError;
use super::key::{BrokerConfigKey as Key, Kind};
use super::settings::{Settings, Source};
use crate::data_path::DataPathConfig;
use crate::grpc_server::GrpcConfig;
use crate::http_server::HttpConfig;
use crate::listener::ListenerConfig;

/// What a broker is told when it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    /// Where it keeps everything.
    pub data_dir: PathBuf,
    /// Its number.
    pub node_id: BrokerId,
    /// Where it stands.
    pub rack: Option<String>,
    /// The address of the gRPC port.
    pub listen: SocketAddr,
    /// Where others reach it. Absent: at `listen`, once it is bound.
    pub advertise: Option<String>,
    /// The address of the HTTP port.
    pub http_listen: SocketAddr,
    /// How long streams may take to end when the broker does.
    pub shutdown_timeout: Duration,
    /// Whether topics are created when they are asked for.
    pub auto_create_topics: bool,
    /// Partitions of a topic that is created without a number.
    pub num_partitions: u32,
    /// Replicas of a topic that is created without a number, where there are as many brokers.
    pub default_replication_factor: u32,
    /// With less free space no records are taken.
    pub disk_reserve_bytes: u64,
    /// How often old segments are looked for.
    pub cleanup_interval: Duration,
    /// Bounds of the calls that move records.
    pub data_path: DataPathConfig,
    /// Limits of the gRPC port.
    pub grpc: GrpcConfig,
    /// Limits of the HTTP port.
    pub http: HttpConfig,
    /// What is set for all topics.
    pub topic: TopicConfigs,
}

impl BrokerConfig {
    /// Checks what was set.
    ///
    /// # Errors
    /// The first config that is missing, not allowed, or contradicts another.
    pub fn new(settings: &Settings) -> Result<Self, ConfigError> {
        let read = Reader { settings };
        let config = Self {
            data_dir: PathBuf::from(read.required(Key::DataDir)?),
            node_id: BrokerId::new(read.small(Key::NodeId)?),
            rack: read.text(Key::Rack)?.map(str::to_owned),
            listen: read.socket_address(Key::Listen)?,
            advertise: read.text(Key::Advertise)?.map(str::to_owned),
            http_listen: read.socket_address(Key::HttpListen)?,
            shutdown_timeout: read.duration(Key::ShutdownTimeoutMs)?,
            auto_create_topics: read.required(Key::AutoCreateTopics)? == "true",
            num_partitions: read.small(Key::NumPartitions)?,
            default_replication_factor: read.small(Key::DefaultReplicationFactor)?,
            disk_reserve_bytes: read.number(Key::DiskReserveBytes)?,
            cleanup_interval: read.duration(Key::CleanupIntervalMs)?,
            data_path: DataPathConfig {
                request_timeout: read.duration(Key::RequestTimeoutMs)?,
                connection_in_flight_bytes_max: read.small(Key::ConnectionInFlightBytesMax)?,
                in_flight_bytes_max: read.small(Key::InFlightBytesMax)?,
                fetch_partitions_max: read.small(Key::FetchPartitionsMax)?,
                blocking_tasks_max: read.size(Key::BlockingTasksMax)?,
            },
            grpc: GrpcConfig {
                listener: ListenerConfig {
                    connections_max: read.size(Key::ConnectionsMax)?,
                    connections_per_ip_max: read.size(Key::ConnectionsPerIpMax)?,
                    handshake_timeout: read.duration(Key::HandshakeTimeoutMs)?,
                },
                streams_per_connection_max: read.small(Key::StreamsPerConnectionMax)?,
                keepalive_interval: read.duration(Key::KeepaliveIntervalMs)?,
                keepalive_timeout: read.duration(Key::KeepaliveTimeoutMs)?,
                stream_window_bytes: read.optional_small(Key::StreamWindowBytes)?,
                connection_window_bytes: read.optional_small(Key::ConnectionWindowBytes)?,
            },
            http: HttpConfig { connections_max: read.size(Key::HttpConnectionsMax)? },
            topic: settings.topic_configs()?,
        };
        if config.data_path.in_flight_bytes_max < config.data_path.connection_in_flight_bytes_max {
            let (low, high) = (Key::InFlightBytesMax, Key::ConnectionInFlightBytesMax);
            return Err(ConfigError::Contradiction { low, high });
        }
        Ok(config)
    }
}

/// Reads texts as what their keys take.
struct Reader<'a> {
    settings: &'a Settings,
}

impl<'a> Reader<'a> {
    /// Gives a value that is allowed; `None` where there is none.
    fn text(&self, key: Key) -> Result<Option<&'a str>, ConfigError> {
        let Some((text, source)) = self.settings.get(key) else { return Ok(None) };
        if is_allowed(key.kind(), text) { Ok(Some(text)) } else { Err(refused(key, text, source)) }
    }

    fn required(&self, key: Key) -> Result<&'a str, ConfigError> {
        self.text(key)?.ok_or(ConfigError::Missing { key })
    }

    fn optional_number(&self, key: Key) -> Result<Option<u64>, ConfigError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| refused(key, text, Source::Default))
    }

    fn number(&self, key: Key) -> Result<u64, ConfigError> {
        self.optional_number(key)?.ok_or(ConfigError::Missing { key })
    }

    /// Reads a number whose bounds are within 32 bits.
    fn small(&self, key: Key) -> Result<u32, ConfigError> {
        self.number(key).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }

    fn optional_small(&self, key: Key) -> Result<Option<u32>, ConfigError> {
        let number = self.optional_number(key)?;
        Ok(number.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
    }

    fn size(&self, key: Key) -> Result<usize, ConfigError> {
        self.number(key).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
    }

    fn duration(&self, key: Key) -> Result<Duration, ConfigError> {
        self.number(key).map(Duration::from_millis)
    }

    fn socket_address(&self, key: Key) -> Result<SocketAddr, ConfigError> {
        let text = self.required(key)?;
        text.parse().map_err(|_| refused(key, text, Source::Default))
    }
}

fn refused(key: Key, text: &str, source: Source) -> ConfigError {
    ConfigError::Value { source, key, value: text.to_owned() }
}

fn is_allowed(kind: Kind, text: &str) -> bool {
    match kind {
        Kind::Number { min, max } => {
            // Digits only: the standard library would take a sign too.
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            is_plain && text.parse().is_ok_and(|number: u64| (min..=max).contains(&number))
        }
        Kind::Flag => matches!(text, "true" | "false"),
        Kind::Path => !text.is_empty(),
        Kind::SocketAddress => text.parse::<SocketAddr>().is_ok(),
        Kind::HostPort => Address::new(text).is_ok(),
        Kind::Word => !text.is_empty() && text.chars().count() <= 64,
    }
}

#[cfg(test)]
mod tests {
    use tidelog_raft::metadata::{ConfigValue, TopicConfigKey};

    use super::*;
    use crate::config::print_default;

    fn read(text: &str) -> Result<BrokerConfig, ConfigError> {
        let mut settings = Settings::default();
        settings.read_file("tidelog.toml", text)?;
        BrokerConfig::new(&settings)
    }

    #[test]
    fn defaults_are_allowed_and_those_of_the_types() {
        let config = read("data_dir = 'd'").unwrap();
        assert_eq!(config.data_path, DataPathConfig::default());
        assert_eq!(config.grpc, GrpcConfig::default());
        assert_eq!(config.http, HttpConfig::default());
        assert_eq!(config.listen.to_string(), "127.0.0.1:7420");
        for key in Key::ALL {
            let is_fine = key.default_value().is_none_or(|text| is_allowed(key.kind(), text));
            assert!(is_fine, "{key}");
        }
    }

    #[test]
    fn the_printed_file_is_the_defaults() {
        let printed = print_default();
        assert_eq!(read(&format!("data_dir = 'd'\n{printed}")), read("data_dir = 'd'"));
        let uncommented: String = printed
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .filter(|line| !line.ends_with('='))
            .flat_map(|line| [line, "\n"])
            .collect();
        let config = read(&uncommented).unwrap();
        let defaults = TopicConfigKey::ALL.iter().all(|key| config.topic.get(*key) == Some(key.default_value()));
        assert!(defaults, "{uncommented}");
    }

    #[test]
    fn stronger_sources_win_whatever_the_order() {
        let mut settings = Settings::default();
        settings.set_flag("data_dir", "flag").unwrap();
        settings.read_environment([("TIDELOG_DATA_DIR".to_owned(), "variable".to_owned())]).unwrap();
        settings.read_environment([("TIDELOG_NODE_ID".to_owned(), "7".to_owned())]).unwrap();
        settings.read_environment([("HOME".to_owned(), "elsewhere".to_owned())]).unwrap();
        settings.read_environment([("TIDELOG_TOPIC_RETENTION_MS".to_owned(), "none".to_owned())]).unwrap();
        settings
            .read_file("f", "data_dir = 'file'\nnode_id = 5\nnum_partitions = 6\n[topic]\nretention_ms = 5")
            .unwrap();
        let config = BrokerConfig::new(&settings).unwrap();
        assert_eq!((config.data_dir.to_str(), config.node_id.get(), config.num_partitions), (Some("flag"), 7, 6));
        assert_eq!(config.topic.get(TopicConfigKey::RetentionMs), Some(ConfigValue::Unlimited));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_what_would_be_right() {
        for (text, expected) in [
            ("listen = ", "tidelog.toml: TOML parse error"),
            ("lisen = 'x'", "tidelog.toml: there is no config lisen, nearest is listen"),
            ("[topic]\nretention = 1", "there is no config topic.retention, nearest is topic.retention_ms"),
            ("[listen]\na = 1", "listen is not a text"),
            ("data_dir = 'd'\nlisten = 'here'", "listen = \"here\" is not allowed, an address such as"),
            ("data_dir = 'd'\nnode_id = -1", "node_id = \"-1\" is not allowed, a whole number from 0 to"),
            (
                "data_dir = 'd'\nrequest_timeout_ms = 1",
                "is not allowed, a whole number from 100 to 600000 is, in milliseconds",
            ),
            ("data_dir = 'd'\nauto_create_topics = 1", "true or false is"),
            ("data_dir = 'd'\nadvertise = 'x'", "advertise = \"x\" is not allowed"),
            ("data_dir = 'd'\n[topic]\nretention_ms = 'long'", "topic: retention_ms = \"long\" is not allowed"),
            ("node_id = 1", "data_dir is not set"),
            (
                "data_dir = 'd'\nconnection_in_flight_bytes_max = 134217728",
                "in_flight_bytes_max is below connection_in_flight_bytes_max",
            ),
        ] {
            let told = read(text).unwrap_err().to_string();
            assert!(told.contains(expected), "{text:?}: {told}");
        }
        let unknown = Settings::default().read_environment([("TIDELOG_NODEID".to_owned(), "1".to_owned())]);
        assert_eq!(unknown.unwrap_err().to_string(), "TIDELOG_NODEID: there is no config nodeid, nearest is node_id");
    }
}
