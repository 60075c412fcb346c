//! Bytes that no client sends: not HTTP/2, not gRPC, not protobuf.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tidelog_proto::error_code::ErrorCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, Request};
use tonic::{Code, Status};

use super::host::Host;
use super::row::{Row, Seen, call};

/// What a client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// The header block ends with this frame.
const END_HEADERS: u8 = 4;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = not_http2();
    rows.extend(not_grpc());
    rows.extend(not_protobuf());
    rows
}

/// Sends bytes on a connection and reads until the broker closes it.
fn closes(what: &str, bytes: Vec<u8>) -> Row {
    Row::new(format!("a connection with {what}"), Seen::ConnectionEnds, async move |host: &Host| {
        let mut connection = TcpStream::connect(host.address()).await.expect("it listens");
        // It may be closed before all is sent, and reset with what was not read.
        let _ = connection.write_all(&bytes).await;
        let _ = connection.read_to_end(&mut Vec::new()).await;
        Seen::ConnectionEnds
    })
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it is small").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The beginning of a connection, and frames.
fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
    [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[]), frames.concat()].concat()
}

/// The headers of a call, each a literal that enters no table (RFC 7541, section 6.2.2).
fn call_headers() -> Vec<u8> {
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/tidelog.v1.Broker/Produce"),
        (":authority", "broker"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ];
    headers.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("it is short")], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

fn not_http2() -> Vec<Row> {
    let http1 = b"GET /health/live HTTP/1.1\r\nhost: broker\r\n\r\n".to_vec();
    let opened = |stream: u32| frame(HEADERS, END_HEADERS, stream, &call_headers());
    let resets = (0..2000_u32).flat_map(|call| {
        let stream = 2 * call + 1;
        [opened(stream), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())]
    });
    let junk = literal("x-junk", &"j".repeat(100)).repeat(100);
    let flood = std::iter::once(frame(HEADERS, 0, 1, &call_headers()))
        .chain((0..1000).map(|_| frame(CONTINUATION, 0, 1, &junk)));
    let window = (1_u32 << 31) - 1;
    vec![
        closes("nothing on it", vec![]),
        closes("half a preface", PREFACE[..12].to_vec()),
        closes("HTTP/1", http1),
        closes("bytes of no meaning", vec![0xa5; 4096]),
        closes("a frame of 16 MiB announced", connection(&[vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]])),
        closes("settings of a stream", connection(&[frame(SETTINGS, 0, 1, &[])])),
        closes("settings of 5 bytes", connection(&[frame(SETTINGS, 0, 0, &[0; 5])])),
        closes("data of no stream", connection(&[frame(DATA, 0, 0, &[0; 10])])),
        closes("data of a stream that was never opened", connection(&[frame(DATA, 0, 1, &[0; 10])])),
        closes("a stream of an even number", connection(&[opened(2)])),
        closes("a continuation of nothing", connection(&[frame(CONTINUATION, END_HEADERS, 1, &[])])),
        closes("headers that cannot be decoded", connection(&[frame(HEADERS, END_HEADERS, 1, &[0xff; 100])])),
        closes("headers without an end", connection(&flood.collect::<Vec<_>>())),
        closes(
            "a window past its end",
            connection(&[
                frame(WINDOW_UPDATE, 0, 0, &window.to_be_bytes()),
                frame(WINDOW_UPDATE, 0, 0, &window.to_be_bytes()),
            ]),
        ),
        closes("2000 calls that are reset at once", connection(&resets.collect::<Vec<_>>())),
    ]
}

/// A body of one part.
struct Part(Option<Bytes>);

impl HttpBody for Part {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Sends bytes as the body of a call.
async fn send(host: &Host, path: &str, headers: &[(&'static str, String)], bytes: Vec<u8>) -> Seen {
    let uri = format!("http://{}{path}", host.address());
    let mut request = Request::post(uri).header("te", "trailers").header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(Body::new(Part(Some(bytes.into())))).expect("well-formed");
    let mut channel = host.channel();
    poll_fn(|context| channel.poll_ready(context)).await.expect("it is there");
    match channel.call(request).await {
        Err(error) => Seen::of_status(&Status::from_error(error.into())),
        Ok(response) => {
            let (head, mut body) = response.into_parts();
            if let Some(seen) = of_trailers(&head.headers) {
                return seen;
            }
            while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                match frame {
                    Err(status) => return Seen::of_status(&status),
                    Ok(frame) => {
                        if let Some(seen) = frame.trailers_ref().and_then(of_trailers) {
                            return seen;
                        }
                    }
                }
            }
            Seen::Nothing
        }
    }
}

fn of_trailers(trailers: &HeaderMap) -> Option<Seen> {
    let status = Status::from_header_map(trailers)?;
    Some(if status.code() == Code::Ok { Seen::Answered } else { Seen::of_status(&status) })
}

fn message(bytes: &[u8]) -> Vec<u8> {
    prefixed(0, u32::try_from(bytes.len()).expect("it is small"), bytes)
}

/// A message with this flag and declared length in front.
fn prefixed(flag: u8, length: u32, bytes: &[u8]) -> Vec<u8> {
    [&[flag], &length.to_be_bytes()[..], bytes].concat()
}

const PRODUCE: &str = "/tidelog.v1.Broker/Produce";
const METADATA: &str = "/tidelog.v1.Broker/Metadata";
const CREATE: &str = "/tidelog.v1.Admin/CreateTopics";

fn sends(what: &str, must: Seen, path: &'static str, bytes: Vec<u8>) -> Row {
    Row::new(format!("a call {what}"), must, async move |host: &Host| send(host, path, &[], bytes).await)
}

fn not_grpc() -> Vec<Row> {
    let too_long = || call(ErrorCode::InvalidRequest).of_limit("message_bytes_max");
    let (unknown, internal) = (Seen::Status(Code::Unimplemented), Seen::Status(Code::Internal));
    vec![
        sends("of a method that is not there", unknown.clone(), "/tidelog.v1.Broker/Nothing", message(&[])),
        sends("of a service that is not there", unknown.clone(), "/tidelog.v1.Nothing/Produce", message(&[])),
        sends("that declares 4 GiB on a stream", too_long(), PRODUCE, prefixed(0, u32::MAX, &[1, 2, 3])),
        sends("that declares 4 GiB on Metadata", too_long(), METADATA, prefixed(0, u32::MAX, &[1, 2, 3])),
        sends("that declares 4 GiB on CreateTopics", too_long(), CREATE, prefixed(0, u32::MAX, &[1, 2, 3])),
        sends("that declares a byte too many", too_long(), PRODUCE, prefixed(0, (8 << 20) + 1, &[])),
        sends("that ends within its message", internal.clone(), METADATA, prefixed(0, 100, &[1, 2, 3])),
        sends("that ends within its prefix", internal.clone(), METADATA, vec![0, 0]),
        sends("without a message", internal.clone(), METADATA, vec![]),
        sends("that is compressed by nothing", internal.clone(), METADATA, prefixed(1, 0, &[])),
        sends("with a flag of no meaning", internal, METADATA, prefixed(9, 0, &[])),
        Row::new("a call compressed by a codec that is not there", unknown, async |host: &Host| {
            send(host, METADATA, &[("grpc-encoding", "zstd".to_owned())], prefixed(1, 4, &[1, 2, 3, 4])).await
        }),
        Row::new("a call with a deadline of no meaning", Seen::Answered, async |host: &Host| {
            send(host, METADATA, &[("grpc-timeout", "soon".to_owned())], message(&[])).await
        }),
    ]
}

fn not_protobuf() -> Vec<Row> {
    let internal = || Seen::Status(Code::Internal);
    let deep = (0..30).fold(vec![], |inner: Vec<u8>, _| {
        let length = u8::try_from(inner.len()).expect("it is short");
        [&[10, length][..], &inner].concat()
    });
    vec![
        sends("of bytes that are no message", internal(), METADATA, message(&[0xff; 50])),
        sends(
            "with a field of a length that never ends",
            internal(),
            METADATA,
            message(&[10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        sends("with a field longer than its message", internal(), METADATA, message(&[10, 100, 1, 2])),
        sends("with a field of another type", internal(), METADATA, message(&[8, 1])),
        sends("with a name that is no text", internal(), METADATA, message(&[10, 4, 18, 2, 0xff, 0xfe])),
        sends("with an id of messages within messages", Seen::Answered, METADATA, message(&deep)),
        sends("with field 0", internal(), METADATA, message(&[2, 0])),
        sends("with unknown fields only", Seen::Answered, METADATA, message(&[0xf8, 0x07, 1].repeat(1000))),
    ]
}
