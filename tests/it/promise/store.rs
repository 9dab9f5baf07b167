//! A store that is unavailable, may have forgotten, or has a record that cannot be trusted.

use hubspot_connection_service::proto::CreateHubSpotConnectionRequest;
use serde_json::json;
use tonic::Code;

use super::{CREATE, LIST, NO_SEARCH_FIRST, lost_for_good, record, retry_until_known, shared};
use crate::{
    chaos::redis::SharedRedis,
    support::{
        FINGERPRINT_KEY, SETTLES_FAST, TestService, counted, request, request_with_id, until, until_counted,
    },
};

#[tokio::test]
async fn clocks_that_disagree_are_counted_and_prove_nothing() {
    let Some(redis) = SharedRedis::start().await else { return };
    let [redis_url, key] = shared(&redis);
    let settings = [redis_url, key, SETTLES_FAST[0], SETTLES_FAST[1], NO_SEARCH_FIRST];
    let service = TestService::with(settings).await;
    service.inject(lost_for_good(true));
    let request = request_with_id();
    let failure = service.send(request.clone()).await.unwrap_err();
    assert_eq!(failure.reason, "OUTCOME_UNKNOWN");
    let emulator = service.emulator.clone();
    service.stop().await;

    // The sender's clock seems to have been an hour ahead.
    let wall_ms = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() + 3_600_000;
    redis.run(&["HSET", &record(&request), "last_wall", &wall_ms.to_string()]).await;
    emulator.inject(Vec::new());
    let service = TestService::against(emulator, settings).await;
    assert_eq!(retry_until_known(&service, &request).await.unwrap().id, service.emulator.connections()[0].id);
    assert_eq!(service.requests_to("POST", "/connections"), 1);
    assert_eq!(counted(service.admin, "hubspot_connection_clock_disagreements_total").await, 1);
}

#[tokio::test]
async fn a_creation_that_the_store_forgot_is_found_before_it_is_retried() {
    for search_first in [("HCS_SEARCH_FIRST", "auto"), ("HCS_SEARCH_FIRST", "strict")] {
        let service = TestService::start().await;
        let request = request_with_id();
        let first = service.send(request.clone()).await.unwrap();
        let emulator = service.emulator.clone();
        service.stop().await;

        // Another process, with an empty memory.
        let service = TestService::against(emulator, [search_first]).await;
        let retried = service.send(request.clone()).await.unwrap();
        assert_eq!((&retried.id, &retried.etag, retried.replayed), (&first.id, &first.etag, true));
        assert_eq!(service.requests_to("POST", "/connections"), 1);
        let found = match search_first.1 {
            "auto" => r#"hubspot_connection_first_searches_total{outcome="found"}"#,
            _ => r#"hubspot_connection_reconciliations_total{outcome="found"}"#,
        };
        assert_eq!(counted(service.admin, found).await, 1);
        // A connection that is found must match the request.
        let emulator = service.emulator.clone();
        service.stop().await;
        let service = TestService::against(emulator, [search_first]).await;
        let other = CreateHubSpotConnectionRequest { name: "another".to_owned(), ..request.clone() };
        let failure = service.send(other).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
        assert_eq!((failure.metadata("differs"), failure.metadata("connection_id")), ("name", &*first.id));
        // The failed call has left no record.
        assert_eq!(service.send(request).await.unwrap().id, first.id);
    }
}

#[tokio::test]
async fn of_several_connections_with_its_reference_a_creation_returns_the_oldest_and_deletes_none() {
    let service = TestService::start().await;
    let request = request_with_id();
    let first = service.send(request.clone()).await.unwrap();
    let description = format!("{} [request {}]", request.description, request.request_id);
    let copy = CreateHubSpotConnectionRequest { description, ..request.clone() };
    service.create_behind_its_back(&copy).await;
    let emulator = service.emulator.clone();
    service.stop().await;

    let service = TestService::against(emulator, []).await;
    let retried = service.send(request).await.unwrap();
    assert_eq!((retried.id, retried.replayed), (first.id, true));
    assert_eq!(service.emulator.connections().len(), 2);
    assert_eq!(counted(service.admin, "hubspot_connection_duplicates_total").await, 1);
}

#[tokio::test]
async fn if_the_store_may_have_forgotten_an_attempt_no_error_claims_that_nothing_was_created() {
    let refused = json!([{"route": CREATE, "count": 0, "action": {"status": 400, "shape": "C"}}]);
    let service = TestService::with_faults(refused, []).await;
    let failure = service.send(request_with_id()).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "UPSTREAM_REJECTED"));
    assert_eq!(failure.metadata("may_exist"), "true");
    assert!(!failure.message.contains("nothing was created"), "{failure:?}");
    // No earlier call can have used an id that the service has just generated.
    let failure = service.create().await.unwrap_err();
    assert!(failure.message.contains("nothing was created"), "{failure:?}");
}

#[tokio::test]
async fn a_partial_reference_blocks_the_retry_of_a_forgotten_creation() {
    let service = TestService::start().await;
    let request = request_with_id();
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
async fn a_creation_that_cannot_be_searched_for_is_not_sent() {
    for action in [
        json!({"status": 503, "shape": "empty"}),
        json!({"status": 200, "shape": "cut", "commit": true}),
        json!({"status": 403, "shape": "A", "code": "2120"}),
    ] {
        let service = TestService::with([("HCS_REQUEST_TIMEOUT", "3s")]).await;
        service.inject(json!([{"route": LIST, "count": 0, "action": action}]));
        let failure = service.send(request_with_id()).await.unwrap_err();
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
        let request = request_with_id();
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
        ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY),
        // Calls wait for half of it.
        ("HCS_REQUEST_TIMEOUT", "1s"),
    ])
    .await;
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "STORE_UNAVAILABLE"));
    assert!(failure.retry_after.is_some() && failure.message.contains("nothing was created"), "{failure:?}");
    // An earlier attempt of a caller's id may have created something.
    let failure = service.send(request_with_id()).await.unwrap_err();
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
async fn a_recovered_store_is_noticed_before_a_creation_needs_it() {
    let Some(mut redis) = SharedRedis::start().await else { return };
    let service =
        TestService::with([("HCS_REDIS_URL", redis.url()), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY)]).await;
    let up = "hubspot_connection_idempotency_store_up";
    service.create().await.unwrap();
    redis.server().kill().await;
    until_counted(service.admin, up, 0).await;
    redis.server().run().await.unwrap();
    until_counted(service.admin, up, 1).await;
    service.send(request_with_id()).await.unwrap();
}

#[tokio::test]
async fn a_generated_id_that_another_call_has_named_is_remembered() {
    let service = TestService::with([NO_SEARCH_FIRST]).await;
    service.inject(json!([{"route": CREATE, "action": {"delay": "1s"}}]));
    let request = request();
    let failure = service.send_within(&request, "300m").await;
    let request_id = failure.metadata("request_id").to_owned();
    let again = CreateHubSpotConnectionRequest { request_id, ..request };
    let joined = service.send(again.clone()).await.unwrap();
    let repeated = service.send(again).await.unwrap();
    assert_eq!((&repeated.id, repeated.replayed), (&joined.id, true));
    assert_eq!(service.emulator.connections().len(), 1);
}

#[tokio::test]
async fn a_reply_is_returned_although_a_newer_version_has_recorded_another_outcome() {
    let Some(redis) = SharedRedis::start().await else { return };
    let service = TestService::with(shared(&redis)).await;
    service.inject(json!([{"route": CREATE, "action": {"delay": "1s"}}]));
    let request = request_with_id();
    let mut client = service.client().await;
    let creation = tokio::spawn({
        let request = request.clone();
        async move { client.create_hub_spot_connection(request).await }
    });
    until("the request to Adobe", || service.requests_to("POST", "/connections") == 1).await;
    let done = ["state", "done", "done_at", "1", "outcome", r#"{"version":2}"#];
    redis.run(&[&["HSET", &record(&request)][..], &done].concat()).await;
    let created = creation.await.unwrap().unwrap().into_inner();
    assert_eq!(created.id, service.emulator.connections()[0].id);
}
