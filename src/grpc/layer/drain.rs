//! Ends the streams that only the caller would end, once their connection or the service ends: a watch of
//! the health or an idle reflection stream would otherwise hold up the end until its time is over.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, body::Body};

use super::{Request, Response, streams::CHECK};
use crate::{
    grpc::status,
    server::{Ending, Endless},
};

pub(crate) async fn drain(
    stopping: &CancellationToken,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let Ending(ending) = request.extensions().get().cloned().unwrap_or_default();
    let is_endless = request.uri().path() != CHECK;
    let mut response = next(request).await;
    if response.body().is_end_stream() {
        return response;
    }
    if is_endless {
        response.extensions_mut().insert(Endless);
    }
    response.map(|body| {
        let ending = Box::pin(ending.cancelled_owned());
        Body::new(Until { body, ending, stopping: stopping.clone(), is_over: false })
    })
}

/// What the caller of an ended stream gets: it can go on over another connection.
fn trailers(is_stopping: bool) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    status::stream_ended(is_stopping).add_header(&mut trailers).expect("the message is plain text");
    trailers
}

/// A body that ends early, with these trailers, if it has nothing to send once its connection ends. One that
/// has is let finish: the answer to a health check is never cut.
struct Until {
    body: Body,
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
    stopping: CancellationToken,
    is_over: bool,
}

impl HttpBody for Until {
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
        // It may end before its time.
        let mut hint = SizeHint::new();
        if let Some(upper) = self.body.size_hint().upper() {
            hint.set_upper(upper);
        }
        hint
    }
}
