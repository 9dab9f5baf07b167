//! The calls of the API: the request, the response and the path of each.

use prost::Message;

use crate::{
    grpc::{DATAFLOW_SERVICE_NAME, SERVICE_NAME},
    proto,
};

/// A request, and what belongs to its method.
pub(super) trait Rpc: Message + Clone + 'static {
    type Response: Message + Default + 'static;
    const SERVICE: &'static str;
    const METHOD: &'static str;
    /// Whether it can change something.
    const WRITES: bool;
}

macro_rules! calls {
    ($($service:ident $kind:ident $method:ident: $request:ident -> $response:ident;)+) => {
        $(impl Rpc for proto::$request {
            type Response = proto::$response;
            const SERVICE: &'static str = $service;
            const METHOD: &'static str = stringify!($method);
            const WRITES: bool = calls!($kind);
        })+

        #[cfg(test)]
        const ALL: &[(&str, &str, bool)] = &[$(($service, stringify!($method), calls!($kind))),+];
    };
    (write) => { true };
    (read) => { false };
}

calls! {
    SERVICE_NAME write CreateHubSpotConnection: CreateHubSpotConnectionRequest -> CreateHubSpotConnectionResponse;
    SERVICE_NAME read GetHubSpotConnection: GetHubSpotConnectionRequest -> GetHubSpotConnectionResponse;
    SERVICE_NAME read ListHubSpotConnections: ListHubSpotConnectionsRequest -> ListHubSpotConnectionsResponse;
    SERVICE_NAME write UpdateHubSpotConnection: UpdateHubSpotConnectionRequest -> UpdateHubSpotConnectionResponse;
    SERVICE_NAME write DeleteHubSpotConnection: DeleteHubSpotConnectionRequest -> DeleteHubSpotConnectionResponse;
    SERVICE_NAME read TestHubSpotConnection: TestHubSpotConnectionRequest -> TestHubSpotConnectionResponse;
    SERVICE_NAME read ListHubSpotTables: ListHubSpotTablesRequest -> ListHubSpotTablesResponse;
    SERVICE_NAME read GetHubSpotTable: GetHubSpotTableRequest -> GetHubSpotTableResponse;
    DATAFLOW_SERVICE_NAME write CreateHubSpotDataflow: CreateHubSpotDataflowRequest -> CreateHubSpotDataflowResponse;
    DATAFLOW_SERVICE_NAME read GetHubSpotDataflow: GetHubSpotDataflowRequest -> GetHubSpotDataflowResponse;
    DATAFLOW_SERVICE_NAME read ListHubSpotDataflows: ListHubSpotDataflowsRequest -> ListHubSpotDataflowsResponse;
    DATAFLOW_SERVICE_NAME write PauseHubSpotDataflow: PauseHubSpotDataflowRequest -> PauseHubSpotDataflowResponse;
    DATAFLOW_SERVICE_NAME write ResumeHubSpotDataflow: ResumeHubSpotDataflowRequest -> ResumeHubSpotDataflowResponse;
    DATAFLOW_SERVICE_NAME write DeleteHubSpotDataflow: DeleteHubSpotDataflowRequest -> DeleteHubSpotDataflowResponse;
    DATAFLOW_SERVICE_NAME read ListHubSpotDataflowRuns: ListHubSpotDataflowRunsRequest -> ListHubSpotDataflowRunsResponse;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost_reflect::DescriptorPool;
    use prost_types::method_options::IdempotencyLevel;

    use super::*;

    #[test]
    fn every_method_can_be_called_and_those_that_write_are_known() {
        let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
        let services: Vec<_> = pool.services().collect();
        let methods = services.iter().flat_map(|service| {
            service.methods().map(|method| {
                let level = method.method_descriptor_proto().options.clone().unwrap_or_default();
                let writes = level.idempotency_level() != IdempotencyLevel::NoSideEffects;
                assert_eq!(method.output().name(), format!("{}Response", method.name()));
                (service.full_name().to_owned(), method.name().to_owned(), writes)
            })
        });
        let called = ALL
            .iter()
            .map(|(service, method, writes)| ((*service).to_owned(), (*method).to_owned(), *writes));
        assert_eq!(called.collect::<BTreeSet<_>>(), methods.collect::<BTreeSet<_>>());
    }
}
