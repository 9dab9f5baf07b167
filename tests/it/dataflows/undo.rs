//! A request that is refused leaves nothing behind, and nothing that holds data is deleted.

use hubspot_connection_service::emulator::{Outcome, PlannedRun};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;

use super::{DATASETS, FIELD_GROUPS, FLOWS, MAPPING_SETS, SCHEMAS, SOURCES, TARGETS, VALIDATE, unnamed};
use crate::support::{
    SETTLES_FAST, TestService,
    dataflows::{
        ONE_OF_EACH, ONLY_A_CONNECTION, WITH_DATASET, delete_upstream, ingest_into_the_only_dataset,
    },
    send_upstream, until,
};

const DELETE_DATASET: &str = "DELETE /data/foundation/catalog/dataSets/{id}";

/// A refusal that is certainly that service's.
fn refusal(route: &str) -> Value {
    if route.contains("/data/foundation") {
        json!({"status": 400, "shape": "E"})
    } else {
        json!({"status": 400, "code": "1413"})
    }
}

#[tokio::test]
async fn a_refusal_of_any_part_deletes_everything_that_the_request_has_created() {
    for route in [FIELD_GROUPS, SCHEMAS, DATASETS, VALIDATE, MAPPING_SETS, SOURCES, TARGETS, FLOWS] {
        let service = TestService::start().await;
        let request = service.dataflow_request().await;
        service.inject(json!([{"route": route, "action": refusal(route)}]));
        let failure = service.create_dataflow(request.clone()).await.unwrap_err();
        let is_mapping = route == VALIDATE || route == MAPPING_SETS;
        let reason = if is_mapping { "INVALID_REQUEST" } else { "UPSTREAM_REJECTED" };
        assert_eq!(failure.reason, reason, "{route}: {failure:?}");
        assert_eq!(failure.metadata.get("leftovers"), None, "{route}: {failure:?}");
        assert_eq!(service.ledger(), ONLY_A_CONNECTION, "{route}");

        service.create_dataflow(request).await.unwrap();
        assert_eq!(service.ledger(), ONE_OF_EACH, "{route}");
    }
}

#[tokio::test]
async fn a_dataset_that_existed_stays() {
    let service = TestService::start().await;
    let dataset = service.existing_dataset().await;
    let request = service.dataflow_request_into(&dataset).await;
    for route in [MAPPING_SETS, SOURCES, TARGETS, FLOWS] {
        service.inject(json!([{"route": route, "action": refusal(route)}]));
        service.create_dataflow(request.clone()).await.unwrap_err();
        assert_eq!(service.ledger(), WITH_DATASET, "{route}");
    }
    assert_eq!(service.requests_to("DELETE", &dataset.id), 0);
}

#[tokio::test]
async fn what_cannot_be_deleted_is_reported_and_the_next_call_continues() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let down = json!({"status": 503, "shape": "empty"});
    service.inject(json!([
        {"route": FLOWS, "action": refusal(FLOWS)},
        {"route": DELETE_DATASET, "count": 0, "action": down},
    ]));
    let failure = service.create_dataflow(request.clone()).await.unwrap_err();
    assert_eq!(failure.reason, "UPSTREAM_REJECTED", "{failure:?}");
    let leftovers: Vec<_> = failure.metadata("leftovers").split(',').collect();
    let kinds: Vec<_> = leftovers.iter().map(|each| each.split('/').next().unwrap()).collect();
    assert_eq!(kinds, ["dataset", "schema", "field_group"], "{failure:?}");
    let ledger = service.ledger();
    assert_eq!((ledger.datasets, ledger.source_connections, ledger.flows), (1, 0, 0));

    // Nothing is reused that is being deleted.
    service.inject(json!([]));
    let created = service.create_dataflow(request).await.unwrap();
    assert_eq!(service.ledger(), ONE_OF_EACH);
    assert!(!leftovers.contains(&&*format!("dataset/{}", created.resources.unwrap().dataset_id)));
}

#[tokio::test]
async fn a_part_that_adobe_refuses_to_delete_is_left_and_reported() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    service.inject(json!([
        {"route": FLOWS, "action": refusal(FLOWS)},
        {"route": DELETE_DATASET, "action": {"status": 403, "shape": "E"}},
    ]));
    let failure = service.create_dataflow(request).await.unwrap_err();
    let kinds: Vec<_> =
        failure.metadata("leftovers").split(',').map(|each| each.split('/').next().unwrap()).collect();
    assert_eq!(kinds, ["dataset", "schema", "field_group"], "{failure:?}");
    assert!(failure.message.contains("DeleteHubSpotDataflow"), "{failure:?}");
}

#[tokio::test]
async fn a_dataset_with_data_is_never_deleted() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let action = json!({"status": 503, "shape": "empty"});
    service.inject(json!([{"route": SOURCES, "count": 0, "action": action}]));
    service.create_dataflow(request.clone()).await.unwrap_err();

    // Another client ingests into the dataset meanwhile, and removes its flow.
    service.inject(json!([]));
    let other = ingest_into_the_only_dataset(&service, &request.connection_id).await;
    service.emulator.make_runs(&[PlannedRun::once(&other, Outcome::Succeeded)]).unwrap();
    for path in ["flows", "sourceConnections", "targetConnections"] {
        let items = send_upstream(&service.emulator, Method::GET, &format!("/{path}"), None).await;
        for item in items["items"].as_array().unwrap() {
            if item["name"] == "another client's" {
                let path = format!("/{path}/{}", item["id"].as_str().unwrap());
                delete_upstream(&service.emulator, &path).await;
            }
        }
    }

    service.inject(json!([{"route": FLOWS, "action": refusal(FLOWS)}]));
    let failure = service.create_dataflow(request).await.unwrap_err();
    assert_eq!(failure.reason, "UPSTREAM_REJECTED", "{failure:?}");
    let ledger = service.ledger();
    assert_eq!((ledger.datasets, ledger.schemas, ledger.field_groups), (1, 1, 1), "{failure:?}");
    assert!(failure.metadata("leftovers").contains("dataset/"), "{failure:?}");
}

#[tokio::test]
async fn what_a_lost_reply_has_left_beside_is_deleted_too() {
    for route in [DATASETS, MAPPING_SETS, SOURCES, TARGETS] {
        let service = TestService::with(SETTLES_FAST).await;
        let request = service.dataflow_request().await;
        // Two are created: lists do not show the first one in time.
        service.set(json!({"index_lag": "5s"}));
        service.inject(json!([
            {"route": route, "action": {"close": "after_commit"}},
            {"route": FLOWS, "action": refusal(FLOWS)},
        ]));
        let creation = service.create_dataflow(unnamed(&request));
        let (failure, ()) = tokio::join!(creation, async {
            let path = format!("/{}", route.rsplit('/').next().unwrap());
            until("the second one", || service.posted_to(&path).len() >= 2).await;
            service.set(json!({}));
        });
        let failure = failure.unwrap_err();
        assert_eq!(failure.row(), (Code::FailedPrecondition, "UPSTREAM_REJECTED"), "{route}: {failure:?}");
        assert_eq!(failure.metadata("may_exist"), "false");
        assert_eq!(service.ledger(), ONLY_A_CONNECTION, "{route}");
    }
}
