//! Errors travel in headers, which clients limit to 8 KiB and some proxies to 4 KiB.

use hubspot_connection_service::proto::{
    CreateHubSpotConnectionRequest, HubSpotCredentials, ListHubSpotConnectionsRequest,
    UpdateHubSpotConnectionRequest,
};
use prost::Message as _;
use reqwest::header::HeaderMap;
use tonic::Status;

use crate::support::{Failure, TestService, framed, post, request};

/// The size of all headers of a response.
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The error of a creation, which must be small enough.
async fn error(service: &TestService, request: &CreateHubSpotConnectionRequest) -> Failure {
    let response = post(service.grpc, &[], framed(&request.encode_to_vec())).await;
    let size = size(response.headers());
    assert!(size < 4096, "{size} {:?}", response.headers());
    Failure::from(Status::from_header_map(response.headers()).unwrap())
}

#[tokio::test]
async fn an_error_about_every_field_names_each_of_them_and_arrives() {
    let service = TestService::start().await;
    let long = "\u{1f600}\u{7}".repeat(1200);
    let bad = CreateHubSpotConnectionRequest {
        name: long.clone(),
        description: long.clone(),
        credentials: Some(HubSpotCredentials {
            client_id: long.clone(),
            client_secret: long.clone(),
            access_token: long.clone(),
            refresh_token: long.clone(),
        }),
        sandbox_name: "A".repeat(3000),
        request_id: "no".repeat(1000),
        validate_only: true,
        verification: 77,
    };
    let failure = error(&service, &bad).await;
    assert_eq!(failure.reason, "INVALID_REQUEST");
    let fields: Vec<_> = failure.violations.iter().map(|(field, _)| field.as_str()).collect();
    assert!(fields.len() >= 8, "{fields:?}");
}

#[tokio::test]
async fn names_of_full_length_do_not_fill_an_error() {
    let service = TestService::start().await;
    let name = "\u{20ac}".repeat(255);
    let at_most =
        CreateHubSpotConnectionRequest { name, sandbox_name: format!("a{}", "b".repeat(255)), ..request() };
    assert_eq!(error(&service, &at_most).await.reason, "SANDBOX_NOT_ALLOWED");
    let mut client = service.client().await;
    let list =
        ListHubSpotConnectionsRequest { sandbox_name: format!("a{}", "b".repeat(255)), ..Default::default() };
    let update = UpdateHubSpotConnectionRequest {
        id: "x".repeat(60_000),
        etag: "\u{7}".repeat(4000),
        ..Default::default()
    };
    for status in [
        client.list_hub_spot_connections(list).await.unwrap_err(),
        client.update_hub_spot_connection(update).await.unwrap_err(),
    ] {
        assert!(status.details().len() * 4 / 3 + status.message().len() < 4000, "{status:?}");
    }
}
