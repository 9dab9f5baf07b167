//! Answers what is not gRPC with 415, as the protocol asks for; the codec would try to decode it.

use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, ToStrError},
};
use tonic::body::Body;

use super::{Request, Response};
use crate::metrics::Metrics;

const SENTENCE: &str = "This is a gRPC service: the content-type must be application/grpc or \
                        application/grpc+proto, over HTTP/2. Use a gRPC client; gRPC-Web and JSON need a \
                        proxy that translates them.\n";

/// The answer to a request of another media type.
pub(crate) fn refuse_content_type(metrics: &Metrics, request: &Request) -> Option<Response> {
    if request.headers().get(CONTENT_TYPE).is_some_and(|value| is_grpc(value).unwrap_or_default()) {
        return None;
    }
    metrics.requests_refused.get_or_create(&"media_type".into()).inc();
    let mut response = Response::new(Body::new(SENTENCE.to_owned()));
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
