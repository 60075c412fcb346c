//! The gRPC port: every limit of HTTP/2 and gRPC said, since what is not said is often no limit at all.

use std::sync::Arc;
use std::time::Duration;

use tidelog_proto::api::FILE_DESCRIPTOR_SET;
use tidelog_proto::api::v1::broker_server::{Broker, BrokerServer};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;
use tower::util::MapRequestLayer;

use crate::data_path::DataPath;
use crate::listener::{ListenerConfig, connections};
use crate::message_limits::MESSAGE_BYTES_MAX;
use crate::scanned_body::scan_requests;

/// Frames of this size carry twice as much as those of HTTP/2's default, 16 KiB.
const FRAME_BYTES: u32 = 256 * 1024;

/// Headers of a request, as HTTP/2 counts them: a call has a few hundred bytes.
const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// Streams that a client has reset and that were not taken up yet; one more ends the connection (rapid reset).
const PENDING_RESETS_MAX: usize = 32;

/// Streams that we have reset for a client's mistakes; one more ends the connection.
const LOCAL_RESETS_MAX: usize = 1024;

/// Requests of the services for tools: the name of a service or a file.
const TOOL_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What a unary call may take beyond its own deadline before it is cut off.
const DEADLINE_MARGIN: Duration = Duration::from_secs(5);

/// Limits of the gRPC port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcConfig {
    /// Bounds of connections.
    pub listener: ListenerConfig,
    /// Calls that one connection has open.
    pub streams_per_connection_max: u32,
    /// How long a connection is silent before it is asked whether it lives.
    pub keepalive_interval: Duration,
    /// How long it may take to answer that.
    pub keepalive_timeout: Duration,
    /// Bytes that a call may send ahead; `None`: HTTP/2's default, which is best but for links with much delay.
    pub stream_window_bytes: Option<u32>,
    /// Bytes that a connection may send ahead.
    pub connection_window_bytes: Option<u32>,
}

impl Default for GrpcConfig {
    /// 10,000 connections, 8,000 from one address, with 128 calls each, 5 s for a handshake, asked after 30 s of silence and closed 10 s later.
    fn default() -> Self {
        Self {
            listener: ListenerConfig {
                connections_max: 10_000,
                connections_per_ip_max: 8_000,
                handshake_timeout: Duration::from_secs(5),
            },
            streams_per_connection_max: 128,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            stream_window_bytes: None,
            connection_window_bytes: None,
        }
    }
}

/// Puts the services together that every broker has: `Broker`, reflection and health. Others are added to what it gives.
///
/// # Panics
/// Never: the descriptors were made with this program, and a test serves them.
#[must_use]
pub fn routes(broker: impl Broker) -> (Routes, HealthReporter) {
    let broker = BrokerServer::new(broker)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (reporter, health) = tonic_health::server::health_reporter();
    let health =
        health.max_decoding_message_size(TOOL_MESSAGE_BYTES_MAX).max_encoding_message_size(TOOL_MESSAGE_BYTES_MAX);
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection = described().build_v1().expect("descriptors are made with this program");
    let reflection =
        reflection.max_decoding_message_size(TOOL_MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX);
    // What most tools still ask for.
    let older = described().build_v1alpha().expect("descriptors are made with this program");
    let older = older.max_decoding_message_size(TOOL_MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX);
    (Routes::new(broker).add_service(health).add_service(reflection).add_service(older), reporter)
}

/// Serves until `stop` resolves; then accepts nothing more, and returns when every connection has ended.
///
/// # Errors
/// The server could not be set up.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    path: Arc<DataPath>,
    config: GrpcConfig,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let request_timeout = path.config.request_timeout;
    Server::builder()
        .accept_http1(false)
        .max_frame_size(FRAME_BYTES)
        .initial_stream_window_size(config.stream_window_bytes)
        .initial_connection_window_size(config.connection_window_bytes)
        .http2_adaptive_window(Some(false))
        .max_concurrent_streams(config.streams_per_connection_max)
        .concurrency_limit_per_connection(config.streams_per_connection_max as usize)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS_MAX))
        .http2_keepalive_interval(Some(config.keepalive_interval))
        .http2_keepalive_timeout(Some(config.keepalive_timeout))
        // Of the answer's beginning: streams live as long as both sides want.
        .timeout(request_timeout.saturating_add(DEADLINE_MARGIN))
        .layer(MapRequestLayer::new(scan_requests()))
        .serve_with_incoming_shutdown(routes.prepare(), connections(listener, path, config.listener), stop)
        .await
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::test_server::TestServer;

    /// HTTP/2's numbers of settings (RFC 9113, section 6.5.2).
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    const MAX_FRAME_SIZE: u16 = 5;
    const MAX_HEADER_LIST_SIZE: u16 = 6;

    #[tokio::test]
    async fn a_client_is_told_the_limits_of_its_connection() {
        let server = TestServer::start(0).await;
        let mut client = TcpStream::connect(server.address).await.unwrap();
        let no_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        client.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &no_settings].concat()).await.unwrap();

        let mut header = [0; 9];
        client.read_exact(&mut header).await.unwrap();
        assert_eq!(header[3], 4, "settings come first");
        let mut payload = vec![0; usize::from(header[2])];
        client.read_exact(&mut payload).await.unwrap();
        let setting = |entry: &[u8]| {
            let number = u16::from_be_bytes([entry[0], entry[1]]);
            (number, u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))
        };
        let settings: HashMap<u16, u32> = payload.chunks(6).map(setting).collect();
        assert_eq!(settings.get(&MAX_FRAME_SIZE), Some(&FRAME_BYTES));
        assert_eq!(settings.get(&MAX_HEADER_LIST_SIZE), Some(&HEADER_BYTES_MAX));
        let streams_max = GrpcConfig::default().streams_per_connection_max;
        assert_eq!(settings.get(&MAX_CONCURRENT_STREAMS), Some(&streams_max));
    }
}
