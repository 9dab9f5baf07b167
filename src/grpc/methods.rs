//! The methods of the gRPC port: one row each, read from the descriptors of its services.

use std::sync::LazyLock;

use prost::Message as _;
use prost_types::{FileDescriptorSet, MethodDescriptorProto, method_options::IdempotencyLevel};
use tonic_reflection::pb::{v1, v1alpha};

use crate::{domain::Access, exactly_once::Kind, proto};

/// The service of dataflows, without its package.
const DATAFLOWS: &str = "HubSpotDataflowService";

#[derive(Debug)]
pub(super) struct Method {
    /// `package.Service/Method`: the path without its first slash.
    pub(super) name: String,
    pub(super) access: Access,
    pub(super) limit: Limit,
    /// What the calls of this service's own API are about.
    pub(super) kind: Kind,
    /// The action of a write in the audit trail.
    pub(super) audit_action: Option<String>,
}

/// What bounds the concurrent calls of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Creations,
    /// Every other method of this service's own API.
    Calls,
    HealthChecks,
    HealthWatches,
    Reflection,
}

impl Method {
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        let name = path.strip_prefix('/')?;
        METHODS.iter().find(|method| method.name == name)
    }

    /// The names of the methods that are measured: probes would hide the other calls.
    pub(super) fn measured() -> impl Iterator<Item = &'static str> {
        METHODS.iter().filter(|method| !method.is_health()).map(|method| &*method.name)
    }

    /// The full names of the services, for error messages: v1alpha of reflection only confuses.
    pub(super) fn services() -> Vec<&'static str> {
        let of_methods = METHODS.iter().filter_map(|method| method.name.split_once('/'));
        let mut services: Vec<_> =
            of_methods.map(|(service, _)| service).filter(|service| !service.contains("alpha")).collect();
        services.dedup();
        services
    }

    /// Health is open to every caller.
    pub(super) fn is_health(&self) -> bool {
        matches!(self.limit, Limit::HealthChecks | Limit::HealthWatches)
    }

    /// The descriptors say which methods are reads. The first word of a name says the rest: it is the action,
    /// and methods that create begin with Create (AIP-133).
    fn new(package: &str, service: &str, descriptor: &MethodDescriptorProto) -> Self {
        let (method, level) = (descriptor.name(), descriptor.options.as_ref().map(|o| o.idempotency_level()));
        let first_word = &method[..method[1..].find(char::is_uppercase).map_or(method.len(), |end| end + 1)];
        let limit = match (package, first_word) {
            ("grpc.health.v1", "Watch") => Limit::HealthWatches,
            ("grpc.health.v1", _) => Limit::HealthChecks,
            ("grpc.reflection.v1" | "grpc.reflection.v1alpha", _) => Limit::Reflection,
            (_, "Create") => Limit::Creations,
            _ => Limit::Calls,
        };
        let is_own = matches!(limit, Limit::Creations | Limit::Calls);
        let is_write = is_own && level != Some(IdempotencyLevel::NoSideEffects);
        Self {
            name: format!("{package}.{service}/{method}"),
            access: if is_write { Access::Write } else { Access::Read },
            limit,
            kind: if service == DATAFLOWS { Kind::Dataflow } else { Kind::Connection },
            audit_action: is_write.then(|| first_word.to_ascii_lowercase()),
        }
    }
}

static METHODS: LazyLock<Vec<Method>> = LazyLock::new(|| {
    let mut methods = Vec::new();
    for set in [
        proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        v1::FILE_DESCRIPTOR_SET,
        v1alpha::FILE_DESCRIPTOR_SET,
    ] {
        let set = FileDescriptorSet::decode(set).expect("the descriptors are compiled in");
        for file in set.file {
            for service in &file.service {
                let method = |method| Method::new(file.package(), service.name(), method);
                methods.extend(service.method.iter().map(method));
            }
        }
    }
    methods
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_row() {
        use {Access::*, Limit::*};
        let connections = "hubspot_connection.v1.HubSpotConnectionService";
        let dataflows = "hubspot_connection.v1.HubSpotDataflowService";
        let rows = [
            (connections, "CreateHubSpotConnection", Write, Creations, Some("create")),
            (connections, "GetHubSpotConnection", Read, Calls, None),
            (connections, "ListHubSpotConnections", Read, Calls, None),
            (connections, "UpdateHubSpotConnection", Write, Calls, Some("update")),
            (connections, "DeleteHubSpotConnection", Write, Calls, Some("delete")),
            (connections, "TestHubSpotConnection", Read, Calls, None),
            (connections, "ListHubSpotTables", Read, Calls, None),
            (connections, "GetHubSpotTable", Read, Calls, None),
            (dataflows, "CreateHubSpotDataflow", Write, Creations, Some("create")),
            (dataflows, "GetHubSpotDataflow", Read, Calls, None),
            (dataflows, "ListHubSpotDataflows", Read, Calls, None),
            (dataflows, "PauseHubSpotDataflow", Write, Calls, Some("pause")),
            (dataflows, "ResumeHubSpotDataflow", Write, Calls, Some("resume")),
            (dataflows, "DeleteHubSpotDataflow", Write, Calls, Some("delete")),
            (dataflows, "ListHubSpotDataflowRuns", Read, Calls, None),
            ("grpc.health.v1.Health", "Check", Read, HealthChecks, None),
            ("grpc.health.v1.Health", "Watch", Read, HealthWatches, None),
            ("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo", Read, Reflection, None),
            ("grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo", Read, Reflection, None),
        ];
        assert_eq!(METHODS.len(), rows.len());
        for (service, method, access, limit, action) in rows {
            let found = Method::find(&format!("/{service}/{method}")).unwrap();
            let row = (found.access, found.limit, found.audit_action.as_deref());
            assert_eq!(row, (access, limit, action), "{method}");
            assert_eq!(found.kind == Kind::Dataflow, service == dataflows, "{method}");
        }
        assert_eq!(Method::measured().count(), 17);
        let services =
            [connections, dataflows, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];
        assert_eq!(Method::services(), services);
        assert!(Method::find("/a.Service/Method").is_none());
    }
}
