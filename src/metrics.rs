//! The metrics of `/metrics`.
//!
//! Label values come from closed lists, except the hosts of Adobe's and HubSpot's URLs, of which there is one each.
//! Counters and gauges with a closed list exist from the start, as zeros, because a rate misses the first increment of a
//! new series. The series of the two histograms with labels, whose lists multiply, begin with their first event: nothing
//! may depend on that one.
//!
//! Families have the names of OpenTelemetry's semantic conventions where those name them. Those of the process begin
//! with `process_`, as everywhere, and all others with `hubspot_connection_`.

mod calls;
mod creations;
mod format;
mod process;
mod token;
mod upstream;

use std::{
    fmt::Debug,
    hash::Hash,
    sync::{Arc, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Metric, Registry},
};

use self::process::Process;
use crate::{
    telemetry,
    version::{REVISION, VERSION},
};

pub use self::{
    calls::{CallEnd, CallMetrics, CallOutcome, OTHER_METHOD, is_fault},
    creations::{
        ClaimOutcome, CreationMetrics, CreationOutcome, FirstSearchOutcome, SearchOutcome, StepOutcome,
        StoreWaitOutcome, UndoOutcome, VerificationOutcome,
    },
    format::Format,
    token::{RefreshOutcome, TokenMetrics},
    upstream::{AttemptLabels, ErrorType, UpstreamMetrics},
};

const PREFIX: &str = "hubspot_connection";

/// Histogram buckets, from a response without upstream to a little more than the longest that a client, or a creation,
/// waits. Few, because each is a series of every combination of labels.
const SECONDS: [f64; 8] = [0.05, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 75.0];

/// Declares metrics, which clones share. Each field has its type, its name after the prefix, and its help. Fields after
/// `also` are registered elsewhere.
macro_rules! metrics {
    (
        $(#[$attribute:meta])*
        pub struct $struct:ident {
            $($visibility:vis $field:ident: $type:ty = $name:literal, $help:literal;)+
        }
        also { $($(#[$other_doc:meta])* $other_visibility:vis $other:ident: $other_type:ty = $value:expr,)* }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug)]
        pub struct $struct {
            $($visibility $field: $type,)+
            $($(#[$other_doc])* $other_visibility $other: $other_type,)*
        }

        impl $struct {
            pub(in crate::metrics) fn registered(registry: &mut $crate::metrics::Registry) -> Self {
                Self {
                    $($field: $crate::metrics::register(
                        registry, $name, $help, $crate::metrics::Zero::zero(),
                    ),)+
                    $($other: $value,)*
                }
            }
        }
    };
}

metrics! {
    pub struct Metrics {
        pub idempotency_store_up: Gauge = "idempotency_store_up",
            "1 while the store of request ids can be used for creations";
        pub idempotency_store_outage: Family<Reason, Gauge> = "idempotency_store_outage",
            "1 for the reason why the store of request ids cannot be used";
        pub idempotency_store_weakness: Family<WeaknessLabel, Gauge> = "idempotency_store_weakness",
            "1 for each reason why the store of request ids may lose records";
        pub spec_drift: Gauge = "spec_drift",
            "1 if Adobe's connection specification for HubSpot, when last read, differs from what this service sends, \
             or if the Flow Service rejects the fixed part of a request";
        pub tls_certificate_expiry: Family<Certificate, Gauge> = "tls_certificate_expiry_timestamp_seconds",
            "Expiry of the certificates in use, in Unix time";
        pub tls_reloads: Counter = "tls_reloads",
            "Reloads of the certificate, its key or the authority of client certificates";
        pub tls_reload_failures: Counter = "tls_reload_failures", "Reloads that failed after a file had changed";
        pub tls_files_unusable: Gauge = "tls_files_unusable",
            "1 while the TLS files cannot be used, and those read before stay in use";
        pub jwks_failures: Counter = "jwks_failures", "Failed attempts to read the keys of caller tokens";
        pub tls_handshake_failures: Family<HandshakeFailure, Counter> = "tls_handshake_failures",
            "Failed TLS handshakes";
        pub callers_refused: Family<CallerRefused, Counter> = "callers_refused",
            "Calls rejected because of their caller";
        pub requests_refused: Family<RequestRefused, Counter> = "requests_refused",
            "Requests that are not calls of this service";
        pub dataflow_runs_read: RunsRead = "dataflow_runs_read",
            "Runs of dataflows that were returned to callers, by state";
        pub connections_cut: Family<Limit, Counter> = "connections_cut", "Connections closed at a limit";
        pub connections_idle: Family<Idleness, Counter> = "connections_idle",
            "Connections closed because they had no calls";
    }
    also {
        pub calls: CallMetrics = CallMetrics::default(),
        pub creations: CreationMetrics = CreationMetrics::default(),
        pub upstream: UpstreamMetrics = UpstreamMetrics::default(),
        pub token: TokenMetrics = TokenMetrics::default(),
        registry: Arc<Registry> = Arc::default(),
    }
}

/// Labels whose values are closed lists, with those that exist from the start.
macro_rules! labels {
    ($($struct:ident { $label:ident: $($value:literal)* })+) => {$(
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub struct $struct {
            $label: &'static str,
        }

        impl From<&'static str> for $struct {
            fn from($label: &'static str) -> Self {
                Self { $label }
            }
        }

        impl Label for $struct {
            const VALUES: &[Self] = &[$(Self { $label: $value }),*];
        }
    )+};
}

labels! {
    Reason { reason: }
    WeaknessLabel { weakness: }
    Certificate { certificate: }
    HandshakeFailure {
        reason: "aborted" "bad_certificate" "expired" "incompatible" "no_certificate" "no_http2" "not_tls"
            "not_yet_valid" "refused_by_peer" "timeout" "unknown_issuer"
    }
    CallerRefused {
        reason: "malformed_token" "no_certificate" "no_token" "not_allowed" "read_only" "token_algorithm"
            "token_audience" "token_expired" "token_issuer" "token_not_yet_valid" "token_signature" "unknown_key"
    }
    RequestRefused { reason: "encoding" "http1" "media_type" "metadata" "not_http" "unknown_method" }
    Limit { reason: "admin_connections" "connections" "flood" "preface" "resets" "unread" }
    Idleness { reason: "first_call" "idle" "probe" }
    Shed { reason: "max_creations" "max_in_flight" "max_streams" }
    UpstreamService { service: "catalog" "data_prep" "flow_service" "hubspot" "schema_registry" }
    RunRead {
        state: "failed" "in_progress" "partially_succeeded" "queued" "scheduled" "succeeded" "unknown"
    }
}

/// Enums as the label `outcome`.
macro_rules! outcomes {
    ($($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ })+) => {$(
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $crate::metrics::Label for $name {
            const VALUES: &[Self] = &[$(Self::$variant,)+];
        }

        impl prometheus_client::encoding::EncodeLabelSet for $name {
            fn encode(&self, encoder: &mut prometheus_client::encoding::LabelSetEncoder<'_>) -> std::fmt::Result {
                let outcome = match self { $(Self::$variant => $text,)+ };
                prometheus_client::encoding::EncodeLabel::encode(&("outcome", outcome), encoder.encode_label())
            }
        }
    )+};
}

use {metrics, outcomes};

/// Counts runs by their state.
pub type RunsRead = Family<RunRead, Counter>;

trait Label: EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// The values that exist from the start.
    const VALUES: &[Self];
}

/// A metric before anything is counted.
trait Zero: Default {
    fn zero() -> Self {
        Self::default()
    }
}

impl<N, A: Default> Zero for Gauge<N, A> {}
impl Zero for Counter {}
impl<L: Label, M: Default> Zero for Family<L, M> {
    fn zero() -> Self {
        let family = Self::default();
        for value in L::VALUES {
            drop(family.get_or_create(value));
        }
        family
    }
}

type Seconds = Gauge<f64, AtomicU64>;

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let own = registry.sub_registry_with_prefix(PREFIX);
        let calls = CallMetrics::registered(own);
        own.register(
            "build",
            "The running version",
            Info::new([("version", VERSION), ("revision", REVISION)]),
        );
        register(own, "spans_lost", "Spans whose export failed", telemetry::SPANS_LOST.clone());
        let mut creations = CreationMetrics::registered(own);
        creations.shed = calls.shed.get_or_create_owned(&"max_creations".into());
        let upstream = UpstreamMetrics::registered(own);
        let metrics =
            Self { calls, creations, token: TokenMetrics::registered(own), ..Self::registered(own) };
        metrics.calls.register_histograms(&mut registry);
        upstream.register_standard(&mut registry);
        registry.register_collector(Box::new(Process::new()));
        Self { upstream, registry: Arc::new(registry), ..metrics }
    }
}

impl Metrics {
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

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// Counts something as running while this exists.
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
