//! Writes that are rejected before anything is done, in the audit trail and in the lines of their calls.

use hubspot_connection_service::{
    emulator::Options,
    proto::{
        CreateHubSpotConnectionRequest, DeleteHubSpotConnectionRequest, HubSpotCredentials,
        ListHubSpotConnectionsRequest, UpdateHubSpotConnectionRequest,
    },
};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::Code;

use super::{events, fields};
use crate::support::{
    FINGERPRINT_KEY, ServiceProcess, framed, inject, listen, post, request, start_emulator,
    tokens::{AUDIENCE, ISSUER, KeyEndpoint, TokenKey, bearing, claims, in_seconds},
    until, unused_port,
};

const CREATE: &str = "/hubspot_connection.v1.HubSpotConnectionService/CreateHubSpotConnection";

/// The caller, the reason and the cause in each line of a call.
fn rejections(lines: &[Value]) -> Vec<[String; 3]> {
    let of = |line: &Value| {
        let field = |name: &str| line["span"][name].as_str().unwrap_or_default().to_owned();
        assert_eq!(field("method"), CREATE, "{line}");
        ["caller", "reason", "cause"].map(field)
    };
    lines.iter().filter(|line| line["message"] == "call").map(of).collect()
}

#[tokio::test]
async fn a_write_that_is_rejected_is_logged_with_its_caller_and_the_cause() {
    let emulator = start_emulator(Options::default()).await;
    let key = TokenKey::es256("key");
    let keys = KeyEndpoint::start(listen().await, &[&key]);
    let settings = [
        ("HCS_JWT_ISSUER", ISSUER),
        ("HCS_JWT_AUDIENCE", AUDIENCE),
        ("HCS_JWT_JWKS_URL", &keys.url),
        ("HCS_CALLERS", "jwt:writer=write,jwt:reader=read"),
    ];
    let service = ServiceProcess::start(&emulator, &settings).await;
    let mut client = service.client().await;
    client.create_hub_spot_connection(request()).await.unwrap_err();
    let mut expired = claims("writer");
    expired["exp"] = json!(in_seconds(-90));
    for claims in [expired, claims("stranger"), claims("reader")] {
        client.create_hub_spot_connection(bearing(&key.sign(&claims), request())).await.unwrap_err();
    }
    let token = key.sign(&claims("writer"));
    // A value in the wrong field is often a secret.
    let misplaced = CreateHubSpotConnectionRequest {
        name: "canary\u{7}".to_owned(),
        request_id: "canary".to_owned(),
        credentials: Some(HubSpotCredentials {
            client_secret: "canary canary".to_owned(),
            ..HubSpotCredentials::default()
        }),
        ..request()
    };
    let elsewhere = CreateHubSpotConnectionRequest { sandbox_name: "canary".to_owned(), ..request() };
    for creation in [misplaced, elsewhere] {
        client.create_hub_spot_connection(bearing(&token, creation)).await.unwrap_err();
    }
    drop(client);
    let authorization = format!("Bearer {token}");
    let authorized = ("authorization", &*authorization);
    let valid = framed(&request().encode_to_vec());
    let large = "canary".repeat(3000);
    for (headers, body) in [
        (vec![authorized, ("grpc-timeout", "canary")], valid.clone()),
        (vec![authorized, ("x-large", &large)], valid.clone()),
        (vec![authorized, ("grpc-encoding", "canary")], valid),
        (vec![authorized], framed(b"canary")),
        (vec![authorized], framed(&vec![b'x'; 1 << 17])),
    ] {
        post(service.grpc, &headers, body).await;
    }

    let (_, output) = service.stop().await;
    let lines = output.log_lines();
    let expected = [
        ["unknown", "CALLER_UNAUTHENTICATED", "no_token"],
        ["unknown", "CALLER_UNAUTHENTICATED", "token_expired"],
        ["jwt:stranger", "CALLER_NOT_ALLOWED", "not_allowed"],
        ["jwt:reader", "CALLER_NOT_ALLOWED", "read_only"],
        [
            "jwt:writer",
            "INVALID_REQUEST",
            "name, credentials.client_id, credentials.client_secret, credentials.access_token, credentials.refresh_token, request_id",
        ],
        ["jwt:writer", "SANDBOX_NOT_ALLOWED", "sandbox_name is not in HCS_ALLOWED_SANDBOXES"],
        // The caller has not been identified at this point.
        ["", "INVALID_REQUEST", "grpc-timeout"],
        ["", "REQUEST_TOO_LARGE", "the metadata is too large"],
        ["", "INVALID_REQUEST", "the grpc-encoding is not supported"],
        ["jwt:writer", "INVALID_REQUEST", "the request cannot be decoded"],
        ["jwt:writer", "REQUEST_TOO_LARGE", "the request is too large"],
    ];
    assert_eq!(rejections(&lines), expected);
    let trail: Vec<_> = events(&lines).into_iter().map(fields).collect();
    let in_trail = |[caller, reason, _]: [&str; 3]| {
        let caller = if caller.is_empty() { "unknown" } else { caller };
        json!({"action": "create", "caller": caller, "outcome": reason})
    };
    assert_eq!(trail, expected.map(in_trail));
    for secret in ["canary", "hs-client-secret", &token] {
        assert!(!output.stdout().contains(secret), "{secret} in {output:?}");
    }
}

#[tokio::test]
async fn a_write_that_is_shed_is_in_the_audit_trail() {
    let emulator = start_emulator(Options::default()).await;
    let stuck = json!([{"route": "GET /connections", "action": {"delay": "60s"}}]);
    inject(&emulator, stuck);
    let settings = [("HCS_MAX_IN_FLIGHT", "1"), ("HCS_DRAIN_TIMEOUT", "100ms")];
    let service = ServiceProcess::start(&emulator, &settings).await;
    let mut client = service.client().await;
    let mut other = client.clone();
    let list = tokio::spawn(async move {
        other.list_hub_spot_connections(ListHubSpotConnectionsRequest::default()).await
    });
    until("the list", || emulator.received().iter().any(|request| request.path.ends_with("/connections")))
        .await;
    let delete = DeleteHubSpotConnectionRequest::default();
    let update = UpdateHubSpotConnectionRequest::default();
    let shed = client.delete_hub_spot_connection(delete).await.unwrap_err();
    assert_eq!(shed.code(), Code::ResourceExhausted);
    client.update_hub_spot_connection(update).await.unwrap_err();
    list.abort();
    let (_, output) = service.stop().await;
    let lines = output.log_lines();
    let trail: Vec<_> = events(&lines).into_iter().map(fields).collect();
    let shed = |action: &str| json!({"action": action, "caller": "anyone", "outcome": "OVERLOADED"});
    assert_eq!(trail, [shed("delete"), shed("update")]);
    let call = lines.iter().find(|line| line["span"]["reason"] == "OVERLOADED" && line["message"] == "call");
    assert_eq!(call.unwrap()["span"]["cause"], "HCS_MAX_IN_FLIGHT is reached");
}

#[tokio::test]
async fn a_write_without_a_store_is_in_the_audit_trail() {
    let emulator = start_emulator(Options::default()).await;
    let (address, _socket) = unused_port();
    let url = format!("redis://{address}");
    // Calls wait for half of the timeout.
    let settings =
        [("HCS_REDIS_URL", &*url), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY), ("HCS_REQUEST_TIMEOUT", "1s")];
    let service = ServiceProcess::start(&emulator, &settings).await;
    service.client().await.create_hub_spot_connection(request()).await.unwrap_err();
    let event = service
        .process
        .prints("audit event", |output| events(&output.log_lines()).first().map(|event| (*event).clone()))
        .await;
    assert_eq!((&event["action"], &event["outcome"]), (&json!("create"), &json!("STORE_UNAVAILABLE")));
    assert_eq!((&event["sandbox"], &event["caller"]), (&json!("prod"), &json!("anyone")));
    assert_eq!(event["request_id"].as_str().map(str::len), Some(36), "{event}");
    service.process.signal(crate::support::Signal::KILL);
}
