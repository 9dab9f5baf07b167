//! The log: one line for each call.

use serde_json::{Value, json};

use super::{CREATE, start};
use crate::{
    server,
    support::{Process, inject, request},
};

/// The lines about calls that the process has printed until its exit.
fn calls(lines: Vec<Value>) -> Vec<Value> {
    lines.into_iter().filter(|line| line["message"] == "call").collect()
}

/// A field of a line, wherever it is.
fn field<'a>(line: &'a Value, name: &str) -> &'a Value {
    line["span"].get(name).unwrap_or_else(|| &line[name])
}

#[tokio::test]
async fn a_call_has_one_line_with_its_outcome() {
    let (_emulator, service) = start(&[]).await;
    let mut client = service.client().await;
    let response = client.create_hub_spot_connection(request()).await.unwrap().into_inner();
    // Health checks are not logged.
    server::health(service.grpc, "").await.unwrap();
    let (_, output) = service.stop().await;

    let calls = calls(output.log_lines());
    let [line] = &calls[..] else { panic!("{calls:#?}") };
    assert_eq!(line["level"], "INFO");
    assert_eq!(
        field(line, "method"),
        "/hubspot_connection.v1.HubSpotConnectionService/CreateHubSpotConnection"
    );
    assert_eq!(field(line, "code"), "OK");
    let duration = field(line, "duration_ms");
    assert!(duration.as_f64().is_some_and(|ms| ms > 0.0), "{line}");
    let decimals = duration.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
    assert!(decimals <= 3, "{line}");
    assert_eq!(field(line, "request_id"), &json!(response.request_id), "{line}");
    assert_eq!(field(line, "connection_id"), &json!(response.id));
    assert_eq!((field(line, "reason"), field(line, "cause")), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn the_line_of_a_failed_call_has_the_reason_and_the_cause() {
    let (emulator, service) = start(&[]).await;
    inject(&emulator, json!([{"route": CREATE, "action": {"status": 503, "shape": "A"}}]));
    let mut client = service.client().await;
    client.create_hub_spot_connection(request()).await.unwrap_err();
    client
        .create_hub_spot_connection(
            hubspot_connection_service::proto::CreateHubSpotConnectionRequest::default(),
        )
        .await
        .unwrap_err();
    let (_, output) = service.stop().await;

    let calls = calls(output.log_lines());
    let [lost, refused] = &calls[..] else { panic!("{calls:#?}") };
    assert_eq!((&lost["level"], field(lost, "code")), (&json!("WARN"), &json!("UNKNOWN")));
    assert_eq!(field(lost, "reason"), "OUTCOME_UNKNOWN");
    let cause = field(lost, "cause").as_str().unwrap();
    assert!(cause.contains("HTTP 503") && cause.contains("FLOW-1103-503"), "{cause}");
    assert_eq!(field(lost, "request_id").as_str().map(str::len), Some(36), "{lost}");
    assert_eq!((&refused["level"], field(refused, "code")), (&json!("INFO"), &json!("INVALID_ARGUMENT")));
    assert_eq!(field(refused, "reason"), "INVALID_REQUEST");
    // The names of the fields, without values.
    assert_eq!(field(refused, "cause"), "name, credentials");
}

#[tokio::test]
async fn the_first_line_and_the_version_identify_the_build() {
    let (_emulator, service) = start(&[("OTEL_SDK_DISABLED", "unknown")]).await;
    let (_, output) = service.stop().await;
    let first = output.log_lines().remove(0);
    assert_eq!((&first["message"], &first["level"]), (&json!("starting"), &json!("INFO")), "{first}");
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    let revision = first["revision"].as_str().unwrap();
    assert!(!revision.is_empty(), "{first}");

    let (status, output) = Process::run(&["--version"], &[]).await;
    assert_eq!(status.code(), Some(0));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(output.stdout(), format!("hubspot-connection-service {version} (revision {revision})\n"));
    assert_eq!(revision, env!("BUILD_REVISION"));
}
