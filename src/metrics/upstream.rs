//! The requests to Adobe, and what holds them back.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{SECONDS, register};

/// The requests to Adobe, and what holds them back.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    duration: Family<AttemptLabels, Histogram>,
    retries: Family<Request, Counter>,
    /// Repetitions that were not made because the budget for them was spent.
    pub retries_refused: Counter,
    /// Whether the circuit breaker refuses requests.
    pub breaker_open: Gauge,
    /// How often it has opened.
    pub breaker_opened: Counter,
    /// Whether requests wait for the end of a throttle.
    pub throttle_gate_closed: Gauge,
    /// Answers that began or prolonged one.
    pub throttled: Counter,
}

/// What tells attempts apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AttemptLabels {
    /// The method.
    pub http_request_method: &'static str,
    /// The path below the base URL, with names in place of what varies.
    pub url_template: &'static str,
    /// The host of the URL.
    pub server_address: Arc<str>,
    /// Its port.
    pub server_port: u16,
    /// The status of the answer, where there is one.
    pub http_response_status_code: Option<u16>,
    /// How it failed, where it did.
    pub error_type: Option<ErrorType>,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// The answer has this status.
    Status(u16),
    /// There was no connection.
    Connect,
    /// There was no answer in time.
    Timeout,
    /// The connection ended before the answer did.
    Reset,
    /// Nobody waited for the answer any more.
    Cancelled,
    /// Something else.
    Other,
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status(status) => return status.fmt(f),
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Cancelled => "cancelled",
            Self::Other => "_OTHER",
        })
    }
}

impl EncodeLabelValue for ErrorType {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        EncodeLabelValue::encode(&self.to_string(), encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    http_request_method: &'static str,
    url_template: &'static str,
}

impl From<&AttemptLabels> for Request {
    fn from(labels: &AttemptLabels) -> Self {
        let AttemptLabels { http_request_method, url_template, .. } = *labels;
        Self { http_request_method, url_template }
    }
}

impl Default for UpstreamMetrics {
    fn default() -> Self {
        Self {
            duration: Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram),
            retries: Family::default(),
            retries_refused: Counter::default(),
            breaker_open: Gauge::default(),
            breaker_opened: Counter::default(),
            throttle_gate_closed: Gauge::default(),
            throttled: Counter::default(),
        }
    }
}

impl UpstreamMetrics {
    pub(super) fn register_standard(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "http_client_request_duration",
            "The time of one request to Adobe, to the end of its answer",
            Unit::Seconds,
            self.duration.clone(),
        );
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        register(registry, "upstream_retries", "Requests to Adobe that were repeated", self.retries.clone());
        for (name, help, counter) in [
            (
                "upstream_retries_refused",
                "Repetitions that were not made because the budget for them was spent",
                &self.retries_refused,
            ),
            (
                "breaker_opened",
                "How often the circuit breaker of the Flow Service opened",
                &self.breaker_opened,
            ),
            ("upstream_throttled", "Answers of the Flow Service that asked for a pause", &self.throttled),
        ] {
            register(registry, name, help, counter.clone());
        }
        for (name, help, gauge) in [
            (
                "breaker_open",
                "Whether the circuit breaker of the Flow Service refuses requests",
                &self.breaker_open,
            ),
            (
                "throttle_gate_closed",
                "Whether requests wait because the Flow Service asked for a pause",
                &self.throttle_gate_closed,
            ),
        ] {
            register(registry, name, help, gauge.clone());
        }
    }

    /// Makes a kind of attempt known before the first one, and tells where its durations go.
    pub fn expect(&self, request: &AttemptLabels) -> Histogram {
        self.duration.get_or_create(request).clone()
    }

    /// Makes it known that a kind of request is repeated, before the first time.
    pub fn expect_retries(&self, request: &AttemptLabels) {
        drop(self.retries.get_or_create(&request.into()));
    }

    /// An attempt has ended.
    pub fn ended(&self, request: &AttemptLabels, duration: Duration) {
        self.duration.get_or_create(request).observe(duration.as_secs_f64());
    }

    /// A request is sent again.
    pub fn retried(&self, request: &AttemptLabels) {
        self.retries.get_or_create(&request.into()).inc();
    }
}
