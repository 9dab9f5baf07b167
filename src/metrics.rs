//! What is counted, as `/metrics` shows it. Label values come from closed lists, but for the host of
//! Adobe's URL, of which there is one. What has a closed list is there from the start, as zeros: who
//! looks at rates must not miss the first one. Of the two histograms, whose lists multiply, that is what
//! goes well, and of the calls the faults.
//!
//! Families that OpenTelemetry's semantic conventions name have the names of there; those of the process
//! begin with `process_`, as everywhere; the others begin with `hubspot_connection_`.

mod calls;
mod creations;
mod format;
mod process;
mod token;
mod upstream;

use std::sync::{Arc, atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use self::process::Process;
use crate::{
    telemetry,
    version::{REVISION, VERSION},
};

pub use self::{
    calls::{CallMetrics, OTHER_METHOD, is_fault},
    creations::{
        ClaimOutcome, CreationMetrics, CreationOutcome, FirstSearchOutcome, SearchOutcome,
        VerificationOutcome,
    },
    format::Format,
    token::{RefreshOutcome, TokenMetrics},
    upstream::{AttemptLabels, ErrorType, UpstreamMetrics},
};

const PREFIX: &str = "hubspot_connection";

/// From the time of a local answer to a little more than the longest that a caller, or a creation, waits.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 75.0];

/// Everything that is counted. Clones count into the same numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The calls of this service's callers.
    pub calls: CallMetrics,
    /// The creations.
    pub creations: CreationMetrics,
    /// The requests to Adobe.
    pub upstream: UpstreamMetrics,
    /// The access token.
    pub token: TokenMetrics,
    /// Whether the store of request ids takes what a creation needs.
    pub idempotency_store_up: Gauge,
    /// Why it does not, each 1 or 0.
    pub idempotency_store_outage: Family<Reason, Gauge>,
    /// Why the store of request ids may forget, each 1 or 0.
    pub idempotency_store_weakness: Family<WeaknessLabel, Gauge>,
    /// Whether Adobe's connection specification was not what this service sends, when last read, or the Flow
    /// Service refuses what this service itself writes.
    pub spec_drift: Gauge,
    /// When the certificates in use expire, in seconds of Unix time.
    pub tls_certificate_expiry: Family<Certificate, Gauge>,
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
    /// Requests that are no calls, by reason.
    pub requests_refused: Family<Reason, Counter>,
    /// Connections of callers that crossed a limit, by the limit.
    pub connections_cut: Family<Reason, Counter>,
    /// Connections of callers that ended for want of calls.
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

/// Why the store of request ids may forget: a closed list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WeaknessLabel {
    weakness: &'static str,
}

impl From<&'static str> for WeaknessLabel {
    fn from(weakness: &'static str) -> Self {
        Self { weakness }
    }
}

/// Which certificate: `server` or `client_ca`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Certificate {
    certificate: &'static str,
}

impl From<&'static str> for Certificate {
    fn from(certificate: &'static str) -> Self {
        Self { certificate }
    }
}

/// What came of something, from a closed list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// The reasons that are there from the start.
const HANDSHAKE_FAILURES: [&str; 11] = [
    "bad_certificate",
    "broken_off",
    "expired",
    "incompatible",
    "no_certificate",
    "no_http2",
    "not_tls",
    "not_yet_valid",
    "refused_by_peer",
    "timeout",
    "unknown_issuer",
];
const CALLERS_REFUSED: [&str; 12] = [
    "malformed_token",
    "no_certificate",
    "no_token",
    "not_allowed",
    "read_only",
    "token_algorithm",
    "token_audience",
    "token_expired",
    "token_issuer",
    "token_not_yet_valid",
    "token_signature",
    "unknown_key",
];
const REQUESTS_REFUSED: [&str; 6] =
    ["encoding", "http1", "media_type", "metadata", "not_http", "unknown_method"];
const LIMITS: [&str; 6] = ["admin_connections", "connections", "flood", "preface", "resets", "unread"];
const IDLENESS: [&str; 3] = ["first_call", "idle", "probe"];

type Seconds = Gauge<f64, AtomicU64>;

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let calls = CallMetrics::default();
        let upstream = UpstreamMetrics::default();
        calls.register_standard(&mut registry);
        upstream.register_standard(&mut registry);
        registry.register_collector(Box::new(Process::new()));

        let registry_of_own = registry.sub_registry_with_prefix(PREFIX);
        calls.register(registry_of_own);
        upstream.register(registry_of_own);
        let creations = CreationMetrics::counting_shed(calls.shed_creations());
        creations.register(registry_of_own);
        let token = TokenMetrics::default();
        token.register(registry_of_own);
        registry_of_own.register("build", "The version that runs", Info::new(BUILD));

        let mut gauge = |name: &str, help: &str| register(registry_of_own, name, help, Gauge::default());
        let idempotency_store_up =
            gauge("idempotency_store_up", "Whether the store of request ids takes what a creation needs");
        let spec_drift = gauge(
            "spec_drift",
            "Whether Adobe's connection specification for HubSpot was not what this service sends, when last read, \
             or the Flow Service refuses what this service itself writes into a kind of request",
        );
        let idempotency_store_outage = register(
            registry_of_own,
            "idempotency_store_outage",
            "Whether the store of request ids cannot be used, by the reason",
            Family::default(),
        );
        let idempotency_store_weakness = register(
            registry_of_own,
            "idempotency_store_weakness",
            "Whether the store of request ids may forget them, by the reason",
            Family::default(),
        );
        let tls_certificate_expiry = register(
            registry_of_own,
            "tls_certificate_expiry_timestamp_seconds",
            "When the certificates in use expire, in Unix time",
            Family::default(),
        );
        let lost = "Spans whose export failed";
        register(registry_of_own, "spans_lost", lost, telemetry::spans_lost());
        let mut counter = |name: &str, help: &str| register(registry_of_own, name, help, Counter::default());
        let tls_reloads =
            counter("tls_reloads", "Replacements of the certificate, its key or the callers' authority");
        let tls_reload_failures = counter("tls_reload_failures", "Replacements that could not be used");
        let jwks_failures =
            counter("jwks_failures", "Attempts to read the keys of callers' tokens that failed");
        let mut by_reason = |name: &str, help: &str, reasons: &[&'static str]| {
            let family = Family::<Reason, Counter>::default();
            for reason in reasons {
                drop(family.get_or_create(&Reason { reason }));
            }
            register(registry_of_own, name, help, family)
        };
        let tls_handshake_failures =
            by_reason("tls_handshake_failures", "TLS handshakes that failed", &HANDSHAKE_FAILURES);
        let callers_refused =
            by_reason("callers_refused", "Calls refused for their caller", &CALLERS_REFUSED);
        let requests_refused =
            by_reason("requests_refused", "Requests that are no calls of this service", &REQUESTS_REFUSED);
        let connections_cut =
            by_reason("connections_cut", "Connections of callers that crossed a limit", &LIMITS);
        let connections_idle =
            by_reason("connections_idle", "Connections of callers ended for want of calls", &IDLENESS);
        Self {
            calls,
            creations,
            upstream,
            token,
            idempotency_store_up,
            idempotency_store_outage,
            idempotency_store_weakness,
            spec_drift,
            tls_certificate_expiry,
            tls_reloads,
            tls_reload_failures,
            jwks_failures,
            tls_handshake_failures,
            callers_refused,
            requests_refused,
            connections_cut,
            connections_idle,
            registry: Arc::new(registry),
        }
    }
}

impl Metrics {
    /// Everything, as text.
    pub fn text(&self, format: Format) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        match format {
            Format::OpenMetrics => text,
            Format::Prometheus => format::prometheus(&text),
        }
    }
}

/// What was built.
const BUILD: [(&str, &str); 2] = [("version", VERSION), ("revision", REVISION)];

/// Adds something that is counted to the registry.
fn register<M: prometheus_client::registry::Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// Counters by outcome, one for each value of a closed list.
#[derive(Clone, Debug)]
struct ByOutcome {
    family: Family<Outcome, Counter>,
    /// Those of the family, to be found without a lock.
    counters: Arc<[(&'static str, Counter)]>,
}

impl ByOutcome {
    fn of(outcomes: &[&'static str]) -> Self {
        let family = Family::<Outcome, Counter>::default();
        let counter = |&outcome: &&'static str| (outcome, family.get_or_create_owned(&Outcome { outcome }));
        let counters = outcomes.iter().map(counter).collect();
        Self { family, counters }
    }

    fn inc(&self, outcome: &'static str) {
        if let Some((_, counter)) = self.counters.iter().find(|(name, _)| *name == outcome) {
            counter.inc();
        }
    }

    #[cfg(test)]
    fn get(&self, outcome: &'static str) -> u64 {
        self.family.get_or_create(&Outcome { outcome }).get()
    }
}

/// A closed list of outcomes and their names.
macro_rules! outcomes {
    ($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            const NAMES: &[&str] = &[$($text,)+];

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

use outcomes;

/// Something under way, for as long as this exists.
#[derive(Debug)]
pub struct Running(Gauge);

impl Running {
    fn in_gauge(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}
