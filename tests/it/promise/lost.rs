//! A creation whose reply is lost: it is searched for, and retried only if that is safe.

use std::time::Duration;

use hubspot_connection_service::proto::CreateHubSpotConnectionRequest;
use serde_json::json;
use tokio::time::Instant;
use tonic::Code;

use super::{CREATE, LIST, NO_SEARCH_FIRST, lost_for_good, retry_until_known};
use crate::support::{Failure, SETTLES_FAST, TestService, request, request_with_id, until};

#[tokio::test]
async fn a_connection_whose_reply_was_lost_is_found_and_not_recreated() {
    for action in [
        json!({"close": "after_commit"}),
        json!({"status": 500, "shape": "A", "commit": true}),
        json!({"status": 503, "shape": "empty", "commit": true}),
        json!({"status": 504, "shape": "html", "commit": true}),
        json!({"status": 201, "shape": "cut", "commit": true}),
        json!({"status": 201, "shape": "empty", "commit": true}),
        json!({"status": 200, "shape": "html", "commit": true}),
        // A refusal by an intermediary, which has lost the connection.
        json!({"status": 400, "shape": "html", "commit": true}),
        json!({"status": 401, "shape": "empty", "commit": true}),
        json!({"status": 403, "shape": "html", "commit": true}),
        json!({"status": 404, "shape": "cut", "commit": true}),
        json!({"status": 409, "shape": "A", "commit": true}),
        json!({"status": 429, "shape": "html", "commit": true}),
        json!({"status": 460, "shape": "empty", "commit": true}),
        json!({"status": 499, "shape": "C", "commit": true}),
        json!({"commit_after": "700ms"}),
        json!({"delay": "30s"}),
    ] {
        let service = TestService::with([("HCS_CREATE_TIMEOUT", "300ms")]).await;
        service.inject(json!([{"route": CREATE, "action": action}]));
        let created = service.create().await.unwrap();
        let connections = service.emulator.connections();
        assert_eq!(connections.len(), 1, "{action}");
        assert_eq!((&created.id, &created.etag), (&connections[0].id, &connections[0].etag), "{action}");
        assert_eq!(service.requests_to("POST", "/connections"), 1, "{action}");
    }
}

#[tokio::test]
async fn a_creation_that_never_arrived_is_retried_after_the_settle_window() {
    for action in [json!({"close": "before_commit"}), json!({"status": 502, "shape": "html"})] {
        let service = TestService::with(SETTLES_FAST).await;
        service.inject(json!([{"route": CREATE, "action": action}]));
        let began = Instant::now();
        let created = retry_until_known(&service, &request_with_id()).await.unwrap();
        // Seven seconds, and two lists that are five seconds apart.
        assert!(began.elapsed() >= Duration::from_secs(12), "{:?}", began.elapsed());
        assert_eq!(service.requests_to("POST", "/connections"), 2, "{action}");
        let connections = service.emulator.connections();
        assert_eq!((connections.len(), &connections[0].id), (1, &created.id), "{action}");
    }
}

#[tokio::test]
async fn a_refusal_that_is_not_certainly_adobes_is_an_unknown_outcome() {
    for (status, shape) in [
        (499, "empty"),
        (460, "empty"),
        (409, "A"),
        (423, "A"),
        (425, "empty"),
        (403, "html"),
        (400, "empty"),
        (429, "html"),
    ] {
        let service = TestService::start().await;
        let action = json!({"status": status, "shape": shape, "commit": true});
        service.inject(json!([{"route": CREATE, "action": action}]));
        let created = service.send(request_with_id()).await.unwrap();
        assert_eq!(created.id, service.emulator.connections()[0].id, "{action}");
        assert_eq!(service.requests_to("POST", "/connections"), 1, "{action}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_have_arrived_is_retried_at_once() {
    for action in [
        json!({"status": 429, "shape": "D", "headers": {"retry-after": "1"}}),
        json!({"status": 401, "shape": "D", "code": "401013"}),
    ] {
        let service = TestService::start().await;
        service.inject(json!([{"route": CREATE, "action": action}]));
        service.create().await.unwrap();
        assert_eq!(service.requests_to("POST", "/connections"), 2, "{action}");
        assert_eq!(service.emulator.connections().len(), 1, "{action}");
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_safe_to_retry_with_the_callers_id_and_with_the_generated_one() {
    for generated in [false, true] {
        let service = TestService::with([NO_SEARCH_FIRST]).await;
        let emulator = service.emulator.clone();
        service.inject(lost_for_good(true));
        let request = if generated { request() } else { request_with_id() };
        let mut client = service.client().await;
        let sent = request.clone();
        let call = tokio::spawn(async move { client.create_hub_spot_connection(sent).await });
        while service.requests_to("GET", "/connections") == 0 {
            tokio::task::yield_now().await;
        }
        // A stopping service ends the calls that it cannot help any more.
        let stopping = service.begin_to_stop();
        let failure = Failure::from(call.await.unwrap().unwrap_err());
        stopping.await.unwrap();
        let code = if generated { Code::Unknown } else { Code::Unavailable };
        assert_eq!(failure.row(), (code, "OUTCOME_UNKNOWN"));
        assert_eq!(failure.forbids_retry, generated);
        assert!(generated || failure.metadata("request_id") == request.request_id);
        assert_eq!(failure.metadata("request_id").len(), 36);
        assert_eq!(emulator.connections().len(), 1);
    }
}

#[tokio::test]
async fn a_deadline_exceeded_while_searching_reports_that_the_connection_may_exist() {
    let service = TestService::start().await;
    service.inject(lost_for_good(true));
    let request = request();
    let failure = service.send_within(&request, "900m").await;
    assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!(failure.metadata("may_exist"), "true");
    assert!(["reconcile", "back_off"].contains(&failure.metadata("stage")), "{failure:?}");

    // The creation continues in the background, and a retry with the request id from the error joins it.
    service.inject(json!([]));
    let retried =
        CreateHubSpotConnectionRequest { request_id: failure.metadata("request_id").to_owned(), ..request };
    let created = service.send(retried).await.unwrap();
    assert_eq!((created.replayed, &created.id), (true, &service.emulator.connections()[0].id));
    assert_eq!(service.requests_to("POST", "/connections"), 1);
}

#[tokio::test]
async fn a_connection_of_the_same_name_is_not_mistaken_for_a_lost_one() {
    let service = TestService::with([SETTLES_FAST[0], SETTLES_FAST[1], NO_SEARCH_FIRST]).await;
    service.inject(json!([{"route": CREATE, "action": {"close": "before_commit"}}]));
    let request = request_with_id();
    let (created, other) = tokio::join!(retry_until_known(&service, &request), async {
        until("a search for it", || service.requests_to("GET", "/connections") > 0).await;
        let others_description =
            CreateHubSpotConnectionRequest { description: "another client's".to_owned(), ..request.clone() };
        service.create_behind_its_back(&others_description).await
    });
    let created = created.unwrap();
    assert_ne!(created.id, other);
    assert_eq!(service.emulator.connections().len(), 2);
}

#[tokio::test]
async fn the_candidates_of_an_ambiguous_outcome_are_named() {
    let service = TestService::with([SETTLES_FAST[0], SETTLES_FAST[1], NO_SEARCH_FIRST]).await;
    service.inject(json!([{"route": CREATE, "action": {"close": "before_commit"}}]));
    let request = request_with_id();
    let (failure, other) = tokio::join!(retry_until_known(&service, &request), async {
        until("a search for it", || service.requests_to("GET", "/connections") > 0).await;
        // It has the caller's description, and no sign of its creator.
        service.create_behind_its_back(&request).await
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.row(), (Code::FailedPrecondition, "OUTCOME_AMBIGUOUS"));
    assert_eq!(failure.metadata("candidates"), other);
    assert!(failure.forbids_retry);
    assert_eq!(service.requests_to("POST", "/connections"), 2, "the other's, too");

    // It is evaluated again at every call: without the other connection, it is proven that nothing was
    // created.
    service.emulator.reset();
    retry_until_known(&service, &request).await.unwrap();
    assert_eq!(service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn without_references_a_lost_creation_is_neither_taken_over_nor_retried() {
    for (close, is_found) in [("after_commit", true), ("before_commit", false)] {
        let settings = [SETTLES_FAST[0], SETTLES_FAST[1], ("HCS_DESCRIPTION_REFERENCE", "false")];
        let service = TestService::with(settings).await;
        service.inject(json!([{"route": CREATE, "action": {"close": close}}]));
        let failure = retry_until_known(&service, &request_with_id()).await.unwrap_err();
        assert_eq!(failure.row(), (Code::FailedPrecondition, "OUTCOME_AMBIGUOUS"));
        let connections = service.emulator.connections();
        assert_eq!(connections.len(), usize::from(is_found));
        let id = connections.first().map_or("", |connection| &connection.id);
        assert_eq!(failure.metadata("candidates"), id);
        assert_eq!(failure.message.contains("no connection"), !is_found, "{failure:?}");
        assert_eq!(service.requests_to("POST", "/connections"), 1);
    }
}

#[tokio::test]
async fn a_flow_service_that_keeps_failing_opens_the_circuit_breaker() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "3s")]).await;
    let failing = json!({"status": 503, "shape": "empty"});
    service.inject(json!([
        {"route": CREATE, "count": 0, "action": failing},
        {"route": LIST, "count": 0, "action": failing},
    ]));
    service.create().await.unwrap_err();
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "BREAKER_OPEN"));
    assert!(failure.retry_after.is_some());
}
