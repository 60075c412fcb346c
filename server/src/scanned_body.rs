//! The body of a request: its messages counted, and held back where a connection sends more than is taken.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Request;
use http_body::{Frame, SizeHint};
use tidelog_proto::api::FILE_DESCRIPTOR_SET;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;

use crate::assembly::{Assembly, AssemblyRoom};
use crate::in_flight::ConnectionBudget;
use crate::message_limits::{ELEMENTS_MAX, MESSAGE_BYTES_MAX};
use crate::message_scan::{MessageScan, TooMuch};
use crate::message_shapes::MessageShapes;
use crate::reply_error;

/// A body whose messages are counted.
struct ScannedBody {
    body: Body,
    scan: MessageScan,
    room: AssemblyRoom,
    assembly: Arc<Assembly>,
    /// The beginning of a message that waits for its room. While there is one, nothing more is read.
    held: Option<Held>,
}

/// A part of the body, and the room that it waits for.
struct Held {
    frame: Frame<Bytes>,
    room: BoxFuture<'static, Option<OwnedSemaphorePermit>>,
}

/// Makes what has every request of the API pass the counting. Its session finds the [`Assembly`] among the extensions.
pub(crate) fn scan_requests() -> impl Fn(Request<Body>) -> Request<Body> + Clone + Send + Sync + 'static {
    let shapes = Arc::new(MessageShapes::new(FILE_DESCRIPTOR_SET));
    move |mut request| {
        let Some(shape) = shapes.request(request.uri().path()) else { return request };
        let scan = MessageScan::new(Arc::clone(&shapes), shape);
        let connection = request.extensions().get::<ConnectionBudget>();
        let room = connection.map_or_else(AssemblyRoom::new, ConnectionBudget::assembly_room);
        let assembly = Arc::new(Assembly::default());
        request.extensions_mut().insert(Arc::clone(&assembly));
        request.map(|body| Body::new(ScannedBody { body, scan, room, assembly, held: None }))
    }
}

impl http_body::Body for ScannedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.held.is_none() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            if let Some(Err(too_much)) = frame.data_ref().map(|bytes| self.scan.feed(bytes)) {
                return Poll::Ready(Some(Err(refusal(too_much))));
            }
            let Some(message_bytes) = self.scan.take_begun() else { return Poll::Ready(Some(Ok(frame))) };
            // The one before was taken, or this one would not be asked for.
            self.assembly.end();
            let room = self.room.clone().acquire(message_bytes).boxed();
            self.held = Some(Held { frame, room });
        }
        let Some(held) = &mut self.held else { return Poll::Pending };
        let share = ready!(held.room.poll_unpin(context));
        self.assembly.begin(share);
        Poll::Ready(self.held.take().map(|held| Ok(held.frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for ScannedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScannedBody").field("scan", &self.scan).finish_non_exhaustive()
    }
}

fn refusal(too_much: TooMuch) -> Status {
    match too_much {
        TooMuch::Bytes(actual) => {
            let limit = reply_error::limit("message_bytes_max", MESSAGE_BYTES_MAX as u64, Some(actual as u64), false);
            reply_error::passed_limit(format!("message of {actual} bytes is above {MESSAGE_BYTES_MAX}"), limit)
        }
        TooMuch::Elements => {
            let limit = reply_error::limit("message_elements_max", ELEMENTS_MAX as u64, None, false);
            reply_error::passed_limit(format!("message has more than {ELEMENTS_MAX} elements"), limit)
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    /// The beginning of a message of this length on a `Produce` stream of this connection.
    fn begun(
        scan: &impl Fn(Request<Body>) -> Request<Body>,
        connection: &ConnectionBudget,
        length: usize,
    ) -> Request<Body> {
        let prefix = [&[0][..], &u32::try_from(length).unwrap().to_be_bytes()].concat();
        let body = Body::new(Full::new(Bytes::from(prefix)).map_err(|never| match never {}));
        let mut request = Request::new(body);
        *request.uri_mut() = "/tidelog.v1.Broker/Produce".parse().unwrap();
        request.extensions_mut().insert(connection.clone());
        scan(request)
    }

    #[test]
    fn a_third_large_message_waits_until_a_session_has_one_of_the_others_and_a_small_one_never_does() {
        let scan = scan_requests();
        let connection = ConnectionBudget::new(1);
        let mut calls = [(); 3].map(|()| begun(&scan, &connection, MESSAGE_BYTES_MAX));
        let arrives = |call: &mut Request<Body>| call.body_mut().frame().now_or_never().is_some();
        assert!(arrives(&mut calls[0]) && arrives(&mut calls[1]));
        assert!(!arrives(&mut calls[2]));
        assert!(arrives(&mut begun(&scan, &connection, 64 * 1024)));
        assert!(arrives(&mut begun(&scan, &ConnectionBudget::new(1), MESSAGE_BYTES_MAX)), "of another connection");

        let assembly = calls[0].extensions().get::<Arc<Assembly>>().unwrap();
        assembly.end();
        assert!(arrives(&mut calls[2]));
    }

    #[test]
    fn a_call_that_ends_gives_its_room_back() {
        let scan = scan_requests();
        let connection = ConnectionBudget::new(1);
        let mut calls = [(); 3].map(|()| begun(&scan, &connection, MESSAGE_BYTES_MAX));
        let arrives = |call: &mut Request<Body>| call.body_mut().frame().now_or_never().is_some();
        assert!(arrives(&mut calls[0]) && arrives(&mut calls[1]) && !arrives(&mut calls[2]));
        let [first, _, mut third] = calls;
        drop(first);
        assert!(arrives(&mut third));
    }
}
