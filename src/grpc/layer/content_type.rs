//! Answers what is not gRPC with 415, as the protocol asks for; the codec would try to decode it.

use http::{StatusCode, header::CONTENT_TYPE};

use super::{Request, Response};

pub(in crate::grpc) async fn content_type(
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let is_grpc = request.headers().get(CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
        essence == b"application/grpc" || essence.starts_with(b"application/grpc+")
    });
    if is_grpc {
        return next(request).await;
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}
