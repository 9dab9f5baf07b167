//! Adobe access tokens: their number, their form, and when they are fetched.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use futures_util::future::join_all;
use hubspot_connection_service::{
    emulator::{self, Options, ReceivedRequest, Settings},
    proto::{
        self, CreateHubSpotConnectionResponse,
        hub_spot_connection_service_client::HubSpotConnectionServiceClient,
    },
};
use serde_json::{Value, json};
use tokio::time::{Instant, interval};
use tonic::{Code, Response, Status, transport::Channel};

use crate::support::{ServiceProcess, TestService, in_time, inject, request, start_emulator};

const CREATE: &str = "POST /connections";
const TOKEN: &str = "POST /ims/token/v3";
const REJECTED: (Code, &str) = (Code::FailedPrecondition, "PLATFORM_CREDENTIALS_REJECTED");

fn received(service: &TestService, path_end: &str) -> Vec<ReceivedRequest> {
    service.emulator.received().into_iter().filter(|request| request.path.ends_with(path_end)).collect()
}

/// The tokens with which creations were sent, one for each request.
fn tokens_used(service: &TestService) -> Vec<String> {
    let creations = received(service, "/connections");
    creations.iter().map(|request| request.headers["authorization"].to_str().unwrap().to_owned()).collect()
}

/// Makes this many creations at the same time.
async fn create_at_once(
    client: HubSpotConnectionServiceClient<Channel>,
    number: usize,
) -> Vec<Result<Response<CreateHubSpotConnectionResponse>, Status>> {
    let creations = (0..number).map(|_| {
        let mut client = client.clone();
        async move { client.create_hub_spot_connection(request()).await }
    });
    in_time("the creations", join_all(creations)).await
}

#[tokio::test]
async fn fifty_first_creations_at_once_need_one_token() {
    let slow_token = json!([{"route": TOKEN, "action": {"delay": "300ms"}}]);
    let service = TestService::with_faults(slow_token, []).await;
    for result in create_at_once(service.client().await, 50).await {
        result.unwrap();
    }
    assert_eq!(service.requests_to("POST", "/ims/token/v3"), 1);
    assert_eq!(service.emulator.connections().len(), 50);
    assert_eq!(tokens_used(&service).into_iter().collect::<BTreeSet<_>>().len(), 1);
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_the_creation_is_retried() {
    for action in [
        json!({"status": 401, "shape": "D", "code": "401013"}),
        json!({"status": 401, "shape": "D", "code": 401_013}),
        json!({"status": 400, "shape": "A", "code": "2115"}),
        json!({"status": 400, "shape": "A", "code": "2114"}),
    ] {
        let service = TestService::start().await;
        service.inject(json!([{"route": CREATE, "action": action}]));
        service.create().await.unwrap();
        let tokens = tokens_used(&service);
        assert_eq!(tokens.len(), 2, "{action}");
        assert_ne!(tokens[0], tokens[1], "{action}");
        assert_eq!(service.requests_to("POST", "/ims/token/v3"), 2, "{action}");
        assert_eq!(service.emulator.connections().len(), 1);
    }
}

#[tokio::test]
async fn two_refused_tokens_in_a_row_are_unavailable_and_report_when_to_retry() {
    for action in
        [json!({"status": 401, "shape": "D", "code": "401013"}), json!({"status": 400, "code": "2115"})]
    {
        let service = TestService::start().await;
        let failure =
            service.create_with_faults(json!([{"route": CREATE, "count": 2, "action": action}])).await;
        assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"), "{action}");
        assert!(failure.retry_after.is_some(), "{failure:?}");
        let tokens = tokens_used(&service);
        assert_eq!(tokens.len(), 2, "{action}");
        assert_ne!(tokens[0], tokens[1], "{action}");
        assert_eq!(service.emulator.connections().len(), 0);
    }
}

#[tokio::test]
async fn a_token_is_requested_with_the_form_that_adobe_documents() {
    let service = TestService::start().await;
    service.create().await.unwrap();
    let requests = received(&service, "/ims/token/v3");
    let [token] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((token.path.as_str(), token.query.as_deref()), ("/ims/token/v3", None));
    assert_eq!(token.headers["content-type"], "application/x-www-form-urlencoded");
    assert!(!token.headers.contains_key("authorization"));
    let pairs: BTreeSet<_> = str::from_utf8(&token.body).unwrap().split('&').collect();
    let expected = [
        "grant_type=client_credentials",
        &format!("client_id={}", emulator::CLIENT_ID),
        &format!("client_secret={}", emulator::CLIENT_SECRET),
        "scope=openid%2CAdobeID%2Cread_organizations%2Cadditional_info.projectedProductContext",
    ];
    assert_eq!(pairs, BTreeSet::from(expected));
}

#[tokio::test]
async fn a_client_secret_in_a_file_is_read_again_for_each_attempt() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("client-secret-that-is-corrected");
    fs::write(&path, "wrong").unwrap();
    let service =
        TestService::with([("HCS_CLIENT_SECRET", ""), ("HCS_CLIENT_SECRET_FILE", path.to_str().unwrap())])
            .await;
    let failure = service.create().await.unwrap_err();
    assert_eq!((failure.row(), failure.metadata("upstream_code")), (REJECTED, "invalid_client"));

    // In one step, as Kubernetes does it.
    let next = path.with_extension("next");
    fs::write(&next, emulator::CLIENT_SECRET).unwrap();
    fs::rename(&next, &path).unwrap();
    let mut ticks = interval(Duration::from_millis(50));
    in_time("the next attempt", async {
        while let Err(failure) = service.create().await {
            assert_eq!(failure.row(), REJECTED);
            ticks.tick().await;
        }
    })
    .await;
    assert_eq!(service.emulator.connections().len(), 1);
    assert_eq!(service.requests_to("POST", "/ims/token/v3"), 2);
}

/// A service with a token that is never renewed.
async fn with_a_ready_token(faults: Value) -> TestService {
    let settings = [("HCS_CLIENT_SECRET", ""), ("HCS_ACCESS_TOKEN", emulator::DEMO_ACCESS_TOKEN)];
    TestService::with_faults(faults, settings).await
}

#[tokio::test]
async fn one_stray_refusal_of_a_ready_token_fails_no_call() {
    for action in
        [json!({"status": 401, "shape": "D", "code": "401013"}), json!({"status": 400, "code": "2115"})]
    {
        let service = with_a_ready_token(json!([{"route": CREATE, "count": 1, "action": action}])).await;
        in_time("the creation", service.create()).await.unwrap();
        let id = in_time("the creation after it", service.create()).await.unwrap().id;
        service.inject(json!([{"route": "GET /connections/{id}", "count": 1, "action": action}]));
        let read = proto::GetHubSpotConnectionRequest { id, ..Default::default() };
        let mut client = service.client().await;
        in_time("the read", client.get_hub_spot_connection(read)).await.unwrap();
        assert_eq!(service.emulator.connections().len(), 2, "{action}");
    }
}

#[tokio::test]
async fn a_ready_token_that_is_accepted_again_is_used_again_within_seconds() {
    let refused = json!({"status": 401, "shape": "D", "code": "401013"});
    let service = with_a_ready_token(json!([{"route": CREATE, "count": 4, "action": refused}])).await;
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert!(failure.retry_after <= Some(Duration::from_secs(60)), "{failure:?}");
    assert!(failure.message.contains("HCS_ACCESS_TOKEN"), "{failure:?}");
    // The next calls wait for the token, and the last one finds it accepted.
    let mut ticks = interval(Duration::from_millis(50));
    in_time("a creation", async {
        while let Err(failure) = service.create().await {
            assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
            ticks.tick().await;
        }
    })
    .await;
    assert_eq!(service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn a_fresh_token_that_comes_too_late_is_unavailable_and_no_fault_of_the_credential() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "1s")]).await;
    service.create().await.unwrap();
    let failure = service
        .create_with_faults(json!([
            {"route": CREATE, "action": {"status": 401, "shape": "D", "code": "401013"}},
            {"route": TOKEN, "action": {"delay": "20s"}},
        ]))
        .await;
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert!(failure.retry_after.is_some(), "{failure:?}");
}

#[tokio::test]
async fn calls_wait_for_a_token_that_ims_issues_later() {
    let failing = json!([{"route": TOKEN, "count": 2, "action": {"status": 503, "shape": "empty"}}]);
    let service = TestService::with_faults(failing, []).await;
    for result in create_at_once(service.client().await, 50).await {
        result.unwrap();
    }
    assert_eq!(service.requests_to("POST", "/ims/token/v3"), 3);
    assert_eq!(service.emulator.connections().len(), 50);
}

/// The lines of a log that are warnings.
fn warnings(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["level"] == "WARN").collect()
}

#[tokio::test]
async fn calls_that_fail_together_have_a_line_each_and_few_are_warnings() {
    let emulator = start_emulator(Options::default()).await;
    let failing = json!([{"route": TOKEN, "count": 0, "action": {"status": 503, "shape": "empty"}}]);
    inject(&emulator, failing);
    let settings = [("HCS_LOG_FORMAT", "json"), ("HCS_REQUEST_TIMEOUT", "500ms")];
    let service = ServiceProcess::start(&emulator, &settings).await;
    for result in create_at_once(service.client().await, 100).await {
        assert_eq!(result.unwrap_err().code(), Code::Unavailable);
    }
    let (_, output) = service.stop().await;
    let lines = output.log_lines();
    let calls = |lines: &[Value]| lines.iter().filter(|line| line["code"] == "UNAVAILABLE").count();
    assert_eq!(calls(&lines), 100);
    // Ten in each of two seconds, the one about the token and the one about the store.
    assert!(warnings(&lines).len() <= 22, "{:#?}", warnings(&lines));
}

#[tokio::test]
async fn a_failing_start_does_not_fill_the_log() {
    let emulator = start_emulator(Options::default()).await;
    let failing = json!([{"route": TOKEN, "count": 3, "action": {"status": 503, "shape": "empty"}}]);
    inject(&emulator, failing);
    let service = ServiceProcess::start(&emulator, &[("HCS_LOG_FORMAT", "json")]).await;
    for result in create_at_once(service.client().await, 100).await {
        result.unwrap();
    }
    let (_, output) = service.stop().await;
    let lines = output.log_lines();
    let warnings = warnings(&lines);
    let tokens = warnings.iter().filter(|line| line["message"] == "no new Adobe access token").count();
    // The other one is about the store.
    assert!(tokens == 1 && warnings.len() <= 2, "{warnings:#?}");
}

#[tokio::test]
async fn short_lived_tokens_are_renewed_without_a_failure() {
    let emulator = start_emulator(Options::default()).await;
    emulator.settings(Settings { token_ttl: Duration::from_secs(2), ..Settings::default() });
    let service = TestService::against(emulator, []).await;
    let mut client = service.client().await;
    let started = Instant::now();
    let mut ticks = interval(Duration::from_millis(10));
    let mut created = 0;
    while started.elapsed() < Duration::from_secs(4) {
        in_time("a creation", client.create_hub_spot_connection(request())).await.unwrap();
        created += 1;
        ticks.tick().await;
    }
    let tokens = tokens_used(&service);
    assert_eq!(tokens.len(), created, "none was refused");
    assert!(tokens.into_iter().collect::<BTreeSet<_>>().len() >= 3);
}
