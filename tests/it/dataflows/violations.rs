//! Requests that do not fit what is at Adobe.

use std::time::{SystemTime, UNIX_EPOCH};

use hubspot_connection_service::proto::{
    CreateHubSpotDataflowRequest, SchemaFromTable, create_hub_spot_dataflow_request::Target,
    field_mapping::Kind, new_dataset::Schema,
};
use prost_types::Timestamp;
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use super::{FLOWS, MAPPING_SETS, SOURCES, fields, mapping, withdraw::until_known};
use crate::support::{
    Failure, SETTLES_FAST, TestService,
    dataflows::{ExistingDataset, ONE_OF_EACH, ONLY_A_CONNECTION, WITH_DATASET, hourly, new_dataset, once},
    salesforce,
};

/// A creation that fails, and that leaves nothing.
async fn refused(service: &TestService, request: CreateHubSpotDataflowRequest) -> Failure {
    let before = service.ledger();
    let failure = service.create_dataflow(request).await.unwrap_err();
    assert_eq!(service.ledger(), before, "{failure:?}");
    failure
}

async fn into_existing(service: &TestService) -> (CreateHubSpotDataflowRequest, ExistingDataset) {
    let dataset = service.existing_dataset().await;
    (service.dataflow_request_into(&dataset).await, dataset)
}

#[tokio::test]
async fn columns_that_the_table_does_not_have_are_named_with_those_that_it_has() {
    let service = TestService::start().await;
    let columns = vec!["Vid".to_owned(), "vid".to_owned(), "Nothing".to_owned()];
    let schema = SchemaFromTable { columns, ..SchemaFromTable::default() };
    let request = CreateHubSpotDataflowRequest {
        target: Some(new_dataset("Contacts", Schema::SchemaFromTable(schema))),
        ..service.dataflow_request().await
    };
    let failure = refused(&service, request).await;
    let columns = "new_dataset.schema_from_table.columns";
    assert_eq!(fields(&failure), [format!("{columns}[1]"), format!("{columns}[2]")]);
    assert!(failure.violations[0].1.description.contains("Vid"), "{failure:?}");
    assert_eq!(failure.violations[0].1.reason, "NOT_FOUND_UPSTREAM", "{failure:?}");
    assert_eq!(failure.metadata("may_exist"), "true", "the store has just begun to remember");
}

#[tokio::test]
async fn mappings_are_checked_against_the_columns_and_the_schema() {
    let service = TestService::start().await;
    let (request, dataset) = into_existing(&service).await;
    let mappings = vec![
        mapping("vid", &format!("{}.Vid", dataset.namespace), Kind::Attribute),
        mapping("Vid", &dataset.namespace, Kind::Attribute),
        mapping("constant", "no.such.path", Kind::Static),
    ];
    let failure = refused(&service, CreateHubSpotDataflowRequest { mappings, ..request }).await;
    let expected = ["mappings[0].source", "mappings[1].destination", "mappings[2].destination"];
    assert_eq!(fields(&failure), expected);
    let said = &failure.violations[1].1.description;
    assert!(said.contains(&format!("{}.Vid", dataset.namespace)), "{said}");
}

#[tokio::test]
async fn a_table_of_which_no_column_fits_the_schema_needs_mappings() {
    let service = TestService::start().await;
    let (request, _) = into_existing(&service).await;
    let request = CreateHubSpotDataflowRequest { table: "Hubspot.All_Deals".to_owned(), ..request };
    assert_eq!(fields(&refused(&service, request).await), ["mappings"]);
}

#[tokio::test]
async fn an_expression_that_data_prep_refuses_is_that_mappings() {
    let service = TestService::start().await;
    let (request, dataset) = into_existing(&service).await;
    let mappings = vec![
        mapping("Vid", &format!("{}.Vid", dataset.namespace), Kind::Attribute),
        mapping("lower(", &format!("{}.nickname", dataset.namespace), Kind::Expression),
    ];
    let failure = refused(&service, CreateHubSpotDataflowRequest { mappings, ..request }).await;
    assert_eq!(fields(&failure), ["mappings[1].source"]);
    assert!(failure.violations[0].1.description.contains("Data Prep"), "{failure:?}");
}

#[tokio::test]
async fn mappings_into_a_new_schema_are_checked_by_data_prep_and_a_refusal_is_undone() {
    let service = TestService::start().await;
    let request = CreateHubSpotDataflowRequest {
        mappings: vec![mapping("Vid", "no.such.path", Kind::Attribute)],
        ..service.dataflow_request().await
    };
    let failure = refused(&service, request).await;
    assert_eq!(fields(&failure), ["mappings[0].destination"]);
    assert_eq!(service.posted_to("/tenant/schemas").len(), 1);
    assert_eq!(service.ledger(), ONLY_A_CONNECTION);
}

#[tokio::test]
async fn a_delta_column_without_times_is_refused_with_those_that_have_them() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    for (column, reason) in [("Vid", "NOT_ALLOWED"), ("Nothing", "NOT_FOUND_UPSTREAM")] {
        let schedule = Some(hourly(column));
        let request_id = Uuid::new_v4().to_string();
        let request = CreateHubSpotDataflowRequest { schedule, request_id, ..request.clone() };
        let failure = refused(&service, request).await;
        assert_eq!(fields(&failure), ["schedule.delta_column.name"]);
        assert_eq!(failure.violations[0].1.reason, reason);
        assert!(failure.violations[0].1.description.contains("Added_At"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_start_that_has_passed_is_refused_and_never_moved() {
    let service = TestService::start().await;
    let mut schedule = once();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    schedule.start_time = Some(Timestamp { seconds: i64::try_from(now).unwrap() - 1, nanos: 0 });
    let request =
        CreateHubSpotDataflowRequest { schedule: Some(schedule), ..service.dataflow_request().await };
    let failure = refused(&service, request).await;
    assert_eq!(fields(&failure), ["schedule.start_time"]);
}

#[tokio::test]
async fn what_the_request_names_and_does_not_exist_is_not_found() {
    let service = TestService::start().await;
    let other_source = salesforce(&service.emulator).await;
    let request = service.dataflow_request().await;
    let schema = "https://ns.adobe.com/acme/schemas/1";
    let change = |change: &dyn Fn(&mut CreateHubSpotDataflowRequest)| {
        let mut changed = request.clone();
        change(&mut changed);
        changed.request_id = Uuid::new_v4().to_string();
        changed
    };
    for (changed, reason, resource) in [
        (change(&|r| r.connection_id = "missing".to_owned()), "CONNECTION_NOT_FOUND", "missing"),
        (change(&|r| r.connection_id = other_source.clone()), "CONNECTION_NOT_FOUND", &*other_source),
        (change(&|r| r.table = "Hubspot.Nothing".to_owned()), "TABLE_NOT_FOUND", "Hubspot.Nothing"),
        (
            change(&|r| r.target = Some(Target::DatasetId("missing".to_owned()))),
            "DATASET_NOT_FOUND",
            "missing",
        ),
        (
            change(&|r| r.target = Some(new_dataset("Contacts", Schema::SchemaId(schema.to_owned())))),
            "SCHEMA_NOT_FOUND",
            schema,
        ),
    ] {
        let failure = refused(&service, changed).await;
        assert_eq!(failure.row(), (Code::NotFound, reason), "{failure:?}");
        assert_eq!(failure.resource.as_ref().map(|(_, name)| &**name), Some(resource), "{failure:?}");
        assert_eq!(failure.metadata("stage"), "prepare");
    }
}

#[tokio::test]
async fn a_title_of_another_schema_is_refused_with_its_owner() {
    let service = TestService::with(SETTLES_FAST).await;
    let request = service.dataflow_request().await;
    let first = service.create_dataflow(request.clone()).await.unwrap();
    let request = CreateHubSpotDataflowRequest { request_id: Uuid::new_v4().to_string(), ..request };
    let failure = refused(&service, request.clone()).await;
    assert_eq!(failure.row(), (Code::AlreadyExists, "SCHEMA_TITLE_TAKEN"));
    let owner = first.resources.unwrap().schema_id;
    assert_eq!(failure.resource.as_ref().map(|(_, name)| name), Some(&owner));
    assert!(failure.message.contains("new_dataset.schema_id"), "{failure:?}");

    // The list may lag behind: then the creation of the schema is refused.
    service.set(json!({"index_lag": "1h"}));
    let failure = service.create_dataflow(request.clone()).await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"), "{failure:?}");
    service.set(json!({}));
    let failure = service.create_dataflow(request.clone()).await.unwrap_err();
    assert_eq!(failure.reason, "SCHEMA_TITLE_TAKEN", "{failure:?}");
    // Without a record something of it could still appear, until it is settled.
    assert_eq!(until_known(&service, &request.request_id, true).await.unwrap().leftovers, []);
    assert_eq!(service.ledger(), ONE_OF_EACH);
}

#[tokio::test]
async fn a_refusal_by_code_names_its_field() {
    let service = TestService::start().await;
    let (request, _) = into_existing(&service).await;
    for (route, code, field) in [
        (FLOWS, "1360", "schedule.start_time"),
        (FLOWS, "CONN-1363", "schedule.interval"),
        (FLOWS, "1367", "schedule.delta_column"),
        (FLOWS, "1419", "mappings"),
        (FLOWS, "1425", "mappings"),
        (SOURCES, "1330", "table"),
    ] {
        service.inject(json!([{"route": route, "action": {"status": 400, "code": code}}]));
        let failure = refused(&service, request.clone()).await;
        assert_eq!(fields(&failure), [field], "{code}");
        assert!(failure.violations[0].1.description.contains("the Flow Service"), "{failure:?}");
        assert_eq!(service.ledger(), WITH_DATASET, "{code}");
    }
    service.inject(json!([{"route": MAPPING_SETS, "action": {"status": 400, "shape": "E"}}]));
    assert_eq!(fields(&refused(&service, request.clone()).await), ["mappings"]);
    service.inject(json!([]));
    service.create_dataflow(request).await.unwrap();
}
