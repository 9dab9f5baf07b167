//! The requests to Adobe and HubSpot, and what delays or prevents them.

use std::{fmt, sync::Arc};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{Label, SECONDS, UpstreamService, metrics};

metrics! {
    pub struct UpstreamMetrics {
        retries: Family<Request, Counter> = "upstream_retries", "Retried requests to Adobe";
        pub retries_refused: Counter = "upstream_retries_refused",
            "Retries that were not sent because the retry budget was empty";
        pub breaker_open: Family<UpstreamService, Gauge> = "breaker_open",
            "1 while the circuit breaker of this service of Adobe's, or of HubSpot, rejects requests";
        pub breaker_opened: Counter = "breaker_opened", "How often the circuit breaker of one of Adobe's services opened";
        pub throttle_gate_closed: Family<UpstreamService, Gauge> = "throttle_gate_closed",
            "1 while this service of Adobe's, or HubSpot, gets no requests because it asked for a pause";
        pub throttled: Counter = "upstream_throttled", "Responses of Adobe that asked for a pause";
    }
    also {
        duration: Family<AttemptLabels, Histogram> = Family::new_with_constructor(|| Histogram::new(SECONDS)),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AttemptLabels {
    pub http_request_method: &'static str,
    /// The path below the base URL, with placeholders.
    pub url_template: &'static str,
    pub server_address: Arc<str>,
    pub server_port: u16,
    pub http_response_status_code: Option<u16>,
    pub error_type: Option<ErrorType>,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// The status of a response.
    Status(u16),
    Connect,
    Timeout,
    /// The connection ended before the response did.
    Reset,
    /// The caller was gone before the response.
    Cancelled,
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

impl Label for Request {
    const VALUES: &[Self] = &[];
}

impl Default for UpstreamMetrics {
    fn default() -> Self {
        Self::registered(&mut Registry::default())
    }
}

impl UpstreamMetrics {
    pub(super) fn register_standard(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "http_client_request_duration",
            "Duration of one request to Adobe or HubSpot, to the end of its response",
            Unit::Seconds,
            self.duration.clone(),
        );
    }

    /// The durations of a kind of attempt.
    pub fn durations(&self, request: &AttemptLabels) -> Histogram {
        self.duration.get_or_create_owned(request)
    }

    /// Creates the series of a kind of retry, before the first one.
    pub fn expect_retries(&self, request: &AttemptLabels) {
        drop(self.retries.get_or_create(&request.into()));
    }

    pub fn retried(&self, request: &AttemptLabels) {
        self.retries.get_or_create(&request.into()).inc();
    }
}
