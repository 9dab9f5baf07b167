//! Errors of a Flow Service that rejects a request, throttles it or cannot be reached.

use std::time::Duration;

use http::StatusCode;
use hubspot_connection_service::proto;
use serde_json::json;
use tonic::Code;

use super::{CREATE, closed_port, server, with_flow_service};
use crate::support::{TestService, request};

#[tokio::test]
async fn a_sandbox_that_does_not_exist_is_not_found() {
    let service = TestService::start().await;
    let failure = service
        .create_with_faults(
            json!([{"route": CREATE, "action": {"status": 404, "shape": "A", "code": "2100"}}]),
        )
        .await;
    assert_eq!(failure.row(), (Code::NotFound, "SANDBOX_NOT_FOUND"));
    assert_eq!(failure.resource, Some(("sandbox".to_owned(), "prod".to_owned())));
    assert_eq!(failure.metadata("upstream_code"), "FLOW-2100-404");
}

#[tokio::test]
async fn a_refusal_of_the_request_carries_the_details_of_the_flow_service() {
    let service = TestService::start().await;
    let (caller, operator) = (Code::InvalidArgument, Code::FailedPrecondition);
    for (status, shape, code, upstream_code, whose) in [
        (400, "A", json!("1999"), "FLOW-1999-400", caller),
        (400, "B", json!(null), "", caller),
        (400, "C", json!(null), "", caller),
        (422, "C", json!(null), "", caller),
        (400, "A", json!("1413"), "FLOW-1413-400", operator),
        (400, "D", json!("400999"), "400999", operator),
        (400, "D", json!(400_999), "400999", operator),
        (400, "E", json!(null), "", operator),
        (415, "E", json!(null), "", operator),
    ] {
        let mut action = json!({"status": status, "shape": shape});
        if !code.is_null() {
            action["code"] = code;
        }
        let failure = service.create_with_faults(json!([{"route": CREATE, "action": action}])).await;
        assert_eq!(failure.row(), (whose, "UPSTREAM_REJECTED"), "{status} {shape}");
        assert_eq!(failure.message.contains("operator"), whose == operator, "{failure:?}");
        assert_eq!(failure.metadata("upstream_status"), status.to_string());
        assert_eq!(failure.metadata("upstream_code"), upstream_code, "{shape}");
        assert!(!failure.metadata("request_id").is_empty());
        assert!(!failure.metadata("upstream_request_id").is_empty(), "{shape}");
        assert!(failure.message.contains("nothing was created"), "{failure:?}");
        assert!(failure.forbids_retry && !failure.message.contains("<html>"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_unknown_origin_does_not_claim_that_nothing_was_created() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "900ms")]).await;
    for (status, shape) in [
        (400, "empty"),
        (400, "html"),
        (400, "cut"),
        (401, "html"),
        (403, "html"),
        (409, "A"),
        (499, "empty"),
    ] {
        let action = json!({"status": status, "shape": shape});
        let failure = service.create_with_faults(json!([{"route": CREATE, "action": action}])).await;
        // The service searches for the connection until the deadline.
        assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{status} {shape}");
        assert_eq!(failure.metadata("may_exist"), "true", "{status} {shape}");
        assert!(!failure.message.contains("<html>"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_services_own_credentials_is_for_an_operator() {
    let service = TestService::start().await;
    for (status, code) in
        [(403, "403000"), (403, "403003"), (403, "403010"), (403, "403025"), (403, "403027"), (400, "400003")]
    {
        let failure = service
            .create_with_faults(
                json!([{"route": CREATE, "action": {"status": status, "shape": "D", "code": code}}]),
            )
            .await;
        assert_eq!(failure.row(), (Code::FailedPrecondition, "PLATFORM_CREDENTIALS_REJECTED"), "{code}");
        assert_eq!(failure.metadata("upstream_code"), code);
        assert!(failure.message.contains("operator"), "{failure:?}");
    }
}

/// The error of HubSpot for missing scopes, as the Flow Service forwards it.
fn missing_scopes() -> String {
    let hubspot = json!({
        "status": "error",
        "message": "This app hasn't been granted all required scopes to make this call. Read more about required \
                    scopes here: https://developers.hubspot.com/scopes.",
        "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf",
        "errors": [{
            "message": "One or more of the following scopes are required.",
            "context": {"requiredScopes": ["crm.objects.contacts.read", "crm.schemas.contacts.read"]},
        }],
        "links": {"scopes": "https://developers.hubspot.com/scopes"},
        "category": "MISSING_SCOPES",
    });
    format!("Error while connecting to HubSpot. The provider answered 403: {hubspot}")
}

#[tokio::test]
async fn the_message_of_hubspot_is_shown_in_full_in_either_shape() {
    let message = missing_scopes();
    for body in [
        json!({"type": "https://ns.adobe.com/aep/errors/FLOW-1308-400", "report": {"detailed-message": message}}),
        json!({"errorMessage": "Error while connecting to HubSpot.", "errorDetails": message}),
        json!({"errorMessage": "The connection was refused.", "errorDetails": message}),
    ] {
        let flow = server(StatusCode::BAD_REQUEST, body.to_string().leak()).await;
        let service = with_flow_service(flow).await;
        let failure = service.create().await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "UPSTREAM_REJECTED"));
        assert!(failure.message.contains("crm.schemas.contacts.read"), "{failure:?}");
        assert!(failure.message.contains("MISSING_SCOPES"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_message_of_any_length_leaves_space_for_the_error_details() {
    let text = |c: &str| format!("begin {} end", c.repeat(30_000 / c.len()));
    for c in ["x", "ü", "語", "🧡", "%"] {
        let body = json!({"errorMessage": text(c), "errorDetails": text("y")}).to_string().leak();
        let flow = server(StatusCode::BAD_REQUEST, body).await;
        let service = with_flow_service(flow).await;
        let status = service.client().await.create_hub_spot_connection(request()).await.unwrap_err();
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        let size: usize = headers.values().map(http::HeaderValue::len).sum();
        assert!(size < 4 * 1024, "{c} {size}");
        assert!(status.message().contains("begin") && status.message().contains("end"), "{status:?}");
    }
}

#[tokio::test]
async fn a_short_credential_hides_no_words_of_the_flow_service() {
    let message = "The auth of a connection is invalid: id 17";
    let body = json!({"errorMessage": message}).to_string().leak();
    let flow = server(StatusCode::BAD_REQUEST, body).await;
    let service = with_flow_service(flow).await;
    let credentials = proto::HubSpotCredentials {
        client_id: "a".to_owned(),
        client_secret: "id".to_owned(),
        access_token: "17".to_owned(),
        refresh_token: "auth".to_owned(),
    };
    let request = proto::CreateHubSpotConnectionRequest { credentials: Some(credentials), ..request() };
    let failure = service.send(request).await.unwrap_err();
    assert!(failure.message.contains(&message.replace("auth", "[redacted]")), "{failure:?}");
}

#[tokio::test]
async fn a_missing_permission_is_for_an_operator() {
    let service = TestService::start().await;
    for action in [json!({"status": 403, "shape": "A", "code": "2120"}), json!({"status": 403, "shape": "B"})]
    {
        let failure = service.create_with_faults(json!([{"route": CREATE, "action": action}])).await;
        assert_eq!(failure.row(), (Code::FailedPrecondition, "PLATFORM_PERMISSION_MISSING"));
        assert!(failure.message.contains("Manage Sources"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_throttle_reports_when_to_retry() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "900ms")]).await;
    let throttle =
        |headers| json!([{"route": CREATE, "action": {"status": 429, "shape": "D", "headers": headers}}]);
    let failure = service.create_with_faults(throttle(json!({"retry-after": "38"}))).await;
    assert_eq!(failure.row(), (Code::ResourceExhausted, "UPSTREAM_THROTTLED"));
    assert_eq!(failure.retry_after, Some(Duration::from_secs(38)));
    assert_eq!(failure.metadata("upstream_status"), "429");
    let failure = service.create_with_faults(throttle(json!({}))).await;
    assert_eq!(failure.row(), (Code::ResourceExhausted, "UPSTREAM_THROTTLED"));
    assert!(failure.retry_after.unwrap() >= Duration::from_secs(1));
    assert_eq!(service.emulator.connections().len(), 0);
}

#[tokio::test]
async fn an_unreachable_flow_service_means_that_nothing_was_sent() {
    let closed = closed_port().await;
    let service = with_flow_service(closed).await;
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert!(failure.retry_after.is_some());
    assert!(!failure.message.contains("127.0.0.1"), "{failure:?}");
}
