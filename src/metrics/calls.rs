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

use super::{Running, SECONDS, Shed, metrics};

/// The label of unknown methods: a caller can send any name.
pub const OTHER_METHOD: &str = "_OTHER";
const OK: &str = "OK";
/// The codes that OpenTelemetry's semantic conventions for gRPC count as errors of the server.
const FAULTS: [&str; 6] =
    ["DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN"];
/// The codes, beside OK, whose series exist from the start: the ones that alerts use.
const EXPECTED: [&str; 5] =
    ["DEADLINE_EXCEEDED", "FAILED_PRECONDITION", "INTERNAL", "UNAVAILABLE", "UNKNOWN"];

metrics! {
    pub struct CallMetrics {
        in_flight: Gauge = "calls_in_flight", "Calls in progress";
        pub shed: Family<Shed, Counter> = "calls_shed", "Calls rejected because a limit was reached";
    }
    also {
        duration: Family<Call, Histogram> = Family::new_with_constructor(|| Histogram::new(SECONDS)),
        /// The histograms of successful calls, which most calls are: found without a lock.
        successful: Arc<OnceLock<Vec<(&'static str, Histogram)>>> = Arc::default(),
    }
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
    /// Creates the series of these methods, once, so that rates include the first call.
    pub fn create_series(&self, methods: impl Iterator<Item = &'static str>) {
        self.successful.get_or_init(|| {
            let series = |method| {
                for code in EXPECTED {
                    drop(self.duration.get_or_create(&Call::new(method, code)));
                }
                (method, self.duration.get_or_create_owned(&Call::new(method, OK)))
            };
            methods.map(series).collect()
        });
    }

    pub(super) fn register_standard(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "rpc_server_call_duration",
            "The time of a call, from its headers to the start of its response",
            Unit::Seconds,
            self.duration.clone(),
        );
    }

    /// Counts a call as in progress until the result is dropped.
    pub fn begin(&self) -> Running {
        Running::in_gauge(&self.in_flight)
    }

    pub fn ended(&self, method: &'static str, code: &'static str, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let successful = self.successful.get().filter(|_| code == OK);
        match successful.and_then(|series| series.iter().find(|(name, _)| *name == method)) {
            Some((_, durations)) => durations.observe(seconds),
            None => self.duration.get_or_create(&Call::new(method, code)).observe(seconds),
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

    #[test]
    fn the_series_of_a_method_exist_before_its_first_call() {
        let (metrics, mut registry) = (CallMetrics::default(), Registry::default());
        metrics.register_standard(&mut registry);
        metrics.create_series(["a.Service/Method"].into_iter());
        metrics.ended("a.Service/Method", OK, Duration::from_millis(1));
        metrics.ended(OTHER_METHOD, "UNIMPLEMENTED", Duration::from_millis(1));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let count = |method: &str, code: &str| {
            let is_count = |line: &&str| {
                line.contains("_count{")
                    && line.contains(&format!("{method:?}"))
                    && line.contains(&format!("{code:?}"))
            };
            text.lines().find(is_count).and_then(|line| line.rsplit_once(' ')).map(|(_, count)| count)
        };
        assert_eq!(count("a.Service/Method", OK), Some("1"));
        assert_eq!(count("a.Service/Method", "INTERNAL"), Some("0"));
        assert_eq!(count(OTHER_METHOD, "UNIMPLEMENTED"), Some("1"));
    }
}
