//! Rejects requests whose headers no call of this service can have, before their messages are read.

use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, ToStrError},
};
use tonic::body::Body;

use super::{Request, Response};
use crate::{grpc::status, metrics::Metrics};

/// The codec knows these, and compares them byte by byte.
const ENCODINGS: [&[u8]; 2] = [b"gzip", b"identity"];
/// Twice what gRPC clients allow for metadata by default, for a large bearer token.
const MOST_BYTES: usize = 16 * 1024;
/// What each field costs in addition to its name and value (RFC 9113, section 10.5.1).
const FIELD: usize = 32;
const NOT_GRPC: &str = "This is a gRPC service: the content-type must be application/grpc or \
                        application/grpc+proto, over HTTP/2. Use a gRPC client; gRPC-Web and JSON need a \
                        proxy that translates them.\n";

/// Rejects another protocol with 415, as gRPC asks for; the codec would try to decode it.
pub(crate) fn reject_content_type(metrics: &Metrics, request: &Request) -> Option<Response> {
    if request.headers().get(CONTENT_TYPE).is_some_and(|value| is_grpc(value).unwrap_or_default()) {
        return None;
    }
    count(metrics, "media_type");
    let mut response = Response::new(Body::new(NOT_GRPC.to_owned()));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Some(response)
}

/// Media types ignore case, and white space around their parameters (RFC 9110, section 8.3.1).
fn is_grpc(value: &HeaderValue) -> Result<bool, ToStrError> {
    const GRPC: &str = "application/grpc";
    let essence = value.to_str()?.split(';').next().unwrap_or_default().trim();
    let Some((media_type, format)) = essence.split_at_checked(GRPC.len()) else { return Ok(false) };
    Ok(media_type.eq_ignore_ascii_case(GRPC) && (format.is_empty() || format.starts_with('+')))
}

/// Rejects too much metadata, and compression that is not supported. HTTP/2 limits metadata as well, but with an
/// error that gRPC clients do not explain, and without a log line here.
pub(crate) fn reject_metadata(metrics: &Metrics, request: &Request) -> Option<Response> {
    let field = |(name, value): (&http::HeaderName, &HeaderValue)| name.as_str().len() + value.len() + FIELD;
    let size: usize = request.headers().iter().map(field).sum();
    let (reason, error) = if size.max(request.uri().path().len()) > MOST_BYTES {
        ("metadata", status::metadata_too_large(MOST_BYTES))
    } else {
        let encoding = request.headers().get("grpc-encoding")?.as_bytes();
        if ENCODINGS.contains(&encoding) {
            return None;
        }
        ("encoding", status::unknown_encoding(encoding))
    };
    count(metrics, reason);
    Some(error.into_response())
}

pub(crate) fn reject_method(metrics: &Metrics, request: &Request) -> Response {
    count(metrics, "unknown_method");
    status::unknown_method(request.uri().path()).into_response()
}

fn count(metrics: &Metrics, reason: &'static str) {
    metrics.requests_refused.get_or_create(&reason.into()).inc();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_ignore_case_and_space_and_parameters() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/GRPC+Proto; charset=utf-8", true),
            (" application/grpc ;x=y", true),
            ("APPLICATION/GRPC;", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpcx", false),
            ("application/json", false),
            ("text/html", false),
            ("", false),
            ("application/gr\u{fc}c", false),
        ] {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            assert_eq!(is_grpc(&value).unwrap_or_default(), expected, "{value:?}");
        }
    }
}
