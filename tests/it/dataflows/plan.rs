//! `validate_only`: everything is checked, nothing is created.

use hubspot_connection_service::proto::{
    Check, CreateHubSpotDataflowRequest, CreateHubSpotDataflowResponse, check::State,
    create_hub_spot_dataflow_request::Target, field_mapping::Kind, new_dataset::Schema,
};
use serde_json::json;

use super::{COLUMNS, DATASETS, FLOWS, fields, mapping};
use crate::support::{
    Failure, TestService,
    dataflows::{hourly, new_dataset},
};

const NAMES: [&str; 8] =
    ["adobe_token", "connection", "table", "flow_spec", "dataset", "schema", "mapping", "schedule"];

fn dry_run(request: CreateHubSpotDataflowRequest) -> CreateHubSpotDataflowRequest {
    CreateHubSpotDataflowRequest { validate_only: true, ..request }
}

/// Plans, and makes sure that nothing was created.
async fn plan(
    service: &TestService,
    request: &CreateHubSpotDataflowRequest,
) -> Result<CreateHubSpotDataflowResponse, Failure> {
    let before = service.ledger();
    let planned = service.create_dataflow(dry_run(request.clone())).await;
    assert_eq!(service.ledger(), before);
    planned
}

/// The states of the checks by their number.
#[track_caller]
fn states(planned: &CreateHubSpotDataflowResponse) -> Vec<State> {
    let names: Vec<_> = planned.checks.iter().map(|check| &*check.name).collect();
    assert_eq!(names, NAMES);
    assert!(planned.checks.iter().all(|check| !check.message.is_empty()), "{planned:?}");
    planned.checks.iter().map(Check::state).collect()
}

/// One check failed, those before it passed, and those after it were not made.
#[track_caller]
fn assert_failed(planned: &CreateHubSpotDataflowResponse, name: &str, words: &str) {
    let failed = NAMES.iter().position(|each| *each == name).unwrap();
    for (i, state) in states(planned).into_iter().enumerate() {
        let expected = match i.cmp(&failed) {
            std::cmp::Ordering::Less => State::Passed,
            std::cmp::Ordering::Equal => State::Failed,
            std::cmp::Ordering::Greater => State::Skipped,
        };
        assert_eq!(state, expected, "{}: {planned:?}", NAMES[i]);
    }
    assert!(planned.checks[failed].message.contains(words), "{planned:?}");
}

#[tokio::test]
async fn a_plan_has_the_mappings_and_every_check_and_no_ids() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let planned = plan(&service, &request).await.unwrap();
    assert_eq!(states(&planned), [State::Passed; 8]);
    assert_eq!(planned.mappings.len(), COLUMNS.len());
    assert_eq!((&*planned.id, &*planned.etag, &*planned.request_id), ("", "", ""));
    assert_eq!((planned.replayed, planned.start_time), (false, None));
    let resources = planned.resources.unwrap();
    assert!(!resources.dataset_created && !resources.schema_created);
    assert_eq!((&*resources.dataset_id, &*resources.schema_id), ("", ""));
    assert_eq!(service.posted_to("/mappingSets/validate").len(), 0, "the schema does not exist");

    let dataset = service.existing_dataset().await;
    let into = service.dataflow_request_into(&dataset).await;
    let planned = plan(&service, &into).await.unwrap();
    assert_eq!(states(&planned), [State::Passed; 8]);
    assert_eq!(planned.unmapped_columns, COLUMNS[..4]);
    let resources = planned.resources.unwrap();
    assert_eq!((resources.dataset_id, resources.schema_id), (dataset.id, dataset.schema));
    assert_eq!(service.posted_to("/mappingSets/validate").len(), 1);
}

#[tokio::test]
async fn a_plan_and_its_creation_agree_and_the_id_of_the_plan_stays_free() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let planned = plan(&service, &request).await.unwrap();
    let created = service.create_dataflow(request.clone()).await.unwrap();
    assert_eq!(
        (&planned.mappings, &planned.unmapped_columns),
        (&created.mappings, &created.unmapped_columns)
    );
    assert!(!created.replayed);
    let malformed = CreateHubSpotDataflowRequest { request_id: "no id".to_owned(), ..request };
    plan(&service, &malformed).await.unwrap();
}

#[tokio::test]
async fn every_violation_is_reported_at_once_with_its_field_and_its_fix() {
    let service = TestService::start().await;
    let dataset = service.existing_dataset().await;
    let path = |name: &str| format!("{}.{name}", dataset.namespace);
    let request = CreateHubSpotDataflowRequest {
        mappings: vec![
            mapping("Vid", &path("Vid"), Kind::Attribute),
            mapping("vid", &path("nickName"), Kind::Attribute),
        ],
        schedule: Some(hourly("Vid")),
        ..service.dataflow_request_into(&dataset).await
    };
    let failure = plan(&service, &request).await.unwrap_err();
    let expected = ["mappings[1].source", "mappings[1].destination", "schedule.delta_column.name"];
    assert_eq!(fields(&failure), expected);
    let says = |i: usize, words: &str| {
        let said = &failure.violations[i].1.description;
        assert!(said.contains(words), "{said}");
    };
    says(0, "Vid");
    says(1, &path("nickname"));
    says(2, "Added_At");

    let failure = service.create_dataflow(request).await.unwrap_err();
    assert_eq!(fields(&failure), expected, "the creation finds the same");
    assert_eq!(service.posted_to("/sourceConnections").len(), 0);
}

#[tokio::test]
async fn what_does_not_exist_is_a_failed_check() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let change = |change: &dyn Fn(&mut CreateHubSpotDataflowRequest)| {
        let mut changed = request.clone();
        change(&mut changed);
        changed
    };
    let missing = || "https://ns.adobe.com/acme/schemas/1".to_owned();
    for (changed, check, words) in [
        (change(&|r| r.connection_id = "missing".to_owned()), "connection", "missing"),
        (change(&|r| r.table = "Hubspot.Nothing".to_owned()), "table", "ListHubSpotTables"),
        (change(&|r| r.target = Some(Target::DatasetId("missing".to_owned()))), "dataset", "missing"),
        (
            change(&|r| {
                let schema = Schema::SchemaId(missing());
                r.target = Some(new_dataset("Contacts", schema));
            }),
            "schema",
            "schemas/1",
        ),
    ] {
        let planned = plan(&service, &changed).await.unwrap();
        assert_failed(&planned, check, words);
    }
}

#[tokio::test]
async fn a_title_that_is_taken_is_a_failed_check() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    service.create_dataflow(request.clone()).await.unwrap();
    let planned = plan(&service, &request).await.unwrap();
    assert_failed(&planned, "schema", "new_dataset.schema_id");
}

#[tokio::test]
async fn a_service_that_fails_or_forbids_is_a_failed_check() {
    for (route, action, check, words) in [
        (
            "GET /data/foundation/catalog/dataSets/{id}",
            json!({"status": 403, "shape": "E"}),
            "dataset",
            "Manage Datasets",
        ),
        (
            "GET /data/foundation/schemaregistry/tenant/schemas/{id}",
            json!({"status": 403, "shape": "E"}),
            "schema",
            "Manage Schemas",
        ),
        ("GET /flowSpecs/{id}", json!({"status": 503}), "flow_spec", "try again"),
    ] {
        let service = TestService::start().await;
        let dataset = service.existing_dataset().await;
        let request = service.dataflow_request_into(&dataset).await;
        service.inject(json!([{"route": route, "count": 0, "action": action}]));
        let planned = plan(&service, &request).await.unwrap();
        assert_failed(&planned, check, words);
        service.inject(json!([]));
        assert_eq!(states(&plan(&service, &request).await.unwrap()), [State::Passed; 8]);
    }
}

#[tokio::test]
async fn a_service_that_does_not_reply_is_a_failed_check() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "3s")]).await;
    let request = service.dataflow_request().await;
    service.inject(json!([{"route": "GET /flowSpecs/{id}", "count": 0, "action": {"delay": "60s"}}]));
    let planned = plan(&service, &request).await.unwrap();
    let failed = planned.checks.iter().find(|check| check.state() == State::Failed).unwrap();
    assert_eq!(failed.name, "flow_spec", "{planned:?}");
    assert!(failed.message.contains("cannot be asked"), "{planned:?}");
}

#[tokio::test]
async fn a_plan_sends_nothing_that_creates() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    service.inject(json!([
        {"route": DATASETS, "count": 0, "action": {"status": 500}},
        {"route": FLOWS, "count": 0, "action": {"status": 500}},
    ]));
    plan(&service, &request).await.unwrap();
    let received = service.emulator.received();
    let writes: Vec<_> = received
        .iter()
        .filter(|r| r.method != "GET" && !r.path.ends_with("/token/v3") && !r.path.ends_with("/connections"))
        .collect();
    assert!(writes.is_empty(), "{writes:?}");
}
