//! Refuses messages in a compression that is not supported, before anything is read of them.

use super::{Request, Response};
use crate::{grpc::status, metrics::Metrics};

const ENCODING: &str = "grpc-encoding";
/// What the codec knows; it compares them as they are.
const SUPPORTED: [&[u8]; 2] = [b"gzip", b"identity"];

pub(in crate::grpc) async fn encoding(
    metrics: &Metrics,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    match request.headers().get(ENCODING) {
        Some(encoding) if !SUPPORTED.contains(&encoding.as_bytes()) => {
            metrics.requests_refused.get_or_create(&"encoding".into()).inc();
            status::unknown_encoding(encoding.as_bytes()).into_http()
        }
        Some(_) | None => next(request).await,
    }
}
