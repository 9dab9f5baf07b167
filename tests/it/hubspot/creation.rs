//! A creation whose connection has to work: HubSpot is asked first, and never about what was sent already.

use hubspot_connection_service::{
    emulator::Options,
    proto::{CreateHubSpotConnectionRequest, HubSpotCredentials, Verification},
};
use serde_json::json;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use uuid::Uuid;

use super::{
    ACCESS, REFRESH, asked, asking, describe, described,
    server::{Reaction, Scripted, reply},
    service,
};
use crate::{
    promise::{NO_SEARCH_FIRST, retry_until_known},
    store::redis_server::RedisServer,
    support::{
        FINGERPRINT_KEY, Failure, SETTLES_FAST, TestService, counted, credentials, in_time, request,
        start_emulator, until, until_counted,
    },
};

const CREATE: &str = "POST /connections";
const ROUTE: &str = "POST /oauth/2026-03/token/introspect";

fn required() -> CreateHubSpotConnectionRequest {
    CreateHubSpotConnectionRequest {
        request_id: Uuid::new_v4().to_string(),
        verification: Verification::Require.into(),
        ..request()
    }
}

fn posts(service: &TestService) -> usize {
    service.requests_to("POST", "/connections")
}

/// Fails unless HubSpot has refused, by these checks, and nothing was sent.
#[track_caller]
fn assert_refused(failure: &Failure, service: &TestService, checks: &[&str]) {
    assert_eq!(failure.row(), (Code::FailedPrecondition, "VERIFICATION_FAILED"), "{failure:?}");
    let subjects: Vec<_> =
        failure.preconditions.iter().map(|(kind, subject, _)| (&**kind, &**subject)).collect();
    let expected: Vec<_> = checks.iter().map(|check| ("VERIFICATION_FAILED", *check)).collect();
    assert_eq!(subjects, expected);
    assert!(failure.message.contains("nothing was sent to Adobe") && failure.forbids_retry, "{failure:?}");
    assert_eq!((failure.metadata("connection_id"), failure.metadata("stage")), ("", "verify"));
    assert_eq!(posts(service), 0);
    assert_eq!(service.emulator.connections().len(), 0);
}

#[tokio::test]
async fn credentials_that_hubspot_refuses_create_nothing() {
    for (tokens, fault, checks) in [
        (described(REFRESH, "revoked"), json!([]), &["hubspot_refresh_token"][..]),
        (described(REFRESH, "other_app"), json!([]), &["hubspot_refresh_token"]),
        (described(ACCESS, "other_app"), json!([]), &["hubspot_access_token"]),
        (
            json!([{"token": REFRESH, "state": "expired"}, {"token": ACCESS, "state": "other_app"}]),
            json!([]),
            &["hubspot_refresh_token", "hubspot_access_token"],
        ),
        (
            json!([{"token": REFRESH, "scopes": []}, {"token": ACCESS, "scopes": []}]),
            json!([]),
            &["hubspot_scopes"],
        ),
        (
            json!([]),
            json!([{"route": ROUTE, "count": 0, "action": {"status": 401, "shape": "E", "code": "invalid_client"}}]),
            &["hubspot_app"],
        ),
    ] {
        let service = asking([]).await;
        describe(&service, tokens);
        service.inject(fault);
        let failure = service.send(required()).await.unwrap_err();
        assert_refused(&failure, &service, checks);
    }
}

#[tokio::test]
async fn a_refusal_says_whether_an_earlier_attempt_may_have_created_something() {
    let service = asking([]).await;
    describe(&service, described(REFRESH, "revoked"));
    // The store, which has just started, may have forgotten an id of the caller, and not a generated one.
    let generated = CreateHubSpotConnectionRequest { request_id: String::new(), ..required() };
    for (request, may_exist, words) in [
        (generated, "false", "nothing was created"),
        (required(), "true", "only once this error has may_exist: false"),
    ] {
        let failure = service.send(request).await.unwrap_err();
        assert_refused(&failure, &service, &["hubspot_refresh_token"]);
        assert_eq!(failure.metadata("may_exist"), may_exist);
        assert!(failure.message.contains(words), "{failure:?}");
    }
}

#[tokio::test]
async fn the_request_id_of_a_refused_creation_is_free_again() {
    let service = asking([]).await;
    describe(&service, described(REFRESH, "revoked"));
    let refused = required();
    for _ in 0..2 {
        let failure = service.send(refused.clone()).await.unwrap_err();
        assert_refused(&failure, &service, &["hubspot_refresh_token"]);
    }
    assert_eq!(asked(&service), 4, "each call asks again");
    // With the credentials that the caller has corrected, too.
    let refresh_token = "hs-refresh-token-2".to_owned();
    let corrected = HubSpotCredentials { refresh_token, ..credentials() };
    let request = CreateHubSpotConnectionRequest { credentials: Some(corrected), ..refused };
    let created = service.send(request).await.unwrap();
    assert!(!created.replayed && created.test.unwrap().passed);
    assert_eq!(service.emulator.connections().len(), 1);
    let outcome = |outcome: &str| format!("hubspot_connection_creations_total{{outcome=\"{outcome}\"}}");
    assert_eq!(counted(service.admin, &outcome("not_sent")).await, 2);
    assert_eq!(counted(service.admin, &outcome("created")).await, 1);
}

#[tokio::test]
async fn a_refused_creation_leaves_no_record_in_redis() {
    let Some(redis) = RedisServer::start().await else { return };
    let settings = [("HCS_REDIS_URL", &*redis.url()), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY)];
    let service = asking(settings).await;
    describe(&service, described(REFRESH, "revoked"));
    let refused = required();
    let failure = service.send(refused.clone()).await.unwrap_err();
    assert_refused(&failure, &service, &["hubspot_refresh_token"]);
    let keys = redis.keys().await;
    assert!(!keys.iter().any(|key| key.contains(&refused.request_id)), "{keys:?}");
    describe(&service, json!([]));
    assert!(!service.send(refused).await.unwrap().replayed);
}

#[tokio::test]
async fn an_expired_access_token_does_not_prevent_a_creation() {
    let service = asking([]).await;
    describe(&service, described(ACCESS, "expired"));
    service.send(required()).await.unwrap();
}

#[tokio::test]
async fn a_creation_that_does_not_require_it_asks_nothing() {
    let service = asking([]).await;
    describe(&service, described(REFRESH, "revoked"));
    for verification in [Verification::None, Verification::Report] {
        let request = CreateHubSpotConnectionRequest { verification: verification.into(), ..required() };
        service.send(request).await.unwrap();
    }
    assert_eq!(asked(&service), 0);
}

#[tokio::test]
async fn a_hubspot_without_a_clear_reply_does_not_prevent_a_creation() {
    let silent = Scripted::start(Reaction::Silence).await;
    for reaction in [
        reply(503, "", ""),
        reply(429, "retry-after: 9\r\n", ""),
        reply(403, "content-type: text/html\r\n", "<html>"),
        Reaction::Close,
        Reaction::Silence,
    ] {
        silent.react(reaction);
        let emulator = start_emulator(Options::default()).await;
        let service = service(emulator, &silent.url(), []).await;
        let created = in_time("the creation", service.send(required())).await.unwrap();
        assert!(created.test.unwrap().passed);
        assert_eq!(posts(&service), 1);
    }
}

#[tokio::test]
async fn a_caller_in_a_hurry_does_not_wait_for_hubspot_until_its_deadline() {
    let silent = Scripted::start(Reaction::Silence).await;
    let emulator = start_emulator(Options::default()).await;
    let service = service(emulator, &silent.url(), [("HCS_REQUEST_TIMEOUT", "4s")]).await;
    service.send(required()).await.unwrap();
}

#[tokio::test]
async fn a_creation_that_is_done_stays_done_whatever_hubspot_says_later() {
    let service = asking([]).await;
    let request = required();
    let first = service.send(request.clone()).await.unwrap();
    assert_eq!(asked(&service), 2);
    describe(&service, described(REFRESH, "revoked"));
    let retried = service.send(request).await.unwrap();
    assert_eq!((&retried.id, retried.replayed), (&first.id, true));
    assert_eq!(asked(&service), 2);
}

#[tokio::test]
async fn a_lost_creation_is_found_whatever_hubspot_says_later() {
    let service = asking([("HCS_REQUEST_TIMEOUT", "3s"), NO_SEARCH_FIRST]).await;
    service.inject(json!([
        {"route": CREATE, "action": {"close": "after_commit"}},
        {"route": "GET /connections", "count": 0, "action": {"status": 503}},
    ]));
    let request = required();
    let lost = service.send(request.clone()).await.unwrap_err();
    assert_eq!((lost.metadata("may_exist"), posts(&service)), ("true", 1), "{lost:?}");
    describe(&service, described(REFRESH, "revoked"));
    service.inject(json!([]));
    let found = in_time("the connection", async {
        loop {
            match service.send(request.clone()).await {
                Ok(found) => break found,
                // Still searching, or not tested yet.
                Err(failure) => assert_ne!(failure.reason, "VERIFICATION_FAILED", "{failure:?}"),
            }
        }
    });
    assert_eq!(found.await.id, service.emulator.connections()[0].id);
    assert_eq!((asked(&service), posts(&service)), (2, 1));
}

#[tokio::test]
async fn a_creation_that_is_resent_is_not_refused() {
    let service = asking([SETTLES_FAST[0], SETTLES_FAST[1]]).await;
    service.inject(json!([{"route": CREATE, "action": {"close": "before_commit"}}]));
    let request = required();
    let creating = retry_until_known(&service, &request);
    let revoking = async {
        until("the first attempt", || posts(&service) == 1).await;
        describe(&service, described(REFRESH, "revoked"));
    };
    let (created, ()) = tokio::join!(creating, revoking);
    assert_eq!(created.unwrap().id, service.emulator.connections()[0].id);
    assert_eq!((asked(&service), posts(&service)), (2, 2));
}

#[tokio::test]
async fn a_creation_that_is_retried_within_the_call_asks_once() {
    let service = asking([]).await;
    service.inject(
        json!([{"route": CREATE, "count": 2, "action": {"status": 429, "shape": "D", "code": "429050"}}]),
    );
    service.send(required()).await.unwrap();
    assert_eq!((asked(&service), posts(&service)), (2, 3));
}

#[tokio::test]
async fn concurrent_calls_with_one_request_id_ask_once() {
    let service = asking([]).await;
    service.inject(json!([{"route": ROUTE, "count": 0, "action": {"delay": "300ms"}}]));
    let request = required();
    let calls = (0..5).map(|_| service.send(request.clone()));
    let created = futures_util::future::join_all(calls).await;
    let ids: Vec<_> = created.into_iter().map(|created| created.unwrap().id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!((asked(&service), posts(&service)), (2, 1));
}

/// A creation that is asking a HubSpot which does not reply.
async fn in_the_question(service: &TestService, hubspot: &Scripted) -> JoinHandle<Result<(), Status>> {
    // A generated id cannot have been used before.
    let request = CreateHubSpotConnectionRequest { request_id: String::new(), ..required() };
    let mut client = service.client().await;
    let call = tokio::spawn(async move { client.create_hub_spot_connection(request).await.map(|_| ()) });
    until("the question", || hubspot.received().len() == 2).await;
    call
}

#[tokio::test]
async fn a_caller_that_leaves_during_the_question_leaves_nothing() {
    let silent = Scripted::start(Reaction::Silence).await;
    let service = service(start_emulator(Options::default()).await, &silent.url(), []).await;
    let call = in_the_question(&service, &silent).await;
    call.abort();
    until_counted(service.admin, "hubspot_connection_creations_total{outcome=\"not_sent\"}", 1).await;
    assert_eq!(posts(&service), 0);
    assert!(service.emulator.connections().is_empty());
}

#[tokio::test]
async fn a_service_that_stops_during_the_question_sends_nothing() {
    let silent = Scripted::start(Reaction::Silence).await;
    let service = service(start_emulator(Options::default()).await, &silent.url(), []).await;
    let call = in_the_question(&service, &silent).await;
    let emulator = service.emulator.clone();
    service.stop().await;
    let failure = Failure::from(call.await.unwrap().unwrap_err());
    assert_eq!(failure.row(), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"), "{failure:?}");
    assert_eq!(failure.metadata("may_exist"), "false");
    assert!(emulator.connections().is_empty());
}
