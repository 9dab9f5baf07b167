//! `TestHubSpotConnection`: the finding of each check, and the failures that are errors instead.

use hubspot_connection_service::{
    emulator::{self, Emulator},
    proto::{self, check::State},
};
use serde_json::json;
use tonic::Code;

use crate::support::{Failure, TestService, credentials, listen, request, salesforce};

const GET: &str = "GET /connections/{id}";
const TEST: &str = "GET /connections/{id}/test";
const EXPLORE: &str = "GET /connections/{id}/explore";
const TOKEN: &str = "POST /ims/token/v3";

const NAMES: [&str; 5] = ["adobe_token", "sandbox", "connection", "connection_test", "tables"];

/// The states of the checks. Each check has a message, and failed ones tell what to do.
#[track_caller]
pub(crate) fn states(result: &proto::TestResult) -> [State; 5] {
    let names: Vec<_> = result.checks.iter().map(|check| &*check.name).collect();
    assert_eq!(names, NAMES);
    assert!(result.checks.iter().all(|check| !check.message.is_empty()), "{result:?}");
    let failed = result.checks.iter().filter(|check| check.state() == State::Failed);
    for check in failed {
        assert!(check.message.contains(": "), "no cure in {check:?}");
    }
    let states: Vec<_> = result.checks.iter().map(proto::Check::state).collect();
    states.try_into().unwrap()
}

pub(crate) const FAILED: State = State::Failed;
pub(crate) const ALL_PASSED: [State; 5] = [State::Passed; 5];
pub(crate) const TEST_FAILED: [State; 5] =
    [State::Passed, State::Passed, State::Passed, State::Failed, State::Skipped];
const TOKEN_FAILED: [State; 5] =
    [State::Failed, State::Skipped, State::Skipped, State::Skipped, State::Skipped];
const SANDBOX_FAILED: [State; 5] =
    [State::Passed, State::Failed, State::Skipped, State::Skipped, State::Skipped];
const CONNECTION_FAILED: [State; 5] =
    [State::Passed, State::Passed, State::Failed, State::Skipped, State::Skipped];
const TABLES_FAILED: [State; 5] = [State::Passed, State::Passed, State::Passed, State::Passed, State::Failed];
const TABLES_SKIPPED: [State; 5] =
    [State::Passed, State::Passed, State::Passed, State::Passed, State::Skipped];

pub(crate) async fn test(service: &TestService, id: &str) -> Result<proto::TestResult, Failure> {
    test_in(service, id, "").await
}

async fn test_in(service: &TestService, id: &str, sandbox: &str) -> Result<proto::TestResult, Failure> {
    let request = proto::TestHubSpotConnectionRequest { id: id.to_owned(), sandbox_name: sandbox.to_owned() };
    let response = service.client().await.test_hub_spot_connection(request).await;
    response.map(|response| response.into_inner().result.unwrap()).map_err(Failure::from)
}

#[tokio::test]
async fn a_connection_that_works_passes_every_check() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let result = test(&service, &id).await.unwrap();
    assert_eq!((states(&result), result.passed), (ALL_PASSED, true));
    assert!(result.checks[4].message.contains('4'), "the number of tables: {result:?}");
}

#[tokio::test]
async fn a_connection_that_the_flow_service_finds_broken_fails_its_test_with_a_cure() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    service.set(json!({"test_result": false}));
    let result = test(&service, &id).await.unwrap();
    assert_eq!((states(&result), result.passed), (TEST_FAILED, false));
    assert!(result.checks[3].message.contains("UpdateHubSpotConnection"), "{result:?}");
    assert!(result.checks[4].message.contains("connection_test failed"), "{result:?}");
    assert_eq!(service.requests_to("GET", "/explore"), 0);

    service.set(json!({}));
    assert!(test(&service, &id).await.unwrap().passed, "nothing of it is remembered");
}

#[tokio::test]
async fn a_token_that_adobe_refuses_is_a_finding_and_not_an_error() {
    let service = TestService::with([("HCS_CLIENT_SECRET", "wrong")]).await;
    let result = test(&service, "any").await.unwrap();
    assert_eq!((states(&result), result.passed), (TOKEN_FAILED, false));
    assert!(result.checks[0].message.contains("HCS_CLIENT_SECRET"), "{result:?}");

    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    for action in [
        json!({"status": 401, "shape": "D", "code": "401013"}),
        json!({"status": 403, "shape": "D", "code": "403003"}),
    ] {
        service.inject(json!([{"route": GET, "count": 0, "action": action}]));
        let result = test(&service, &id).await.unwrap();
        assert_eq!((states(&result), result.passed), (TOKEN_FAILED, false), "{action}");
        assert!(result.checks[0].message.contains("operator"), "{result:?}");
    }
}

#[tokio::test]
async fn a_sandbox_that_is_unknown_or_closed_to_this_service_is_a_finding() {
    let options =
        emulator::Options { sandboxes: Some(vec!["prod".to_owned()]), ..emulator::Options::default() };
    let service = TestService::against(Emulator::start(listen().await, options), []).await;
    let result = test_in(&service, "any", "dev").await.unwrap();
    assert_eq!((states(&result), result.passed), (SANDBOX_FAILED, false));
    assert!(result.checks[1].message.contains("does not exist"), "{result:?}");

    let id = service.create().await.unwrap().id;
    service.inject(json!([{"route": GET, "action": {"status": 403, "shape": "A", "code": "2120"}}]));
    let result = test(&service, &id).await.unwrap();
    assert_eq!((states(&result), result.passed), (SANDBOX_FAILED, false));
    assert!(result.checks[1].message.contains("View Sources"), "{result:?}");
}

#[tokio::test]
async fn a_connection_that_is_not_enabled_is_not_tested() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    for (state, cure) in [
        ("disabled", "enable it"),
        ("draft", "enable it"),
        ("initializing", "wait until"),
        ("updating", "wait until"),
    ] {
        assert!(service.emulator.set_state(&id, state));
        let result = test(&service, &id).await.unwrap();
        assert_eq!((states(&result), result.passed), (CONNECTION_FAILED, false), "{state}");
        let message = &result.checks[2].message;
        assert!(message.contains(state) && message.contains(cure), "{message}");
    }
    assert_eq!(service.requests_to("GET", "/test"), 0);

    // The Flow Service decides about an unknown state.
    assert!(service.emulator.set_state(&id, "hibernating"));
    assert!(test(&service, &id).await.unwrap().passed);
}

#[tokio::test]
async fn a_connection_that_is_not_hubspots_is_not_found_and_never_tested() {
    let service = TestService::start().await;
    let salesforce = salesforce(&service.emulator).await;
    let elsewhere = service
        .send(proto::CreateHubSpotConnectionRequest { sandbox_name: "dev".to_owned(), ..request() })
        .await
        .unwrap();
    for id in [&*salesforce, "unknown", &elsewhere.id] {
        let failure = test(&service, id).await.unwrap_err();
        assert_eq!(failure.row(), (Code::NotFound, "CONNECTION_NOT_FOUND"));
        assert_eq!(failure.resource, Some(("connection".to_owned(), id.to_owned())));
    }
    assert_eq!(service.requests_to("GET", "/test") + service.requests_to("GET", "/explore"), 0);
    assert!(test_in(&service, &elsewhere.id, "dev").await.unwrap().passed);

    // A connection that is deleted during its test is not found either.
    let id = service.create().await.unwrap().id;
    service.inject(json!([{"route": TEST, "action": {"status": 404, "shape": "B"}}]));
    let failure = test(&service, &id).await.unwrap_err();
    assert_eq!(failure.row(), (Code::NotFound, "CONNECTION_NOT_FOUND"));
}

#[tokio::test]
async fn bad_fields_and_forbidden_sandboxes_are_refused_before_anything_is_sent() {
    let service = TestService::start().await;
    for (id, sandbox, fields) in [("", "Prod", &["id", "sandbox_name"][..]), ("a/b", "", &["id"])] {
        let failure = test_in(&service, id, sandbox).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
        let violated: Vec<_> = failure.violations.iter().map(|(field, _)| &**field).collect();
        assert_eq!(violated, fields);
    }
    let failure = test_in(&service, "any", "qa").await.unwrap_err();
    assert_eq!(failure.row(), (Code::PermissionDenied, "SANDBOX_NOT_ALLOWED"));
    assert_eq!(service.requests_to("GET", ""), 0);
}

#[tokio::test]
async fn a_transient_failure_of_a_test_is_retried_and_a_lasting_one_is_unavailable() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let failing = |count| json!([{"route": TEST, "count": count, "action": {"status": 503, "shape": "A"}}]);
    service.inject(failing(1));
    assert!(test(&service, &id).await.unwrap().passed);

    service.inject(failing(0));
    let failure = test(&service, &id).await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert_eq!(failure.metadata("upstream_code"), "FLOW-1103-503");
    assert!(failure.retry_after.is_some());
}

#[tokio::test]
async fn an_unavailable_flow_service_is_not_a_finding() {
    let failing = json!([{"route": TOKEN, "count": 0, "action": {"status": 500, "shape": "D"}}]);
    // Less than the pause before the next attempt to get a token: the call does not wait for that one.
    let service = TestService::with_faults(failing, [("HCS_REQUEST_TIMEOUT", "1s")]).await;
    let failure = test(&service, "any").await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert_eq!(failure.metadata("stage"), "adobe_token");
}

#[tokio::test]
async fn a_test_without_a_verdict_is_undecodable() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    for (shape, row) in [
        ("A", (Code::Internal, "UPSTREAM_UNDECODABLE")),
        ("html", (Code::FailedPrecondition, "UPSTREAM_UNRECOGNIZED")),
        ("empty", (Code::FailedPrecondition, "UPSTREAM_UNRECOGNIZED")),
    ] {
        service.inject(json!([{"route": TEST, "action": {"status": 200, "shape": shape}}]));
        let failure = test(&service, &id).await.unwrap_err();
        assert_eq!(failure.row(), row, "{shape}");
    }
}

#[tokio::test]
async fn a_refused_test_fails_with_the_message_of_the_flow_service() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    for (code, status, words) in [("1308", 400, "check its credentials"), ("2120", 403, "Manage Sources")] {
        let action = json!({"status": status, "shape": "A", "code": code});
        service.inject(json!([{"route": TEST, "action": action}]));
        let result = test(&service, &id).await.unwrap();
        assert_eq!((states(&result), result.passed), (TEST_FAILED, false));
        let message = &result.checks[3].message;
        assert!(message.contains(&format!("FLOW-{code}-{status}")) && message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn refused_tables_are_a_finding_and_temporarily_unavailable_ones_are_not() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    for (action, words) in [
        (json!({"status": 400, "shape": "A", "code": "1308"}), "scopes"),
        (json!({"status": 403, "shape": "A", "code": "1100"}), "operator"),
    ] {
        service.inject(json!([{"route": EXPLORE, "count": 0, "action": action}]));
        let result = test(&service, &id).await.unwrap();
        assert_eq!((states(&result), result.passed), (TABLES_FAILED, false), "{action}");
        assert!(result.checks[4].message.contains(words), "{result:?}");
    }
    for action in [json!({"status": 503, "shape": "empty"}), json!({"status": 200, "shape": "html"})] {
        service.inject(json!([{"route": EXPLORE, "count": 0, "action": action}]));
        let result = test(&service, &id).await.unwrap();
        assert_eq!((states(&result), result.passed), (TABLES_SKIPPED, true), "{action}");
    }
}

#[tokio::test]
async fn a_source_that_is_slow_with_its_tables_does_not_cost_the_rest_of_the_findings() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "1s")]).await;
    let id = service.create().await.unwrap().id;
    service.inject(json!([{"route": EXPLORE, "count": 0, "action": {"delay": "30s"}}]));
    let result = test(&service, &id).await.unwrap();
    assert_eq!((states(&result), result.passed), (TABLES_SKIPPED, true));
}

#[tokio::test]
async fn a_deadline_exceeded_while_testing_is_reported_as_one() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "500ms")]).await;
    let id = service.create().await.unwrap().id;
    service.inject(json!([{"route": TEST, "count": 0, "action": {"delay": "30s"}}]));
    let failure = test(&service, &id).await.unwrap_err();
    assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!((failure.metadata("stage"), failure.metadata("may_exist")), ("read", "false"));
}

#[tokio::test]
async fn no_response_of_the_flow_service_puts_credentials_into_a_result() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let shown = format!("{:?}", test(&service, &id).await.unwrap());
    let proto::HubSpotCredentials { client_id, client_secret, access_token, refresh_token } = credentials();
    for secret in [client_id, client_secret, access_token, refresh_token] {
        assert!(!shown.contains(&secret), "{shown}");
    }
}
