//! Errors of a creation without an access token from IMS, and their log lines.

use std::{fs, path::Path};

use http::StatusCode;
use hubspot_connection_service::emulator::{CLIENT_SECRET, Options};
use serde_json::json;
use tonic::Code;

use super::{CREATE, TOKEN, closed_port, server};
use crate::support::{Failure, ServiceProcess, TestService, request, start_emulator, until};

#[tokio::test]
async fn a_creation_that_waits_when_its_replica_stops_fails_as_unavailable() {
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

/// The JSON log of a service whose creation fails.
async fn log_of_a_failure(settings: &[(&str, &str)]) -> String {
    let emulator = start_emulator(Options::default()).await;
    let json_log = [("HCS_REQUEST_TIMEOUT", "900ms"), ("HCS_LOG_FORMAT", "json")];
    let service = ServiceProcess::start(&emulator, &[&json_log, settings].concat()).await;
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
    // With a proxy, the address is not the requested one.
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
async fn the_log_names_the_response_that_came_instead_of_a_token_and_its_sender() {
    let ims = server(StatusCode::SERVICE_UNAVAILABLE, "down").await;
    let url = format!("http://{ims}/ims/token/v3");
    let log = log_of_a_failure(&[("HCS_IMS_URL", &url)]).await;
    let line = log.lines().find(|line| line.contains("no new Adobe access token")).unwrap();
    assert!(line.contains(&format!("HTTP 503, text/plain, from {ims}")), "{line}");

    let ims = server(StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"internal_error"}"#).await;
    let url = format!("http://{ims}/ims/token/v3");
    let log = log_of_a_failure(&[("HCS_IMS_URL", &url)]).await;
    let line = log.lines().find(|line| line.contains("no new Adobe access token")).unwrap();
    assert!(line.contains(&format!("IMS issues no token (internal_error): HTTP 500, from {ims}")), "{line}");
}

#[tokio::test]
async fn ims_failures_are_distinguished() {
    let unavailable = (Code::Unavailable, "UPSTREAM_UNAVAILABLE");
    for (action, row, words) in [
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
        assert!(failure.message.contains(words), "{failure:?}");
        assert_eq!(failure.metadata("stage"), "adobe_token");
        assert_eq!(service.requests_to("POST", "/connections"), 0);
    }
}

#[tokio::test]
async fn wrong_client_credentials_and_wrong_scopes_are_distinguished() {
    let service = TestService::with([("HCS_CLIENT_SECRET", "wrong")]).await;
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::FailedPrecondition, "PLATFORM_CREDENTIALS_REJECTED"));
    assert_eq!(failure.metadata("upstream_code"), "invalid_client");
    assert!(failure.message.contains("HCS_CLIENT_SECRET"), "{failure:?}");

    // The emulator accepts any scopes that the configuration permits.
    let ims = server(StatusCode::BAD_REQUEST, r#"{"error":"invalid_scope"}"#).await;
    let service = TestService::with([("HCS_IMS_URL", &format!("http://{ims}/ims/token/v3"))]).await;
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::FailedPrecondition, "PLATFORM_CREDENTIALS_REJECTED"));
    assert_eq!(failure.metadata("upstream_code"), "invalid_scope");
    assert_eq!((failure.metadata("upstream_status"), failure.metadata("stage")), ("400", "adobe_token"));
    assert!(failure.message.contains("HCS_SCOPES"), "{failure:?}");
    assert!(failure.forbids_retry);
}

#[tokio::test]
async fn a_missing_secret_file_is_unavailable_and_names_its_setting() {
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
