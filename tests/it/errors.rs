//! Each row of the error table: its code, its reason, its details.

mod authority;
mod fields;
mod protocol;
mod reasons;
mod size;

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use axum::Router;
use http::StatusCode;
use hubspot_connection_service::{
    emulator::{CLIENT_SECRET, Options},
    proto,
};
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpListener;
use tonic::Code;

use crate::support::{
    Failure, ServiceProcess, TestService, counted, credentials, framed, post, request, start_emulator, until,
};

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
async fn what_is_not_grpc_is_an_unsupported_media_type() {
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
    assert!(failure.message.contains("qa") && failure.message.contains("HCS_ALLOWED_SANDBOXES"));
    assert_eq!(service.requests_to("POST", "/connections"), 0);
}

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
async fn a_refusal_of_the_request_itself_carries_what_the_flow_service_said() {
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
async fn a_refusal_by_nobody_knows_whom_does_not_say_that_nothing_was_created() {
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
        // It is looked for, as long as there is time.
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

#[tokio::test]
async fn whatever_is_sent_to_a_method_its_error_has_a_reason() {
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

/// What HubSpot says where scopes are missing, as the Flow Service passes it on.
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
async fn what_hubspot_says_is_shown_to_its_end_in_either_shape() {
    let says = missing_scopes();
    for body in [
        json!({"type": "https://ns.adobe.com/aep/errors/FLOW-1308-400", "report": {"detailed-message": says}}),
        json!({"errorMessage": "Error while connecting to HubSpot.", "errorDetails": says}),
        json!({"errorMessage": "The connection was refused.", "errorDetails": says}),
    ] {
        let flow = answering(StatusCode::BAD_REQUEST, body.to_string().leak()).await;
        let service = TestService::with([(
            "HCS_FLOW_SERVICE_URL",
            &*format!("http://{flow}/data/foundation/flowservice"),
        )])
        .await;
        let failure = service.create().await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "UPSTREAM_REJECTED"));
        assert!(failure.message.contains("crm.schemas.contacts.read"), "{failure:?}");
        assert!(failure.message.contains("MISSING_SCOPES"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_message_of_any_length_leaves_room_for_the_details_of_the_error() {
    let text = |c: &str| format!("begin {} end", c.repeat(30_000 / c.len()));
    for c in ["x", "ü", "語", "🧡", "%"] {
        let body = json!({"errorMessage": text(c), "errorDetails": text("y")}).to_string().leak();
        let flow = answering(StatusCode::BAD_REQUEST, body).await;
        let service = TestService::with([(
            "HCS_FLOW_SERVICE_URL",
            &*format!("http://{flow}/data/foundation/flowservice"),
        )])
        .await;
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
    let says = "The auth of a connection is invalid: id 17";
    let body = json!({"errorMessage": says}).to_string().leak();
    let flow = answering(StatusCode::BAD_REQUEST, body).await;
    let service =
        TestService::with([("HCS_FLOW_SERVICE_URL", &*format!("http://{flow}/data/foundation/flowservice"))])
            .await;
    let credentials = proto::HubSpotCredentials {
        client_id: "a".to_owned(),
        client_secret: "id".to_owned(),
        access_token: "17".to_owned(),
        refresh_token: "auth".to_owned(),
    };
    let request = proto::CreateHubSpotConnectionRequest { credentials: Some(credentials), ..request() };
    let failure = service.send(request).await.unwrap_err();
    assert!(failure.message.contains(&says.replace("auth", "[redacted]")), "{failure:?}");
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
async fn a_throttle_says_when_to_try_again() {
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
async fn a_stuck_flow_service_holds_up_only_what_needs_it() {
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
    // The store knows the answer of one, and that the other one has to wait.
    let again = service.send(with_id("earlier", 1)).await.unwrap();
    assert!(again.replayed && again.id == made.id, "{again:?}");
    let failure = service.send(with_id("later", 2)).await.unwrap_err();
    assert_eq!(failure.row(), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(failure.retry_after.is_some());
    // Reads have a place of their own, for one at a time.
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
    // What was turned away has left nothing in its way.
    let later = service.send(with_id("later", 2)).await.unwrap();
    assert!(!later.replayed, "{later:?}");
    assert_eq!(service.emulator.connections().len(), 3);
}

#[tokio::test]
async fn an_unreachable_flow_service_means_that_nothing_was_sent() {
    let closed = closed_port().await;
    let service = TestService::with([(
        "HCS_FLOW_SERVICE_URL",
        &format!("http://{closed}/data/foundation/flowservice"),
    )])
    .await;
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert!(failure.retry_after.is_some());
    assert!(!failure.message.contains("127.0.0.1"), "{failure:?}");
}

#[tokio::test]
async fn a_creation_that_still_waits_when_its_replica_stops_is_told_so() {
    let slow_token = json!([{"route": TOKEN, "count": 0, "action": {"delay": "30s"}}]);
    let service = TestService::with_faults(slow_token, []).await;
    let mut client = service.client().await;
    let emulator = service.emulator.clone();
    let creation = tokio::spawn(async move { client.create_hub_spot_connection(request()).await });
    let is_waiting = || emulator.received().iter().any(|r| r.path.ends_with("/ims/token/v3"));
    until("a request for a token", is_waiting).await;
    let stopping = service.begin_to_stop();
    let failure = Failure::from(creation.await.unwrap().unwrap_err());
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert!(failure.message.contains("this replica is stopping"), "{failure:?}");
    assert!(failure.message.contains("nothing was created"), "{failure:?}");
    assert_eq!(failure.metadata("stage"), "adobe_token");
    stopping.await.unwrap();
}

/// What the log of a service says that could not do what was asked of it, as JSON.
async fn log_of_a_failure(settings: &[(&str, &str)]) -> String {
    let emulator = start_emulator(Options::default()).await;
    let haste = [("HCS_REQUEST_TIMEOUT", "900ms"), ("HCS_LOG_FORMAT", "json")];
    let service = ServiceProcess::start(&emulator, &[&haste, settings].concat()).await;
    service.client().await.create_hub_spot_connection(request()).await.unwrap_err();
    service.stop().await.1.stdout().into_owned()
}

#[tokio::test]
async fn the_log_has_the_address_that_could_not_be_reached() {
    let closed = closed_port().await.to_string();
    let port = closed.rsplit(':').next().unwrap();
    let flow = format!("http://{closed}/data/foundation/flowservice");
    let ims = format!("http://localhost:{port}/ims/token/v3");
    let proxy = format!("http://{closed}");
    // Of a proxy, it is not the one that was asked for.
    let by_proxy = [
        ("HCS_UPSTREAM_PROXY", &*proxy),
        ("HCS_IMS_URL", "http://ims.example.com/ims/token/v3"),
        ("HCS_UPSTREAM_ALLOW_HTTP", "true"),
    ];
    for settings in [&[("HCS_FLOW_SERVICE_URL", &*flow)][..], &[("HCS_IMS_URL", &*ims)], &by_proxy] {
        let log = log_of_a_failure(settings).await;
        let line = log.lines().find(|line| line.contains("refused (os error")).unwrap();
        let address =
            if settings[0].0 == "HCS_IMS_URL" { format!("localhost:{port}") } else { closed.clone() };
        assert!(line.contains(&address) && line.contains(&closed), "{line}");
        assert_eq!(line.matches("tcp connect error").count(), 1, "{line}");
        assert_eq!(line.matches("error sending request").count(), 1, "{line}");
    }
}

#[tokio::test]
async fn the_log_says_what_came_instead_of_a_token_and_from_where() {
    let ims = answering(StatusCode::SERVICE_UNAVAILABLE, "down").await;
    let url = format!("http://{ims}/ims/token/v3");
    let log = log_of_a_failure(&[("HCS_IMS_URL", &url)]).await;
    let line = log.lines().find(|line| line.contains("no new Adobe access token")).unwrap();
    assert!(line.contains(&format!("HTTP 503, text/plain, from {ims}")), "{line}");

    let ims = answering(StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"internal_error"}"#).await;
    let url = format!("http://{ims}/ims/token/v3");
    let log = log_of_a_failure(&[("HCS_IMS_URL", &url)]).await;
    let line = log.lines().find(|line| line.contains("no new Adobe access token")).unwrap();
    assert!(line.contains(&format!("IMS issues no token (internal_error): HTTP 500, from {ims}")), "{line}");
}

#[tokio::test]
async fn ims_failures_are_told_apart() {
    let unavailable = (Code::Unavailable, "UPSTREAM_UNAVAILABLE");
    for (action, row, says) in [
        (json!({"status": 429, "shape": "D"}), (Code::ResourceExhausted, "UPSTREAM_THROTTLED"), "throttles"),
        (json!({"status": 500, "shape": "D"}), unavailable, "access token at the moment (HTTP 500)"),
        (json!({"close": "before_commit"}), unavailable, "access token at the moment"),
    ] {
        let service = TestService::with_faults(
            json!([{"route": TOKEN, "count": 0, "action": action}]),
            [("HCS_REQUEST_TIMEOUT", "900ms")],
        )
        .await;
        let failure = service.create().await.unwrap_err();
        assert_eq!(failure.row(), row, "{action}");
        assert!(failure.message.contains(says), "{failure:?}");
        assert_eq!(failure.metadata("stage"), "adobe_token");
        assert_eq!(service.requests_to("POST", "/connections"), 0);
    }
}

#[tokio::test]
async fn wrong_client_credentials_and_wrong_scopes_are_told_apart() {
    let service = TestService::with([("HCS_CLIENT_SECRET", "wrong")]).await;
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::FailedPrecondition, "PLATFORM_CREDENTIALS_REJECTED"));
    assert_eq!(failure.metadata("upstream_code"), "invalid_client");
    assert!(failure.message.contains("HCS_CLIENT_SECRET"), "{failure:?}");

    // The emulator takes any scopes that the configuration lets through.
    let ims = answering(StatusCode::BAD_REQUEST, r#"{"error":"invalid_scope"}"#).await;
    let service = TestService::with([("HCS_IMS_URL", &format!("http://{ims}/ims/token/v3"))]).await;
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::FailedPrecondition, "PLATFORM_CREDENTIALS_REJECTED"));
    assert_eq!(failure.metadata("upstream_code"), "invalid_scope");
    assert_eq!((failure.metadata("upstream_status"), failure.metadata("stage")), ("400", "adobe_token"));
    assert!(failure.message.contains("HCS_SCOPES"), "{failure:?}");
    assert!(failure.forbids_retry);
}

#[tokio::test]
async fn a_secret_file_that_is_gone_may_be_back_soon_and_is_for_an_operator() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("secret-that-will-be-gone");
    fs::write(&path, CLIENT_SECRET).unwrap();
    let service = TestService::with([
        ("HCS_CLIENT_SECRET", ""),
        ("HCS_CLIENT_SECRET_FILE", path.to_str().unwrap()),
        ("HCS_REQUEST_TIMEOUT", "900ms"),
    ])
    .await;
    service.create().await.unwrap();
    fs::remove_file(&path).unwrap();
    // A token that is refused makes the service fetch another one.
    let refused = json!([{"route": CREATE, "action": {"status": 401, "shape": "D"}}]);
    let failure = service.create_with_faults(refused).await;
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert!(failure.retry_after.is_some());
    assert!(failure.message.contains("HCS_CLIENT_SECRET_FILE"), "{failure:?}");
    assert!(!failure.message.contains("secret-that-will-be-gone"), "{failure:?}");
    assert_eq!(failure.metadata("stage"), "adobe_token");
    assert_eq!(service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn an_unreachable_ims_means_that_nothing_was_sent() {
    let closed = closed_port().await;
    let service = TestService::with([
        ("HCS_IMS_URL", &*format!("http://{closed}/ims/token/v3")),
        ("HCS_REQUEST_TIMEOUT", "900ms"),
    ])
    .await;
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert!(failure.retry_after.is_some());
}

#[tokio::test]
async fn a_spent_deadline_says_how_far_the_call_had_come() {
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
async fn the_longest_wait_is_the_services_own() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "200ms")]).await;
    let failure = service.create_with_faults(json!([{"route": CREATE, "action": {"delay": "30s"}}])).await;
    assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn a_timeout_that_is_none_is_named() {
    let service = TestService::start().await;
    let failure = service.create_within("soon").await;
    assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
    assert_eq!(failure.violations[0].0, "grpc-timeout");
    assert_eq!(failure.violations[0].1.reason, "MALFORMED");
}

/// A port that nobody listens on.
async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A server that has one answer to everything.
async fn answering(status: StatusCode, body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move || std::future::ready((status, body)));
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}
