//! One attempt of a request to Adobe or HubSpot, measured and traced from its start to the end of its reply.

use std::{
    error::Error,
    io, iter,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use http::{HeaderMap, Method};
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, Status, TraceContextExt as _},
};
use prometheus_client::metrics::histogram::Histogram;
use reqwest::{Response, StatusCode, Url};
use tokio::time::Instant;

use crate::{
    error::{Cause, error_chain},
    metrics::{AttemptLabels, ErrorType, UpstreamMetrics},
    telemetry::{propagation, spans},
};

/// A kind of request, as it is measured.
#[derive(Debug)]
pub(crate) struct RequestKind {
    pub(crate) method: Method,
    /// The path below the base URL; `{id}` stands for a segment that varies.
    pub(crate) template: &'static str,
    /// The status of a success.
    pub(crate) success: StatusCode,
}

impl RequestKind {
    /// Whether it is the same kind of request.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.method == other.method && self.template == other.template
    }
}

/// The server that requests go to, and the metrics that count them.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    metrics: UpstreamMetrics,
    host: Arc<str>,
    port: u16,
    /// The histograms of successes, which most attempts are: found without their labels. The first success creates
    /// each.
    successful: Vec<(&'static RequestKind, OnceLock<Histogram>)>,
}

impl Attempts {
    pub(crate) fn at(url: &Url, metrics: UpstreamMetrics) -> Self {
        let port = url.port_or_known_default().unwrap_or_default();
        let host = url.host_str().unwrap_or_default().into();
        Self { metrics, host, port, successful: Vec::new() }
    }

    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Prepares for a kind of request.
    pub(crate) fn expect(&mut self, kind: &'static RequestKind) {
        self.successful.push((kind, OnceLock::new()));
    }

    /// Makes the retries of a kind of request show in the metrics before the first one.
    pub(crate) fn expect_retries(&self, kind: &'static RequestKind) {
        self.metrics.expect_retries(&self.labels(kind, None, None));
    }

    /// Begins an attempt of a request that was sent `sent_before` times.
    pub(crate) fn begin(&self, kind: &'static RequestKind, sent_before: u32) -> Attempt<'_> {
        if sent_before > 0 {
            self.metrics.retried(&self.labels(kind, None, None));
        }
        let trace = self.client_span(kind, sent_before);
        let error = Some(ErrorType::Cancelled);
        Attempt { attempts: self, kind, status: None, error, trace, started: Instant::now() }
    }

    fn ended(&self, attempt: &Attempt<'_>) {
        let Attempt { kind, status, error, .. } = *attempt;
        let duration = attempt.started.elapsed().as_secs_f64();
        let durations = || self.metrics.durations(&self.labels(kind, status, error));
        let is_success = error.is_none() && status == Some(kind.success.as_u16());
        let mut successful = self.successful.iter().filter(|_| is_success);
        match successful.find(|(known, _)| kind.is(known)) {
            Some((_, known)) => known.get_or_init(durations).observe(duration),
            None => durations().observe(duration),
        }
    }

    fn client_span(&self, kind: &'static RequestKind, sent_before: u32) -> Context {
        let (method, template) = (kind.method.as_str(), kind.template);
        spans::begin(
            &Context::current(),
            SpanKind::Client,
            || format!("{method} {template}").into(),
            || {
                let mut attributes = vec![
                    KeyValue::new("http.request.method", method),
                    KeyValue::new("url.template", template),
                    KeyValue::new("server.address", Arc::clone(&self.host)),
                    KeyValue::new("server.port", i64::from(self.port)),
                ];
                if sent_before > 0 {
                    attributes.push(KeyValue::new("http.request.resend_count", i64::from(sent_before)));
                }
                attributes
            },
        )
    }

    fn labels(
        &self,
        kind: &'static RequestKind,
        http_response_status_code: Option<u16>,
        error_type: Option<ErrorType>,
    ) -> AttemptLabels {
        AttemptLabels {
            http_request_method: kind.method.as_str(),
            url_template: kind.template,
            server_address: Arc::clone(&self.host),
            server_port: self.port,
            http_response_status_code,
            error_type,
        }
    }
}

/// One attempt. It is counted when it is dropped, so that one that a caller gives up is counted too.
pub(crate) struct Attempt<'a> {
    attempts: &'a Attempts,
    kind: &'static RequestKind,
    /// That of the reply.
    status: Option<u16>,
    error: Option<ErrorType>,
    trace: Context,
    started: Instant,
}

impl Attempt<'_> {
    /// Adds the trace context to the request.
    pub(crate) fn propagate(&self, headers: &mut HeaderMap) {
        propagation::inject(&self.trace, headers);
    }

    /// Whether its span is recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.trace.span().is_recording()
    }

    /// Records Adobe's id of the request, which holds nothing secret.
    pub(crate) fn set_request_id(&self, request_id: Option<&str>) {
        let span = self.trace.span();
        if let Some(request_id) = request_id.filter(|_| span.is_recording()) {
            span.set_attribute(KeyValue::new(
                "hubspot_connection.upstream_request_id",
                request_id.to_owned(),
            ));
        }
    }

    /// Records the head of the reply.
    pub(crate) fn replied(&mut self, response: &Response) {
        self.status = Some(known(response.status()));
    }

    /// Records the end of the reply.
    pub(crate) fn complete(&mut self) {
        self.error = self.status.filter(|status| !(200..300).contains(status)).map(ErrorType::Status);
    }

    /// Adds the address to the cause of a failure, and that of a proxy if the connection to it failed.
    pub(crate) fn located(&self, cause: Cause) -> Cause {
        let address = self.attempts.address();
        let peer = peer(&*cause).filter(|peer| *peer != address);
        let peer = peer.map(|peer| format!(" ({peer})")).unwrap_or_default();
        format!("{address}{peer}: {}", error_chain(&*cause)).into()
    }

    /// Records that there is no reply, or not all of it.
    pub(crate) fn failed(&mut self, error: &(dyn Error + 'static)) {
        self.error = Some(error_type(error));
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.attempts.ended(self);
        // Without a span of its own the context is the caller's.
        let span = self.trace.span();
        if span.is_recording() {
            if let Some(status) = self.status {
                span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
            }
            if let Some(error) = self.error {
                span.set_attribute(KeyValue::new("error.type", error.to_string()));
                span.set_status(Status::error(""));
            }
        }
        span.end();
    }
}

/// The socket address to which a connection failed. The HTTP client has it in its `Debug` form only:
/// `ConnectError("tcp connect error", 127.0.0.1:1, …)`. If that changes, only this detail is missing.
fn peer(error: &(dyn Error + 'static)) -> Option<String> {
    let address = |error: &(dyn Error + 'static)| {
        let printed = format!("{error:?}");
        printed.strip_prefix("ConnectError(")?.split(", ").find_map(|field| field.parse::<SocketAddr>().ok())
    };
    causes(error).find_map(address).map(|peer| peer.to_string())
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// A registered status. Any other one means the same as the first one of its class (RFC 9110, section 15).
fn known(status: StatusCode) -> u16 {
    let is_registered = status.canonical_reason().is_some();
    if is_registered { status.as_u16() } else { status.as_u16() / 100 * 100 }
}

fn error_type(error: &(dyn Error + 'static)) -> ErrorType {
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        if error.is_connect() {
            return ErrorType::Connect;
        }
        if error.is_timeout() {
            return ErrorType::Timeout;
        }
    }
    if causes(error).any(is_reset) { ErrorType::Reset } else { ErrorType::Other }
}

/// Whether the connection ended before the reply did.
fn is_reset(error: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let is_incomplete = |error: &hyper::Error| error.is_incomplete_message() || error.is_closed();
    let is_broken = |error: &io::Error| {
        matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
    };
    error.downcast_ref().is_some_and(is_incomplete) || error.downcast_ref().is_some_and(is_broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_label_is_a_registered_status() {
        for (status, label) in [(200, 200), (429, 429), (599, 500), (299, 200), (999, 900)] {
            assert_eq!(known(StatusCode::from_u16(status).unwrap()), label);
        }
    }

    #[test]
    fn the_type_of_an_error_is_that_of_its_root_cause() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(error_type(&reset), ErrorType::Reset);
        assert_eq!(error_type(&io::Error::other("x")), ErrorType::Other);
    }
}
