//! One line in the log for each call, whatever becomes of it. That of a stream (of health or
//! reflection) is written when its answer begins: how the stream ends is not in it.

use axum::{extract::Request, http::StatusCode, middleware::Next, response::Response};
use tokio::time::Instant;
use tonic::Code;
use tracing::{Instrument, Span, field::Empty};

use crate::{grpc::status::code_name, server::Peer};

pub(in crate::grpc) async fn call_log(request: Request, next: Next) -> Response {
    // At the highest level, because a span is the context of its lines: whatever the filter keeps of
    // them keeps its fields.
    let span = tracing::error_span!(
        "call",
        method = cut(request.uri().path()),
        caller = Empty,
        peer = request.extensions().get::<Peer>().map(tracing::field::display),
        request_id = Empty,
        connection_id = Empty,
        reason = Empty,
        cause = Empty,
    );
    let is_probe = request.uri().path().starts_with("/grpc.health.");
    let mut line = Line { span, is_probe, started: Instant::now(), outcome: Outcome::Grpc(Code::Cancelled) };

    let response = next.run(request).instrument(line.span.clone()).await;
    line.outcome = match response.headers().get("grpc-status") {
        Some(code) => Outcome::Grpc(Code::from_bytes(code.as_bytes())),
        None if response.status().is_success() => Outcome::Grpc(Code::Ok),
        None => Outcome::Http(response.status()),
    };
    response
}

/// The start of a path: no method's is longer, and a caller can send anything.
fn cut(path: &str) -> &str {
    const MOST_CHARACTERS: usize = 128;
    path.char_indices().nth(MOST_CHARACTERS).map_or(path, |(end, _)| &path[..end])
}

enum Outcome {
    Grpc(Code),
    /// Refused before it was a call: the caller does not speak gRPC.
    Http(StatusCode),
}

/// Written when it is dropped: a caller that leaves takes the call with it.
struct Line {
    span: Span,
    is_probe: bool,
    started: Instant,
    outcome: Outcome,
}

impl Drop for Line {
    fn drop(&mut self) {
        let duration_ms = self.started.elapsed().as_secs_f64() * 1000.0;
        let _in_call = self.span.enter();
        let status = match self.outcome {
            Outcome::Grpc(status) => status,
            Outcome::Http(status) => {
                return tracing::info!(http_status = status.as_u16(), duration_ms, "call");
            }
        };
        let code = code_name(status);
        match status {
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

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn};
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;
    use crate::{
        config::{LogConfig, LogFormat},
        telemetry::{self, testing::Captured},
    };

    /// The lines that are logged for a call of this path, answered like this.
    async fn lines<R>(filter: &str, path: &str, answer: fn() -> R) -> Vec<Value>
    where
        R: axum::response::IntoResponse + Send + 'static,
    {
        let captured = Captured::default();
        let config = LogConfig { filter: filter.to_owned(), format: LogFormat::Json };
        let subscriber = telemetry::subscriber(&config, captured.writer(), false).unwrap();
        let router = Router::new().fallback(move || async move { answer() }).layer(from_fn(call_log));
        let mut request = http::Request::post(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(([127, 0, 0, 1], 7).into()));
        {
            let _guard = tracing::subscriber::set_default(subscriber);
            router.oneshot(request).await.unwrap();
        }
        captured.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_warning_has_the_fields_of_its_call_although_only_warnings_are_logged() {
        let lines = lines("warn", "/a.Service/Method", || {
            let span = Span::current();
            span.record("request_id", "r").record("reason", "OUTCOME_UNKNOWN").record("cause", "reset");
            [("grpc-status", "2")]
        })
        .await;
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((&line["level"], &line["code"]), (&"WARN".into(), &"UNKNOWN".into()));
        for (field, value) in [
            ("method", "/a.Service/Method"),
            ("peer", "127.0.0.1:7"),
            ("request_id", "r"),
            ("reason", "OUTCOME_UNKNOWN"),
            ("cause", "reset"),
        ] {
            assert_eq!(line["span"][field], value, "{field}");
        }
    }

    #[tokio::test]
    async fn what_is_no_call_is_logged_with_its_http_status_and_is_no_warning() {
        let lines = lines("info", "/", || StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((&line["level"], &line["http_status"]), (&"INFO".into(), &415.into()));
        assert!(line.get("code").is_none(), "{line}");
    }

    #[tokio::test]
    async fn a_path_without_end_does_not_fill_the_log() {
        let lines = lines("info", &"/x".repeat(1000), || StatusCode::OK).await;
        assert_eq!(lines[0]["span"]["method"], "/x".repeat(64));
        assert_eq!(cut(&"ä".repeat(200)), "ä".repeat(128));
    }
}
