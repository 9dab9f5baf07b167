//! `validate_only`: everything is checked, nothing is created.

use hubspot_connection_service::{
    emulator::{self, Emulator},
    proto::{
        Check, CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse, HubSpotCredentials,
        check::State::{self, Failed, Passed, Skipped},
    },
};
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::support::{FINGERPRINT_KEY, TestService, listen, request};

const LIST: &str = "GET /connections";
const SPEC: &str = "GET /connectionSpecs/{id}";
const SPEC_PATH: &str = "/connectionSpecs/cc6a4487-9e91-433e-a3a3-9cf6626c1806";

fn dry_run() -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest { validate_only: true, ..request() }
}

/// The checks of a dry run, which has no other result and creates nothing.
async fn checks(service: &TestService, request: CreateHubSpotConnectionRequest) -> [Check; 3] {
    let created = service.requests_to("POST", "/connections");
    let response = service.send(request).await.unwrap();
    assert_eq!(service.requests_to("POST", "/connections"), created);
    let checks = response.checks.clone();
    assert_eq!(CreateHubSpotConnectionResponse { checks: Vec::new(), ..response }, Default::default());
    let names: Vec<_> = checks.iter().map(|check| &*check.name).collect();
    assert_eq!(names, ["adobe_token", "sandbox", "connection_spec"]);
    for check in &checks {
        assert!(!check.message.is_empty());
        assert!(check.state() != Failed || check.message.contains(": "), "no cure in {check:?}");
    }
    checks.try_into().unwrap()
}

fn states(checks: &[Check; 3]) -> [State; 3] {
    checks.each_ref().map(Check::state)
}

const TOKEN_FAILED: [State; 3] = [Failed, Skipped, Skipped];
const SANDBOX_FAILED: [State; 3] = [Passed, Failed, Skipped];
const SPEC_FAILED: [State; 3] = [Passed, Passed, Failed];
/// The first request to Adobe fails.
const UNDECIDED: [State; 3] = [Skipped, Failed, Skipped];

async fn drift_metric(service: &TestService) -> String {
    let metrics = reqwest::get(format!("http://{}/metrics", service.admin)).await.unwrap();
    let text = metrics.text().await.unwrap();
    assert!(text.contains("# TYPE hubspot_connection_spec_drift gauge\n"), "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("hubspot_connection_spec_drift "));
    line.unwrap_or_default().to_owned()
}

/// The authentication part of the specification, with a change.
fn auth_spec(change: impl FnOnce(&mut Value)) -> Value {
    let text = json!({"type": "string"});
    let mut auth_spec = json!({"name": "Basic Authentication", "spec": {
        "type": "object",
        "properties": {"clientId": text, "clientSecret": text, "accessToken": text, "refreshToken": text},
        "required": ["clientId", "clientSecret", "accessToken", "refreshToken"],
    }});
    change(&mut auth_spec);
    json!({"auth_spec": auth_spec})
}

#[tokio::test]
async fn a_creation_that_would_succeed_is_only_checked() {
    let service = TestService::start().await;
    assert_eq!(states(&checks(&service, dry_run()).await), [Passed; 3]);
    let received = service.emulator.received();
    let sent: Vec<_> = received.iter().map(|request| (request.method.as_str(), &*request.path)).collect();
    let base = emulator::BASE_PATH;
    assert_eq!(
        sent,
        [
            ("POST", emulator::IMS_PATH),
            ("GET", &*format!("{base}/connections")),
            ("GET", &*format!("{base}{SPEC_PATH}")),
        ]
    );
    assert_eq!(service.emulator.connections().len(), 0);
    assert_eq!(drift_metric(&service).await, "0");
}

#[tokio::test]
async fn bad_fields_are_found_like_those_of_a_creation() {
    let service = TestService::start().await;
    let credentials = HubSpotCredentials { client_id: "hs".to_owned(), ..HubSpotCredentials::default() };
    let bad = CreateHubSpotConnectionRequest {
        name: String::new(),
        credentials: Some(credentials),
        sandbox_name: "Prod".to_owned(),
        request_id: "1".to_owned(),
        verification: 9,
        ..dry_run()
    };
    let failure = service.send(bad).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
    let fields: Vec<_> = failure.violations.iter().map(|(field, _)| &**field).collect();
    assert_eq!(
        fields,
        [
            "name",
            "credentials.client_secret",
            "credentials.access_token",
            "credentials.refresh_token",
            "sandbox_name",
            "verification",
        ]
    );
    let elsewhere = CreateHubSpotConnectionRequest { sandbox_name: "qa".to_owned(), ..dry_run() };
    let failure = service.send(elsewhere).await.unwrap_err();
    assert_eq!(failure.row(), (Code::PermissionDenied, "SANDBOX_NOT_ALLOWED"));
    assert_eq!(service.requests_to("GET", ""), 0);
}

#[tokio::test]
async fn problems_for_the_operator_are_found() {
    let service = TestService::with([("HCS_CLIENT_SECRET", "wrong")]).await;
    let found = checks(&service, dry_run()).await;
    assert_eq!(states(&found), TOKEN_FAILED);
    assert!(found[0].message.contains("HCS_CLIENT_SECRET"), "{found:?}");

    let service = TestService::start().await;
    for (code, shape, expected) in [("2120", "A", SANDBOX_FAILED), ("403025", "D", TOKEN_FAILED)] {
        let action = json!({"status": 403, "shape": shape, "code": code});
        service.inject(json!([{"route": LIST, "action": action}]));
        let found = checks(&service, dry_run()).await;
        assert_eq!(states(&found), expected);
        let failed = found.iter().find(|check| check.state() == Failed).unwrap();
        assert!(failed.message.contains("operator") && failed.message.contains(code), "{failed:?}");
    }
}

#[tokio::test]
async fn an_unknown_sandbox_is_found() {
    let options =
        emulator::Options { sandboxes: Some(vec!["prod".to_owned()]), ..emulator::Options::default() };
    let service = TestService::against(Emulator::start(listen().await, options), []).await;
    let elsewhere = CreateHubSpotConnectionRequest { sandbox_name: "dev".to_owned(), ..dry_run() };
    let found = checks(&service, elsewhere).await;
    assert_eq!(states(&found), SANDBOX_FAILED);
    assert!(found[1].message.contains("does not exist"), "{found:?}");
    assert_eq!(states(&checks(&service, dry_run()).await), [Passed; 3]);
}

#[tokio::test]
async fn a_failing_flow_service_fails_the_check_that_it_leaves_undecided() {
    let service = TestService::start().await;
    for (route, expected) in [(LIST, UNDECIDED), (SPEC, SPEC_FAILED)] {
        service.inject(json!([{"route": route, "count": 0, "action": {"status": 503, "shape": "A"}}]));
        let found = checks(&service, dry_run()).await;
        assert_eq!(states(&found), expected, "{route}");
        let failed = found.iter().find(|check| check.state() == Failed).unwrap();
        assert!(
            failed.message.contains("cannot be asked") && failed.message.ends_with("try again"),
            "{failed:?}"
        );
    }
    service.inject(json!([{"route": SPEC, "action": {"status": 200, "shape": "html"}}]));
    assert_eq!(states(&checks(&service, dry_run()).await), SPEC_FAILED);
    assert_eq!(drift_metric(&service).await, "0");
    service.inject(json!([]));
    assert_eq!(states(&checks(&service, dry_run()).await), [Passed; 3]);
}

#[tokio::test]
async fn what_an_intermediary_replies_or_refuses_about_this_service_is_for_the_operator() {
    for (route, expected) in [(LIST, UNDECIDED), (SPEC, SPEC_FAILED)] {
        let service = TestService::start().await;
        for (status, shape) in [(200, "html"), (302, "html"), (403, "C"), (407, "C"), (429, "html")] {
            let action = json!({"status": status, "shape": shape});
            service.inject(json!([{"route": route, "count": 0, "action": action}]));
            let found = checks(&service, dry_run()).await;
            assert_eq!(states(&found), expected, "{route} {action}");
            let failed = found.iter().find(|check| check.state() == Failed).unwrap();
            assert!(failed.message.contains("not Adobe's (HTTP"), "{failed:?}");
            assert!(failed.message.contains("HCS_FLOW_SERVICE_URL"), "{failed:?}");
        }
        let action = json!({"status": 400, "code": "2105"});
        service.inject(json!([{"route": route, "count": 0, "action": action}]));
        let found = checks(&service, dry_run()).await;
        let failed = found.iter().find(|check| check.state() == Failed).unwrap();
        assert!(failed.message.contains("this service itself writes"), "{failed:?}");
        assert!(failed.message.contains("operator"), "{failed:?}");
        assert_eq!(drift_metric(&service).await, "1");
        service.inject(json!([]));
        assert_eq!(states(&checks(&service, dry_run()).await), [Passed; 3]);
        assert_eq!(drift_metric(&service).await, "0");
    }
}

#[tokio::test]
async fn a_drifted_specification_is_reported_and_creations_continue() {
    for (settings, words) in [
        (auth_spec(|auth| auth["name"] = json!("OAuth2 Refresh Code")), &["OAuth2 Refresh Code"][..]),
        (
            auth_spec(|auth| {
                auth["spec"]["required"].as_array_mut().unwrap().push(json!("region"));
                auth["spec"]["properties"]["clientId"]["type"] = json!("integer");
            }),
            &["\"region\"", "\"clientId\"", "integer"],
        ),
        (json!({"auth_spec": []}), &["Basic Authentication"]),
    ] {
        let service = TestService::start().await;
        service.set(settings.clone());
        service.create().await.unwrap();
        assert_eq!(drift_metric(&service).await, "0", "not read yet");

        let found = checks(&service, dry_run()).await;
        assert_eq!(states(&found), SPEC_FAILED, "{settings}");
        for word in words {
            assert!(found[2].message.contains(word), "{found:?}");
        }
        // The drift is not caused by the caller.
        assert!(found[2].message.contains("operator"), "{found:?}");
        assert_eq!(drift_metric(&service).await, "1");
        service.create().await.unwrap();
        assert_eq!(service.emulator.connections().len(), 2);
    }
}

/// A single stray 404 can cause it.
#[tokio::test]
async fn a_drift_that_is_gone_fails_dry_runs_for_a_minute_at_most() {
    let service = TestService::start().await;
    service.inject(json!([{"route": SPEC, "action": {"status": 404, "shape": "B"}}]));
    assert_eq!(states(&checks(&service, dry_run()).await), SPEC_FAILED);
    assert_eq!(states(&checks(&service, dry_run()).await), SPEC_FAILED);
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    tokio::time::resume();
    assert_eq!(states(&checks(&service, dry_run()).await), [Passed; 3]);
    assert_eq!(drift_metric(&service).await, "0");
    assert_eq!(service.requests_to("GET", SPEC_PATH), 2);
}

#[tokio::test]
async fn a_specification_that_is_gone_has_drifted() {
    let service = TestService::start().await;
    service.inject(json!([{"route": SPEC, "action": {"status": 404, "shape": "B"}}]));
    let found = checks(&service, dry_run()).await;
    assert_eq!(states(&found), SPEC_FAILED);
    assert!(found[2].message.contains("does not exist"), "{found:?}");
    assert_eq!(drift_metric(&service).await, "1");
}

#[tokio::test]
async fn a_parameter_that_may_be_left_out_is_no_drift() {
    let service = TestService::start().await;
    service.set(auth_spec(|auth| auth["spec"]["properties"]["region"] = json!({"type": "string"})));
    assert_eq!(states(&checks(&service, dry_run()).await), [Passed; 3]);
    assert_eq!(drift_metric(&service).await, "0");
}

#[tokio::test]
async fn the_specification_is_read_once_for_all() {
    let service = TestService::start().await;
    let runs = (0..5).map(|_| service.send(dry_run()));
    for response in futures_util::future::join_all(runs).await {
        response.unwrap();
    }
    // It is the same in every sandbox.
    let elsewhere = CreateHubSpotConnectionRequest { sandbox_name: "dev".to_owned(), ..dry_run() };
    service.send(elsewhere).await.unwrap();
    assert_eq!(service.requests_to("GET", SPEC_PATH), 1);
    assert_eq!(service.requests_to("GET", "/connections"), 6, "the permission is asked for each time");
}

#[tokio::test]
async fn a_request_id_is_not_consumed() {
    let service = TestService::start().await;
    let request_id = Uuid::new_v4().to_string();
    let checked = CreateHubSpotConnectionRequest { request_id: request_id.clone(), ..dry_run() };
    assert_eq!(states(&checks(&service, checked.clone()).await), [Passed; 3]);

    let other = CreateHubSpotConnectionRequest { request_id: request_id.clone(), ..request() };
    let created = service.send(other).await.unwrap();
    assert_eq!((created.request_id, created.replayed), (request_id, false));
    // The check ignores that the id has been used for another creation.
    assert_eq!(states(&checks(&service, checked).await), [Passed; 3]);
    assert_eq!(service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn without_the_store_a_creation_can_still_be_checked() {
    let service = TestService::with([
        ("HCS_REDIS_URL", "redis://127.0.0.1:1"),
        ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY),
    ])
    .await;
    service.send(dry_run()).await.unwrap();
}

#[tokio::test]
async fn a_flow_service_that_does_not_reply_fails_the_check_that_it_leaves_undecided() {
    for (route, expected) in [(LIST, UNDECIDED), (SPEC, SPEC_FAILED)] {
        let service = TestService::with([("HCS_REQUEST_TIMEOUT", "3s")]).await;
        service.inject(json!([{"route": route, "count": 0, "action": {"delay": "60s"}}]));
        // The second one waits for the first one.
        let (first, second) = tokio::join!(checks(&service, dry_run()), checks(&service, dry_run()));
        for found in [first, second] {
            assert_eq!(states(&found), expected, "{route}");
            let failed = found.iter().find(|check| check.state() == Failed).unwrap();
            assert!(failed.message.contains("cannot be asked"), "{failed:?}");
        }
    }
}
