//! One connection to each broker, opened when it is first needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidelog_proto::api::v1::admin_client::AdminClient;
use tidelog_proto::api::v1::broker_client::BrokerClient;
use tonic::transport::{Channel, Endpoint};

use crate::CallError;

/// The largest message in either direction, as the brokers have it.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The largest HTTP/2 frame that is taken: large batches then come in few pieces, which is worth a factor of two.
const FRAME_BYTES_MAX: u32 = 256 * 1024;

/// How long a connection may be silent before the broker is asked whether it is still there.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long the answer to that may take before the connection counts as broken.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How connections are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionSettings {
    /// How long it may take to connect.
    pub(crate) connect_timeout: Duration,
    /// Bytes on the way to this client on one stream before the broker must wait.
    pub(crate) stream_window_bytes: u32,
    /// The same for all streams of a connection together.
    pub(crate) connection_window_bytes: u32,
}

/// Channels by address. Each is one connection, which opens when it is first used and again after it broke.
#[derive(Debug)]
pub(crate) struct Connections {
    settings: ConnectionSettings,
    /// Shared by every task of the client; held for a look-up only.
    by_address: Mutex<BTreeMap<String, Channel>>,
}

impl Connections {
    pub(crate) const fn new(settings: ConnectionSettings) -> Self {
        Self { settings, by_address: Mutex::new(BTreeMap::new()) }
    }

    /// Returns the connection to the broker at `host:port`.
    pub(crate) fn channel(&self, address: &str) -> Result<Channel, CallError> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = by_address.get(address) {
            return Ok(channel.clone());
        }
        let channel = self.endpoint(address)?.connect_lazy();
        by_address.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    /// Returns the stub of the service `Broker` at this address.
    pub(crate) fn broker(&self, address: &str) -> Result<BrokerClient<Channel>, CallError> {
        Ok(broker_stub(self.channel(address)?))
    }

    /// Forgets the connections to all other addresses. What still runs on them goes on.
    pub(crate) fn retain(&self, addresses: &BTreeSet<&str>) {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        by_address.retain(|address, _| addresses.contains(address.as_str()));
    }

    fn endpoint(&self, address: &str) -> Result<Endpoint, CallError> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|_| CallError::Address { address: address.to_owned() })?;
        Ok(endpoint
            .connect_timeout(self.settings.connect_timeout)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(KEEP_ALIVE_INTERVAL))
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .http2_adaptive_window(false)
            .initial_stream_window_size(self.settings.stream_window_bytes)
            .initial_connection_window_size(self.settings.connection_window_bytes)
            .max_frame_size(FRAME_BYTES_MAX))
    }
}

/// Makes the stub of the service `Broker`, with both limits set.
pub(crate) fn broker_stub(channel: Channel) -> BrokerClient<Channel> {
    BrokerClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Makes the stub of the service `Admin`, with both limits set.
pub(crate) fn admin_stub(channel: Channel) -> AdminClient<Channel> {
    AdminClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
}
