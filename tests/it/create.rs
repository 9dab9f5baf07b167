//! Creations that succeed, and what they send.

use std::collections::BTreeSet;

use hubspot_connection_service::emulator;
use serde_json::{Value, json};

use crate::support::{TestService, request};

#[tokio::test]
async fn a_creation_returns_the_id_and_the_etag_of_the_flow_service() {
    let service = TestService::start().await;
    let response = service.create().await.unwrap();

    let connections = service.emulator.connections();
    assert_eq!(connections.len(), 1);
    assert_eq!(response.id, connections[0].id);
    assert!(response.etag.starts_with('"') && response.etag.ends_with('"'), "{}", response.etag);
    assert!(!response.replayed && response.test.is_none());
    assert_eq!(response.request_id.len(), 36, "{}", response.request_id);
}

#[tokio::test]
async fn the_request_has_the_headers_and_the_body_that_adobe_documents() {
    let service = TestService::start().await;
    let request = request();
    let created = service.send(request.clone()).await.unwrap();

    let received = service.emulator.received();
    let post = received.iter().find(|r| r.path.ends_with("/connections")).unwrap();
    assert_eq!(post.path, "/data/foundation/flowservice/connections");
    assert_eq!(post.query, None);
    let headers: BTreeSet<_> = post.headers.keys().map(|name| name.as_str()).collect();
    let expected = [
        "accept",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-api-key",
        "x-gw-ims-org-id",
        "x-sandbox-name",
    ];
    assert_eq!(headers, BTreeSet::from(expected));
    let header = |name: &str| post.headers[name].to_str().unwrap();
    assert!(header("authorization").starts_with("Bearer "));
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("x-api-key"), emulator::CLIENT_ID);
    assert_eq!(header("x-gw-ims-org-id"), emulator::ORG_ID);
    assert_eq!(header("x-sandbox-name"), "prod");

    let body: Value = serde_json::from_slice(&post.body).unwrap();
    assert_eq!(
        body,
        json!({
            "name": request.name,
            "description": format!("for marketing [request {}]", created.request_id),
            "auth": {
                "specName": "Basic Authentication",
                "params": {
                    "clientId": "hs-client-id",
                    "clientSecret": "hs-client-secret",
                    "accessToken": "hs-access-token",
                    "refreshToken": "hs-refresh-token",
                },
            },
            "connectionSpec": {"id": "cc6a4487-9e91-433e-a3a3-9cf6626c1806", "version": "1.0"},
        })
    );
}

#[tokio::test]
async fn the_request_matches_the_schema_of_the_flow_service() {
    let schema: Value =
        serde_json::from_str(include_str!("../fixtures/create_connection.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let service = TestService::start().await;
    service.create().await.unwrap();
    let mut bare = request();
    bare.description.clear();
    bare.sandbox_name = "dev".to_owned();
    let request_id = service.send(bare).await.unwrap().request_id;

    let received = service.emulator.received();
    let bodies: Vec<Value> = received
        .iter()
        .filter(|r| r.path.ends_with("/connections"))
        .map(|r| serde_json::from_slice(&r.body).unwrap())
        .collect();
    assert_eq!(bodies.len(), 2);
    for body in &bodies {
        schema.validate(body).unwrap();
    }
    let reference = format!("[request {request_id}]");
    assert_eq!(bodies[1]["description"], reference);

    let mut misspelled = bodies[0].clone();
    let params = misspelled["auth"]["params"].as_object_mut().unwrap();
    let secret = params.remove("clientSecret").unwrap();
    params.insert("client_secret".to_owned(), secret);
    assert!(!schema.is_valid(&misspelled));
}

#[tokio::test]
async fn a_name_is_trimmed_and_any_unicode_arrives_as_it_was_sent() {
    let service = TestService::start().await;
    let mut unicode = request();
    unicode.name = "  Größe \u{1f680} \"quoted\" \\ </script> ".to_owned();
    service.send(unicode).await.unwrap();
    assert_eq!(service.emulator.connections()[0].name, "Größe \u{1f680} \"quoted\" \\ </script>");
}

#[tokio::test]
async fn a_connection_is_created_in_the_sandbox_that_is_named() {
    let service = TestService::with([("HCS_SANDBOX", "dev")]).await;
    service.create().await.unwrap();
    let mut in_prod = request();
    in_prod.sandbox_name = "prod".to_owned();
    service.send(in_prod).await.unwrap();
    let sandboxes: Vec<_> = service.emulator.connections().into_iter().map(|c| c.sandbox).collect();
    assert_eq!(sandboxes, ["dev", "prod"]);
}

#[tokio::test]
async fn the_flow_service_can_be_called_over_http2() {
    let service = TestService::with([("HCS_UPSTREAM_HTTP", "http2")]).await;
    service.create().await.unwrap();
    let received = service.emulator.received();
    let post = received.iter().find(|r| r.path.ends_with("/connections")).unwrap();
    assert_eq!(post.version, http::Version::HTTP_2);
}

#[tokio::test]
async fn a_ready_access_token_is_used_as_it_is() {
    let service =
        TestService::with([("HCS_CLIENT_SECRET", ""), ("HCS_ACCESS_TOKEN", emulator::DEMO_ACCESS_TOKEN)])
            .await;
    service.create().await.unwrap();
    assert_eq!(service.requests_to("POST", "/ims/token/v3"), 0);
}
