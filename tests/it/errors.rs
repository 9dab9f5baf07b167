//! Each row of the error table: its code, its reason, its details.

mod authority;
mod fields;
mod flow_service;
mod ims;
mod limits;
mod protocol;
pub(crate) mod reasons;
mod size;

use std::net::SocketAddr;

use axum::Router;
use http::StatusCode;
use hubspot_connection_service::{emulator::BASE_PATH, proto};
use prost::Message as _;
use tokio::net::TcpListener;
use tonic::Code;

use crate::support::{Failure, TestService, counted, credentials, framed, post, request};

const CREATE: &str = "POST /connections";
const TOKEN: &str = "POST /ims/token/v3";

#[tokio::test]
async fn every_method_is_built_and_names_what_an_empty_request_lacks() {
    let service = TestService::start().await;
    let mut client = service.client().await;
    let statuses = [
        client.create_hub_spot_connection(proto::CreateHubSpotConnectionRequest::default()).await.err(),
        client.get_hub_spot_connection(proto::GetHubSpotConnectionRequest::default()).await.err(),
        client.update_hub_spot_connection(proto::UpdateHubSpotConnectionRequest::default()).await.err(),
        client.delete_hub_spot_connection(proto::DeleteHubSpotConnectionRequest::default()).await.err(),
        client.test_hub_spot_connection(proto::TestHubSpotConnectionRequest::default()).await.err(),
        client.list_hub_spot_tables(proto::ListHubSpotTablesRequest::default()).await.err(),
        client.get_hub_spot_table(proto::GetHubSpotTableRequest::default()).await.err(),
    ];
    for status in statuses {
        let failure = Failure::from(status.unwrap());
        assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
        assert!(!failure.violations.is_empty());
    }
    // A list needs nothing.
    assert!(client.list_hub_spot_connections(proto::ListHubSpotConnectionsRequest::default()).await.is_ok());
    assert_eq!(service.emulator.connections().len(), 0);
}

#[tokio::test]
async fn a_request_over_64_kib_is_refused_as_too_large() {
    let service = TestService::start().await;
    for size in [65_536, 5_000_000] {
        let failure = service
            .send(proto::CreateHubSpotConnectionRequest { description: "x".repeat(size), ..request() })
            .await
            .unwrap_err();
        assert_eq!(failure.row(), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));
        assert!(failure.message.contains("65536 bytes"), "{failure:?}");
    }
    let largest = proto::CreateHubSpotConnectionRequest {
        credentials: Some(proto::HubSpotCredentials { access_token: "x".repeat(4096), ..credentials() }),
        ..request()
    };
    service.send(largest).await.unwrap();
}

#[tokio::test]
async fn a_message_of_another_type_is_the_callers_mistake() {
    let service = TestService::start().await;
    for message in [&b"\xff\xff\xff"[..], b"\x0a\x02\xff\xfe", b"\x0a\x7fshort"] {
        let (status, failure) = service.post(&[], framed(message)).await;
        assert_eq!(status, 200);
        assert_eq!(failure.unwrap().row(), (Code::InvalidArgument, "INVALID_REQUEST"), "{message:?}");
    }
    // No message at all.
    let (_, failure) = service.post(&[], Vec::new()).await;
    assert_eq!(failure.unwrap().row(), (Code::InvalidArgument, "INVALID_REQUEST"));
}

#[tokio::test]
async fn a_request_that_is_not_grpc_is_an_unsupported_media_type() {
    let service = TestService::start().await;
    let others = ["application/json", "application/grpcx", "application/grpc-web+proto", "text/plain"];
    for content_type in others {
        let response = post(service.grpc, &[("content-type", content_type)], Vec::new()).await;
        assert_eq!(response.status(), 415, "{content_type}");
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert!(response.text().await.unwrap().contains("application/grpc"), "{content_type}");
    }
    let refused = "hubspot_connection_requests_refused_total{reason=\"media_type\"}";
    assert_eq!(counted(service.admin, refused).await, 4);
}

#[tokio::test]
async fn a_sandbox_that_is_not_allowed_is_refused_before_anything_is_sent() {
    let service = TestService::start().await;
    let elsewhere = proto::CreateHubSpotConnectionRequest { sandbox_name: "qa".to_owned(), ..request() };
    let failure = service.send(elsewhere).await.unwrap_err();
    assert_eq!(failure.row(), (Code::PermissionDenied, "SANDBOX_NOT_ALLOWED"));
    let message = "this service may not use the sandbox qa: name one of dev, prod, or have it added to HCS_ALLOWED_SANDBOXES";
    assert_eq!(failure.message, message);
    assert_eq!(service.requests_to("POST", "/connections"), 0);
}

#[tokio::test]
async fn every_error_of_a_method_has_a_reason() {
    let service = TestService::start().await;
    let valid = request().encode_to_vec();
    for (what, body) in [
        ("nothing", Vec::new()),
        ("no frame", valid.clone()),
        ("half a frame", framed(&valid)[..9].to_vec()),
        ("half a message", framed(&valid[..valid.len() / 2])),
        ("another type", framed(&[b"\x12\xff", &valid[..]].concat())),
        ("text", framed(b"{\"name\": \"HubSpot\"}")),
        ("a large message", framed(&valid.repeat(1000))),
        ("two messages", framed(&valid).repeat(2)),
    ] {
        // A failure without a reason panics.
        if let (200, None) = service.post(&[], body).await {
            assert_eq!(what, "two messages");
        }
    }
}

/// A service whose Flow Service is at this address.
async fn with_flow_service(address: SocketAddr) -> TestService {
    TestService::with([("HCS_FLOW_SERVICE_URL", &*format!("http://{address}{BASE_PATH}"))]).await
}

/// A port that nobody listens on.
async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A server that sends the same response to every request.
async fn server(status: StatusCode, body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move || std::future::ready((status, body)));
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}
