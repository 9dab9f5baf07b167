//! One line in the log for each call, whatever becomes of it. That of a stream (of health or
//! reflection) is written when its answer begins: how the stream ends is not in it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use opentelemetry::{
    Context, KeyValue,
    context::FutureExt as _,
    trace::{SpanKind, Status, TraceContextExt as _},
};
use tokio::time::Instant;
use tonic::Code;
use tracing::{Instrument, field::Empty};

use super::{Request, Response};
use crate::{
    grpc::status::code_name,
    metrics::{CallMetrics, OTHER_METHOD, Running, is_fault, method},
    server::Peer,
    telemetry::{propagation, spans},
};

pub(crate) async fn call_log(
    metrics: &Arc<CallMetrics>,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    // At the highest level, because a span is the context of its lines: whatever the filter keeps of
    // them keeps its fields.
    let span = tracing::error_span!(
        "call",
        trace_id = Empty,
        method = cut(request.uri().path()),
        caller = Empty,
        peer = request.extensions().get::<Peer>().map(Peer::as_str),
        request_id = Empty,
        connection_id = Empty,
        reason = Empty,
        cause = Empty,
    );
    let is_probe = PROBES.contains(&request.uri().path());
    let measured = (!is_probe).then(|| {
        let method = method(request.uri().path());
        let trace = server_span(method, request.headers());
        if let Some(trace_id) = spans::trace_id(&trace) {
            span.record("trace_id", tracing::field::display(trace_id));
        }
        Measured { method, trace, _running: metrics.begin(), metrics: metrics.clone() }
    });
    let trace = measured.as_ref().map(|measured| measured.trace.clone()).unwrap_or_default();
    let started = Instant::now();
    let call = async move {
        // Whoever drops it, it is dropped in the span.
        let mut line = Line { measured, started, outcome: Outcome::Grpc(Code::Cancelled) };
        let response = next(request).with_context(trace).await;
        line.outcome = match response.headers().get("grpc-status") {
            Some(code) => Outcome::Grpc(Code::from_bytes(code.as_bytes())),
            None if response.status().is_success() => Outcome::Grpc(Code::Ok),
            None => Outcome::Http(response.status()),
        };
        response
    };
    call.instrument(span).await
}

/// The methods of the health service, which are not measured.
pub(crate) const PROBES: [&str; 2] = ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"];

/// The start of a path: no method's is longer, and a caller can send anything.
fn cut(path: &str) -> &str {
    const MOST_CHARACTERS: usize = 128;
    if path.len() <= MOST_CHARACTERS {
        return path;
    }
    path.char_indices().nth(MOST_CHARACTERS).map_or(path, |(end, _)| &path[..end])
}

enum Outcome {
    Grpc(Code),
    /// Refused before it was a call: the caller does not speak gRPC.
    Http(StatusCode),
}

/// Begins the span of a call, below that of its caller.
fn server_span(method: Option<&'static str>, headers: &HeaderMap) -> Context {
    let method = method.unwrap_or(OTHER_METHOD);
    spans::begin(
        &propagation::extract(headers),
        SpanKind::Server,
        || method.into(),
        || vec![KeyValue::new("rpc.system.name", "grpc"), KeyValue::new("rpc.method", method)],
    )
}

fn end(trace: &Context, outcome: &Outcome) {
    let span = trace.span();
    if span.is_recording() {
        match outcome {
            Outcome::Grpc(code) => {
                let code = code_name(*code);
                span.set_attribute(KeyValue::new("rpc.response.status_code", code));
                if is_fault(code) {
                    span.set_attribute(KeyValue::new("error.type", code));
                    span.set_status(Status::error(""));
                }
            }
            // Not an error of the server.
            Outcome::Http(status) => {
                let status = i64::from(status.as_u16());
                span.set_attribute(KeyValue::new("http.response.status_code", status));
            }
        }
    }
    span.end();
}

/// How a call is measured.
struct Measured {
    method: Option<&'static str>,
    /// The context of its span.
    trace: Context,
    metrics: Arc<CallMetrics>,
    _running: Running,
}

/// Written when it is dropped: a caller that leaves takes the call with it.
struct Line {
    /// `None` for a health probe.
    measured: Option<Measured>,
    started: Instant,
    outcome: Outcome,
}

impl Drop for Line {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        if let Some(Measured { method, metrics, trace, .. }) = &self.measured {
            // Whatever is no call would count as one that failed.
            if let Outcome::Grpc(code) = self.outcome {
                metrics.ended(*method, code_name(code), duration);
            }
            end(trace, &self.outcome);
        }
        let duration_ms = milliseconds(duration);
        let status = match self.outcome {
            Outcome::Grpc(status) => status,
            Outcome::Http(status) => {
                return tracing::info!(http_status = status.as_u16(), duration_ms, "call");
            }
        };
        let code = code_name(status);
        match status {
            Code::Ok if self.measured.is_none() => tracing::debug!(code, duration_ms, "call"),
            Code::Internal | Code::Unknown => tracing::warn!(code, duration_ms, "call"),
            Code::Unavailable | Code::FailedPrecondition if WARNINGS.may_warn(Instant::now()) => {
                tracing::warn!(code, duration_ms, "call");
            }
            Code::Ok
            | Code::Unavailable
            | Code::FailedPrecondition
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

/// How many calls that fail for the same outage are a warning each second. The others have their line at
/// `info`: a start without Adobe fails every call that waits for it in the same millisecond.
const MOST_WARNINGS: u32 = 10;

static WARNINGS: Warnings = Warnings(Mutex::new(None));

/// The warnings of this second, and when it began.
struct Warnings(Mutex<Option<(Instant, u32)>>);

impl Warnings {
    fn may_warn(&self, now: Instant) -> bool {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let this = second.filter(|(began, _)| *began <= now && now - *began < Duration::from_secs(1));
        let (began, warned) = this.unwrap_or((now, 0));
        *second = Some((began, warned.saturating_add(1)));
        warned < MOST_WARNINGS
    }
}

/// With three decimals: nobody needs more, and everybody has to read them.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tracing::Span;

    use super::*;
    use crate::telemetry::{self, LogConfig, LogFormat, testing::Captured};

    /// The lines that are logged for a call of this path, answered like this.
    async fn lines(filter: &str, path: &str, answer: fn() -> Response) -> Vec<Value> {
        let captured = Captured::default();
        let config = LogConfig { filter: filter.to_owned(), format: LogFormat::Json };
        let subscriber = telemetry::subscriber(&config, captured.writer(), false).unwrap();
        let mut request = Request::default();
        *request.uri_mut() = path.parse().unwrap();
        request.extensions_mut().insert(Peer::from(std::net::SocketAddr::from(([127, 0, 0, 1], 7))));
        {
            let _guard = tracing::subscriber::set_default(subscriber);
            call_log(&Arc::default(), request, async |_| answer()).await;
        }
        captured.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn with_status(code: &'static str) -> Response {
        let mut response = Response::default();
        response.headers_mut().insert("grpc-status", http::HeaderValue::from_static(code));
        response
    }

    #[tokio::test]
    async fn a_call_whose_caller_leaves_has_its_line_and_its_fields() {
        let captured = Captured::default();
        let config = LogConfig { filter: "info".to_owned(), format: LogFormat::Json };
        let subscriber = telemetry::subscriber(&config, captured.writer(), false).unwrap();
        {
            let _guard = tracing::subscriber::set_default(subscriber);
            let metrics = Arc::default();
            let call = call_log(&metrics, Request::default(), async |_| {
                Span::current().record("request_id", "r");
                std::future::pending().await
            });
            assert!(futures_util::FutureExt::now_or_never(call).is_none());
        }
        let line: Value = serde_json::from_str(&captured.text()).unwrap();
        assert_eq!((&line["code"], &line["span"]["request_id"]), (&"CANCELLED".into(), &"r".into()));
    }

    #[tokio::test]
    async fn a_warning_has_the_fields_of_its_call_although_only_warnings_are_logged() {
        let lines = lines("warn", "/a.Service/Method", || {
            let span = Span::current();
            span.record("request_id", "r").record("reason", "OUTCOME_UNKNOWN").record("cause", "reset");
            with_status("2")
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
        let lines = lines("info", "/", || {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            response
        })
        .await;
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((&line["level"], &line["http_status"]), (&"INFO".into(), &415.into()));
        assert!(line.get("code").is_none(), "{line}");
    }

    #[test]
    fn calls_that_fail_together_are_a_few_warnings_each_second() {
        let warnings = Warnings(Mutex::new(None));
        let now = Instant::now();
        let warned = |now: Instant| (0..100).filter(|_| warnings.may_warn(now)).count();
        assert_eq!([warned(now), warned(now + Duration::from_millis(999))], [10, 0]);
        assert_eq!([warned(now + Duration::from_secs(1)), warned(now)], [10, 10]);
    }

    #[test]
    fn a_duration_has_three_decimals() {
        for (nanoseconds, expected) in
            [(0, "0.0"), (1_234_567, "1.235"), (999, "0.001"), (60_000_000_000, "60000.0")]
        {
            let duration = milliseconds(Duration::from_nanos(nanoseconds));
            assert_eq!(serde_json::to_string(&duration).unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_path_without_end_does_not_fill_the_log() {
        let lines = lines("info", &"/x".repeat(1000), Response::default).await;
        assert_eq!(lines[0]["span"]["method"], "/x".repeat(64));
        assert_eq!(cut(&"ä".repeat(200)), "ä".repeat(128));
    }
}
