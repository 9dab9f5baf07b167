//! Creating dataflows, from the point of view of callers and of Adobe's four services.

mod create;
mod deadline;
mod lost;
mod permissions;
mod plan;
mod promise;
mod undo;
mod violations;
mod withdraw;

use hubspot_connection_service::proto::{
    CreateHubSpotDataflowRequest, DeleteHubSpotDataflowRequest, DeleteHubSpotDataflowResponse, FieldMapping,
    delete_hub_spot_dataflow_request::Dataflow, field_mapping::Kind,
};

use crate::support::{Failure, TestService};

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
