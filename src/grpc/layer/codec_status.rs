//! Gives the codec's errors the code and details that this service's errors have.
//!
//! The codec reports a message over the size limit as OUT_OF_RANGE and one that it cannot decode as INTERNAL, as
//! if the server had failed. An error in a later message of a stream does not pass here: reflection, the only
//! method with several request messages, handles it.

use tonic::Status;

use super::{Request, Response};
use crate::grpc::status::{RpcError, codec_failed};

pub(crate) async fn codec_status(
    max_message_size: usize,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let response = next(request).await;
    match response.extensions().get::<Status>() {
        Some(failed) if RpcError::of(&response).is_none() => {
            codec_failed(failed.clone(), max_message_size).into_http()
        }
        Some(_) | None => response,
    }
}
