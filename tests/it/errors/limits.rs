//! Errors of the service's own limits: concurrent calls and deadlines.

use hubspot_connection_service::proto;
use serde_json::json;
use tonic::Code;

use super::{CREATE, TOKEN};
use crate::support::{Failure, TestService, request};

#[tokio::test]
async fn calls_beyond_the_limit_are_shed_at_once_and_health_checks_are_not() {
    let service = TestService::with([("HCS_MAX_IN_FLIGHT", "1")]).await;
    service.inject(json!([{"route": CREATE, "action": {"delay": "2s"}}]));
    let mut first = service.client().await;
    let first = tokio::spawn(async move { first.create_hub_spot_connection(request()).await });
    while service.requests_to("POST", "/connections") == 0 {
        tokio::task::yield_now().await;
    }
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(failure.retry_after.is_some());
    assert_eq!(crate::server::health(service.grpc, "").await.unwrap(), "SERVING");
    first.await.unwrap().unwrap();
    service.create().await.unwrap();
}

#[tokio::test]
async fn a_stuck_flow_service_blocks_only_calls_that_need_it() {
    let service = TestService::with([("HCS_MAX_IN_FLIGHT", "1")]).await;
    let with_id = |name: &str, id: u128| proto::CreateHubSpotConnectionRequest {
        name: name.to_owned(),
        request_id: uuid::Uuid::from_u128(id).to_string(),
        ..request()
    };
    let made = service.send(with_id("earlier", 1)).await.unwrap();
    service.inject(json!([{"route": CREATE, "action": {"delay": "2s"}}]));
    let mut first = service.client().await;
    let first = tokio::spawn(async move { first.create_hub_spot_connection(request()).await });
    while service.requests_to("POST", "/connections") < 2 {
        tokio::task::yield_now().await;
    }
    // The store knows the outcome of one, and that the other one must wait.
    let retried = service.send(with_id("earlier", 1)).await.unwrap();
    assert!(retried.replayed && retried.id == made.id, "{retried:?}");
    let failure = service.send(with_id("later", 2)).await.unwrap_err();
    assert_eq!(failure.row(), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(failure.retry_after.is_some());
    // Reads have a separate limit of one at a time.
    let read = proto::GetHubSpotConnectionRequest { id: made.id.clone(), ..Default::default() };
    let mut client = service.client().await;
    client.get_hub_spot_connection(read.clone()).await.unwrap();
    service.inject(json!([{"route": "GET /connections/{id}", "action": {"delay": "2s"}}]));
    let mut slow = service.client().await;
    let read = tokio::spawn(async move { slow.get_hub_spot_connection(read).await });
    while service.requests_to("GET", &format!("/connections/{}", made.id)) < 2 {
        tokio::task::yield_now().await;
    }
    let list = proto::ListHubSpotConnectionsRequest::default();
    let failure = Failure::from(client.list_hub_spot_connections(list).await.unwrap_err());
    assert_eq!(failure.row(), (Code::ResourceExhausted, "OVERLOADED"));
    let check = proto::CreateHubSpotConnectionRequest { validate_only: true, ..request() };
    assert_eq!(service.send(check).await.unwrap_err().row(), (Code::ResourceExhausted, "OVERLOADED"));

    first.await.unwrap().unwrap();
    read.await.unwrap().unwrap();
    // The rejected calls have left nothing behind.
    let later = service.send(with_id("later", 2)).await.unwrap();
    assert!(!later.replayed, "{later:?}");
    assert_eq!(service.emulator.connections().len(), 3);
}

#[tokio::test]
async fn an_exceeded_deadline_reports_the_stage_of_the_call() {
    let service = TestService::start().await;
    service.create().await.unwrap();
    service.inject(json!([{"route": CREATE, "action": {"delay": "30s"}}]));
    let failure = service.create_within("200m").await;
    assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!((failure.metadata("stage"), failure.metadata("may_exist")), ("create", "true"));
    assert_eq!(failure.metadata("request_id").len(), 36);

    let slow_token = json!([{"route": TOKEN, "count": 0, "action": {"delay": "30s"}}]);
    let service = TestService::with_faults(slow_token, []).await;
    let failure = service.create_within("200m").await;
    assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!((failure.metadata("stage"), failure.metadata("may_exist")), ("adobe_token", "false"));
}

#[tokio::test]
async fn the_timeout_of_the_service_limits_every_call() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "200ms")]).await;
    let failure = service.create_with_faults(json!([{"route": CREATE, "action": {"delay": "30s"}}])).await;
    assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn a_malformed_timeout_is_reported() {
    let service = TestService::start().await;
    let failure = service.create_within("soon").await;
    assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
    assert_eq!(failure.violations[0].0, "grpc-timeout");
    assert_eq!(failure.violations[0].1.reason, "MALFORMED");
}
