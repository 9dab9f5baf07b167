//! Calls of this service.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{Label, PREFIX, Running, SECONDS, Shed, metrics};

/// The label of unknown methods: a caller can send any name.
pub const OTHER_METHOD: &str = "_OTHER";
const OK: &str = "OK";
/// The codes that OpenTelemetry's semantic conventions for gRPC count as errors of the server.
const FAULTS: [&str; 6] =
    ["DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN"];
/// The buckets of this service's own time. The objective is the middle one; a wait for the store is longer.
const OWN_SECONDS: [f64; 5] = [0.01, 0.05, 0.25, 1.0, 10.0];

/// How a call ended, from the point of view of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    Ok,
    /// The caller has to change something: the request, its credentials, or what it refers to.
    Rejected,
    /// Anything else went wrong.
    Failed,
    /// The caller left before its deadline.
    Cancelled,
}

impl CallOutcome {
    const ALL: [Self; 4] = [Self::Ok, Self::Rejected, Self::Failed, Self::Cancelled];

    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The end of a call.
#[derive(Clone, Copy, Debug)]
pub struct CallEnd {
    pub method: &'static str,
    pub code: &'static str,
    pub outcome: CallOutcome,
    pub duration: Duration,
    /// The part of the duration in which the call waited for other services.
    pub upstream: Duration,
}

metrics! {
    pub struct CallMetrics {
        in_flight: Gauge = "calls_in_flight", "Calls in progress";
        pub shed: Family<Shed, Counter> = "calls_shed", "Calls rejected because a limit was reached";
        ends: Family<Ended, Counter> = "calls", "Calls that have ended, by method and result";
    }
    also {
        duration: Family<Call, Histogram> = Family::new_with_constructor(|| Histogram::new(SECONDS)),
        own: Histogram = Histogram::new(OWN_SECONDS),
        /// The series of successful calls, which most calls are: found without a lock.
        successful: Arc<OnceLock<Vec<Successes>>> = Arc::default(),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    rpc_method: &'static str,
    outcome: &'static str,
}

impl Label for Ended {
    /// The methods are not known here.
    const VALUES: &[Self] = &[];
}

#[derive(Debug)]
struct Successes {
    method: &'static str,
    ends: Counter,
    /// Created by the first success.
    duration: OnceLock<Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    rpc_system_name: &'static str,
    rpc_method: &'static str,
    rpc_response_status_code: &'static str,
    /// The code, if it is an error of the server; else empty.
    error_type: &'static str,
}

impl Call {
    fn new(method: &'static str, code: &'static str) -> Self {
        let error_type = if is_fault(code) { code } else { "" };
        Self { rpc_system_name: "grpc", rpc_method: method, rpc_response_status_code: code, error_type }
    }
}

impl Default for CallMetrics {
    fn default() -> Self {
        Self::registered(&mut Registry::default())
    }
}

impl CallMetrics {
    /// Creates the counters of these methods, once, so that rates include the first call.
    pub fn create_series(&self, methods: impl Iterator<Item = &'static str>) {
        let counter = |method, outcome: CallOutcome| {
            self.ends.get_or_create_owned(&Ended { rpc_method: method, outcome: outcome.name() })
        };
        self.successful.get_or_init(|| {
            let series = |method| {
                let [ends, ..] = CallOutcome::ALL.map(|outcome| counter(method, outcome));
                Successes { method, ends, duration: OnceLock::new() }
            };
            methods.map(series).collect()
        });
    }

    pub(super) fn register_histograms(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "rpc_server_call_duration",
            "The time of a call, from its headers to the start of its response",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.sub_registry_with_prefix(PREFIX).register_with_unit(
            "call_own_time",
            "The time of a call without its waits for Adobe",
            Unit::Seconds,
            self.own.clone(),
        );
    }

    /// Counts a call as in progress until the result is dropped.
    pub fn begin(&self) -> Running {
        Running::in_gauge(&self.in_flight)
    }

    pub fn ended(&self, CallEnd { method, code, outcome, duration, upstream }: CallEnd) {
        self.own.observe(duration.saturating_sub(upstream).as_secs_f64());
        let seconds = duration.as_secs_f64();
        let histogram = || self.duration.get_or_create_owned(&Call::new(method, code));
        let successful = self.successful.get().filter(|_| code == OK);
        match successful.and_then(|series| series.iter().find(|series| series.method == method)) {
            Some(series) => {
                series.ends.inc();
                series.duration.get_or_init(histogram).observe(seconds);
            }
            None => {
                self.ends.get_or_create(&Ended { rpc_method: method, outcome: outcome.name() }).inc();
                histogram().observe(seconds);
            }
        }
    }
}

/// Whether a code is an error of the server, not of the client.
pub fn is_fault(code: &str) -> bool {
    FAULTS.contains(&code)
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ended(method: &'static str, code: &'static str, outcome: CallOutcome) -> CallEnd {
        CallEnd { method, code, outcome, duration: SECOND, upstream: Duration::ZERO }
    }

    #[test]
    fn the_counters_of_a_method_exist_before_its_first_call() {
        let mut registry = Registry::default();
        let metrics = CallMetrics::registered(&mut registry);
        metrics.create_series(["a.Service/Method"].into_iter());
        metrics.ended(ended("a.Service/Method", OK, CallOutcome::Ok));
        metrics.ended(ended("a.Service/Method", "INVALID_ARGUMENT", CallOutcome::Rejected));
        metrics.ended(ended(OTHER_METHOD, "UNIMPLEMENTED", CallOutcome::Rejected));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for (method, outcome, count) in [
            ("a.Service/Method", "ok", 1),
            ("a.Service/Method", "rejected", 1),
            ("a.Service/Method", "failed", 0),
            ("a.Service/Method", "cancelled", 0),
            (OTHER_METHOD, "rejected", 1),
        ] {
            let line = format!("calls_total{{rpc_method=\"{method}\",outcome=\"{outcome}\"}} {count}\n");
            assert!(text.contains(&line), "{line}: {text}");
        }
    }

    #[test]
    fn the_time_of_this_service_excludes_waits() {
        let (metrics, mut registry) = (CallMetrics::default(), Registry::default());
        metrics.register_histograms(&mut registry);
        metrics.ended(CallEnd { upstream: SECOND * 9 / 10, ..ended("m", OK, CallOutcome::Ok) });
        metrics.ended(CallEnd { upstream: SECOND * 2, ..ended("m", OK, CallOutcome::Ok) });
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in ["bucket{le=\"0.01\"} 1", "bucket{le=\"0.05\"} 1", "bucket{le=\"0.25\"} 2", "count 2"] {
            assert!(text.contains(&format!("{PREFIX}_call_own_time_seconds_{line}\n")), "{line}: {text}");
        }
    }
}
