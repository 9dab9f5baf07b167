//! The audit trail, as the real binary logs it.

mod dataflows;
mod rejected;

use hubspot_connection_service::{
    emulator::Options,
    proto::{
        self, CreateHubSpotConnectionRequest, DeleteHubSpotConnectionRequest, GetHubSpotConnectionRequest,
        ListHubSpotConnectionsRequest, UpdateHubSpotConnectionRequest,
    },
};
use serde_json::{Value, json};

use crate::{
    support::{
        Mount, Output, ServiceProcess,
        certificates::{Authority, TlsClient},
        credentials, inject, listen, request, start_emulator,
        tokens::{AUDIENCE, ISSUER, KeyEndpoint, TokenKey, bearing, claims},
        until,
    },
    tls::files,
};

/// The audit events, and the line with the addresses that the tests need.
const QUIET: (&str, &str) = ("HCS_LOG", "warn,audit=info,hubspot_connection_service::cli=info");
const WRITER: &str = "system:serviceaccount:crm:onboarding";

fn events(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["target"] == "audit").collect()
}

/// The fields of an event, without those that every line has.
fn fields(event: &Value) -> Value {
    let mut fields = event.as_object().unwrap().clone();
    for common in ["timestamp", "level", "target", "message", "span", "may_exist"] {
        fields.remove(common);
    }
    Value::Object(fields)
}

#[tokio::test]
async fn each_write_is_logged_and_nothing_else_is() {
    let emulator = start_emulator(Options::default()).await;
    let key = TokenKey::es256("key");
    let keys = KeyEndpoint::start(listen().await, &[&key]);
    let service = ServiceProcess::start(
        &emulator,
        &[
            QUIET,
            ("HCS_JWT_ISSUER", ISSUER),
            ("HCS_JWT_AUDIENCE", AUDIENCE),
            ("HCS_JWT_JWKS_URL", &keys.url),
            ("HCS_CALLERS", "jwt:system:**=write"),
            ("HCS_ALLOWED_SANDBOXES", "prod,dev"),
        ],
    )
    .await;
    let token = key.sign(&claims(WRITER));
    let mut client = service.client().await;

    let creation = CreateHubSpotConnectionRequest { sandbox_name: "dev".to_owned(), ..request() };
    let created = client.create_hub_spot_connection(bearing(&token, creation)).await.unwrap().into_inner();
    let at = || (created.id.clone(), "dev".to_owned());
    let (id, sandbox_name) = at();
    let update = UpdateHubSpotConnectionRequest {
        id,
        sandbox_name,
        credentials: Some(credentials()),
        ..UpdateHubSpotConnectionRequest::default()
    };
    client.update_hub_spot_connection(bearing(&token, update)).await.unwrap();
    // Reads and dry runs are not audited.
    let (id, sandbox_name) = at();
    let get = GetHubSpotConnectionRequest { id, sandbox_name };
    client.get_hub_spot_connection(bearing(&token, get)).await.unwrap();
    let list = ListHubSpotConnectionsRequest::default();
    client.list_hub_spot_connections(bearing(&token, list)).await.unwrap();
    let dry = CreateHubSpotConnectionRequest { validate_only: true, ..request() };
    client.create_hub_spot_connection(bearing(&token, dry)).await.unwrap();
    let (id, sandbox_name) = at();
    let dry = UpdateHubSpotConnectionRequest {
        id,
        sandbox_name,
        name: Some("new".to_owned()),
        validate_only: true,
        ..UpdateHubSpotConnectionRequest::default()
    };
    client.update_hub_spot_connection(bearing(&token, dry)).await.unwrap();
    // Refused writes are.
    let invalid = CreateHubSpotConnectionRequest { credentials: None, ..request() };
    client.create_hub_spot_connection(bearing(&token, invalid)).await.unwrap_err();
    let elsewhere = CreateHubSpotConnectionRequest { sandbox_name: "other".to_owned(), ..request() };
    client.create_hub_spot_connection(bearing(&token, elsewhere)).await.unwrap_err();
    for _ in 0..2 {
        let (id, sandbox_name) = at();
        let delete =
            DeleteHubSpotConnectionRequest { id, sandbox_name, ..DeleteHubSpotConnectionRequest::default() };
        let _ = client.delete_hub_spot_connection(bearing(&token, delete)).await;
    }

    let (_, output) = service.stop().await;
    let lines = output.log_lines();
    let events = events(&lines);
    let caller = format!("jwt:{WRITER}");
    let about = |action: &str, outcome: &str| json!({"action": action, "caller": caller, "sandbox": "dev", "connection_id": created.id, "outcome": outcome});
    let mut create = about("create", "OK");
    create["request_id"] = json!(created.request_id);
    let logged: Vec<_> = events.iter().map(|event| fields(event)).collect();
    assert_eq!(logged[0], create);
    assert_eq!(logged[1], about("update", "OK"));
    assert_eq!(
        logged[2..4].iter().map(|event| (&event["caller"], &event["outcome"])).collect::<Vec<_>>(),
        [(&json!(caller), &json!("INVALID_REQUEST")), (&json!(caller), &json!("SANDBOX_NOT_ALLOWED"))]
    );
    assert_eq!(logged[4], about("delete", "OK"));
    assert_eq!(logged[5]["action"], "delete");
    assert_eq!(logged.len(), 6, "{logged:#?}");
    // Only these events, and warnings.
    for line in &lines {
        assert!(
            line["target"] == "audit" || line["level"] == "WARN" || line["message"] == "serving",
            "{line}"
        );
    }
    for secret in ["hs-client-secret", "hs-access-token", "hs-refresh-token", &token] {
        assert!(!output.stdout().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_write_that_exceeds_its_deadline_is_logged_as_unanswered() {
    let emulator = start_emulator(Options::default()).await;
    emulator.inject(
        serde_json::from_value(json!([{"route": "POST /connections", "action": {"delay": "2s"}}])).unwrap(),
    );
    let settings = [("HCS_LOG", "info"), ("HCS_REQUEST_TIMEOUT", "300ms")];
    let service = ServiceProcess::start(&emulator, &settings).await;
    let status = service.client().await.create_hub_spot_connection(request()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    let event = service
        .process
        .prints("audit event", |output| events(&output.log_lines()).first().map(|event| (*event).clone()))
        .await;
    assert_eq!(event["outcome"], "UNANSWERED");
    assert_eq!((&event["caller"], &event["sandbox"]), (&json!("anyone"), &json!("prod")));
    assert_eq!(event["request_id"].as_str().map(str::len), Some(36), "{event}");
    assert_eq!(event["may_exist"], true);

    // The outcome of the creation is logged as well, with the fields of the call that started it.
    let (_, output) = service.stop().await;
    let lines = output.log_lines();
    let outcome = lines.iter().find(|line| line["target"] == "audit" && line["message"] != "audit").unwrap();
    assert_eq!((&outcome["action"], &outcome["outcome"]), (&json!("create"), &json!("OK")));
    assert_eq!(outcome["request_id"], event["request_id"]);
    assert_eq!(outcome["connection_id"], json!(emulator.connections()[0].id));
    assert_eq!(outcome["span"]["request_id"], event["request_id"], "{outcome}");
    assert!(outcome["span"]["peer"].is_string(), "{outcome}");
}

/// With the fields and messages of all other events.
#[tokio::test]
async fn the_outcome_of_an_abandoned_creation_is_logged_with_its_caller() {
    let key = TokenKey::es256("key");
    let lost = json!([
        {"route": "POST /connections", "action": {"close": "before_commit"}},
        {"route": "GET /connections", "action": {"delay": "1s"}},
        {"route": "GET /connections", "count": 0, "action": {"status": 503, "shape": "A"}},
    ]);
    let slow = json!([{"route": "POST /connections", "action": {"delay": "1s"}}]);
    // The caller disconnects while the last request of this kind is running.
    for (faults, method, outcome) in [(slow, "POST", "OK"), (lost, "GET", "OUTCOME_UNKNOWN")] {
        let emulator = start_emulator(Options::default()).await;
        inject(&emulator, faults);
        let keys = KeyEndpoint::start(listen().await, &[&key]);
        let settings = [
            ("HCS_JWT_ISSUER", ISSUER),
            ("HCS_JWT_AUDIENCE", AUDIENCE),
            ("HCS_JWT_JWKS_URL", &keys.url),
            ("HCS_CALLERS", "jwt:system:**=write"),
            ("HCS_SEARCH_FIRST", "never"),
        ];
        let service = ServiceProcess::start(&emulator, &settings).await;
        let creation = CreateHubSpotConnectionRequest {
            request_id: "0f3d1c52-8d0e-4c0a-9c3e-5d1f6c1f2b11".to_owned(),
            ..request()
        };
        let request_id = creation.request_id.clone();
        let mut client = service.client().await;
        let creation = bearing(&key.sign(&claims(WRITER)), creation);
        let call = tokio::spawn(async move { client.create_hub_spot_connection(creation).await });
        until("the request", || {
            emulator.received().iter().any(|r| r.method == method && r.path.ends_with("/connections"))
        })
        .await;
        call.abort();
        // A stop before the service notices the disconnect ends the creation while a caller waits.
        let event = |output: &Output| events(&output.log_lines()).first().map(|_| ());
        service.process.prints("the event of the call", event).await;
        let (_, output) = service.stop().await;
        let lines = output.log_lines();
        let [call, outcome_event] = &events(&lines)[..] else { panic!("{lines:#?}") };
        assert_eq!((&call["outcome"], &call["message"]), (&json!("UNANSWERED"), &json!("audit")));
        let mut expected = json!({
            "action": "create",
            "caller": format!("jwt:{WRITER}"),
            "sandbox": "prod",
            "request_id": request_id,
            "outcome": outcome,
        });
        if outcome == "OK" {
            expected["connection_id"] = json!(emulator.connections()[0].id);
        }
        assert_eq!(fields(outcome_event), expected);
        assert_eq!(outcome_event.get("may_exist"), (outcome != "OK").then_some(&json!(true)));
    }
}

#[tokio::test]
async fn a_caller_with_a_certificate_is_logged_by_its_name() {
    let emulator = start_emulator(Options::default()).await;
    let (servers, callers) = (Authority::new("servers"), Authority::new("callers"));
    let files = Mount::new(&files(&servers.server(1), &callers.pem));
    let service = ServiceProcess::start(
        &emulator,
        &[
            QUIET,
            ("HCS_TLS_CERT_FILE", &files.path("tls.crt")),
            ("HCS_TLS_KEY_FILE", &files.path("tls.key")),
            ("HCS_TLS_CLIENT_CA_FILE", &files.path("ca.crt")),
            ("HCS_CALLERS", "cert:spiffe://prod/crm=write"),
        ],
    )
    .await;
    // A caller without permission is logged as well, if it requested a write.
    let stranger = callers.client(&["spiffe://prod/stranger"]);
    let mut refused = TlsClient::new(&servers, Some(&stranger)).client(service.grpc);
    refused.list_hub_spot_connections(ListHubSpotConnectionsRequest::default()).await.unwrap_err();
    refused.delete_hub_spot_connection(DeleteHubSpotConnectionRequest::default()).await.unwrap_err();
    drop(refused);
    let own = callers.client(&["crm.example.com", "spiffe://prod/crm"]);
    let mut client = TlsClient::new(&servers, Some(&own)).client(service.grpc);
    let response: proto::CreateHubSpotConnectionResponse =
        client.create_hub_spot_connection(request()).await.unwrap().into_inner();
    drop(client);
    let (_, output) = service.stop().await;
    let lines = output.log_lines();
    let [refused, event] = &events(&lines)[..] else { panic!("{lines:#?}") };
    assert_eq!(
        fields(refused),
        json!({"action": "delete", "caller": "cert:spiffe://prod/stranger", "outcome": "CALLER_NOT_ALLOWED"})
    );
    assert_eq!((&event["caller"], &event["outcome"]), (&json!("cert:spiffe://prod/crm"), &json!("OK")));
    assert_eq!(event["connection_id"], json!(response.id));
}
