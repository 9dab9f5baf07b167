//! One log line for each call, however it ends, with its metrics and the end of its span. The line of a stream (of
//! health or reflection) is written when its response begins.

use std::{
    borrow::Cow,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;
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
    grpc::{
        call::Call,
        methods::Method,
        status::{RpcError, code_name, start},
    },
    metrics::{CallEnd, CallMetrics, CallOutcome, OTHER_METHOD, Running, is_fault},
    server::Peer,
    telemetry::{propagation, spans},
};

pub(crate) async fn call_log(
    metrics: &CallMetrics,
    call: &Call,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let path = request.uri().path();
    // A caller can send a path of any length.
    let method = if call.method.is_some() { path.into() } else { Cow::from(start(path)) };
    // At the highest level, so that every line that the filter keeps has the fields of its span.
    let span = tracing::error_span!(
        "call",
        trace_id = Empty,
        method = &*method,
        caller = Empty,
        peer = request.extensions().get::<Peer>().map(Peer::as_str),
        request_id = Empty,
        connection_id = Empty,
        dataflow_id = Empty,
        reason = Empty,
        cause = Empty,
    );
    let measured = (!call.method.is_some_and(Method::is_health)).then(|| {
        let method = call.method.map_or(OTHER_METHOD, |method| &method.name);
        // A child of the caller's span.
        let trace = spans::begin(
            &propagation::extract(request.headers()),
            SpanKind::Server,
            || method.into(),
            || vec![KeyValue::new("rpc.system.name", "grpc"), KeyValue::new("rpc.method", method)],
        );
        if let Some(trace_id) = spans::trace_id(&trace) {
            span.record("trace_id", tracing::field::display(trace_id));
        }
        Measured { method, trace, _running: metrics.begin(), metrics }
    });
    let trace = measured.as_ref().map(|measured| measured.trace.clone()).unwrap_or_default();
    let logged = async {
        // Created here, so that it is dropped in the span.
        let mut line = Line { measured, call, ended: Ended::Call(Code::Cancelled, CallOutcome::Cancelled) };
        let response = call.upstream.of(next(request).with_context(trace)).await;
        line.ended = Ended::with(&response);
        response
    };
    logged.instrument(span).await
}

struct Measured<'a> {
    method: &'static str,
    /// The context of its span.
    trace: Context,
    metrics: &'a CallMetrics,
    _running: Running,
}

impl Measured<'_> {
    fn end(&self, ended: Ended, duration: Duration, upstream: Duration) {
        let span = self.trace.span();
        match ended {
            Ended::Call(code, outcome) => {
                let code = code_name(code);
                self.metrics.ended(CallEnd { method: self.method, code, outcome, duration, upstream });
                span.set_attribute(KeyValue::new("rpc.response.status_code", code));
                if is_fault(code) {
                    span.set_attribute(KeyValue::new("error.type", code));
                    span.set_status(Status::error(""));
                }
            }
            Ended::OtherRequest(status) => {
                span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
            }
        }
        span.end();
    }
}

#[derive(Clone, Copy)]
enum Ended {
    Call(Code, CallOutcome),
    /// A request of another protocol: the client's error, and not a call.
    OtherRequest(StatusCode),
}

impl Ended {
    fn with(response: &Response) -> Self {
        let code = match response.headers().get("grpc-status") {
            Some(code) => Code::from_bytes(code.as_bytes()),
            None if response.status().is_success() => Code::Ok,
            None => return Self::OtherRequest(response.status()),
        };
        let outcome = match RpcError::of(response) {
            _ if code == Code::Ok => CallOutcome::Ok,
            Some(error) if error.is_callers() => CallOutcome::Rejected,
            Some(_) => CallOutcome::Failed,
            // Health and reflection have no reasons.
            None if matches!(code, Code::Internal | Code::Unavailable | Code::Unknown) => CallOutcome::Failed,
            None => CallOutcome::Rejected,
        };
        Self::Call(code, outcome)
    }
}

/// Written when it is dropped: also if the caller leaves, which drops the call.
struct Line<'a> {
    /// `None` for a health probe.
    measured: Option<Measured<'a>>,
    call: &'a Call,
    ended: Ended,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let (duration, upstream) = (self.call.started.elapsed(), self.call.upstream.total());
        if let Some(measured) = &self.measured {
            measured.end(self.ended, duration, upstream);
        }
        let (duration_ms, upstream_ms) = (milliseconds(duration), milliseconds(upstream));
        let status = match self.ended {
            Ended::Call(status, _) => status,
            Ended::OtherRequest(status) => {
                return tracing::info!(http_status = status.as_u16(), duration_ms, "call");
            }
        };
        let code = code_name(status);
        let is_failure = matches!(status, Code::Internal | Code::Unknown);
        let is_outage = matches!(status, Code::Unavailable | Code::FailedPrecondition);
        if is_failure || is_outage && WARNINGS.may_warn(Instant::now()) {
            tracing::warn!(code, duration_ms, upstream_ms, "call");
        } else if status == Code::Ok && self.measured.is_none() {
            tracing::debug!(code, duration_ms, "call");
        } else {
            tracing::info!(code, duration_ms, upstream_ms, "call");
        }
    }
}

/// The most warnings per second about calls that an outage fails. The others are logged at `info`: if Adobe cannot be
/// reached, every waiting call fails in the same millisecond.
const MOST_WARNINGS: u32 = 10;

static WARNINGS: Warnings = Warnings(Mutex::new(None));

/// The start of the current second, and its warnings.
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

/// With three decimals, for readers.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tracing::Span;

    use super::*;
    use crate::telemetry::{self, LogConfig, LogFormat, testing::Captured};

    /// The log lines of a call of this path with this response.
    async fn lines(filter: &str, path: &str, response: fn() -> Response) -> Vec<Value> {
        let captured = Captured::default();
        let config = LogConfig { filter: filter.to_owned(), format: LogFormat::Json };
        let subscriber = telemetry::subscriber(&config, captured.writer(), false).unwrap();
        let mut request = Request::default();
        *request.uri_mut() = path.parse().unwrap();
        request.extensions_mut().insert(Peer::from(std::net::SocketAddr::from(([127, 0, 0, 1], 7))));
        {
            let _guard = tracing::subscriber::set_default(subscriber);
            let call = Call::begin(&mut request, Duration::from_secs(1));
            call_log(&CallMetrics::default(), &call, request, async |_| response()).await;
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
            let (metrics, mut request) = (CallMetrics::default(), Request::default());
            let call = Call::begin(&mut request, Duration::from_secs(1));
            let logged = call_log(&metrics, &call, request, async |_| {
                Span::current().record("request_id", "r");
                std::future::pending().await
            });
            assert!(futures_util::FutureExt::now_or_never(logged).is_none());
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
    async fn a_request_of_another_protocol_is_logged_with_its_http_status_and_is_not_a_warning() {
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
    fn calls_that_fail_together_cause_a_few_warnings_per_second() {
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
    async fn a_long_path_does_not_fill_the_log() {
        let lines = lines("info", &"/x".repeat(1000), Response::default).await;
        assert_eq!(lines[0]["span"]["method"], "/x".repeat(64));
    }
}
