//! Creations of which a reply is lost: there is one dataflow, and nothing is left over.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{DATASETS, FIELD_GROUPS, FLOWS, MAPPING_SETS, SCHEMAS, SOURCES, TARGETS, VALIDATE};
use crate::support::{
    SETTLES_FAST, TestService,
    dataflows::{ONE_OF_EACH, WITH_DATASET},
};

/// How a reply is lost.
fn losses() -> [Value; 6] {
    [
        json!({"close": "after_commit"}),
        json!({"close": "before_commit"}),
        json!({"commit_after": "2500ms"}),
        json!({"status": 503, "shape": "empty", "commit": true}),
        json!({"status": 503, "shape": "empty"}),
        json!({"status": 201, "shape": "cut", "commit": true}),
    ]
}

/// Loses the first reply to a route in each way.
async fn lose_at(route: &str) {
    join_all(losses().into_iter().map(|action| lose(route, action))).await;
}

async fn lose(route: &str, action: Value) {
    let service = TestService::with(SETTLES_FAST).await;
    let request = service.dataflow_request().await;
    service.inject(json!([{"route": route, "action": action}]));
    let created = service.repeat_dataflow_until_known(&request).await;
    let created = created.unwrap_or_else(|failure| panic!("{route} {action}: {failure:?}"));
    let repeated = service.repeat_dataflow_until(&request, ONE_OF_EACH).await;
    assert_eq!((&repeated.id, repeated.replayed), (&created.id, true), "{action}");
    assert_eq!(repeated.resources, created.resources, "{action}");
    let flow = &service.emulator.flows()[0];
    let resources = created.resources.unwrap();
    assert_eq!(flow.id, created.id, "{action}");
    assert_eq!(flow.source_connection_id, resources.source_connection_id, "{action}");
    assert_eq!(flow.target_connection_id, resources.target_connection_id, "{action}");
    assert_eq!(flow.mapping_set_id, resources.mapping_set_id, "{action}");
}

#[tokio::test]
async fn a_lost_field_group_is_created_once() {
    lose_at(FIELD_GROUPS).await;
}

#[tokio::test]
async fn a_lost_schema_is_created_once() {
    lose_at(SCHEMAS).await;
}

#[tokio::test]
async fn a_lost_dataset_is_created_once() {
    lose_at(DATASETS).await;
}

#[tokio::test]
async fn a_lost_mapping_set_is_created_once() {
    lose_at(MAPPING_SETS).await;
}

#[tokio::test]
async fn a_lost_validation_is_repeated() {
    lose_at(VALIDATE).await;
}

#[tokio::test]
async fn a_lost_source_connection_is_created_once() {
    lose_at(SOURCES).await;
}

#[tokio::test]
async fn a_lost_target_connection_is_created_once() {
    lose_at(TARGETS).await;
}

#[tokio::test]
async fn a_lost_flow_is_created_once() {
    lose_at(FLOWS).await;
}

#[tokio::test]
async fn whatever_appears_late_in_lists_is_not_created_again() {
    let lost = |route| async move {
        let service = TestService::with(SETTLES_FAST).await;
        let request = service.dataflow_request().await;
        // Within the settle window.
        service.set(json!({"index_lag": "4s"}));
        service.inject(json!([{"route": route, "action": {"close": "after_commit"}}]));
        let created = service.repeat_dataflow_until_known(&request).await;
        let created = created.unwrap_or_else(|failure| panic!("{route}: {failure:?}"));
        let repeated = service.repeat_dataflow_until(&request, ONE_OF_EACH).await;
        assert_eq!(repeated.id, created.id, "{route}");
    };
    join_all([DATASETS, SOURCES, TARGETS, FLOWS].map(lost)).await;
}

#[tokio::test]
async fn a_creation_that_could_not_be_prepared_resumes_with_what_there_is() {
    let resumed = |route| async move {
        let service = TestService::with(SETTLES_FAST).await;
        let request = service.dataflow_request().await;
        let action = json!({"status": 503});
        service.inject(json!([{"route": route, "count": 0, "action": action}]));
        let failure = service.create_dataflow(request.clone()).await.unwrap_err();
        assert_eq!(failure.reason, "UPSTREAM_UNAVAILABLE", "{route}: {failure:?}");
        assert_eq!(failure.metadata("stage"), "prepare", "{route}");
        assert_eq!(service.ledger().flows, 0);
        service.inject(json!([]));
        let created = service.repeat_dataflow_until_known(&request).await;
        let created = created.unwrap_or_else(|failure| panic!("{route}: {failure:?}"));
        let repeated = service.repeat_dataflow_until(&request, ONE_OF_EACH).await;
        assert_eq!(repeated.id, created.id, "{route}");
    };
    join_all([FIELD_GROUPS, SCHEMAS, DATASETS, MAPPING_SETS, SOURCES, TARGETS].map(resumed)).await;
}

#[tokio::test]
async fn an_existing_dataset_is_not_touched_whatever_is_lost() {
    let lost = |route| async move {
        let service = TestService::with(SETTLES_FAST).await;
        let dataset = service.existing_dataset().await;
        let request = service.dataflow_request_into(&dataset).await;
        assert_eq!(service.ledger(), WITH_DATASET);
        service.inject(json!([{"route": route, "action": {"close": "after_commit"}}]));
        service.repeat_dataflow_until_known(&request).await.unwrap();
        service.repeat_dataflow_until(&request, ONE_OF_EACH).await;
    };
    join_all([MAPPING_SETS, SOURCES, TARGETS, FLOWS].map(lost)).await;
}
