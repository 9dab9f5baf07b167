//! `dataflows`: every subcommand, as a table and as JSON.

use hubspot_connection_service::emulator::{Outcome, PlannedRun};
use serde_json::json;

use super::{Client, request_id};
use crate::support::{
    TestService,
    dataflows::{CONTACTS, ONE_OF_EACH, ONLY_A_CONNECTION},
};

/// The arguments that bring contacts into a new dataset once.
pub(super) fn creation<'a>(connection: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let creation =
        ["dataflows", "create", "--name", "Contacts", "--connection", connection, "--table", CONTACTS];
    [&creation, &["--new-dataset", "HubSpot contacts"][..], more].concat()
}

#[tokio::test]
async fn every_subcommand_of_dataflows_prints_a_table_or_json_with_default_values() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let connection = &*client.create_connection().await;
    let schedule = ["--every", "1h", "--delta-column", "Added_At"];
    let created = client.run(&creation(connection, &schedule)).await.assert_status(0);
    let request = request_id(&created.output);
    assert!(created.stdout().contains("\nmappings:\nSOURCE "), "{:?}", created.output);
    let again = creation(connection, &[&schedule[..], &["--request-id", &request, "-o", "json"]].concat());
    let again = client.run(&again).await.assert_status(0).json();
    assert_eq!((&again["requestId"], &again["replayed"]), (&json!(request), &json!(true)));
    assert_eq!(service.ledger(), ONE_OF_EACH);
    let id = again["id"].as_str().unwrap();

    let read = client.both(&["dataflows", "get", id], "schedule.frequency").await;
    assert_eq!(read["dataflow"]["schedule"]["frequency"], "FREQUENCY_HOUR");
    let listed =
        client.both(&["dataflows", "list", "--connection", connection], &format!("\n{id}  Contacts")).await;
    assert_eq!(listed["dataflows"][0]["id"], json!(id));
    let counted = client.both(&["dataflows", "list", "--count"], "1\n").await;
    assert_eq!(counted["totalSize"], "1");
    let paused = client.both(&["dataflows", "pause", id], "etag").await;
    assert_eq!(paused["id"], json!(id));
    let resumed = client.both(&["dataflows", "resume", id], "etag").await;
    assert_eq!(resumed["id"], json!(id));

    service.emulator.make_runs(&[PlannedRun::once(id, Outcome::FailedCopy)]).unwrap();
    let runs = client.both(&["dataflows", "runs", id, "--state", "failed"], "failed").await;
    assert_eq!(runs["runs"][0]["state"], "RUN_STATE_FAILED");
    let none = client.both(&["dataflows", "runs", id, "--after", "2199-01-31T12:00:00Z"], "none found").await;
    assert_eq!(none["runs"], json!([]));

    let deleted = client.run(&["dataflows", "delete", id, "--yes"]).await.assert_status(0);
    assert!(deleted.stdout().contains("dataset"), "{:?}", deleted.output);
    let missing = ["dataflows", "delete", id, "--yes", "--allow-missing", "-o", "json"];
    assert_eq!(client.run(&missing).await.assert_status(0).json(), json!({"leftovers": []}));
}

#[tokio::test]
async fn what_a_creation_has_left_is_deleted_by_its_request_id() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let connection = &*client.create_connection().await;
    let created = client.run(&creation(connection, &["--once"])).await.assert_status(0);
    let id = request_id(&created.output);
    client.run(&["dataflows", "delete", "--create-request-id", &id, "--yes"]).await.assert_status(0);
    assert_eq!(service.ledger().flows, 0);
}

#[tokio::test]
async fn a_dry_run_of_a_dataflow_shows_the_plan_and_ends_with_2_if_a_check_fails() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let connection = &*client.create_connection().await;
    service.inject(json!([{"route": "GET /flowSpecs/{id}", "count": 0, "action": {"status": 503}}]));
    let failed = client.run(&creation(connection, &["--once", "--dry-run"])).await.assert_status(2);
    assert!(failed.stdout().contains("flow_spec    failed"), "{:?}", failed.output);

    service.inject(json!([]));
    let plan = client
        .run(&creation(connection, &["--once", "--dry-run", "-o", "json"]))
        .await
        .assert_status(0)
        .json();
    let checks = plan["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| check["state"] == "STATE_PASSED"), "{plan}");
    assert_eq!(service.ledger(), ONLY_A_CONNECTION);
}
