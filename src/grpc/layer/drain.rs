//! Ends the streams that only the caller would end, once the service stops: a watch of the health or
//! an idle reflection stream would otherwise hold up the drain until its time is over.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use http_body::{Frame, SizeHint};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tonic::Status;

pub(in crate::grpc) async fn drain(
    State(stopping): State<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    let answered = CancellationToken::new();
    let guard = answered.clone().drop_guard();
    let request = request.map(|body| Body::new(Until::new(body, answered, None)));
    next.run(request).await.map(|body| {
        let body = Until::new(body, stopping, Some(trailers()));
        Body::new(Answer { body, _request: guard })
    })
}

/// What the caller of an ended stream is told: another replica can take it on.
fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    Status::unavailable("the service is stopping: open the stream again")
        .add_header(&mut trailers)
        .expect("the message is plain text");
    trailers
}

/// The body of an answer, which takes the body of its request along when it ends. The reflection
/// service reads requests in a task of its own and notices no other end, and an HTTP/2 stream is
/// over only when both of its directions are.
struct Answer {
    body: Until,
    _request: DropGuard,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that ends early, with these trailers, if it has nothing to say once the token is cancelled.
/// One that has is let finish: the answer to a health check is never cut.
struct Until {
    body: Body,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    trailers: Option<HeaderMap>,
    is_over: bool,
}

impl Until {
    fn new(body: Body, token: CancellationToken, trailers: Option<HeaderMap>) -> Self {
        Self { body, cancelled: Box::pin(token.cancelled_owned()), trailers, is_over: false }
    }
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.is_over = frame.is_none();
            return Poll::Ready(frame);
        }
        self.cancelled.as_mut().poll(cx).map(|()| {
            self.is_over = true;
            self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // It may end before its time.
        let mut hint = SizeHint::new();
        if let Some(upper) = self.body.size_hint().upper() {
            hint.set_upper(upper);
        }
        hint
    }
}
