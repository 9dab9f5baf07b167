//! `connections`: every subcommand, as a table and as JSON.

use hubspot_connection_service::emulator::Options;
use serde_json::json;

use super::{Client, request_id};
use crate::support::{Process, TestService, credentials, start_emulator};

#[tokio::test]
async fn a_creation_prints_its_request_id_first_and_then_the_connection() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let file = client.credentials_file();
    let created =
        client.run(&client.creation(&file, &["--description", "for marketing"])).await.assert_status(0);
    let id = request_id(&created.output);
    let connection = service.emulator.connections().remove(0);
    for (name, value) in [("id", &*connection.id), ("request_id", &*id), ("replayed", "false")] {
        let has_line = created.stdout().lines().any(|line| line.split_whitespace().eq([name, value]));
        assert!(has_line, "{name}: {:?}", created.output);
    }
    assert_eq!(created.stderr(), format!("request id: {id}\n"));

    // The same request id is the same connection.
    let again =
        client.creation(&file, &["--description", "for marketing", "--request-id", &id, "-o", "json"]);
    let again = client.run(&again).await.assert_status(0).json();
    assert_eq!((&again["id"], &again["replayed"]), (&json!(connection.id), &json!(true)));
    assert_eq!(service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn every_subcommand_of_connections_prints_a_table_or_json_with_default_values() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let id = &*client.create_connection().await;

    let read = client.both(&["connections", "get", id], "client_secret_set  true\n").await;
    let connection = &read["connection"];
    assert_eq!((&connection["name"], &connection["clientSecretSet"]), (&json!("HubSpot EU"), &json!(true)));
    assert_eq!(
        (&connection["state"], &connection["description"]),
        (&json!("CONNECTION_STATE_ENABLED"), &json!(""))
    );

    let listed = client
        .both(&["connections", "list", "--page-size", "10"], &format!("\n{id}  HubSpot EU  enabled"))
        .await;
    assert_eq!((&listed["connections"][0]["id"], &listed["nextPageToken"]), (&json!(id), &json!("")));
    let counted = client.both(&["connections", "list", "--count"], "1\n").await;
    assert_eq!(counted["totalSize"], "1");
    let none = client.both(&["connections", "list", "--name", "other"], "none found\n").await;
    assert_eq!(none["connections"], json!([]));

    let tested = client.both(&["connections", "test", id], "\nconnection_test  passed").await;
    assert_eq!(tested["result"]["passed"], true);
    let tables = client.both(&["connections", "tables", id], "Hubspot.Contacts").await;
    assert_eq!(tables["tables"].as_array().unwrap().len(), 4);
    let columns = client.both(&["connections", "columns", id, "Hubspot.Contacts"], "date-time\n").await;
    assert_eq!(columns["columns"][0]["xdmFormat"], "");

    let updated =
        client.both(&["connections", "update", id, "--name", "renamed", "--description", ""], "etag").await;
    assert_eq!(updated["id"], json!(id));
    let file = client.credentials_file();
    client.run(&["connections", "update", id, "--credentials-file", &file]).await.assert_status(0);
    assert_eq!(service.emulator.connections()[0].name, "renamed");

    let deleted = client.run(&["connections", "delete", id, "--yes"]).await.assert_status(0);
    assert_eq!(deleted.stdout(), "deleted\n");
    let missing = ["connections", "delete", id, "-y", "--allow-missing", "-o", "json"];
    assert_eq!(client.run(&missing).await.assert_status(0).json(), json!({}));
}

#[tokio::test]
async fn a_long_list_says_how_to_continue() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    for _ in 0..3 {
        service.create().await.unwrap();
    }
    let first = client.run(&["connections", "list", "--page-size", "2"]).await.assert_status(0);
    let stderr = first.stderr();
    let token = stderr.trim().strip_prefix("There are more: --page-token ").unwrap();
    let rest = ["connections", "list", "--page-size", "2", "--page-token", token, "-o", "json"];
    let rest = client.run(&rest).await.assert_status(0).json();
    assert_eq!(rest["connections"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_test_that_fails_shows_why_and_ends_with_2() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let id = &*client.create_connection().await;
    service.set(json!({"test_result": false}));
    let table = client.run(&["connections", "test", id]).await.assert_status(2);
    assert!(table.stdout().contains("passed  false\n"), "{:?}", table.output);
    let tested = client.run(&["connections", "test", id, "-o", "json"]).await.assert_status(2).json();
    assert_eq!(tested["result"]["passed"], false);

    let file = client.credentials_file();
    let required = client.run(&client.creation(&file, &["--verify", "require"])).await.assert_status(2);
    assert!(required.stderr().contains("[VERIFICATION_FAILED; "), "{:?}", required.output);
    let reported = client.run(&client.creation(&file, &["--verify", "report", "-o", "json"])).await;
    assert_eq!(reported.assert_status(0).json()["test"]["passed"], false);
}

#[tokio::test]
async fn a_dry_run_of_a_connection_creates_nothing_and_has_no_request_id() {
    let service = TestService::start().await;
    let client = Client::of(service.grpc);
    let file = client.credentials_file();
    let checked = client.run(&client.creation(&file, &["--dry-run"])).await.assert_status(0);
    assert!(!checked.stderr().contains("request id"), "{:?}", checked.output);
    assert!(service.emulator.connections().is_empty());
}

#[tokio::test]
async fn new_credentials_can_be_tried_before_they_replace_the_others() {
    let emulator = start_emulator(Options::default()).await;
    let hubspot = emulator.hubspot_url();
    let service = TestService::against(emulator, [("HCS_HUBSPOT_URL", &*hubspot)]).await;
    let id = service.create().await.unwrap().id;
    let client = Client::of(service.grpc);
    let file = client.credentials_file();
    let update = ["connections", "update", &*id, "--credentials-file", &*file, "--dry-run"];
    let tried = client.run(&update).await.assert_status(0);
    for check in ["connection_spec", "hubspot_app", "hubspot_scopes"] {
        assert!(tried.stdout().contains(check), "{:?}", tried.output);
    }
    let revoked = json!([{"token": credentials().refresh_token, "state": "revoked"}]);
    service.emulator.describe_tokens(serde_json::from_value(revoked).unwrap());
    let failed = client.run(&update).await.assert_status(2);
    assert!(failed.stdout().contains("install the application"), "{:?}", failed.output);
    assert_eq!(service.requests_to("PATCH", ""), 0);
}

#[tokio::test]
async fn the_sandbox_and_the_address_are_options_too() {
    let service = TestService::start().await;
    let address = format!("http://{}", service.grpc);
    let list = |sandbox| ["connections", "--address", &address, "list", "--sandbox", sandbox, "--count"];
    service.create().await.unwrap();
    for (sandbox, count) in [("prod", "1\n"), ("dev", "0\n")] {
        // The option counts, and not the variable.
        let unused = [("HCS_CLIENT_ADDRESS", "http://127.0.0.1:1")];
        let (status, output) = Process::run(&list(sandbox), &unused).await;
        assert_eq!((status.code(), &*output.stdout()), (Some(0), count), "{output:?}");
    }
}

#[tokio::test]
async fn completions_are_printed_for_each_shell() {
    for (shell, text) in [("bash", "complete -F"), ("zsh", "#compdef"), ("fish", "complete -c")] {
        let (status, output) = Process::run(&["completions", shell], &[]).await;
        assert_eq!(status.code(), Some(0), "{output:?}");
        let stdout = output.stdout();
        for expected in [text, "dataflows", "credentials-file"] {
            assert!(stdout.contains(expected), "{shell}: {expected}");
        }
    }
    let (status, _) = Process::run(&["completions", "tcsh"], &[]).await;
    assert_eq!(status.code(), Some(64));
}
