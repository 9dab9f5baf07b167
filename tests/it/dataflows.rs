//! Creating dataflows, from the point of view of callers and of Adobe's four services.

mod create;
mod deadline;
mod lost;
mod permissions;
mod plan;
mod promise;
mod store_away;
mod undo;
mod violations;
mod withdraw;

use http::Method;
use hubspot_connection_service::{
    emulator::Emulator,
    proto::{
        CreateHubSpotDataflowRequest, DeleteHubSpotDataflowRequest, DeleteHubSpotDataflowResponse,
        FieldMapping, delete_hub_spot_dataflow_request::Dataflow, field_mapping::Kind,
    },
};
use serde_json::{Value, json};

use crate::{
    chaos::redis::SharedRedis,
    support::{
        FINGERPRINT_KEY, Failure, SETTLES_FAST, TestService,
        replacing_proxy::{Fate, ReplacingProxy},
    },
};

const FIELD_GROUPS: &str = "POST /data/foundation/schemaregistry/tenant/fieldgroups";
const SCHEMAS: &str = "POST /data/foundation/schemaregistry/tenant/schemas";
const DATASETS: &str = "POST /data/foundation/catalog/dataSets";
const MAPPING_SETS: &str = "POST /data/foundation/conversion/mappingSets";
const VALIDATE: &str = "POST /data/foundation/conversion/mappingSets/validate";
const SOURCES: &str = "POST /sourceConnections";
const TARGETS: &str = "POST /targetConnections";
const FLOWS: &str = "POST /flows";

/// The columns of the table in their order.
const COLUMNS: [&str; 5] =
    ["Properties_Firstname_Value", "Properties_Lastname_Value", "Added_At", "Portal_Id", "Vid"];

fn mapping(source: &str, destination: &str, kind: Kind) -> FieldMapping {
    FieldMapping { source: source.to_owned(), destination: destination.to_owned(), kind: kind as i32 }
}

/// Without a name for the creation: then no earlier attempt can be forgotten.
fn unnamed(request: &CreateHubSpotDataflowRequest) -> CreateHubSpotDataflowRequest {
    CreateHubSpotDataflowRequest { request_id: String::new(), ..request.clone() }
}

/// The fields of the violations of a request that is invalid.
#[track_caller]
fn fields(failure: &Failure) -> Vec<&str> {
    assert_eq!(failure.row(), (tonic::Code::InvalidArgument, "INVALID_REQUEST"), "{failure:?}");
    failure.violations.iter().map(|(field, _)| &**field).collect()
}

/// Gives up a creation.
async fn withdraw(
    service: &TestService,
    request_id: &str,
    allow_missing: bool,
) -> Result<DeleteHubSpotDataflowResponse, Failure> {
    let request = DeleteHubSpotDataflowRequest {
        dataflow: Some(Dataflow::CreateRequestId(request_id.to_owned())),
        allow_missing,
        ..DeleteHubSpotDataflowRequest::default()
    };
    let response = service.dataflows().await.delete_hub_spot_dataflow(request).await;
    response.map(tonic::Response::into_inner).map_err(Failure::from)
}

/// The settings of replicas with this store.
fn shared(redis: &SharedRedis) -> [(&str, &str); 4] {
    let [create_timeout, settle_window] = SETTLES_FAST;
    [("HCS_REDIS_URL", redis.url()), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY), create_timeout, settle_window]
}

/// A creation whose outcome is unknown to this store, and that no process works on any more.
async fn left_unknown(redis: &SharedRedis, close: &str) -> (Emulator, CreateHubSpotDataflowRequest) {
    let service = TestService::with(shared(redis)).await;
    let request = service.dataflow_request().await;
    service.inject(json!([
        {"route": FLOWS, "action": {"close": close}},
        {"route": "GET /flows", "count": 0, "action": {"status": 503, "shape": "empty"}},
    ]));
    let failure = service.create_dataflow(request.clone()).await.unwrap_err();
    assert_eq!(failure.reason, "OUTCOME_UNKNOWN", "{failure:?}");
    let emulator = service.emulator.clone();
    service.stop().await;
    emulator.inject(Vec::new());
    (emulator, request)
}

/// A proxy that does not show these fields of a flow.
async fn hiding(emulator: &Emulator, fields: &'static [&str]) -> ReplacingProxy {
    let hide = |page: &mut Value| {
        for flow in page["items"].as_array_mut().unwrap() {
            fields.iter().for_each(|field| drop(flow.as_object_mut().unwrap().remove(*field)));
        }
    };
    ReplacingProxy::start(emulator, move |request| {
        let is_read = request.method() == Method::GET && request.uri().path().contains("/flowservice/flows");
        if is_read { Fate::Altered(Box::new(hide)) } else { Fate::Forwarded }
    })
    .await
}
