//! Which configs a broker has: one table of keys, units, bounds and defaults.

use std::fmt;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const SECOND_MS: u64 = 1000;
const MINUTE_MS: u64 = 60 * SECOND_MS;

/// The largest window that HTTP/2 has.
const WINDOW_BYTES_MAX: u64 = i32::MAX as u64;

/// What values a config takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Number {
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
    /// `true` or `false`.
    Flag,
    /// The path of a directory.
    Path,
    /// An address to listen at, `ip:port`; port 0 takes any.
    SocketAddress,
    /// An address for others to connect to, `host:port`.
    HostPort,
    /// A word of at most 64 characters.
    Word,
}

/// Defines the configs from one table, so that no list of them can fall behind. In the order in which they are printed.
macro_rules! broker_config_keys {
    ($($name:ident = $text:literal, $unit:expr, $kind:expr, $default:expr, $description:literal;)*) => {
        /// A config of a broker.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum BrokerConfigKey {
            $(
                #[doc = $description]
                $name,
            )*
        }

        impl BrokerConfigKey {
            /// Every config, in the order of the printed file.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the key as users write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Returns what values it takes.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$name => $kind,)*
                }
            }

            /// Returns the value as text where nobody sets one; `None` where it has none.
            #[must_use]
            pub const fn default_value(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => $default,)*
                }
            }

            /// Returns what its number counts; `None` where it is no number.
            #[must_use]
            pub const fn unit(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => $unit,)*
                }
            }

            /// Returns what it does, in one sentence.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$name => $description,)*
                }
            }
        }
    };
}

broker_config_keys! {
    DataDir = "data_dir", None, Kind::Path, None,
        "The directory that holds everything that this broker keeps; it must be set.";
    NodeId = "node_id", None, Kind::Number { min: 0, max: i32::MAX as u64 }, Some("1"),
        "The broker's number, its own within the cluster and for good.";
    Rack = "rack", None, Kind::Word, None,
        "The rack, zone or room that the broker stands in; replicas are spread over them.";
    Listen = "listen", None, Kind::SocketAddress, Some("127.0.0.1:7420"),
        "The address of the gRPC port.";
    Advertise = "advertise", None, Kind::HostPort, None,
        "The address under which clients and brokers reach the gRPC port; without it, that of listen.";
    HttpListen = "http_listen", None, Kind::SocketAddress, Some("127.0.0.1:7421"),
        "The address of the HTTP port, for metrics and health.";
    RequestTimeoutMs = "request_timeout_ms", Some("milliseconds"),
        Kind::Number { min: 100, max: 10 * MINUTE_MS }, Some("30000"),
        "How long a call may wait for its partitions at most.";
    ShutdownTimeoutMs = "shutdown_timeout_ms", Some("milliseconds"),
        Kind::Number { min: 0, max: 10 * MINUTE_MS }, Some("30000"),
        "How long a broker that ends waits for its streams to end; then they are cut.";
    AutoCreateTopics = "auto_create_topics", None, Kind::Flag, Some("false"),
        "Whether a topic is created when a client that allows it asks for its metadata.";
    NumPartitions = "num_partitions", Some("partitions"), Kind::Number { min: 1, max: 10_000 }, Some("1"),
        "Partitions of a topic that is created without a number.";
    DefaultReplicationFactor = "default_replication_factor", Some("replicas"),
        Kind::Number { min: 1, max: 5 }, Some("3"),
        "Replicas of a topic that is created without a number; fewer where there are fewer brokers.";
    DiskReserveBytes = "disk_reserve_bytes", Some("bytes"),
        Kind::Number { min: 0, max: 1024 * GIB }, Some("1073741824"),
        "With less free space than this no records are taken.";
    CleanupIntervalMs = "cleanup_interval_ms", Some("milliseconds"),
        Kind::Number { min: 100, max: 60 * MINUTE_MS }, Some("30000"),
        "How often old segments are looked for that retention and compaction no longer keep.";
    InFlightBytesMax = "in_flight_bytes_max", Some("bytes"), Kind::Number { min: 8 * MIB, max: GIB }, Some("67108864"),
        "Produced bytes without an ack on all connections; then streams are not read.";
    ConnectionInFlightBytesMax = "connection_in_flight_bytes_max", Some("bytes"),
        Kind::Number { min: MIB, max: GIB }, Some("8388608"),
        "Produced bytes without an ack on one connection; then its streams are not read.";
    FetchPartitionsMax = "fetch_partitions_max", Some("partitions"),
        Kind::Number { min: 1, max: 100_000 }, Some("1000"),
        "Partitions that one fetch stream may have open.";
    BlockingTasksMax = "blocking_tasks_max", Some("tasks"), Kind::Number { min: 1, max: 256 }, Some("8"),
        "Reads of records that are not in memory, and checks of large batches, that run at once.";
    ConnectionsMax = "connections_max", Some("connections"), Kind::Number { min: 1, max: 1_000_000 }, Some("10000"),
        "Open connections to the gRPC port; one more is closed at once.";
    ConnectionsPerIpMax = "connections_per_ip_max", Some("connections"),
        Kind::Number { min: 1, max: 1_000_000 }, Some("8000"),
        "Open connections to the gRPC port from one address, so that it cannot take the places of all others.";
    HttpConnectionsMax = "http_connections_max", Some("connections"),
        Kind::Number { min: 1, max: 10_000 }, Some("64"),
        "Open connections to the HTTP port; one more is closed at once.";
    StreamsPerConnectionMax = "streams_per_connection_max", Some("calls"),
        Kind::Number { min: 1, max: 10_000 }, Some("128"),
        "Calls that one connection may have open.";
    HandshakeTimeoutMs = "handshake_timeout_ms", Some("milliseconds"),
        Kind::Number { min: 100, max: MINUTE_MS }, Some("5000"),
        "How long a new connection may take for its first bytes.";
    KeepaliveIntervalMs = "keepalive_interval_ms", Some("milliseconds"),
        Kind::Number { min: SECOND_MS, max: 60 * MINUTE_MS }, Some("30000"),
        "How long a connection is silent before it is asked whether it lives.";
    KeepaliveTimeoutMs = "keepalive_timeout_ms", Some("milliseconds"),
        Kind::Number { min: 100, max: 10 * MINUTE_MS }, Some("10000"),
        "How long a connection may take to answer that; then it is closed.";
    StreamWindowBytes = "stream_window_bytes", Some("bytes"),
        Kind::Number { min: 64 * KIB - 1, max: WINDOW_BYTES_MAX }, None,
        "Bytes that a call may send ahead; for links with much delay. Without it, the default of HTTP/2's implementation.";
    ConnectionWindowBytes = "connection_window_bytes", Some("bytes"),
        Kind::Number { min: 64 * KIB - 1, max: WINDOW_BYTES_MAX }, None,
        "Bytes that a connection may send ahead, all its calls together; as stream_window_bytes.";
}

impl BrokerConfigKey {
    /// Finds the config that is called exactly this.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == key)
    }
}

impl fmt::Display for BrokerConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Flag => f.write_str("true or false"),
            Self::Path => f.write_str("the path of a directory"),
            Self::SocketAddress => f.write_str("an address such as 127.0.0.1:7420 or [::1]:7420"),
            Self::HostPort => f.write_str("an address such as broker-1:7420 or [::1]:7420"),
            Self::Word => f.write_str("a word of at most 64 characters"),
        }
    }
}
