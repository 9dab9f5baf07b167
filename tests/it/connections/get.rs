//! Reading a connection.

use std::time::Duration;

use axum::Router;
use http::StatusCode;
use hubspot_connection_service::{
    emulator::{BASE_PATH, Settings},
    proto::{ConnectionState, CreateHubSpotConnectionRequest, HubSpotConnection},
};
use prost::Message as _;
use prost_types::Timestamp;
use serde_json::json;
use tonic::Code;

use super::{
    GET, MISSING_ID, SHORT_TIMEOUT, assert_not_found, delete_allowing_missing, get, get_in, requests, stored,
};
use crate::support::{Failure, TestService, listen, request, salesforce};

/// Creates a connection and reads it under these faults.
async fn get_with_fault(action: serde_json::Value) -> (TestService, String, Failure) {
    let service = TestService::with([SHORT_TIMEOUT]).await;
    let id = service.create().await.unwrap().id;
    service.inject(json!([{"route": GET, "count": 0, "action": action}]));
    let failure = get(&service, &id).await.unwrap_err();
    (service, id, failure)
}

fn time(unix_ms: u64) -> Option<Timestamp> {
    let nanos = i32::try_from(unix_ms % 1000).unwrap() * 1_000_000;
    Some(Timestamp { seconds: i64::try_from(unix_ms / 1000).unwrap(), nanos })
}

#[tokio::test]
async fn a_connection_is_returned_in_full_without_its_secrets() {
    for mask_auth_params in [false, true] {
        let service = TestService::start().await;
        service.emulator.settings(Settings { mask_auth_params, ..Settings::default() });
        let asked = request();
        let created = service.send(asked.clone()).await.unwrap();
        let connection = get(&service, &created.id).await.unwrap();

        let bytes = connection.encode_to_vec();
        let has = |word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
        assert!(has("hs-client-id"));
        for secret in ["hs-client-secret", "hs-access-token", "hs-refresh-token", "***"] {
            assert!(!has(secret), "{secret}");
        }
        let created_at_ms = stored(&service, &created.id).unwrap().created_at_ms;
        let expected = HubSpotConnection {
            id: created.id,
            etag: created.etag,
            name: asked.name,
            description: asked.description,
            state: ConnectionState::Enabled.into(),
            sandbox_name: "prod".to_owned(),
            client_id: "hs-client-id".to_owned(),
            client_secret_set: true,
            access_token_set: true,
            refresh_token_set: true,
            create_time: time(created_at_ms),
            update_time: time(created_at_ms),
            request_id: created.request_id,
        };
        assert_eq!(connection, expected);
    }
}

#[tokio::test]
async fn a_known_state_is_returned() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let before = get(&service, &id).await.unwrap();
    for (state, expected) in [
        ("initializing", ConnectionState::Initializing),
        ("disabled", ConnectionState::Disabled),
        ("draft", ConnectionState::Draft),
        ("updating", ConnectionState::Updating),
        ("disabling", ConnectionState::Disabling),
        ("delete-finalizing", ConnectionState::Deleting),
        ("ENABLED", ConnectionState::Enabled),
        ("on-holiday", ConnectionState::Unspecified),
    ] {
        assert!(service.emulator.set_state(&id, state));
        let connection = get(&service, &id).await.unwrap();
        assert_eq!(connection.state(), expected, "{state}");
        assert_ne!(connection.etag, before.etag);
        assert_eq!(connection.create_time, before.create_time);
        let seconds = |time: Option<Timestamp>| time.map(|time| (time.seconds, time.nanos));
        assert!(seconds(connection.update_time) > seconds(before.update_time));
    }
}

#[tokio::test]
async fn a_connection_is_found_in_its_own_sandbox_alone() {
    let service = TestService::start().await;
    let in_dev = CreateHubSpotConnectionRequest { sandbox_name: "dev".to_owned(), ..request() };
    let id = service.send(in_dev).await.unwrap().id;
    assert_eq!(get_in(&service, &id, "dev").await.unwrap().sandbox_name, "dev");
    for sandbox in ["", "prod"] {
        let failure = get_in(&service, &id, sandbox).await.unwrap_err();
        assert_not_found(&failure, &id);
        assert!(failure.message.contains("the sandbox prod"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_missing_or_not_hubspots_is_not_found() {
    let service = TestService::start().await;
    for id in [MISSING_ID.to_owned(), salesforce(&service.emulator).await] {
        assert_not_found(&get(&service, &id).await.unwrap_err(), &id);
    }
}

#[tokio::test]
async fn an_id_that_cannot_be_one_is_refused_before_anything_is_sent() {
    let service = TestService::start().await;
    for id in ["", "a/b", "..", "a b", "a?count=true", "%2e%2e", "é", &"a".repeat(65)] {
        let failure = get(&service, id).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"), "{id:?}");
        assert_eq!(failure.violations.len(), 1);
        assert_eq!(failure.violations[0].0, "id");
    }
    let failure = get_in(&service, "", "Prod").await.unwrap_err();
    let fields: Vec<_> = failure.violations.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["id", "sandbox_name"]);

    let failure = get_in(&service, MISSING_ID, "qa").await.unwrap_err();
    assert_eq!(failure.row(), (Code::PermissionDenied, "SANDBOX_NOT_ALLOWED"));
    assert!(service.emulator.received().iter().all(|request| request.method != "GET"));
}

#[tokio::test]
async fn a_404_from_an_intermediary_does_not_prove_that_the_connection_is_missing() {
    // An HTML page, an empty body, a plain message, or a gateway that only knows the routes.
    for (shape, reason) in [
        ("html", "UPSTREAM_UNRECOGNIZED"),
        ("empty", "UPSTREAM_UNRECOGNIZED"),
        ("C", "UPSTREAM_UNRECOGNIZED"),
        ("D", "UPSTREAM_REJECTED"),
        ("E", "UPSTREAM_REJECTED"),
    ] {
        let (_service, _, failure) = get_with_fault(json!({"status": 404, "shape": shape})).await;
        assert_eq!(failure.row(), (Code::FailedPrecondition, reason), "{shape}");
        assert!(failure.message.contains("HCS_FLOW_SERVICE_URL"), "{failure:?}");
    }
    for body in [
        json!({"timestamp": 1, "status": 404, "error": "Not Found", "path": "/connections/x"}),
        json!({"errorMessage": ""}),
        json!([{"errorMessage": "not found"}]),
        json!("not found"),
    ] {
        let listener = listen().await;
        let url = format!("http://{}{}", listener.local_addr().unwrap(), BASE_PATH);
        let text = body.to_string();
        let app = Router::new().fallback(async move || (StatusCode::NOT_FOUND, text));
        tokio::spawn(axum::serve(listener, app).into_future());
        let emulator = TestService::start().await.emulator;
        let service = TestService::against(emulator, [("HCS_FLOW_SERVICE_URL", &*url)]).await;
        let deleted = delete_allowing_missing(&service, MISSING_ID).await;
        for failure in [get(&service, MISSING_ID).await.unwrap_err(), deleted.unwrap_err()] {
            assert_eq!(failure.row(), (Code::FailedPrecondition, "UPSTREAM_UNRECOGNIZED"), "{body}");
        }
    }
}

#[tokio::test]
async fn a_failed_read_is_retried() {
    for action in [
        json!({"status": 503}),
        json!({"status": 504, "shape": "empty"}),
        json!({"close": "before_commit"}),
        json!({"status": 200, "shape": "cut", "commit": true}),
        json!({"status": 429, "shape": "D", "headers": {"retry-after": "0"}}),
    ] {
        let service = TestService::start().await;
        let id = service.create().await.unwrap().id;
        service.inject(json!([{"route": GET, "count": 2, "action": action}]));
        get(&service, &id).await.unwrap_or_else(|failure| panic!("{action}: {failure:?}"));
        assert_eq!(requests(&service, "GET", &id).len(), 3, "{action}");
    }
}

#[tokio::test]
async fn a_flow_service_that_keeps_failing_is_unavailable() {
    let (service, id, failure) = get_with_fault(json!({"status": 503})).await;
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert!(failure.retry_after.is_some());
    assert_eq!(failure.metadata("upstream_status"), "503");
    assert_eq!(failure.metadata("upstream_code"), "FLOW-1103-503");
    assert!(!failure.metadata("upstream_request_id").is_empty());
    assert_eq!(requests(&service, "GET", &id).len(), 3);
}

#[tokio::test]
async fn a_malformed_response_is_an_internal_error_without_internals() {
    let (service, id, failure) = get_with_fault(json!({"status": 200, "shape": "A"})).await;
    assert_eq!(failure.row(), (Code::Internal, "UPSTREAM_UNDECODABLE"));
    assert!(failure.message.contains("the log") && !failure.message.contains("html"), "{failure:?}");
    assert_eq!(requests(&service, "GET", &id).len(), 1);
}

#[tokio::test]
async fn a_deadline_exceeded_while_reading_reports_that_nothing_was_done() {
    let (_service, _, failure) = get_with_fault(json!({"delay": "30s"})).await;
    assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!((failure.metadata("stage"), failure.metadata("may_exist")), ("read", "false"));
    assert!(failure.message.contains("nothing was done"), "{failure:?}");
}

#[tokio::test]
async fn a_throttle_reports_when_to_retry() {
    let throttle = json!({"status": 429, "shape": "D", "headers": {"retry-after": "30"}});
    let (service, id, failure) = get_with_fault(throttle).await;
    assert_eq!(failure.row(), (Code::ResourceExhausted, "UPSTREAM_THROTTLED"));
    assert_eq!(failure.retry_after, Some(Duration::from_secs(30)));
    // Until then, other calls fail as well.
    let failure = get(&service, &id).await.unwrap_err();
    assert_eq!(failure.row(), (Code::ResourceExhausted, "UPSTREAM_THROTTLED"));
    assert!(failure.retry_after.unwrap() > Duration::from_secs(20), "{failure:?}");
    assert_eq!(requests(&service, "GET", &id).len(), 1);
}

#[tokio::test]
async fn refused_tokens_may_be_accepted_later() {
    let (_service, _, failure) = get_with_fault(json!({"status": 401, "shape": "D"})).await;
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert!(failure.retry_after.is_some());
    assert_eq!(failure.metadata("upstream_status"), "401");
}

#[tokio::test]
async fn errors_for_the_caller_and_for_the_operator_are_distinguished() {
    for (action, row) in [
        (json!({"status": 403, "code": "2120"}), (Code::FailedPrecondition, "PLATFORM_PERMISSION_MISSING")),
        (
            json!({"status": 403, "shape": "D", "code": "403003"}),
            (Code::FailedPrecondition, "PLATFORM_CREDENTIALS_REJECTED"),
        ),
        (json!({"status": 404, "code": "2100"}), (Code::NotFound, "SANDBOX_NOT_FOUND")),
        (json!({"status": 400, "code": "1451"}), (Code::FailedPrecondition, "UPSTREAM_REJECTED")),
        (json!({"status": 400, "code": "1999"}), (Code::InvalidArgument, "UPSTREAM_REJECTED")),
    ] {
        let (_service, _, failure) = get_with_fault(action.clone()).await;
        assert_eq!(failure.row(), row, "{action}: {failure:?}");
        assert!(failure.forbids_retry);
    }
}
