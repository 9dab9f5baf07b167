//! Creations that succeed, and what they send to each service.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubspot_connection_service::proto::{
    CreateHubSpotDataflowRequest, DataflowOptions, DataflowSchedule, DeltaColumn, SchemaFromTable,
    dataflow_schedule::Frequency, field_mapping::Kind, new_dataset::Schema,
};
use prost_types::Timestamp;
use serde_json::{Value, json};

use super::{COLUMNS, mapping};
use crate::support::{
    TestService,
    dataflows::{CONTACTS, ONE_OF_EACH, hourly, new_dataset},
};

const PROFILE: &str = "https://ns.adobe.com/xdm/context/profile";
const FULL: &str = "application/vnd.adobe.xed-full+json;version=1";

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// The only body that was posted to a path.
#[track_caller]
fn posted(service: &TestService, path: &str) -> Value {
    let bodies = service.posted_to(path);
    let [body] = &bodies[..] else { panic!("{path}: {bodies:?}") };
    body.clone()
}

#[tokio::test]
async fn a_dataflow_into_a_new_dataset_with_a_new_schema_sends_what_adobe_documents() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let before = now();
    let created = service.create_dataflow(request.clone()).await.unwrap();
    assert_eq!(service.ledger(), ONE_OF_EACH);

    let resources = created.resources.clone().unwrap();
    let id = &request.request_id;
    let group = posted(&service, "/tenant/fieldgroups");
    let namespace = created.mappings[0].destination.split('.').next().unwrap().to_owned();
    let properties = &group["definitions"]["fields"]["properties"][&namespace]["properties"];
    assert_eq!(properties["Vid"], json!({"title": "Vid", "type": "string"}));
    assert_eq!(properties["Added_At"], json!({"title": "Added_At", "type": "string", "format": "date-time"}));
    assert_eq!(properties.as_object().unwrap().len(), COLUMNS.len());
    assert_eq!(group["meta:intendedToExtend"], json!([PROFILE]));
    assert_eq!(group["title"], format!("hubspot-{id}-fields"));

    let schema = posted(&service, "/tenant/schemas");
    let title = schema["title"].as_str().unwrap();
    assert!(title.starts_with("HubSpot contacts "), "the name of the dataset: {title}");
    assert!(schema["description"].as_str().unwrap().contains(&**id));
    assert_eq!(schema["allOf"][0], json!({"$ref": PROFILE}));
    assert!(schema["allOf"][1]["$ref"].as_str().unwrap().contains("/mixins/"), "{schema}");

    let dataset = posted(&service, "/dataSets");
    assert_eq!(
        dataset,
        json!({
            "name": title,
            "description": "all contacts",
            "schemaRef": {
                "id": resources.schema_id,
                "contentType": dataset["schemaRef"]["contentType"],
            },
            "tags": {"hubspotRequest": [id]},
            "enableErrorDiagnostics": false,
        })
    );
    assert!(dataset["schemaRef"]["contentType"].as_str().unwrap().contains("version=1"));

    let mappings: Vec<_> = COLUMNS
        .iter()
        .map(|column| {
            json!({
                "sourceType": "ATTRIBUTE",
                "source": column,
                "destination": format!("{namespace}.{column}"),
            })
        })
        .collect();
    let set = json!({
        "name": format!("hubspot-{id}"),
        "outputSchema": {"schemaRef": {"id": resources.schema_id, "contentType": FULL}},
        "mappings": mappings,
    });
    assert_eq!(posted(&service, "/mappingSets"), set);
    assert_eq!(posted(&service, "/mappingSets/validate"), set);

    assert_eq!(
        posted(&service, "/sourceConnections"),
        json!({
            "name": format!("hubspot-{id}-source"),
            "baseConnectionId": request.connection_id,
            "data": {"format": "tabular"},
            "params": posted(&service, "/sourceConnections")["params"],
            "connectionSpec": {"id": "cc6a4487-9e91-433e-a3a3-9cf6626c1806", "version": "1.0"},
        })
    );
    assert_eq!(posted(&service, "/sourceConnections")["params"]["path"], CONTACTS);
    assert_eq!(
        posted(&service, "/targetConnections"),
        json!({
            "name": format!("hubspot-{id}-target"),
            "data": {"schema": {"id": resources.schema_id, "version": FULL}},
            "params": {"dataSetId": resources.dataset_id},
            "connectionSpec": {"id": "c604ff05-7f1a-43c0-8e18-33bf874cb11c", "version": "1.0"},
        })
    );
    let start = created.start_time.unwrap().seconds;
    assert!((before + 60..=now() + 60).contains(&start), "{start}");
    assert_eq!(
        posted(&service, "/flows"),
        json!({
            "name": request.name,
            "description": format!("for marketing [request {id}]"),
            "flowSpec": {"id": "14518937-270c-4525-bdec-c2ba7cce3860", "version": "1.0"},
            "sourceConnectionIds": [resources.source_connection_id],
            "targetConnectionIds": [resources.target_connection_id],
            "transformations": [{
                "name": "Mapping",
                "params": {"mappingId": resources.mapping_set_id, "mappingVersion": 0},
            }],
            "scheduleParams": {"startTime": start, "frequency": "once"},
            "options": {"errorDiagnosticsEnabled": false},
        })
    );
}

#[tokio::test]
async fn the_response_names_the_dataflow_and_everything_that_it_consists_of() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let created = service.create_dataflow(request.clone()).await.unwrap();
    let flows = service.emulator.flows();
    let [flow] = &flows[..] else { panic!("{flows:?}") };
    assert_eq!((&created.id, &created.etag), (&flow.id, &flow.etag));
    assert_eq!((&created.request_id, created.replayed), (&request.request_id, false));
    let resources = created.resources.unwrap();
    assert_eq!(resources.source_connection_id, flow.source_connection_id);
    assert_eq!(resources.target_connection_id, flow.target_connection_id);
    assert_eq!(resources.mapping_set_id, flow.mapping_set_id);
    assert!(resources.dataset_created && resources.schema_created);
    assert!(!resources.dataset_id.is_empty() && resources.schema_id.contains("/schemas/"));
    let sources: Vec<_> = created.mappings.iter().map(|mapping| &*mapping.source).collect();
    assert_eq!((&sources[..], &created.unmapped_columns[..]), (&COLUMNS[..], &[][..]));
    assert_eq!(created.checks, []);
}

#[tokio::test]
async fn an_existing_dataset_is_used_as_it_is_and_columns_are_mapped_by_their_names() {
    let service = TestService::start().await;
    let dataset = service.existing_dataset().await;
    let before = service.ledger();
    let request = service.dataflow_request_into(&dataset).await;
    let created = service.create_dataflow(request).await.unwrap();
    let after = service.ledger();
    assert_eq!(
        (after.datasets, after.schemas, after.field_groups),
        (before.datasets, before.schemas, before.field_groups)
    );
    let vid = mapping("Vid", &format!("{}.Vid", dataset.namespace), Kind::Attribute);
    assert_eq!(
        (&created.mappings[..], &created.unmapped_columns[..]),
        (&[vid][..], &COLUMNS.map(str::to_owned)[..4])
    );
    let resources = created.resources.unwrap();
    assert_eq!((&resources.dataset_id, &resources.schema_id), (&dataset.id, &dataset.schema));
    assert!(!resources.dataset_created && !resources.schema_created);
}

#[tokio::test]
async fn a_new_dataset_can_have_an_existing_schema() {
    let service = TestService::start().await;
    let dataset = service.existing_dataset().await;
    let request = CreateHubSpotDataflowRequest {
        target: Some(new_dataset("Another", Schema::SchemaId(dataset.schema.clone()))),
        ..service.dataflow_request().await
    };
    let resources = service.create_dataflow(request).await.unwrap().resources.unwrap();
    assert_eq!(resources.schema_id, dataset.schema);
    assert_ne!(resources.dataset_id, dataset.id);
    assert!(resources.dataset_created && !resources.schema_created);
    let ledger = service.ledger();
    assert_eq!((ledger.datasets, ledger.schemas, ledger.field_groups), (2, 1, 1));
}

#[tokio::test]
async fn a_new_schema_has_the_title_the_class_and_the_columns_that_are_asked_for() {
    let service = TestService::start().await;
    let columns = ["Vid".to_owned(), "Added_At".to_owned()];
    let schema = SchemaFromTable {
        title: "Contacts of HubSpot".to_owned(),
        class_id: PROFILE.to_owned(),
        columns: columns.to_vec(),
    };
    let request = CreateHubSpotDataflowRequest {
        target: Some(new_dataset("Contacts", Schema::SchemaFromTable(schema))),
        ..service.dataflow_request().await
    };
    let created = service.create_dataflow(request).await.unwrap();
    assert_eq!(posted(&service, "/tenant/schemas")["title"], "Contacts of HubSpot");
    let mapped: Vec<_> = created.mappings.iter().map(|mapping| mapping.source.clone()).collect();
    assert_eq!(mapped, columns);
    assert_eq!(created.unmapped_columns.len(), COLUMNS.len() - 2);
}

#[tokio::test]
async fn explicit_mappings_are_sent_as_they_are() {
    let service = TestService::start().await;
    let dataset = service.existing_dataset().await;
    let path = |name: &str| format!("{}.{name}", dataset.namespace);
    let mappings = vec![
        mapping("Vid", &path("Vid"), Kind::Unspecified),
        mapping("lower(Properties_Firstname_Value)", &path("nickname"), Kind::Expression),
    ];
    let request = CreateHubSpotDataflowRequest { mappings, ..service.dataflow_request_into(&dataset).await };
    let created = service.create_dataflow(request).await.unwrap();
    assert_eq!(
        posted(&service, "/mappingSets")["mappings"],
        json!([
            {"sourceType": "ATTRIBUTE", "source": "Vid", "destination": path("Vid")},
            {
                "sourceType": "EXPRESSION",
                "source": "lower(Properties_Firstname_Value)",
                "destination": path("nickname"),
            },
        ])
    );
    assert_eq!(created.mappings.len(), 2);
    let unmapped = ["Properties_Lastname_Value", "Added_At", "Portal_Id"];
    assert_eq!(created.unmapped_columns, unmapped);
}

#[tokio::test]
async fn a_schedule_and_options_are_sent_as_adobe_documents_them() {
    let service = TestService::start().await;
    let start = now() + 3600;
    let schedule = DataflowSchedule {
        start_time: Some(Timestamp { seconds: start, nanos: 0 }),
        backfill: Some(false),
        delta_column: Some(DeltaColumn {
            name: "Added_At".to_owned(),
            date_format: "yyyy-MM-dd HH:mm:ss".to_owned(),
        }),
        ..hourly("Added_At")
    };
    let request = CreateHubSpotDataflowRequest {
        schedule: Some(schedule),
        options: Some(DataflowOptions { error_diagnostics: true, partial_ingestion_percent: 2.5 }),
        ..service.dataflow_request().await
    };
    let created = service.create_dataflow(request).await.unwrap();
    assert_eq!(created.start_time, Some(Timestamp { seconds: start, nanos: 0 }));
    let flow = posted(&service, "/flows");
    assert_eq!(
        flow["scheduleParams"],
        json!({"startTime": start, "frequency": "hour", "interval": 2, "backfill": false})
    );
    let delta = json!({"name": "Added_At", "dateFormat": "yyyy-MM-dd HH:mm:ss", "timezone": "UTC"});
    assert_eq!(flow["transformations"][0], json!({"name": "Copy", "params": {"deltaColumn": delta}}));
    assert_eq!(flow["transformations"][1]["name"], "Mapping");
    assert_eq!(flow["options"], json!({"errorDiagnosticsEnabled": true, "partialIngestionPercent": 2.5}));
    assert_eq!(posted(&service, "/dataSets")["enableErrorDiagnostics"], true);
}

#[tokio::test]
async fn a_schedule_backfills_and_leaves_the_date_format_to_adobe_by_default() {
    let service = TestService::start().await;
    for (frequency, name) in [
        (Frequency::Minute, "minute"),
        (Frequency::Hour, "hour"),
        (Frequency::Day, "day"),
        (Frequency::Week, "week"),
    ] {
        let schedule = DataflowSchedule { frequency: frequency as i32, interval: 15, ..hourly("Added_At") };
        let request =
            CreateHubSpotDataflowRequest { schedule: Some(schedule), ..service.dataflow_request().await };
        service.create_dataflow(request).await.unwrap();
        let flow = service.posted_to("/flows").pop().unwrap();
        let schedule = &flow["scheduleParams"];
        assert_eq!((&schedule["frequency"], &schedule["backfill"]), (&json!(name), &json!(true)));
        let delta = &flow["transformations"][0]["params"]["deltaColumn"];
        assert_eq!(*delta, json!({"name": "Added_At", "timezone": "UTC"}));
    }
}

#[tokio::test]
async fn dataflows_of_the_same_name_are_created_side_by_side() {
    let service = TestService::start().await;
    let dataset = service.existing_dataset().await;
    let first = service.dataflow_request_into(&dataset).await;
    let second =
        CreateHubSpotDataflowRequest { request_id: uuid::Uuid::new_v4().to_string(), ..first.clone() };
    let (first, second) = tokio::join!(service.create_dataflow(first), service.create_dataflow(second));
    assert_ne!(first.unwrap().id, second.unwrap().id);
    assert_eq!(service.ledger().flows, 2);
}

#[tokio::test]
async fn a_creation_is_a_few_calls_and_takes_no_time_beyond_them() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let before = service.emulator.received().len();
    let created = service.create_dataflow(request);
    tokio::time::timeout(Duration::from_secs(5), created).await.unwrap().unwrap();
    let calls = service.emulator.received().len() - before;
    assert!(calls <= 20, "{calls} calls");
}
