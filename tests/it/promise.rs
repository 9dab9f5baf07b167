//! One request makes one connection: what callers see of it.

use std::time::Duration;

use hubspot_connection_service::{
    emulator::ORG_ID,
    proto::{CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::Code;
use uuid::Uuid;

use crate::{
    chaos::redis::SharedRedis,
    support::{Failure, TestService, counted, in_time, request, until, until_counted},
};

const CREATE: &str = "POST /connections";
const LIST: &str = "GET /connections";

/// A connection is certainly visible seven seconds after its creation was sent.
const SETTLES_FAST: [(&str, &str); 2] = [("HCS_CREATE_TIMEOUT", "1s"), ("HCS_SETTLE_WINDOW", "1s")];
/// Every list is one of a search for a lost creation.
const NO_SEARCH_FIRST: (&str, &str) = ("HCS_SEARCH_FIRST", "never");

fn with_id() -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest { request_id: Uuid::new_v4().to_string(), ..request() }
}

/// The settings of a service with this store.
fn shared(redis: &SharedRedis) -> [(&'static str, &str); 2] {
    [("HCS_REDIS_URL", redis.url()), ("HCS_FINGERPRINT_KEY", "0123456789abcdef0123456789abcdef")]
}

/// The key of the record of a request.
fn record(request: &CreateHubSpotConnectionRequest) -> String {
    format!("hcs:{{{ORG_ID}}}:request:{}", request.request_id)
}

/// Repeats a request until its outcome is known.
async fn insist(
    service: &TestService,
    request: &CreateHubSpotConnectionRequest,
) -> Result<CreateHubSpotConnectionResponse, Failure> {
    in_time("the outcome", async {
        loop {
            match service.send(request.clone()).await {
                Err(failure) if failure.reason == "OUTCOME_UNKNOWN" => {}
                outcome => return outcome,
            }
        }
    })
    .await
}

/// A creation whose reply is lost, and which cannot be searched for.
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
    let created = service.send(request.clone()).await.unwrap();
    let mut other_secret = request.clone();
    other_secret.credentials.as_mut().unwrap().client_secret = "another".to_owned();
    let other_name = CreateHubSpotConnectionRequest { name: "another".to_owned(), ..request.clone() };
    let no_description = CreateHubSpotConnectionRequest { description: String::new(), ..request.clone() };
    // An id names one creation in the organization.
    let elsewhere = CreateHubSpotConnectionRequest { sandbox_name: "dev".to_owned(), ..request.clone() };
    for (other, differs) in [
        (other_name.clone(), "name"),
        (no_description, "description"),
        (other_secret.clone(), "credentials.client_secret"),
        (elsewhere, "sandbox_name"),
        (
            CreateHubSpotConnectionRequest { name: other_name.name, ..other_secret },
            "name,credentials.client_secret",
        ),
    ] {
        let failure = service.send(other).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
        assert_eq!(failure.metadata("request_id"), request.request_id);
        assert_eq!(failure.metadata("differs"), differs);
        assert_eq!(failure.metadata("connection_id"), created.id);
        assert!(failure.message.contains("UpdateHubSpotConnection"), "{failure:?}");
    }
    assert_eq!(service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn a_request_id_is_refused_after_the_default_sandbox_has_changed() {
    let Some(redis) = SharedRedis::start().await else { return };
    let shared = shared(&redis);
    let service = TestService::with(shared).await;
    let request = with_id();
    let created = service.send(request.clone()).await.unwrap();
    let emulator = service.emulator.clone();
    service.stop().await;

    let service = TestService::against(emulator, [shared[0], shared[1], ("HCS_SANDBOX", "dev")]).await;
    let failure = service.send(request).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    assert_eq!(failure.metadata("differs"), "sandbox_name");
    assert_eq!(failure.metadata("connection_id"), created.id);
    assert_eq!(service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn clocks_that_disagree_are_counted_and_prove_nothing() {
    let Some(redis) = SharedRedis::start().await else { return };
    let [redis_url, key] = shared(&redis);
    let settings = [redis_url, key, SETTLES_FAST[0], SETTLES_FAST[1], NO_SEARCH_FIRST];
    let service = TestService::with(settings).await;
    service.inject(lost_for_good(true));
    let request = with_id();
    let failure = service.send(request.clone()).await.unwrap_err();
    assert_eq!(failure.reason, "OUTCOME_UNKNOWN");
    let emulator = service.emulator.clone();
    service.stop().await;

    // The sender's clock was an hour ahead, as it seems.
    let wall_ms = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() + 3_600_000;
    redis.run(&["HSET", &record(&request), "last_wall", &wall_ms.to_string()]).await;
    emulator.inject(Vec::new());
    let service = TestService::against(emulator, settings).await;
    assert_eq!(insist(&service, &request).await.unwrap().id, service.emulator.connections()[0].id);
    assert_eq!(service.requests_to("POST", "/connections"), 1);
    assert_eq!(counted(service.admin, "hubspot_connection_clock_disagreements_total").await, 1);
}

#[tokio::test]
async fn a_retry_may_have_a_fresh_access_token() {
    let service = TestService::start().await;
    let request = with_id();
    let created = service.send(request.clone()).await.unwrap();
    let mut refreshed = request;
    refreshed.credentials.as_mut().unwrap().access_token = "another-access-token".to_owned();
    let again = service.send(refreshed).await.unwrap();
    assert_eq!((again.id, again.replayed), (created.id, true));
}

#[tokio::test]
async fn callers_that_share_a_creation_have_their_own_deadlines() {
    let slow_token = json!([{"route": "POST /ims/token/v3", "action": {"delay": "1s"}}]);
    let service = TestService::with_faults(slow_token, []).await;
    let request = with_id();
    let (short, long) = tokio::join!(service.send_within(&request, "500m"), service.send(request.clone()));
    assert_eq!(short.code, Code::DeadlineExceeded);
    assert_eq!(long.unwrap().request_id, request.request_id);
    assert_eq!(service.requests_to("POST", "/connections"), 1);
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
    service.inject(json!([{"route": CREATE, "action": {"status": 400, "shape": "A", "code": "1999"}}]));
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
        // A refusal by somebody on the way, to whom the connection was lost.
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
async fn a_creation_that_never_arrived_is_sent_again_after_the_settle_window() {
    for action in [json!({"close": "before_commit"}), json!({"status": 502, "shape": "html"})] {
        let service = TestService::with(SETTLES_FAST).await;
        service.inject(json!([{"route": CREATE, "action": action}]));
        let began = Instant::now();
        let created = insist(&service, &with_id()).await.unwrap();
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
        let created = service.send(with_id()).await.unwrap();
        assert_eq!(created.id, service.emulator.connections()[0].id, "{action}");
        assert_eq!(service.requests_to("POST", "/connections"), 1, "{action}");
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
        let service = TestService::with([NO_SEARCH_FIRST]).await;
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
async fn equal_names_are_created_side_by_side() {
    let service = TestService::with([NO_SEARCH_FIRST]).await;
    service.inject(json!([
        {"route": CREATE, "action": {"close": "before_commit"}},
        {"route": LIST, "count": 0, "action": {"delay": "30s"}},
    ]));
    let lost = with_id();
    let same_name = CreateHubSpotConnectionRequest { request_id: String::new(), ..lost.clone() };
    assert_eq!(service.send_within(&lost, "900m").await.code, Code::DeadlineExceeded);
    service.send(same_name).await.unwrap();
}

#[tokio::test]
async fn a_connection_of_the_same_name_is_not_taken_for_a_lost_one() {
    let service = TestService::with([SETTLES_FAST[0], SETTLES_FAST[1], NO_SEARCH_FIRST]).await;
    service.inject(json!([{"route": CREATE, "action": {"close": "before_commit"}}]));
    let request = with_id();
    let (created, other) = tokio::join!(insist(&service, &request), async {
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
async fn connections_that_could_be_the_one_are_named() {
    let service = TestService::with([SETTLES_FAST[0], SETTLES_FAST[1], NO_SEARCH_FIRST]).await;
    service.inject(json!([{"route": CREATE, "action": {"close": "before_commit"}}]));
    let request = with_id();
    let (failure, other) = tokio::join!(insist(&service, &request), async {
        until("a search for it", || service.requests_to("GET", "/connections") > 0).await;
        // It has the caller's description, and nothing that says who created it.
        service.create_behind_its_back(&request).await
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.row(), (Code::FailedPrecondition, "OUTCOME_AMBIGUOUS"));
    assert_eq!(failure.metadata("candidates"), other);
    assert!(failure.forbids_retry);
    assert_eq!(service.requests_to("POST", "/connections"), 2, "the other's, too");

    // It is evaluated anew at every call: without the other one it is proven that nothing was created.
    service.emulator.reset();
    insist(&service, &request).await.unwrap();
    assert_eq!(service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn without_references_nothing_lost_is_taken_over_or_sent_again() {
    for (close, is_found) in [("after_commit", true), ("before_commit", false)] {
        let settings = [SETTLES_FAST[0], SETTLES_FAST[1], ("HCS_DESCRIPTION_REFERENCE", "false")];
        let service = TestService::with(settings).await;
        service.inject(json!([{"route": CREATE, "action": {"close": close}}]));
        let failure = insist(&service, &with_id()).await.unwrap_err();
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
async fn a_creation_that_the_store_forgot_is_found_before_it_is_sent_again() {
    for search_first in [("HCS_SEARCH_FIRST", "auto"), ("HCS_SEARCH_FIRST", "strict")] {
        let service = TestService::start().await;
        let request = with_id();
        let first = service.send(request.clone()).await.unwrap();
        let emulator = service.emulator.clone();
        service.stop().await;

        // Another process, with an empty memory.
        let service = TestService::against(emulator, [search_first]).await;
        let again = service.send(request.clone()).await.unwrap();
        assert_eq!((&again.id, &again.etag, again.replayed), (&first.id, &first.etag, true));
        assert_eq!(service.requests_to("POST", "/connections"), 1);
        let found = match search_first.1 {
            "auto" => r#"hubspot_connection_first_searches_total{outcome="found"}"#,
            _ => r#"hubspot_connection_reconciliations_total{outcome="found"}"#,
        };
        assert_eq!(counted(service.admin, found).await, 1);
        // What is found has to be what is asked for.
        let emulator = service.emulator.clone();
        service.stop().await;
        let service = TestService::against(emulator, [search_first]).await;
        let other = CreateHubSpotConnectionRequest { name: "another".to_owned(), ..request.clone() };
        let failure = service.send(other).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
        assert_eq!((failure.metadata("differs"), failure.metadata("connection_id")), ("name", &*first.id));
        // That left no record behind.
        assert_eq!(service.send(request).await.unwrap().id, first.id);
    }
}

#[tokio::test]
async fn of_several_connections_with_its_reference_a_creation_returns_the_oldest_and_deletes_none() {
    let service = TestService::start().await;
    let request = with_id();
    let first = service.send(request.clone()).await.unwrap();
    let description = format!("{} [request {}]", request.description, request.request_id);
    let copy = CreateHubSpotConnectionRequest { description, ..request.clone() };
    service.create_behind_its_back(&copy).await;
    let emulator = service.emulator.clone();
    service.stop().await;

    let service = TestService::against(emulator, []).await;
    let again = service.send(request).await.unwrap();
    assert_eq!((again.id, again.replayed), (first.id, true));
    assert_eq!(service.emulator.connections().len(), 2);
    assert_eq!(counted(service.admin, "hubspot_connection_duplicates_total").await, 1);
}

#[tokio::test]
async fn where_the_store_may_have_forgotten_an_attempt_no_error_says_that_nothing_was_created() {
    let refused = json!([{"route": CREATE, "count": 0, "action": {"status": 400, "shape": "C"}}]);
    let service = TestService::with_faults(refused, []).await;
    let failure = service.send(with_id()).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "UPSTREAM_REJECTED"));
    assert_eq!(failure.metadata("may_exist"), "true");
    assert!(!failure.message.contains("nothing was created"), "{failure:?}");
    // Nobody can have used an id before that the service has only just generated.
    let failure = service.create().await.unwrap_err();
    assert!(failure.message.contains("nothing was created"), "{failure:?}");
}

#[tokio::test]
async fn what_shows_a_part_of_the_reference_keeps_a_forgotten_creation_from_being_sent() {
    let service = TestService::start().await;
    let request = with_id();
    let cut = &request.request_id[..30];
    let description = format!("{} [request {cut}", request.description);
    service.create_behind_its_back(&CreateHubSpotConnectionRequest { description, ..request.clone() }).await;
    let failure = service.send(request).await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "OUTCOME_UNKNOWN"));
    assert_eq!(failure.metadata("may_exist"), "true");
    assert_eq!(service.requests_to("POST", "/connections"), 1, "the other's");
    let ambiguous = r#"hubspot_connection_first_searches_total{outcome="ambiguous"}"#;
    assert_eq!(counted(service.admin, ambiguous).await, 1);
}

#[tokio::test]
async fn what_cannot_be_searched_for_is_not_sent() {
    for action in [
        json!({"status": 503, "shape": "empty"}),
        json!({"status": 200, "shape": "cut", "commit": true}),
        json!({"status": 403, "shape": "A", "code": "2120"}),
    ] {
        let service = TestService::with([("HCS_REQUEST_TIMEOUT", "3s")]).await;
        service.inject(json!([{"route": LIST, "count": 0, "action": action}]));
        let failure = service.send(with_id()).await.unwrap_err();
        assert_eq!(failure.metadata("may_exist"), "true", "{failure:?}");
        assert_eq!(service.requests_to("POST", "/connections"), 0, "{action}");
    }
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_an_error_for_operators_and_nothing_is_sent() {
    let Some(redis) = SharedRedis::start().await else { return };
    let service = TestService::with(shared(&redis)).await;
    let unreadable = r#"hubspot_connection_idempotency_claims_total{outcome="unreadable"}"#;
    for (sent, (field, value)) in [("version", "2"), ("outcome", r#"{"version":2}"#)].into_iter().enumerate()
    {
        let request = with_id();
        service.send(request.clone()).await.unwrap();
        redis.run(&["HSET", &record(&request), field, value]).await;

        let failure = service.send(request).await.unwrap_err();
        assert_eq!(failure.row(), (Code::Internal, "RECORD_UNREADABLE"));
        assert_eq!(failure.metadata("may_exist"), "true");
        assert!(failure.message.contains("newer version"), "{failure:?}");
        assert!(failure.retry_after.is_none(), "{failure:?}");
        assert_eq!(service.requests_to("POST", "/connections"), sent + 1);
        assert_eq!(counted(service.admin, unreadable).await, sent as u64 + 1);
    }
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
    assert!(failure.retry_after.is_some() && failure.message.contains("nothing was created"), "{failure:?}");
    // An earlier attempt of a caller's id may have created something.
    let failure = service.send(with_id()).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.metadata("may_exist")), ("STORE_UNAVAILABLE", "true"));
    assert!(!failure.message.contains("nothing was created"), "{failure:?}");
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
