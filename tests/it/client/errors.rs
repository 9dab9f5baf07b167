//! Errors and exit statuses.

use serde_json::json;

use super::{Client, request_id};
use crate::support::{Process, SETTLES_FAST, TestService, unused_port};

const GET: &str = "GET /connections/{id}";

#[tokio::test]
async fn what_has_to_change_ends_with_2_and_one_paragraph() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let missing = client.run(&["connections", "get", "unknown"]).await.assert_status(2);
    let stderr = missing.stderr();
    assert!(stderr.starts_with("error: there is no HubSpot connection unknown in"), "{stderr}");
    assert!(stderr.ends_with("[CONNECTION_NOT_FOUND; stage: read]\n"), "{stderr}");
    assert_eq!((stderr.lines().count(), missing.stdout()), (1, String::new()));

    let file = client.credentials_file();
    let creation = ["connections", "create", "--name", " ", "--credentials-file", &file];
    let invalid = client.run(&creation).await.assert_status(2);
    let stderr = invalid.stderr();
    assert!(stderr.contains("error: name ") && stderr.contains("[INVALID_REQUEST"), "{stderr}");
    assert!(!stderr.contains("To continue"), "{stderr}");

    let created = client.run(&client.creation(&file, &[])).await.assert_status(0);
    let id = request_id(&created.output);
    let other = client.creation(&file, &["--request-id", &id, "--description", "other"]);
    let reused = client.run(&other).await.assert_status(2);
    let connection = service.emulator.connections().remove(0).id;
    for part in
        ["[REQUEST_ID_REUSED; ", &format!("connection_id: {connection}"), &format!("request_id: {id}")]
    {
        assert!(reused.stderr().contains(part), "{part}: {:?}", reused.output);
    }
}

#[tokio::test]
async fn an_error_in_json_is_the_status_with_its_details() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let failed = client.run(&["connections", "get", "unknown", "-o", "json"]).await.assert_status(2);
    let status = failed.json();
    assert_eq!(status["code"], 5);
    let detail = |kind: &str| {
        let url = format!("type.googleapis.com/google.rpc.{kind}");
        status["details"].as_array().unwrap().iter().find(|detail| detail["@type"] == url.as_str()).unwrap()
    };
    assert_eq!(detail("ErrorInfo")["reason"], "CONNECTION_NOT_FOUND");
    assert_eq!(detail("ResourceInfo")["resourceName"], "unknown");
    assert_eq!(failed.stderr(), "");

    let (address, _socket) = unused_port();
    let failed = Client::of(address).run(&["connections", "list", "-o", "json"]).await.assert_status(3);
    assert_eq!((&failed.json()["code"], &failed.json()["details"]), (&json!(14), &json!([])));
}

#[tokio::test]
async fn what_may_work_later_ends_with_3() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let id = &*client.create_connection().await;
    service.inject(json!([{"route": GET, "count": 0, "action": {"status": 503}}]));
    let failed = client.run(&["connections", "get", id]).await.assert_status(3);
    assert!(failed.stderr().contains("[UPSTREAM_UNAVAILABLE; "), "{:?}", failed.output);

    let (address, _socket) = unused_port();
    let client = Client::of(address);
    let failed = client.run(&["connections", "get", id]).await.assert_status(3);
    let stderr = failed.stderr();
    assert!(stderr.starts_with(&format!("error: cannot connect to http://{address}: ")), "{stderr}");
    assert!(
        stderr.contains("onnection refused")
            && stderr.ends_with("Check --address, and that the service runs [UNAVAILABLE]\n"),
        "{stderr}"
    );
    // A creation tries again until its time is over. It has sent nothing.
    let file = client.credentials_file();
    let creation = client.run(&client.creation(&file, &["--timeout", "1s"])).await.assert_status(3);
    let stderr = creation.stderr();
    assert_eq!(stderr.matches("Trying again with the same request id").count(), 1, "{stderr}");
    assert!(stderr.contains("To continue with the same request id:\n"), "{stderr}");
}

#[tokio::test]
async fn an_unknown_outcome_ends_with_4_and_the_command_that_continues() {
    let service = TestService::with(SETTLES_FAST).await;
    let client = Client::of(service.grpc);
    let file = client.credentials_file();
    service.inject(json!([
        {"route": "POST /connections", "action": {"delay": "60s"}},
        {"route": "GET /connections", "count": 0, "action": {"status": 503}},
    ]));
    let unknown = client.run(&client.creation(&file, &["--timeout", "3s"])).await.assert_status(4);
    let id = request_id(&unknown.output);
    let stderr = unknown.stderr();
    let (_, command) = stderr.split_once("To continue with the same request id:\n").unwrap();
    let words = command.trim().strip_prefix(env!("CARGO_BIN_EXE_hubspot-connection-service")).unwrap();
    let expected = format!(
        " connections create --name 'HubSpot EU' --credentials-file {file} --timeout 3s --request-id {id}"
    );
    assert_eq!(words, expected);

    service.inject(json!([]));
    let again = client.run(&client.creation(&file, &["--request-id", &id, "-o", "json"])).await;
    let created = again.assert_status(0).json();
    assert_eq!(service.emulator.connections().len(), 1);
    assert_eq!(created["id"], json!(service.emulator.connections()[0].id));
}

#[tokio::test]
async fn anything_else_ends_with_1() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let id = &*client.create_connection().await;
    service.inject(json!([{"route": GET, "action": {"status": 200, "shape": "A"}}]));
    let failed = client.run(&["connections", "get", id]).await.assert_status(1);
    assert!(failed.stderr().contains("[UPSTREAM_UNDECODABLE"), "{:?}", failed.output);
}

#[tokio::test]
async fn wrong_arguments_end_with_64_before_anything_is_sent() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let file = client.credentials_file();
    for (arguments, expected) in [
        (&["connections"][..], "requires a subcommand"),
        (&["connections", "get"], "<ID>"),
        (&["connections", "update", "x"], "--ask-credentials"),
        (&["connections", "list", "-o", "yaml"], "[possible values: table, json]"),
        (&["connections", "list", "--timeout", "0s"], "as in 30s or 2m"),
        (&["connections", "list", "--address", "127.0.0.1:50051"], "http or https URL"),
        (&["connections", "list", "--sandbox", "My sandbox"], "not its title"),
        (&["connections", "list", "--ca-file", &file], "need an https address"),
        (&["connections", "list", "--address", "https://a", "--cert-file", &file], "need each other"),
        (&["connections", "list", "--token-file", "/missing"], "--token-file: "),
        (&["connections", "create", "--name", "a"], "--credentials-file"),
        (&["connections", "create", "--name", "a", "--credentials-file", "/missing"], "--credentials-file: "),
        (&["connections", "create", "--name", "a", "--request-id", "1"], "must be a UUID"),
        (&["connections", "delete", "x"], "needs --yes here, because there is no terminal"),
        (&["dataflows", "delete", "--yes"], "<ID|--create-request-id <UUID>>"),
        (&["dataflows", "runs", "x", "--after", "yesterday"], "2030-01-31T12:00:00Z"),
    ] {
        let refused = client.run(arguments).await.assert_status(64);
        assert!(refused.stderr().contains(expected), "{arguments:?}: {:?}", refused.output);
        assert_eq!(refused.stdout(), "", "{arguments:?}");
    }
    let unset = Process::run(&["dataflows", "list"], &[("HCS_CLIENT_ADDRESS", "not a url")]).await;
    assert_eq!(unset.0.code(), Some(64));
    assert!(unset.1.stderr().starts_with("error: HCS_CLIENT_ADDRESS must be"), "{:?}", unset.1);
    assert!(service.emulator.connections().is_empty());
}

#[tokio::test]
async fn a_creation_retries_by_itself_what_may_work_later() {
    let faults = json!([{"route": "POST /ims/token/v3", "count": 0, "action": {"status": 503}}]);
    let service = TestService::with_faults(faults, [("HCS_REQUEST_TIMEOUT", "1s")]).await;
    let client = Client::of(service.grpc);
    let file = client.credentials_file();
    let creation = client.start(&client.creation(&file, &[]));
    creation.prints_text("[DEADLINE_EXCEEDED]. Trying again with the same request id").await;
    service.inject(json!([]));
    let (status, output) = creation.wait().await;
    assert_eq!(status.code(), Some(0), "{output:?}");
    let id = request_id(&output);
    assert!(output.stdout().contains(&id), "{output:?}");
    assert_eq!(service.emulator.connections().len(), 1);

    // What cannot work is tried once.
    let refused = client.creation(&file, &["--sandbox", "unknown"]);
    let refused = client.run(&refused).await.assert_status(2);
    let stderr = refused.stderr();
    assert!(stderr.contains("[SANDBOX_NOT_ALLOWED") && !stderr.contains("Trying again"), "{stderr}");
}
