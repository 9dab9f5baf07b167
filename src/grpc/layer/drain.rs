//! Ends health watches and reflection streams when their connection or the service ends. Otherwise only the client
//! ends them, and they would delay the end to its time limit.

use futures_util::stream;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use tokio_util::sync::CancellationToken;
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
        let open = Some((body, ending, stopping.clone()));
        Body::new(StreamBody::new(stream::unfold(open, async |open| {
            let (mut body, ending, stopping) = open?;
            tokio::select! {
                // What is ready is sent: the response to a health check is never truncated.
                biased;
                frame = body.frame() => Some((frame?, Some((body, ending, stopping)))),
                () = ending.cancelled() => Some((Ok(Frame::trailers(trailers(stopping.is_cancelled()))), None)),
            }
        })))
    })
}

fn trailers(is_stopping: bool) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let status = Status::from(status::stream_ended(if is_stopping {
        "the service is stopping: open the stream again"
    } else {
        "the connection has reached its maximum age: open the stream again"
    }));
    status.add_header(&mut trailers).expect("the message is plain text");
    trailers
}
