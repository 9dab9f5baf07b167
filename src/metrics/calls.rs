//! The calls of this service's callers.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{Reason, Running, SECONDS, register};

/// The methods that calls are told apart by. The health service is not among them: its calls are not
/// measured.
pub const METHODS: [&str; 10] = [
    "hubspot_connection.v1.HubSpotConnectionService/CreateHubSpotConnection",
    "hubspot_connection.v1.HubSpotConnectionService/GetHubSpotConnection",
    "hubspot_connection.v1.HubSpotConnectionService/ListHubSpotConnections",
    "hubspot_connection.v1.HubSpotConnectionService/UpdateHubSpotConnection",
    "hubspot_connection.v1.HubSpotConnectionService/DeleteHubSpotConnection",
    "hubspot_connection.v1.HubSpotConnectionService/TestHubSpotConnection",
    "hubspot_connection.v1.HubSpotConnectionService/ListHubSpotTables",
    "hubspot_connection.v1.HubSpotConnectionService/GetHubSpotTable",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// Every other method: a caller can send anything.
pub const OTHER_METHOD: &str = "_OTHER";
/// The code of a success.
const OK: &str = "OK";
/// The codes that are errors of the server, by the semantic conventions of gRPC. The others are the
/// caller's.
const FAULTS: [&str; 6] =
    ["DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN"];
/// The codes that are there from the start beside that of a success: what somebody has to look into.
const EXPECTED: [&str; 5] =
    ["DEADLINE_EXCEEDED", "FAILED_PRECONDITION", "INTERNAL", "UNAVAILABLE", "UNKNOWN"];
/// Why calls are shed.
const SHED: [&str; 3] = ["max_in_flight", "max_creations", "max_streams"];

/// The calls of this service's callers.
#[derive(Clone, Debug)]
pub struct CallMetrics {
    duration: Family<Call, Histogram>,
    /// Those of the successful calls, to be found without a lock: most calls are.
    successful: Arc<[(&'static str, Histogram)]>,
    in_flight: Gauge,
    shed: Family<Reason, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    rpc_system_name: &'static str,
    rpc_method: &'static str,
    rpc_response_status_code: &'static str,
    /// The code where it is an error of the server, else nothing.
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
        let duration = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let successful = METHODS.map(|method| (method, duration.get_or_create_owned(&Call::new(method, OK))));
        for method in METHODS {
            for code in EXPECTED {
                drop(duration.get_or_create(&Call::new(method, code)));
            }
        }
        let shed = Family::<Reason, Counter>::default();
        for reason in SHED {
            drop(shed.get_or_create(&reason.into()));
        }
        Self { duration, successful: Arc::new(successful), in_flight: Gauge::default(), shed }
    }
}

impl CallMetrics {
    pub(super) fn register_standard(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "rpc_server_call_duration",
            "The time of a call, from its headers to the beginning of its answer",
            Unit::Seconds,
            self.duration.clone(),
        );
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        register(registry, "calls_in_flight", "The calls under way", self.in_flight.clone());
        register(registry, "calls_shed", "Calls refused because too much is under way", self.shed.clone());
    }

    /// A call is under way for as long as the result exists.
    pub fn begin(&self) -> Running {
        Running::in_gauge(&self.in_flight)
    }

    /// A call has ended with this code.
    pub fn ended(&self, method: Option<&'static str>, code: &'static str, duration: Duration) {
        let (method, seconds) = (method.unwrap_or(OTHER_METHOD), duration.as_secs_f64());
        match self.successful.iter().find(|(name, _)| code == OK && *name == method) {
            Some((_, durations)) => durations.observe(seconds),
            None => self.duration.get_or_create(&Call::new(method, code)).observe(seconds),
        }
    }

    /// A call was refused because as many are under way as may be.
    pub fn shed_call(&self) {
        self.shed.get_or_create(&SHED[0].into()).inc();
    }

    /// A check or watch of the health, or a reflection stream, was refused because there are as many as may be.
    pub fn shed_stream(&self) {
        self.shed.get_or_create(&SHED[2].into()).inc();
    }

    /// Counts the creations that were refused because as many are under way as may be.
    pub(super) fn shed_creations(&self) -> Counter {
        self.shed.get_or_create_owned(&SHED[1].into())
    }
}

/// Whether a code is an error of the server.
pub fn is_fault(code: &str) -> bool {
    FAULTS.contains(&code)
}

/// The method that a path names, if it is one of [`METHODS`].
pub fn method(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix('/')?;
    METHODS.into_iter().find(|method| *method == path)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::{grpc::SERVICE_NAME, proto};

    #[test]
    fn every_method_of_the_service_is_measured_by_its_name() {
        let files = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
        let services = files.file.iter().flat_map(|file| &file.service);
        let methods: Vec<_> = services
            .flat_map(|service| &service.method)
            .map(|method| format!("/{SERVICE_NAME}/{}", method.name()))
            .collect();
        assert_eq!(methods.len(), 8);
        for path in methods {
            assert_eq!(method(&path), Some(&path[1..]));
        }
        assert_eq!(method("/a.Service/Method"), None);
    }
}
