//! Refuses calls with more metadata than any has. HTTP/2 would refuse them as well, with a status that no
//! client of gRPC explains, and without a trace here.

use super::{Request, Response};
use crate::{grpc::status, metrics::Metrics};

/// Twice what gRPC clients allow for metadata by themselves, for a large bearer token.
const MOST_BYTES: usize = 16 * 1024;
/// What each field costs beside its name and its value (RFC 9113, section 10.5.1).
const FIELD: usize = 32;

/// The answer to a request with too much of it.
pub(crate) fn refuse_metadata(metrics: &Metrics, request: &Request) -> Option<Response> {
    let size: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD).sum();
    if size <= MOST_BYTES && request.uri().path().len() <= MOST_BYTES {
        return None;
    }
    metrics.requests_refused.get_or_create(&"metadata".into()).inc();
    Some(status::metadata_too_large(MOST_BYTES).into_http())
}
