//! One request makes one connection: what callers see of it.

use hubspot_connection_service::proto::CreateHubSpotConnectionRequest;
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::{
    chaos::redis::SharedRedis,
    support::{TestService, request, until_counted},
};

const CREATE: &str = "POST /connections";
const LIST: &str = "GET /connections";

/// Lost creations settle fast.
const SETTLE_FAST: [(&str, &str); 1] = [("HCS_SETTLE_WINDOW", "1s")];

fn with_id() -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest { request_id: Uuid::new_v4().to_string(), ..request() }
}

/// A creation whose answer is lost, and which cannot be looked for.
fn lost_for_good(commit: bool) -> Value {
    let close = if commit { "after_commit" } else { "before_commit" };
    json!([
        {"route": CREATE, "action": {"close": close}},
        {"route": LIST, "count": 0, "action": {"status": 503, "shape": "empty"}},
    ])
}

#[tokio::test]
async fn the_same_request_again_gets_the_first_answer_even_when_the_connection_is_gone() {
    let service = TestService::start().await;
    let request = with_id();
    let first = service.send(request.clone()).await.unwrap();
    assert_eq!((&first.request_id, first.replayed), (&request.request_id, false));

    let upper_case = CreateHubSpotConnectionRequest {
        request_id: request.request_id.to_uppercase(),
        sandbox_name: "prod".to_owned(),
        ..request.clone()
    };
    for again in [request.clone(), upper_case] {
        let again = service.send(again).await.unwrap();
        assert_eq!((&again.id, &again.etag, again.replayed), (&first.id, &first.etag, true));
    }
    service.emulator.reset();
    assert_eq!(service.send(request).await.unwrap().id, first.id);
    assert_eq!(service.requests_to("POST", "/connections"), 0, "not since the reset");
}

#[tokio::test]
async fn a_request_id_with_other_content_is_refused() {
    let service = TestService::start().await;
    let request = with_id();
    service.send(request.clone()).await.unwrap();
    let mut other_secret = request.clone();
    other_secret.credentials.as_mut().unwrap().client_secret = "another".to_owned();
    for other in [
        CreateHubSpotConnectionRequest { name: "another".to_owned(), ..request.clone() },
        CreateHubSpotConnectionRequest { description: String::new(), ..request.clone() },
        other_secret,
    ] {
        let failure = service.send(other).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
        assert_eq!(failure.metadata("request_id"), request.request_id);
    }
    // In another sandbox it is another id.
    let elsewhere = CreateHubSpotConnectionRequest { sandbox_name: "dev".to_owned(), ..request };
    assert!(!service.send(elsewhere).await.unwrap().replayed);
}

#[tokio::test]
async fn the_same_request_twice_at_once_makes_one_connection_for_both() {
    let service = TestService::start().await;
    service.inject(json!([{"route": CREATE, "action": {"delay": "500ms"}}]));
    let request = with_id();
    let calls = (0..10).map(|_| service.send(request.clone()));
    let answers = futures_util::future::join_all(calls).await;
    let ids: std::collections::BTreeSet<_> =
        answers.iter().map(|answer| &answer.as_ref().unwrap().id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(answers.iter().filter(|answer| !answer.as_ref().unwrap().replayed).count(), 1);
    assert_eq!(service.requests_to("POST", "/connections"), 1);
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let service = TestService::start().await;
    service.inject(json!([{"route": CREATE, "action": {"status": 400, "shape": "A", "code": "1413"}}]));
    let request = with_id();
    let failure = service.send(request.clone()).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "UPSTREAM_REJECTED"));
    let mut corrected = request;
    corrected.description = "corrected".to_owned();
    assert!(!service.send(corrected).await.unwrap().replayed);
}

#[tokio::test]
async fn a_connection_whose_answer_was_lost_is_found_and_not_created_again() {
    for action in [
        json!({"close": "after_commit"}),
        json!({"status": 500, "shape": "A", "commit": true}),
        json!({"status": 503, "shape": "empty", "commit": true}),
        json!({"status": 504, "shape": "html", "commit": true}),
        json!({"status": 201, "shape": "cut", "commit": true}),
        json!({"status": 201, "shape": "empty", "commit": true}),
        json!({"status": 200, "shape": "html", "commit": true}),
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
async fn a_creation_that_never_arrived_is_sent_again_after_the_settle_window() {
    for action in [json!({"close": "before_commit"}), json!({"status": 502, "shape": "html"})] {
        let service = TestService::with(SETTLE_FAST).await;
        service.inject(json!([{"route": CREATE, "action": action}]));
        let created = service.send(with_id()).await.unwrap();
        assert_eq!(service.requests_to("POST", "/connections"), 2, "{action}");
        let connections = service.emulator.connections();
        assert_eq!((connections.len(), &connections[0].id), (1, &created.id), "{action}");
    }
}

#[tokio::test]
async fn what_cannot_have_arrived_is_sent_again_at_once() {
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
async fn an_unknown_outcome_is_safe_to_repeat_with_the_callers_id_and_with_the_generated_one() {
    for generated in [false, true] {
        let service = TestService::start().await;
        let emulator = service.emulator.clone();
        service.inject(lost_for_good(true));
        let request = if generated { request() } else { with_id() };
        let mut client = service.client().await;
        let sent = request.clone();
        let call = tokio::spawn(async move { client.create_hub_spot_connection(sent).await });
        while service.requests_to("GET", "/connections") == 0 {
            tokio::task::yield_now().await;
        }
        // A stopping service does not keep those waiting for whom it can do no more.
        let stopping = service.begin_to_stop();
        let failure = crate::support::Failure::from(call.await.unwrap().unwrap_err());
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
async fn a_deadline_that_is_spent_while_looking_says_that_the_connection_may_exist() {
    let service = TestService::start().await;
    service.inject(lost_for_good(true));
    let request = request();
    let failure = service.send_within(&request, "900m").await;
    assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!(failure.metadata("may_exist"), "true");
    assert!(["reconcile", "back_off"].contains(&failure.metadata("stage")), "{failure:?}");

    // The creation goes on in the background, and the name that the error gave it joins it there.
    service.inject(json!([]));
    let again =
        CreateHubSpotConnectionRequest { request_id: failure.metadata("request_id").to_owned(), ..request };
    let created = service.send(again).await.unwrap();
    assert_eq!((created.replayed, &created.id), (true, &service.emulator.connections()[0].id));
    assert_eq!(service.requests_to("POST", "/connections"), 1);
}

#[tokio::test]
async fn a_caller_that_leaves_before_anything_is_sent_leaves_nothing_behind() {
    let slow_token = json!([{"route": "POST /ims/token/v3", "action": {"delay": "700ms"}}]);
    let service = TestService::with_faults(slow_token, []).await;
    let failure = service.create_within("200m").await;
    assert_eq!((failure.metadata("stage"), failure.metadata("may_exist")), ("adobe_token", "false"));
    // Once the token is there, for somebody else, the first creation would have been sent, too.
    service.create().await.unwrap();
    let emulator = service.emulator.clone();
    service.stop().await;
    assert_eq!(emulator.connections().len(), 1);
}

#[tokio::test]
async fn a_name_is_created_by_one_request_at_a_time() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "900ms")]).await;
    service.inject(json!([
        {"route": CREATE, "action": {"close": "before_commit"}},
        {"route": LIST, "count": 0, "action": {"delay": "30s"}},
    ]));
    let lost = with_id();
    assert_eq!(service.send(lost.clone()).await.unwrap_err().code, Code::DeadlineExceeded);
    let same_name = CreateHubSpotConnectionRequest { request_id: String::new(), ..lost.clone() };
    let failure = service.send(same_name).await.unwrap_err();
    assert_eq!(failure.row(), (Code::Aborted, "REQUEST_IN_PROGRESS"));
    assert!(failure.retry_after.unwrap().as_secs() >= 60, "{failure:?}");
    // Elsewhere it is another name.
    let elsewhere =
        CreateHubSpotConnectionRequest { sandbox_name: "dev".to_owned(), request_id: String::new(), ..lost };
    service.send(elsewhere).await.unwrap();
}

#[tokio::test]
async fn several_connections_that_could_be_the_one_are_named() {
    let service = TestService::start().await;
    service.inject(json!([
        {"route": CREATE, "action": {"close": "after_commit"}},
        {"route": LIST, "count": 3, "action": {"status": 503, "shape": "empty"}},
    ]));
    let request = with_id();
    let call = service.send(request.clone());
    let another = async {
        while service.requests_to("GET", "/connections") == 0 {
            tokio::task::yield_now().await;
        }
        service.create_behind_its_back(&request).await;
    };
    let (answer, ()) = tokio::join!(call, another);
    let failure = answer.unwrap_err();
    assert_eq!(failure.row(), (Code::FailedPrecondition, "OUTCOME_AMBIGUOUS"));
    let mut expected: Vec<_> = service.emulator.connections().into_iter().map(|c| c.id).collect();
    expected.sort();
    assert_eq!(failure.metadata("candidates"), expected.join(","));
    assert!(failure.forbids_retry);
}

#[tokio::test]
async fn without_the_store_nothing_is_sent_and_the_service_stays_ready() {
    let service = TestService::with([
        ("HCS_REDIS_URL", "redis://127.0.0.1:1"),
        ("HCS_FINGERPRINT_KEY", "0123456789abcdef0123456789abcdef"),
    ])
    .await;
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "STORE_UNAVAILABLE"));
    assert!(failure.retry_after.is_some());
    assert_eq!(service.requests_to("POST", "/connections"), 0);
    let ready = reqwest::get(format!("http://{}/readyz", service.admin)).await.unwrap();
    assert_eq!(ready.status(), 200);
    assert!(ready.text().await.unwrap().contains("idempotency store: unavailable"));
    let metrics = reqwest::get(format!("http://{}/metrics", service.admin)).await.unwrap();
    assert!(metrics.text().await.unwrap().contains("\nhubspot_connection_idempotency_store_up 0\n"));
}

#[tokio::test]
async fn a_store_that_comes_back_is_noticed_before_a_creation_needs_it() {
    let Some(mut redis) = SharedRedis::start().await else { return };
    let service = TestService::with([
        ("HCS_REDIS_URL", redis.url()),
        ("HCS_FINGERPRINT_KEY", "0123456789abcdef0123456789abcdef"),
    ])
    .await;
    let up = "hubspot_connection_idempotency_store_up";
    service.create().await.unwrap();
    redis.server().kill().await;
    until_counted(service.admin, up, 0).await;
    redis.server().run().await.unwrap();
    until_counted(service.admin, up, 1).await;
    service.send(with_id()).await.unwrap();
}

#[tokio::test]
async fn a_flow_service_that_keeps_failing_is_left_alone_for_a_while() {
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
