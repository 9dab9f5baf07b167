//! What is checked before a route of these services, and faults of them.

use http::StatusCode;
use hubspot_connection_service::emulator::{Action, FaultResponse, Moment, Shape};
use reqwest::Client;
use serde_json::json;

use super::{Caller, DATASETS, MAPPING_SETS, SCHEMAS, dataset, rejected};

#[tokio::test]
async fn each_service_is_behind_the_gateway_and_in_a_sandbox() {
    let caller = Caller::new().await;
    for path in [SCHEMAS, DATASETS, MAPPING_SETS, "/schemaregistry/stats", "/catalog/batches"] {
        let url = format!("http://{}/data/foundation{path}", caller.emulator.addr());
        let response = Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
        assert_eq!(super::body_of(response).await["error_code"], "403010");
        let nowhere = caller.for_tenant(caller.org, "No Sandbox");
        assert_eq!(nowhere.read(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_missing_permission_is_a_fault_in_the_services_own_shape() {
    let caller = Caller::new().await;
    let forbidden = FaultResponse::new(StatusCode::FORBIDDEN, Shape::E);
    for (route, path) in [
        ("POST /data/foundation/catalog/dataSets", DATASETS),
        ("POST /data/foundation/schemaregistry/tenant/schemas", SCHEMAS),
        ("POST /data/foundation/conversion/mappingSets", MAPPING_SETS),
    ] {
        caller.inject(route, Action::Respond(forbidden.clone()));
        rejected(&caller.post(path, json!({})).await, StatusCode::FORBIDDEN, "ForbiddenError", "Forbidden");
    }
}

#[tokio::test]
async fn a_dataset_can_exist_although_its_response_was_lost() {
    let caller = Caller::new().await;
    let schema = caller.schema("Contacts", &[]).await;
    caller.inject("POST /data/foundation/catalog/dataSets", Action::Close(Moment::AfterCommit));
    let body = dataset("Contacts", &schema, json!({"hcsRequestId": ["1"]})).to_string();
    let lost = caller
        .request(reqwest::Method::POST, "")
        .header("content-type", "application/json")
        .body(body)
        .build()
        .map(|mut request| {
            request.url_mut().set_path("/data/foundation/catalog/dataSets");
            request
        })
        .unwrap();
    assert!(caller.client.execute(lost).await.is_err());
    let (_, found) = caller.read(&format!("{DATASETS}?tags=hcsRequestId:1")).await;
    assert_eq!(super::keys(&found).len(), 1);
}
