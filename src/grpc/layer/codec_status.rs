//! Gives the failures of the codec the code and details that they have everywhere else.
//!
//! The codec answers a message over the size limit with OUT_OF_RANGE and one that it cannot decode
//! with INTERNAL, as if the server had failed. Both carry no details, and every error of the
//! services does: that tells them apart. What goes wrong later in a stream of messages is not seen here:
//! reflection, which takes one, does the same with it.

use tonic::{Code, Status};

use super::{Request, Response};
use crate::grpc::status;

const DETAILS: &str = "grpc-status-details-bin";

pub(crate) async fn codec_status(
    max_message_size: usize,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let response = next(request).await;
    let headers = response.headers();
    if headers.contains_key(DETAILS) {
        return response;
    }
    match Status::from_header_map(headers) {
        Some(failed) if failed.code() != Code::Ok => {
            status::codec_failed(failed, max_message_size).into_http()
        }
        Some(_) | None => response,
    }
}
