//! The body of a request, its messages counted as they arrive.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use tidelog_proto::api::FILE_DESCRIPTOR_SET;
use tonic::Status;
use tonic::body::Body;

use crate::message_limits::{ELEMENTS_MAX, MESSAGE_BYTES_MAX};
use crate::message_scan::{MessageScan, TooMuch};
use crate::message_shapes::MessageShapes;
use crate::reply_error;

/// A body whose messages are counted.
struct ScannedBody {
    body: Body,
    scan: MessageScan,
}

/// Makes what has every request of the API pass the counting.
pub(crate) fn scan_requests() -> impl Fn(Request<Body>) -> Request<Body> + Clone + Send + Sync + 'static {
    let shapes = Arc::new(MessageShapes::new(FILE_DESCRIPTOR_SET));
    move |request| match shapes.request(request.uri().path()) {
        Some(shape) => {
            let scan = MessageScan::new(Arc::clone(&shapes), shape);
            request.map(|body| Body::new(ScannedBody { body, scan }))
        }
        None => request,
    }
}

impl http_body::Body for ScannedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            other => return other,
        };
        let scanned = frame.data_ref().map_or(Ok(()), |bytes| self.scan.feed(bytes));
        Poll::Ready(Some(scanned.map(|()| frame).map_err(refusal)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
