//! The events of the audit trail about dataflows.

use hubspot_connection_service::{emulator::Options, proto};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{client, creation, deletion};
use crate::support::{Output, ServiceProcess, inject, request, start_emulator, until};

const QUIET: (&str, &str) = ("HCS_LOG", "warn,audit=info,hubspot_connection_service::cli=info");

/// The events about dataflows, without the fields that every line has.
fn events(output: &Output) -> Vec<Value> {
    let lines = output.log_lines().into_iter().filter(|line| line["target"] == "audit");
    let of_dataflows = lines.filter(|line| line.get("connection_id").is_none());
    of_dataflows
        .map(|mut event| {
            for common in ["timestamp", "level", "target", "message", "span"] {
                event.as_object_mut().unwrap().remove(common);
            }
            event
        })
        .collect()
}

#[tokio::test]
async fn each_write_names_its_dataflow_and_reads_are_not_logged() {
    let emulator = start_emulator(Options::default()).await;
    let service = ServiceProcess::start(&emulator, &[QUIET]).await;
    let connection = service.client().await.create_hub_spot_connection(request()).await;
    let connection = connection.unwrap().into_inner().id;
    let mut caller = client(service.grpc).await;
    let check =
        proto::CreateHubSpotDataflowRequest { validate_only: true, ..creation(&connection, "Checked") };
    caller.create_hub_spot_dataflow(check).await.unwrap();
    let created =
        caller.create_hub_spot_dataflow(creation(&connection, "Contacts")).await.unwrap().into_inner();
    let at = |id: &str| (id.to_owned(), String::new());
    let (id, sandbox_name) = at(&created.id);
    caller.get_hub_spot_dataflow(proto::GetHubSpotDataflowRequest { id, sandbox_name }).await.unwrap();
    let (id, sandbox_name) = at(&created.id);
    caller.pause_hub_spot_dataflow(proto::PauseHubSpotDataflowRequest { id, sandbox_name }).await.unwrap();
    let (id, sandbox_name) = at(&created.id);
    caller.resume_hub_spot_dataflow(proto::ResumeHubSpotDataflowRequest { id, sandbox_name }).await.unwrap();
    let (id, sandbox_name) = at("3f8a5c1e-0000-4000-8000-000000000000");
    caller
        .pause_hub_spot_dataflow(proto::PauseHubSpotDataflowRequest { id, sandbox_name })
        .await
        .unwrap_err();
    caller.delete_hub_spot_dataflow(deletion(&created.id, false)).await.unwrap();
    caller.delete_hub_spot_dataflow(deletion(&created.id, false)).await.unwrap_err();

    let (_, output) = service.stop().await;
    let about = |action: &str, id: &str, outcome: &str| json!({"action": action, "caller": "anyone", "sandbox": "prod", "dataflow_id": id, "outcome": outcome});
    let mut create = about("create", &created.id, "OK");
    create["request_id"] = json!(created.request_id);
    let expected = [
        create,
        about("pause", &created.id, "OK"),
        about("resume", &created.id, "OK"),
        about("pause", "3f8a5c1e-0000-4000-8000-000000000000", "DATAFLOW_NOT_FOUND"),
        about("delete", &created.id, "OK"),
        about("delete", &created.id, "DATAFLOW_NOT_FOUND"),
    ];
    assert_eq!(events(&output), expected);
}

#[tokio::test]
async fn a_creation_that_ends_without_a_caller_is_logged_when_it_ends() {
    let emulator = start_emulator(Options::default()).await;
    let service = ServiceProcess::start(&emulator, &[QUIET]).await;
    let connection = service.client().await.create_hub_spot_connection(request()).await;
    let connection = connection.unwrap().into_inner().id;
    inject(&emulator, json!([{"route": "POST /flows", "action": {"delay": "1s"}}]));
    let request_id = Uuid::new_v4().to_string();
    let request = proto::CreateHubSpotDataflowRequest {
        request_id: request_id.clone(),
        ..creation(&connection, "Contacts")
    };
    let mut caller = client(service.grpc).await;
    let call = tokio::spawn(async move { caller.create_hub_spot_dataflow(request).await });
    until("the flow", || !emulator.flows().is_empty()).await;
    call.abort();
    let both = service.process.prints("both events", |output| {
        let events = events(output);
        let of_request: Vec<_> =
            events.into_iter().filter(|event| event["request_id"] == *request_id).collect();
        (of_request.len() == 2).then_some(of_request)
    });
    let event = |outcome: &str| json!({"action": "create", "caller": "anyone", "sandbox": "prod", "request_id": request_id, "outcome": outcome});
    let (mut left, mut ended) = (event("UNANSWERED"), event("OK"));
    left["may_exist"] = json!(true);
    ended["dataflow_id"] = json!(emulator.flows()[0].id);
    assert_eq!(both.await, [left, ended]);
}
