//! Replies of an intermediary in Adobe's place: a proxy, a CDN, a firewall, a portal.

use std::time::Duration;

use axum::{Router, response::Response};
use http::{HeaderValue, StatusCode, header};
use hubspot_connection_service::emulator::Options;
use serde_json::json;
use tonic::Code;

use super::{
    CREATE, DELETE, EXPLORE, GET, LIST, TEST, TOKEN, UNRECOGNIZED, UPDATE, assert_nothing_is_shared, call,
};
use crate::{
    diagnosis::{self, FAILED, states},
    support::{Failure, TestService, listen, request, start_emulator},
};

const HTML: &str = "<html><body><h1>Access denied</h1></body></html>";

/// A status, a content type and a body.
type Reply = (u16, &'static str, &'static str);

/// Examples of such replies, and whether they may be transient.
const REPLIES: [(Reply, bool); 22] = [
    ((200, "text/html", HTML), false),
    ((200, "application/json", r#"{"status":"ok"}"#), false),
    ((200, "application/json", "[1]"), false),
    ((200, "", ""), false),
    ((204, "", ""), false),
    ((302, "text/html", HTML), false),
    ((307, "", ""), false),
    ((400, "text/plain", "Bad Request"), false),
    ((401, "text/html", HTML), false),
    ((401, "application/json", r#"{"message":"Unauthorized"}"#), false),
    ((403, "text/html", HTML), false),
    ((403, "application/json", r#"{"message":"Forbidden"}"#), false),
    ((403, "application/problem+json", r#"{"type":"about:blank","title":"Forbidden","status":403}"#), false),
    ((403, "", ""), false),
    ((404, "application/json", r#"{"message":"no Route matched with those values"}"#), false),
    ((405, "text/html", HTML), false),
    ((407, "text/html", HTML), true),
    ((408, "text/html", HTML), true),
    ((429, "application/json", r#"{"message":"API rate limit exceeded"}"#), true),
    ((502, "text/html", HTML), true),
    ((503, "text/plain", "upstream connect error"), true),
    ((504, "", ""), true),
];

/// The base URL of a server that sends the same reply to every request.
async fn replying((status, content_type, body): Reply) -> String {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(async move || {
        let mut response = Response::new(axum::body::Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if !content_type.is_empty() {
            let value = HeaderValue::from_str(&format!("{content_type}; charset=utf-8")).unwrap();
            response.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        response
    });
    tokio::spawn(axum::serve(listener, router).into_future());
    format!("http://{address}")
}

#[track_caller]
fn assert_unrecognized(failure: &Failure, reply: Reply, may_pass: bool, setting: &str) {
    let (status, content_type, _) = reply;
    let code = if may_pass { Code::Unavailable } else { Code::FailedPrecondition };
    assert_eq!(failure.row(), (code, UNRECOGNIZED), "{reply:?} {failure:?}");
    assert_eq!(failure.retry_after.is_some(), may_pass, "{reply:?}");
    assert_eq!(failure.metadata("upstream_status"), status.to_string());
    let shown = if content_type.is_empty() { "no content type" } else { content_type };
    assert!(failure.message.contains(&format!("HTTP {status}, {shown}")), "{failure:?}");
    assert!(failure.message.contains("operator") && failure.message.contains(setting), "{failure:?}");
    assert!(!failure.message.contains('<'), "{failure:?}");
    for wrong in ["Manage Sources", "HCS_CLIENT_SECRET", "Adobe refuses", "change the request"] {
        assert!(!failure.message.contains(wrong), "{failure:?}");
    }
}

#[tokio::test]
async fn a_reply_of_an_intermediary_is_no_verdict_on_a_read() {
    for (reply, may_pass) in REPLIES {
        let emulator = start_emulator(Options::default()).await;
        let url = format!("{}/data/foundation/flowservice", replying(reply).await);
        let service = TestService::against(emulator, [("HCS_FLOW_SERVICE_URL", &*url)]).await;
        for route in [LIST, GET, TEST, EXPLORE, UPDATE, DELETE] {
            let failure = call(&service, route, "a-1").await.unwrap_err();
            // The gateway of a failing Adobe looks the same: the breaker counts it.
            if failure.reason != "BREAKER_OPEN" {
                assert_unrecognized(&failure, reply, may_pass, "HCS_FLOW_SERVICE_URL");
            }
        }
        assert_eq!(service.requests_to("POST", "/ims/token/v3"), 1);
    }
}

#[tokio::test]
async fn a_reply_of_an_intermediary_is_recognized_on_each_route() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "5s")]).await;
    let id = service.create().await.unwrap().id;
    for route in [LIST, GET, TEST, EXPLORE, UPDATE, DELETE] {
        for (status, shape) in [
            (200, "html"),
            (302, "html"),
            (401, "html"),
            (403, "C"),
            (403, "empty"),
            (404, "html"),
            (405, "C"),
        ] {
            let action = json!({"status": status, "shape": shape});
            service.inject(json!([{"route": route, "count": 0, "action": action}]));
            let failure = call(&service, route, &id).await.unwrap_err();
            let is_lost = status == 200 && (route == UPDATE || route == DELETE);
            let row = (Code::FailedPrecondition, UNRECOGNIZED);
            let row = if is_lost { (Code::Unavailable, "OUTCOME_UNKNOWN") } else { row };
            assert_eq!(failure.row(), row, "{route} {action}");
            assert!(failure.message.contains("not Adobe's (HTTP"), "{failure:?}");
        }
        for (status, shape) in [(429, "html"), (407, "C")] {
            let action = json!({"status": status, "shape": shape, "headers": {"retry-after": "9"}});
            service.inject(json!([{"route": route, "count": 0, "action": action}]));
            let failure = call(&service, route, &id).await.unwrap_err();
            assert_eq!(failure.row(), (Code::Unavailable, UNRECOGNIZED), "{route} {action}");
            assert_eq!(failure.retry_after, Some(Duration::from_secs(9)));
        }
        assert_eq!(service.emulator.connections().len(), 1, "{route}: nothing was deleted");
    }
}

#[tokio::test]
async fn a_reply_of_an_intermediary_invalidates_no_token_and_closes_no_gate() {
    for route in [LIST, GET, TEST, EXPLORE] {
        let service = TestService::with([("HCS_REQUEST_TIMEOUT", "5s")]).await;
        let id = service.create().await.unwrap().id;
        for (status, shape) in [(401, "html"), (401, "C"), (429, "html"), (429, "C"), (403, "html")] {
            let action = json!({"status": status, "shape": shape, "headers": {"retry-after": "40"}});
            service.inject(json!([{"route": route, "count": 0, "action": action}]));
            for _ in 0..3 {
                assert_eq!(call(&service, route, &id).await.unwrap_err().reason, UNRECOGNIZED);
            }
        }
        service.inject(json!([]));
        assert_nothing_is_shared(&service, &id, route).await;
    }
}

#[tokio::test]
async fn a_creation_is_searched_for_after_any_reply_of_an_intermediary() {
    for (status, shape) in
        [(200, "html"), (401, "html"), (403, "C"), (404, "C"), (407, "html"), (429, "C"), (302, "empty")]
    {
        let service = TestService::start().await;
        let action = json!({"status": status, "shape": shape, "commit": true});
        service.inject(json!([{"route": CREATE, "action": action}]));
        let created = service.create().await.unwrap();
        assert_eq!(service.emulator.connections()[0].id, created.id);
        assert_eq!(service.requests_to("POST", "/connections"), 1, "{action}");
        assert_nothing_is_shared(&service, &created.id, "a creation").await;
    }
}

#[tokio::test]
async fn a_deletion_counts_when_the_connection_is_gone() {
    for (status, shape) in [(200, "html"), (404, "html"), (404, "C"), (403, "empty")] {
        let service = TestService::start().await;
        // A connection that this service has not created itself just before.
        let id = service.create_behind_its_back(&request()).await;
        let action = |commit| json!({"status": status, "shape": shape, "commit": commit});
        service.inject(json!([{"route": DELETE, "count": 0, "action": action(false)}]));
        let failure = call(&service, DELETE, &id).await.unwrap_err();
        let row = (Code::FailedPrecondition, UNRECOGNIZED);
        let row = if status == 200 { (Code::Unavailable, "OUTCOME_UNKNOWN") } else { row };
        assert_eq!(failure.row(), row, "{status} {shape}");
        assert!(failure.message.contains("allow_missing"), "{failure:?}");
        assert_eq!(service.emulator.connections().len(), 1);
        service.inject(json!([{"route": DELETE, "count": 0, "action": action(true)}]));
        call(&service, DELETE, &id).await.unwrap();
        assert_eq!(service.emulator.connections().len(), 0);
    }
}

#[tokio::test]
async fn a_reply_in_the_place_of_ims_is_no_verdict_on_the_credentials() {
    for (reply, may_pass) in REPLIES {
        let url = format!("{}/ims/token/v3", replying(reply).await);
        let settings = [("HCS_IMS_URL", &*url), ("HCS_REQUEST_TIMEOUT", "900ms")];
        let service = TestService::with(settings).await;
        for route in [CREATE, LIST] {
            let failure = call(&service, route, "").await.unwrap_err();
            assert_unrecognized(&failure, reply, may_pass, "HCS_IMS_URL");
            assert_eq!(failure.metadata("stage"), "adobe_token");
        }
        let tested = diagnosis::test(&service, "a-1").await;
        if may_pass {
            assert_unrecognized(&tested.unwrap_err(), reply, true, "HCS_IMS_URL");
        } else {
            let result = tested.unwrap();
            assert_eq!(states(&result)[0], FAILED);
            assert!(result.checks[0].message.contains("HCS_IMS_URL"), "{result:?}");
        }
        assert_eq!(service.requests_to("POST", "/connections"), 0);
    }
}

#[tokio::test]
async fn only_an_oauth_error_is_a_verdict_of_ims() {
    for (body, reason) in [
        (r#"{"error":"invalid_client"}"#, "PLATFORM_CREDENTIALS_REJECTED"),
        (r#"{"error":"unheard_of","error_description":"x"}"#, "PLATFORM_CREDENTIALS_REJECTED"),
        (r#"{"error":"forbidden"}"#, UNRECOGNIZED),
        (r#"{"error":"Forbidden","status":403}"#, UNRECOGNIZED),
        (r#"{"error":{"code":403}}"#, UNRECOGNIZED),
    ] {
        let url = format!("{}/ims/token/v3", replying((403, "application/json", body)).await);
        let service = TestService::with([("HCS_IMS_URL", &*url)]).await;
        let failure = call(&service, CREATE, "").await.unwrap_err();
        assert_eq!(failure.row(), (Code::FailedPrecondition, reason), "{body}");
    }
    // The token route of the emulator sends the same replies.
    let faults = json!([{"route": TOKEN, "count": 0, "action": {"status": 404, "shape": "html"}}]);
    let service = TestService::with_faults(faults, []).await;
    let failure = call(&service, CREATE, "").await.unwrap_err();
    assert_eq!(failure.row(), (Code::FailedPrecondition, UNRECOGNIZED));
}
