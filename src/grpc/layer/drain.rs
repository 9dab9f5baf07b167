//! Ends health watches and reflection streams when their connection or the service ends. Otherwise only the client
//! ends them, and they would delay the end to its time limit.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, body::Body};

use super::{Request, Response};
use crate::{
    grpc::{methods::Limit, status},
    server::{Ending, Endless},
};

pub(crate) async fn drain(
    stopping: &CancellationToken,
    limit: Limit,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let Ending(ending) = request.extensions().get().cloned().unwrap_or_default();
    let mut response = next(request).await;
    if response.body().is_end_stream() {
        return response;
    }
    if limit != Limit::HealthChecks {
        response.extensions_mut().insert(Endless);
    }
    response.map(|body| {
        let ending = Box::pin(ending.cancelled_owned());
        Body::new(UntilEnding { body, ending, stopping: stopping.clone(), is_over: false })
    })
}

fn trailers(is_stopping: bool) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    Status::from(status::stream_ended(is_stopping))
        .add_header(&mut trailers)
        .expect("the message is plain text");
    trailers
}

/// A body that ends with its connection, unless it has something to send: the response to a health check is never
/// truncated.
struct UntilEnding {
    body: Body,
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
    stopping: CancellationToken,
    is_over: bool,
}

impl HttpBody for UntilEnding {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.is_over = frame.is_none();
            return Poll::Ready(frame);
        }
        self.ending.as_mut().poll(cx).map(|()| {
            self.is_over = true;
            Some(Ok(Frame::trailers(trailers(self.stopping.is_cancelled()))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // It may end early.
        let mut hint = SizeHint::new();
        if let Some(upper) = self.body.size_hint().upper() {
            hint.set_upper(upper);
        }
        hint
    }
}
