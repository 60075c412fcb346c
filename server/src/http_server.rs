//! The HTTP port: metrics and health, for machines that watch.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a client may take to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one connection may last, whatever it does.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes that are kept of a request.
const BUFFER_BYTES: usize = 16 * 1024;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// How long to leave a machine alone that has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits of the HTTP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Open connections; one more is closed at once.
    pub connections_max: usize,
}

impl Default for HttpConfig {
    /// 64 connections.
    fn default() -> Self {
        Self { connections_max: 64 }
    }
}

/// What the port tells.
pub trait Observed: fmt::Debug + Send + Sync + 'static {
    /// Writes all metrics in the text format of Prometheus.
    fn metrics(&self) -> String;

    /// Tells whether clients are served; if not, why.
    ///
    /// # Errors
    /// The reason, in words.
    fn ready(&self) -> Result<(), String>;
}

/// Serves until `stop` resolves, then cuts every connection.
pub async fn serve(
    listener: TcpListener,
    observed: Arc<dyn Observed>,
    config: HttpConfig,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(config.connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::error!(%error, "connections to the HTTP port cannot be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        while connections.join_next().now_or_never().flatten().is_some() {}
        // Without a place it is dropped, which closes it.
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let observed = Arc::clone(&observed);
            connections.spawn(async move {
                serve_connection(stream, observed).await;
                drop(place);
            });
        }
    }
    connections.shutdown().await;
}

async fn serve_connection(stream: TcpStream, observed: Arc<dyn Observed>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), observed.as_ref());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), answer);
    match timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "connection to the HTTP port ended"),
    }
}

/// Answers one request.
fn answer(method: &Method, path: &str, observed: &dyn Observed) -> Response<Full<Bytes>> {
    if *method != Method::GET && *method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n");
    }
    match path {
        "/metrics" => {
            let mut response = text(StatusCode::OK, observed.metrics());
            let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(open_metrics));
            response
        }
        "/health/live" => text(StatusCode::OK, "live\n"),
        "/health/ready" => match observed.ready() {
            Ok(()) => text(StatusCode::OK, "ready\n"),
            Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /health/live and /health/ready\n"),
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    #[derive(Debug)]
    struct Starting;

    impl Observed for Starting {
        fn metrics(&self) -> String {
            "tidelog_up 1\n# EOF\n".to_owned()
        }

        fn ready(&self) -> Result<(), String> {
            Err("partitions are being opened".to_owned())
        }
    }

    async fn get(address: SocketAddr, request: &str) -> String {
        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_and_health_are_told_and_the_end_is_an_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let config = HttpConfig { connections_max: 2 };
        let server = tokio::spawn(serve(listener, Arc::new(Starting), config, stopped.map(drop)));
        for (request, status, body) in [
            ("GET /metrics", "200 OK", "tidelog_up 1"),
            ("GET /health/live", "200 OK", "live"),
            ("GET /health/ready", "503 Service Unavailable", "partitions are being opened"),
            ("GET /nothing", "404 Not Found", "/metrics"),
            ("POST /metrics", "405 Method Not Allowed", "GET"),
        ] {
            let answer = get(address, request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(body), "{request}: {answer}");
        }
        let mut idle = TcpStream::connect(address).await.unwrap();
        drop(stop);
        timeout(Duration::from_secs(20), server).await.unwrap().unwrap();
        assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed");
    }
}
