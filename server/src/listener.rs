//! Connections as they come in: how many, how fast, and set up how.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use crate::data_path::DataPath;
use crate::in_flight::ConnectionBudget;

/// What a client of HTTP/2 sends first.
const PREFACE_BYTES: usize = 24;

/// How long to leave a machine alone that has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Open connections; one more is closed at once.
    pub connections_max: usize,
    /// Open connections from one address; one more is closed at once.
    pub connections_per_ip_max: usize,
    /// How long a client may take until its first bytes are complete.
    pub handshake_timeout: Duration,
}

/// One accepted connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    budget: ConnectionBudget,
    /// Ends a connection whose client says nothing; `None` once it has said enough.
    handshake: Option<Pin<Box<Sleep>>>,
    received_bytes: usize,
    path: Arc<DataPath>,
    /// Given back when the connection ends.
    _place: Place,
}

/// The places that there are for connections, and who has how many of them.
#[derive(Debug)]
struct Places {
    all: Arc<Semaphore>,
    per_ip_max: usize,
    by_ip: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    ip: IpAddr,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    /// Takes a place; where there is none, says which config allows no more.
    fn take(self: &Arc<Self>, ip: IpAddr) -> Result<Place, &'static str> {
        let of_all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| "connections_max")?;
        let mut by_ip = self.by_ip();
        let count = by_ip.entry(ip).or_default();
        if *count >= self.per_ip_max {
            return Err("connections_per_ip_max");
        }
        *count += 1;
        drop(by_ip);
        Ok(Place { places: Arc::clone(self), ip, _of_all: of_all })
    }

    fn by_ip(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_ip.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.places.by_ip().entry(self.ip) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Accepts connections, each with a budget of its own, until it is dropped.
pub(crate) fn connections(
    listener: TcpListener,
    path: Arc<DataPath>,
    config: ListenerConfig,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    let places = Arc::new(Places {
        all: Arc::new(Semaphore::new(config.connections_max.clamp(1, Semaphore::MAX_PERMITS))),
        per_ip_max: config.connections_per_ip_max.max(1),
        by_ip: Mutex::default(),
    });
    stream::unfold((listener, path, places), move |(listener, path, places)| async move {
        let connection = accept(&listener, &path, &places, config.handshake_timeout).await;
        Some((Ok(connection), (listener, path, places)))
    })
}

async fn accept(
    listener: &TcpListener,
    path: &Arc<DataPath>,
    places: &Arc<Places>,
    handshake_timeout: Duration,
) -> Connection {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Some(connection) = admit(stream, peer, path, places, handshake_timeout) {
                    return connection;
                }
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "connections cannot be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    path: &Arc<DataPath>,
    places: &Arc<Places>,
    handshake_timeout: Duration,
) -> Option<Connection> {
    let place = match places.take(peer.ip()) {
        Ok(place) => place,
        Err(config) => {
            path.metrics.connections_refused.inc();
            tracing::warn!(%peer, "connection closed: there are as many as {config} allows");
            return None;
        }
    };
    // Acks are small and must not wait for company. The server would not set it on a connection that it did not accept.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::warn!(%peer, %error, "connection closed: its options cannot be set");
        return None;
    }
    path.metrics.connections.inc();
    Some(Connection {
        stream,
        budget: path.connection_budget(),
        handshake: Some(Box::pin(sleep(handshake_timeout))),
        received_bytes: 0,
        path: Arc::clone(path),
        _place: place,
    })
}

/// Tells errors of a connection that broke before it was accepted from those of the machine.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.path.metrics.connections.dec();
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectionBudget;

    fn connect_info(&self) -> ConnectionBudget {
        self.budget.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() {
            let Some(handshake) = &mut self.handshake else { return Poll::Pending };
            ready!(handshake.as_mut().poll(context));
            let silent = io::Error::new(io::ErrorKind::TimedOut, "the client did not complete its handshake in time");
            return Poll::Ready(Err(silent));
        }
        if self.handshake.is_some() {
            self.received_bytes += buffer.filled().len() - before;
            if self.received_bytes >= PREFACE_BYTES {
                self.handshake = None;
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;

    use super::*;
    use crate::data_path::DataPathConfig;

    async fn listening(
        connections_max: usize,
    ) -> (SocketAddr, impl Stream<Item = io::Result<Connection>>, Arc<DataPath>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let path = Arc::new(DataPath::new(DataPathConfig::default()));
        let handshake_timeout = Duration::from_secs(5);
        let config = ListenerConfig { connections_max, connections_per_ip_max: 2, handshake_timeout };
        (address, connections(listener, Arc::clone(&path), config), path)
    }

    #[tokio::test]
    async fn connections_do_not_delay_small_writes() {
        let (address, incoming, _) = listening(1).await;
        let _client = TcpStream::connect(address).await.unwrap();
        let connection = Box::pin(incoming).next().await.unwrap().unwrap();
        assert!(connection.stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn one_connection_too_many_is_closed_at_once_and_a_closed_one_makes_room() {
        let (address, incoming, path) = listening(1).await;
        let mut incoming = Box::pin(incoming);
        let _first = TcpStream::connect(address).await.unwrap();
        let connection = incoming.next().await.unwrap().unwrap();

        let mut second = TcpStream::connect(address).await.unwrap();
        let waiting = tokio::spawn(async move { incoming.next().await.unwrap().unwrap() });
        assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0, "closed");
        assert_eq!(path.metrics.connections_refused.get(), 1);

        drop(connection);
        let _third = TcpStream::connect(address).await.unwrap();
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn one_address_leaves_places_to_others() {
        let (address, incoming, path) = listening(10).await;
        let mut incoming = Box::pin(incoming);
        let _two = (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let mut open = vec![incoming.next().await.unwrap().unwrap(), incoming.next().await.unwrap().unwrap()];
        let mut third = TcpStream::connect(address).await.unwrap();
        let other = TcpSocket::new_v4().unwrap();
        other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let _other = other.connect(address).await.unwrap();
        open.push(incoming.next().await.unwrap().unwrap());
        assert_eq!(third.read(&mut [0; 1]).await.unwrap(), 0, "closed");
        assert_eq!(path.metrics.connections_refused.get(), 1);

        open.remove(0);
        let _fourth = TcpStream::connect(address).await.unwrap();
        open.push(incoming.next().await.unwrap().unwrap());
    }

    #[test]
    fn nothing_is_kept_of_addresses_that_are_gone() {
        let places = Arc::new(Places { all: Arc::new(Semaphore::new(3)), per_ip_max: 2, by_ip: Mutex::default() });
        let (near, far) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 1]));
        let taken = [places.take(near).unwrap(), places.take(near).unwrap()];
        assert_eq!(places.take(near).unwrap_err(), "connections_per_ip_max");
        let other = places.take(far).unwrap();
        assert_eq!(places.take(far).unwrap_err(), "connections_max");
        drop(taken);
        assert_eq!(places.by_ip().keys().collect::<Vec<_>>(), [&far]);
        drop(other);
        assert!(places.by_ip().is_empty());
        assert_eq!(places.all.available_permits(), 3);
    }

    #[tokio::test]
    async fn who_says_nothing_is_let_go_and_who_says_hello_stays() {
        let (address, incoming, _) = listening(2).await;
        let mut incoming = Box::pin(incoming);
        let (_silent, mut polite) =
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let mut to_silent = incoming.next().await.unwrap().unwrap();
        let mut to_polite = incoming.next().await.unwrap().unwrap();
        polite.write_all(&[0; PREFACE_BYTES]).await.unwrap();
        to_polite.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();

        tokio::time::pause();
        let error = to_silent.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut byte = [0; 1];
        let reading = tokio::time::timeout(Duration::from_secs(60), to_polite.read(&mut byte));
        assert!(reading.await.is_err(), "it may be idle");
    }
}
