//! Refuses messages in a compression that is not supported, before anything is read of them.

use super::{Request, Response};
use crate::{grpc::status, metrics::Metrics};

const ENCODING: &str = "grpc-encoding";
/// What the codec knows; it compares them as they are.
const SUPPORTED: [&[u8]; 2] = [b"gzip", b"identity"];

/// The answer to a request whose message cannot be read.
pub(crate) fn refuse_encoding(metrics: &Metrics, request: &Request) -> Option<Response> {
    let encoding = request.headers().get(ENCODING)?.as_bytes();
    if SUPPORTED.contains(&encoding) {
        return None;
    }
    metrics.requests_refused.get_or_create(&"encoding".into()).inc();
    Some(status::unknown_encoding(encoding).into_http())
}
