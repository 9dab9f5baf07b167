//! One line in the log for each call, whatever becomes of it.

use axum::{extract::Request, middleware::Next, response::Response};
use tokio::time::Instant;
use tonic::Code;
use tracing::{Instrument, Span, field::Empty};

use crate::{grpc::status::code_name, server::Peer};

pub(in crate::grpc) async fn call_log(request: Request, next: Next) -> Response {
    let span = tracing::info_span!(
        "call",
        method = request.uri().path(),
        peer = request.extensions().get::<Peer>().map(tracing::field::display),
        request_id = Empty,
        connection_id = Empty,
        reason = Empty,
        cause = Empty,
    );
    let is_probe = request.uri().path().starts_with("/grpc.health.");
    let mut line = Line { span, is_probe, started: Instant::now(), code: Code::Cancelled };

    let response = next.run(request).instrument(line.span.clone()).await;
    line.code = match response.headers().get("grpc-status") {
        Some(code) => Code::from_bytes(code.as_bytes()),
        None if response.status().is_success() => Code::Ok,
        None => Code::Unknown,
    };
    response
}

/// Written when it is dropped: a caller that leaves takes the call with it.
struct Line {
    span: Span,
    is_probe: bool,
    started: Instant,
    code: Code,
}

impl Drop for Line {
    fn drop(&mut self) {
        let code = code_name(self.code);
        let duration_ms = self.started.elapsed().as_secs_f64() * 1000.0;
        let _in_call = self.span.enter();
        match self.code {
            Code::Ok if self.is_probe => tracing::debug!(code, duration_ms, "call"),
            Code::Internal | Code::Unknown | Code::Unavailable | Code::FailedPrecondition => {
                tracing::warn!(code, duration_ms, "call");
            }
            Code::Ok
            | Code::Cancelled
            | Code::InvalidArgument
            | Code::DeadlineExceeded
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::DataLoss
            | Code::Unauthenticated => tracing::info!(code, duration_ms, "call"),
        }
    }
}
