//! What is counted, as `/metrics` shows it. Label values come from closed lists.

use std::sync::Arc;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Everything that is counted. Clones count into the same numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Whether the store of request ids answered last.
    pub idempotency_store_up: Gauge,
    /// Whether Adobe's connection specification was not what this service sends, when last read.
    pub spec_drift: Gauge,
    /// Replacements of the certificate, its key or the callers' authority.
    pub tls_reloads: Counter,
    /// Replacements that could not be used.
    pub tls_reload_failures: Counter,
    /// Attempts to read the keys of callers' tokens that failed.
    pub jwks_failures: Counter,
    /// TLS handshakes that failed, by reason.
    pub tls_handshake_failures: Family<Reason, Counter>,
    /// Calls refused for their caller, by reason.
    pub callers_refused: Family<Reason, Counter>,
    /// Connections of callers that crossed a limit, by the limit.
    pub connections_cut: Family<Reason, Counter>,
    /// Connections of callers that were ended because there was no call.
    pub connections_idle: Family<Reason, Counter>,
    registry: Arc<Registry>,
}

/// Why something was refused, from a closed list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    reason: &'static str,
}

impl From<&'static str> for Reason {
    fn from(reason: &'static str) -> Self {
        Self { reason }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("hubspot_connection");
        let mut gauge = |name: &str, help: &str| {
            let gauge: Gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let idempotency_store_up =
            gauge("idempotency_store_up", "Whether the store of request ids answered last");
        let spec_drift = gauge(
            "spec_drift",
            "Whether Adobe's connection specification for HubSpot was not what this service sends, when last read",
        );
        let mut counter = |name: &str, help: &str| {
            let counter: Counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let tls_reloads =
            counter("tls_reloads", "Replacements of the certificate, its key or the callers' authority");
        let tls_reload_failures = counter("tls_reload_failures", "Replacements that could not be used");
        let jwks_failures =
            counter("jwks_failures", "Attempts to read the keys of callers' tokens that failed");
        let mut by_reason = |name: &str, help: &str| {
            let family: Family<Reason, Counter> = Family::default();
            registry.register(name, help, family.clone());
            family
        };
        let tls_handshake_failures = by_reason("tls_handshake_failures", "TLS handshakes that failed");
        let callers_refused = by_reason("callers_refused", "Calls refused for their caller");
        let connections_cut = by_reason("connections_cut", "Connections of callers that crossed a limit");
        let connections_idle =
            by_reason("connections_idle", "Connections of callers ended for want of calls");
        Self {
            idempotency_store_up,
            spec_drift,
            tls_reloads,
            tls_reload_failures,
            jwks_failures,
            tls_handshake_failures,
            callers_refused,
            connections_cut,
            connections_idle,
            registry: Arc::new(registry),
        }
    }
}

impl Metrics {
    /// The form in which [`Metrics::text`] is.
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// Everything, as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
