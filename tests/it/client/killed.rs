//! The service is killed in the middle of a creation: the command goes on when it is back.

use hubspot_connection_service::emulator::{Emulator, Options};
use serde_json::json;

use super::{Client, dataflows::creation, request_id};
use crate::support::{
    Output, Process, ServiceProcess, Signal, dataflows::ONE_OF_EACH, inject, start_emulator, until,
};

/// Kills the service while a reply to this route is delayed, as soon as what it creates exists, and starts it again at
/// the same address without its memory. Returns what the command has printed.
async fn killed_at(
    emulator: &Emulator,
    service: ServiceProcess,
    route: &str,
    exists: impl Fn() -> bool,
    command: impl FnOnce() -> Process,
) -> Output {
    inject(emulator, json!([{"route": route, "action": {"delay": "60s"}}]));
    let command = command();
    until("the creation", exists).await;
    let address = service.grpc.to_string();
    service.process.signal(Signal::KILL);
    service.process.wait().await;
    let _restarted = ServiceProcess::start(emulator, &[("HCS_LISTEN", &address)]).await;
    let (status, output) = command.wait().await;
    assert_eq!(status.code(), Some(0), "{output:?}");
    output
}

/// The request id, and one line that says what happened.
#[track_caller]
fn assert_explained(output: &Output, created: &serde_json::Value) {
    assert_eq!(created["requestId"], json!(request_id(output)), "{output:?}");
    let stderr = output.stderr();
    let lines: Vec<_> = stderr.lines().skip(1).collect();
    let [line] = lines[..] else { panic!("{output:?}") };
    assert!(line.starts_with("the connection to http://127.0.0.1:"), "{line}");
    assert!(line.ends_with(" [UNAVAILABLE]. Trying again with the same request id"), "{line}");
}

#[tokio::test]
async fn a_connection_is_created_once_although_the_service_is_killed_half_way() {
    let emulator = start_emulator(Options::default()).await;
    let service = ServiceProcess::start(&emulator, &[]).await;
    let client = Client::of(service.grpc);
    let file = client.credentials_file();
    let exists = || !emulator.connections().is_empty();
    let command = || client.start(&client.creation(&file, &["-o", "json"]));
    let output = killed_at(&emulator, service, "POST /connections", exists, command).await;
    let created = serde_json::from_str(&output.stdout()).unwrap();
    assert_explained(&output, &created);
    let [connection] = &emulator.connections()[..] else { panic!("{:?}", emulator.connections()) };
    assert_eq!(created["id"], json!(connection.id));
}

#[tokio::test]
async fn a_dataflow_is_created_once_although_the_service_is_killed_half_way() {
    for route in ["POST /sourceConnections", "POST /flows"] {
        let emulator = start_emulator(Options::default()).await;
        let service = ServiceProcess::start(&emulator, &[]).await;
        let client = Client::of(service.grpc);
        let connection = client.create_connection().await;
        let exists = || {
            let ledger = emulator.ledger();
            if route == "POST /flows" { ledger.flows == 1 } else { ledger.source_connections == 1 }
        };
        let command = || client.start(&creation(&connection, &["--once", "-o", "json"]));
        let output = killed_at(&emulator, service, route, exists, command).await;
        let created = serde_json::from_str(&output.stdout()).unwrap();
        assert_explained(&output, &created);
        assert_eq!(emulator.ledger(), ONE_OF_EACH, "{route}");
        assert_eq!(created["id"], json!(emulator.flows()[0].id), "{route}");
    }
}
