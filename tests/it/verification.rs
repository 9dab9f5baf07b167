//! A creation whose caller wants to know whether the connection works, or wants only a working one.

mod left_behind;
mod replicas;

use hubspot_connection_service::proto::{CreateHubSpotConnectionRequest, Verification};
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::{
    diagnosis::{self, ALL_PASSED, TEST_FAILED, states},
    support::{Failure, SETTLES_FAST, TestService, in_time, request, until},
};

const GET: &str = "GET /connections/{id}";
const TEST: &str = "GET /connections/{id}/test";
const DELETE: &str = "DELETE /connections/{id}";

fn verified(verification: Verification) -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest { verification: verification.into(), ..request() }
}

fn with_id(verification: Verification) -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest { request_id: Uuid::new_v4().to_string(), ..verified(verification) }
}

/// A test that fails to run.
fn no_test() -> Value {
    json!([{"route": TEST, "count": 0, "action": {"status": 503, "shape": "A"}}])
}

/// The number of requests received.
fn arrived(service: &TestService) -> usize {
    service.emulator.received().len()
}

fn posts(service: &TestService) -> usize {
    service.requests_to("POST", "/connections")
}

/// Waits for a connection whose creation no caller knows of, and returns its ID.
async fn created(service: &TestService) -> String {
    until("a connection", || !service.emulator.connections().is_empty()).await;
    service.emulator.connections()[0].id.clone()
}

/// Checks that a creation was refused because the connection does not work.
#[track_caller]
fn assert_verification_failed(failure: &Failure, left_behind: &str) {
    assert_eq!(failure.row(), (Code::FailedPrecondition, "VERIFICATION_FAILED"), "{failure:?}");
    assert_eq!(failure.metadata("connection_id"), left_behind);
    assert_eq!(failure.metadata("request_id").len(), 36);
    let [(kind, subject, description)] = &*failure.preconditions else { panic!("{failure:?}") };
    assert_eq!((&**kind, &**subject), ("VERIFICATION_FAILED", "connection_test"));
    assert!(description.contains("check the credentials"), "{description}");
    assert!(failure.message.contains("request_id") && failure.forbids_retry, "{failure:?}");
}

/// Checks that it is still undecided whether the connection works.
#[track_caller]
fn assert_pending(failure: &Failure, code: Code, id: &str) {
    assert_eq!(failure.row(), (code, "OUTCOME_UNKNOWN"), "{failure:?}");
    assert_eq!((failure.metadata("connection_id"), failure.metadata("stage")), (id, "verify"));
    assert_eq!(failure.metadata("request_id").len(), 36);
    assert_eq!(failure.forbids_retry, code == Code::Unknown);
}

#[tokio::test]
async fn without_verification_nothing_is_tested() {
    let service = TestService::start().await;
    for verification in [Verification::Unspecified, Verification::None] {
        assert_eq!(service.send(verified(verification)).await.unwrap().test, None);
    }
    assert_eq!(service.requests_to("GET", ""), 0);
}

#[tokio::test]
async fn a_connection_that_works_comes_with_its_test() {
    for verification in [Verification::Report, Verification::Require] {
        let service = TestService::start().await;
        let request = with_id(verification);
        let first = service.send(request.clone()).await.unwrap();
        let test = first.test.clone().unwrap();
        assert_eq!((states(&test), test.passed, first.replayed), (ALL_PASSED, true, false));
        assert_eq!(service.emulator.connections()[0].id, first.id);

        // The finding is remembered, whatever a new test would find.
        let sent = arrived(&service);
        service.set(json!({"test_result": false}));
        let retried = service.send(request).await.unwrap();
        assert_eq!((&retried.id, &retried.etag, retried.replayed), (&first.id, &first.etag, true));
        assert_eq!((retried.test, arrived(&service)), (Some(test), sent));
    }
}

#[tokio::test]
async fn a_report_that_a_connection_does_not_work_comes_with_the_connection() {
    let service = TestService::start().await;
    service.set(json!({"test_result": false}));
    let request = with_id(Verification::Report);
    let first = service.send(request.clone()).await.unwrap();
    let test = first.test.clone().unwrap();
    assert_eq!((states(&test), test.passed), (TEST_FAILED, false));
    let sent = arrived(&service);
    let retried = service.send(request).await.unwrap();
    assert_eq!((&retried.id, retried.test, arrived(&service)), (&first.id, Some(test), sent));
    assert_eq!(service.emulator.connections()[0].id, first.id);
    assert_eq!(service.requests_to("DELETE", ""), 0);
}

#[tokio::test]
async fn a_report_that_cannot_be_made_does_not_fail_the_creation() {
    let service = TestService::start().await;
    service.inject(no_test());
    let request = with_id(Verification::Report);
    let first = service.send(request.clone()).await.unwrap();
    let test = first.test.unwrap();
    assert!(!test.passed && test.checks.iter().all(|check| check.state() != diagnosis::FAILED), "{test:?}");
    assert_eq!(service.emulator.connections()[0].id, first.id);

    // No definite result was found: a retry tests again.
    service.inject(json!([]));
    let retried = service.send(request).await.unwrap();
    assert_eq!((retried.id, retried.replayed, retried.test.unwrap().passed), (first.id, true, true));
    assert_eq!(posts(&service), 1);
}

#[tokio::test]
async fn a_connection_that_is_required_to_work_and_does_not_is_deleted_again() {
    for delete_status in [204, 202] {
        let service = TestService::start().await;
        service.set(json!({"test_result": false, "delete_status": delete_status}));
        let request = with_id(Verification::Require);
        let failure = service.send(request.clone()).await.unwrap_err();
        assert_verification_failed(&failure, "");
        assert!(failure.message.contains("is deleted again"), "{failure:?}");
        assert_eq!(failure.metadata("request_id"), request.request_id);
        assert_eq!(service.emulator.connections().len(), 0);

        // The verdict stays, even if the same credentials would work by then.
        let sent = arrived(&service);
        service.set(json!({}));
        let retried = service.send(request.clone()).await.unwrap_err();
        assert_verification_failed(&retried, "");
        assert_eq!((retried.message, arrived(&service)), (failure.message, sent));

        let new_request =
            CreateHubSpotConnectionRequest { request_id: Uuid::new_v4().to_string(), ..request };
        let created = service.send(new_request).await.unwrap();
        assert!(created.test.unwrap().passed && !created.replayed);
        assert_eq!((posts(&service), service.emulator.connections().len()), (2, 1));
    }
}

#[tokio::test]
async fn a_connection_that_cannot_be_deleted_again_is_named_until_it_is() {
    let service = TestService::start().await;
    service.set(json!({"test_result": false}));
    service.inject(json!([{"route": DELETE, "count": 0, "action": {"status": 500, "shape": "A"}}]));
    let request = with_id(Verification::Require);
    let failure = service.send(request.clone()).await.unwrap_err();
    let id = service.emulator.connections()[0].id.clone();
    assert_verification_failed(&failure, &id);
    assert!(failure.message.contains(&id) && failure.message.contains("DeleteHubSpotConnection"));

    service.inject(json!([]));
    let retried = service.send(request.clone()).await.unwrap_err();
    assert_verification_failed(&retried, "");
    assert_eq!(service.emulator.connections().len(), 0);
    // Only a connection that still does not work is deleted.
    assert_eq!((posts(&service), service.requests_to("GET", "/test")), (1, 2));

    let sent = arrived(&service);
    assert_verification_failed(&service.send(request).await.unwrap_err(), "");
    assert_eq!(arrived(&service), sent, "deleted once and for all");
}

#[tokio::test]
async fn a_connection_that_is_in_use_already_is_not_deleted_again() {
    let service = TestService::with(SETTLES_FAST).await;
    service.set(json!({"initial_state": "initializing", "test_result": false}));
    let request = with_id(Verification::Require);
    let (response, id) = tokio::join!(service.send(request.clone()), async {
        let id = created(&service).await;
        let flow = "84224def-1e2a-4d95-9ea2-132d697ed2aa";
        service.set(json!({"test_result": false, "flows": {id.as_str(): [flow]}}));
        assert!(service.emulator.set_state(&id, "enabled"));
        id
    });
    assert_verification_failed(&response.unwrap_err(), &id);

    // An operator who deletes it has completed the task.
    service.emulator.reset();
    // While it may still be invisible, a 404 proves nothing.
    let pending = service.send(request.clone()).await.unwrap_err();
    assert_pending(&pending, Code::Unavailable, &id);
    assert_verification_failed(&decided(&service, &request).await, "");
}

#[tokio::test]
async fn a_lost_deletion_is_not_mistaken_for_a_failed_one() {
    for action in [json!({"close": "after_commit"}), json!({"status": 503, "shape": "A", "commit": true})] {
        let service = TestService::with(SETTLES_FAST).await;
        service.set(json!({"test_result": false}));
        service.inject(json!([{"route": DELETE, "action": action}]));
        let request = with_id(Verification::Require);
        let failure = service.send(request.clone()).await.unwrap_err();
        assert_eq!(failure.reason, "OUTCOME_UNKNOWN", "{failure:?}");
        assert_verification_failed(&decided(&service, &request).await, "");
        assert_eq!((posts(&service), service.emulator.connections().len()), (1, 0), "{action}");
    }
}

#[tokio::test]
async fn a_deletion_that_a_lagging_node_does_not_know_of_is_not_done() {
    let service = TestService::with(SETTLES_FAST).await;
    service.set(json!({"test_result": false}));
    service.inject(json!([{"route": DELETE, "count": 4, "action": {"status": 404, "shape": "A"}}]));
    let request = with_id(Verification::Require);
    let failure = service.send(request.clone()).await.unwrap_err();
    let id = service.emulator.connections()[0].id.clone();
    assert_verification_failed(&failure, &id);
    assert_verification_failed(&service.send(request).await.unwrap_err(), "");
    assert_eq!(service.emulator.connections().len(), 0);
}

#[tokio::test]
async fn a_connection_that_is_invisible_for_a_while_and_works_is_not_deleted() {
    let service = TestService::with(SETTLES_FAST).await;
    service.inject(json!([{"route": GET, "count": 0, "action": {"status": 404, "shape": "A"}}]));
    let request = with_id(Verification::Require);
    let failure = service.send_within(&request, "4S").await;
    assert_pending(&failure, Code::Unavailable, &service.emulator.connections()[0].id);
    service.inject(json!([]));
    assert!(service.send(request).await.unwrap().test.unwrap().passed);
    assert_eq!(service.requests_to("DELETE", ""), 0);
}

/// Retries a request whose outcome is known in the end.
async fn decided(service: &TestService, request: &CreateHubSpotConnectionRequest) -> Failure {
    in_time("the outcome", async {
        loop {
            let failure = service.send(request.clone()).await.unwrap_err();
            if failure.reason != "OUTCOME_UNKNOWN" {
                return failure;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_required_test_that_cannot_be_made_is_resumed_by_a_retry() {
    for action in [
        json!({"status": 503, "shape": "A"}),
        json!({"status": 400, "shape": "A", "code": "1308"}),
        json!({"status": 200, "shape": "html"}),
        json!({"close": "before_commit"}),
    ] {
        let service = TestService::start().await;
        service.inject(json!([{"route": TEST, "count": 0, "action": action}]));
        let request = with_id(Verification::Require);
        for _ in 0..2 {
            let failure = service.send(request.clone()).await.unwrap_err();
            let id = service.emulator.connections()[0].id.clone();
            assert_pending(&failure, Code::Unavailable, &id);
            assert_eq!(failure.metadata("request_id"), request.request_id);
        }
        service.inject(json!([]));
        let created = service.send(request).await.unwrap();
        assert!(created.replayed && created.test.unwrap().passed, "{action}");
        assert_eq!((&created.id, posts(&service)), (&service.emulator.connections()[0].id, 1));
    }
}

#[tokio::test]
async fn without_an_id_of_its_own_the_caller_gets_one_to_resume_with() {
    let service = TestService::start().await;
    service.inject(no_test());
    let request = verified(Verification::Require);
    let failure = service.send(request.clone()).await.unwrap_err();
    assert_pending(&failure, Code::Unknown, &service.emulator.connections()[0].id);
    let request_id = failure.metadata("request_id").to_owned();
    let retried = CreateHubSpotConnectionRequest { request_id, ..request };

    service.inject(json!([]));
    service.set(json!({"test_result": false}));
    assert_verification_failed(&service.send(retried).await.unwrap_err(), "");
    assert_eq!((posts(&service), service.emulator.connections().len()), (1, 0));
}

#[tokio::test]
async fn a_connection_is_waited_for_until_it_is_established() {
    for verification in [Verification::Report, Verification::Require] {
        let service = TestService::start().await;
        service.set(json!({"initial_state": "initializing"}));
        let (response, ()) = tokio::join!(service.send(verified(verification)), async {
            let id = created(&service).await;
            let path = format!("/connections/{id}");
            until("a request for it", || service.requests_to("GET", &path) > 0).await;
            assert!(service.emulator.set_state(&id, "enabled"));
        });
        assert_eq!(states(&response.unwrap().test.unwrap()), ALL_PASSED);
    }
}

#[tokio::test]
async fn a_connection_that_is_not_visible_at_once_is_waited_for() {
    let service = TestService::start().await;
    service.inject(json!([{"route": GET, "count": 2, "action": {"status": 404, "shape": "B"}}]));
    let created = service.send(verified(Verification::Require)).await.unwrap();
    assert_eq!(states(&created.test.unwrap()), ALL_PASSED);
}

#[tokio::test]
async fn a_report_on_a_connection_that_is_not_established_in_time_comes_in_time() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "1s")]).await;
    service.set(json!({"initial_state": "initializing"}));
    let created = service.send(verified(Verification::Report)).await.unwrap();
    let test = created.test.unwrap();
    assert!(!test.passed && test.checks[2].message.contains("initializing"), "{test:?}");
    assert_eq!(service.requests_to("GET", "/test"), 0);
}

#[tokio::test]
async fn a_required_connection_that_is_not_established_in_time_is_kept_for_a_retry() {
    let service = TestService::start().await;
    service.set(json!({"initial_state": "initializing"}));
    let request = with_id(Verification::Require);
    let failure = service.send_within(&request, "1S").await;
    let id = service.emulator.connections()[0].id.clone();
    assert_pending(&failure, Code::Unavailable, &id);
    assert!(failure.message.contains("initializing"), "{failure:?}");

    assert!(service.emulator.set_state(&id, "enabled"));
    let created = service.send(request).await.unwrap();
    assert_eq!((&created.id, created.replayed, posts(&service)), (&id, true, 1));
    assert!(created.test.unwrap().passed);
}

#[tokio::test]
async fn a_caller_that_disconnects_during_a_test_finds_the_verdict_later() {
    let service = TestService::start().await;
    service.inject(json!([{"route": TEST, "action": {"delay": "700ms"}}]));
    service.set(json!({"test_result": false}));
    let request = with_id(Verification::Require);
    let (mut client, sent) = (service.client().await, request.clone());
    let call = tokio::spawn(async move { client.create_hub_spot_connection(sent).await });
    until("its test", || service.requests_to("GET", "/test") > 0).await;
    call.abort();
    assert_verification_failed(&service.send(request).await.unwrap_err(), "");
    assert_eq!((posts(&service), service.emulator.connections().len()), (1, 0));
}

#[tokio::test]
async fn a_lost_creation_is_found_and_then_tested() {
    let service = TestService::start().await;
    service.inject(json!([{"route": "POST /connections", "action": {"close": "after_commit"}}]));
    let created = service.send(with_id(Verification::Require)).await.unwrap();
    assert_eq!((states(&created.test.unwrap()), posts(&service)), (ALL_PASSED, 1));
    assert_eq!(service.emulator.connections()[0].id, created.id);
}

#[tokio::test]
async fn the_same_id_with_another_verification_is_another_request() {
    let service = TestService::start().await;
    let request = with_id(Verification::Report);
    service.send(request.clone()).await.unwrap();
    for other in [Verification::None, Verification::Require] {
        let other = CreateHubSpotConnectionRequest { verification: other.into(), ..request.clone() };
        let failure = service.send(other).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    }
}

#[tokio::test]
async fn concurrent_calls_with_one_request_id_get_one_verdict() {
    for test_result in [true, false] {
        let service = TestService::start().await;
        service.set(json!({"test_result": test_result}));
        service.inject(json!([{"route": TEST, "action": {"delay": "500ms"}}]));
        let request = with_id(Verification::Require);
        let calls = (0..5).map(|_| service.send(request.clone()));
        let responses = futures_util::future::join_all(calls).await;
        let replayed =
            responses.iter().filter(|response| response.as_ref().is_ok_and(|a| a.replayed)).count();
        assert_eq!(replayed, if test_result { 4 } else { 0 });
        for response in &responses {
            match response {
                Ok(created) => assert_eq!(states(created.test.as_ref().unwrap()), ALL_PASSED),
                Err(failure) => assert_verification_failed(failure, ""),
            }
        }
        assert!(responses.iter().all(|response| response.is_ok() == test_result));
        assert_eq!((posts(&service), service.requests_to("GET", "/test")), (1, 1));
        assert_eq!(service.emulator.connections().len(), usize::from(test_result));
    }
}
