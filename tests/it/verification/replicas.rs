//! A verification that one replica starts and another one finishes.

use hubspot_connection_service::{
    emulator::{self, Emulator},
    proto::Verification,
};
use serde_json::json;
use tonic::Code;

use super::{assert_pending, assert_verification_failed, created, no_test, posts, with_id};
use crate::{
    chaos::redis::SharedRedis,
    support::{FINGERPRINT_KEY, TestService, listen, until},
};

/// Two replicas with one store, if there is a Redis.
async fn replicas() -> Option<(SharedRedis, [TestService; 2])> {
    let redis = SharedRedis::start().await?;
    let emulator = Emulator::start(listen().await, emulator::Options::default());
    let url = redis.url().to_owned();
    let start = || {
        let settings = [("HCS_REDIS_URL", &*url), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY)];
        TestService::against(emulator.clone(), settings)
    };
    let both = [start().await, start().await];
    Some((redis, both))
}

#[tokio::test]
async fn a_verification_that_one_replica_could_not_make_is_resumed_by_another() {
    let Some((_redis, [one, other])) = replicas().await else { return };
    one.inject(no_test());
    let request = with_id(Verification::Require);
    let failure = one.send(request.clone()).await.unwrap_err();
    let id = one.emulator.connections()[0].id.clone();
    assert_pending(&failure, Code::Unavailable, &id);

    other.inject(json!([]));
    let created = other.send(request.clone()).await.unwrap();
    assert_eq!((&created.id, created.replayed, posts(&other)), (&id, true, 1));
    let test = created.test.unwrap();
    assert!(test.passed);
    let retried = one.send(request).await.unwrap();
    assert_eq!((retried.test, one.requests_to("GET", "/explore")), (Some(test), 1));
}

#[tokio::test]
async fn a_verdict_is_the_same_on_every_replica() {
    let Some((_redis, [one, other])) = replicas().await else { return };
    one.set(json!({"test_result": false}));
    let request = with_id(Verification::Require);
    let failure = one.send(request.clone()).await.unwrap_err();
    assert_verification_failed(&failure, "");
    one.set(json!({}));
    let sent = one.emulator.received().len();
    let retried = other.send(request).await.unwrap_err();
    assert_verification_failed(&retried, "");
    assert_eq!((retried.message, retried.preconditions), (failure.message, failure.preconditions));
    assert_eq!(other.emulator.received().len(), sent);
}

#[tokio::test]
async fn a_replica_that_stops_while_it_waits_reports_it_and_another_continues() {
    let Some((_redis, [one, other])) = replicas().await else { return };
    one.set(json!({"initial_state": "initializing"}));
    let request = with_id(Verification::Require);
    let mut client = one.client().await;
    let sent = request.clone();
    let call = tokio::spawn(async move { client.create_hub_spot_connection(sent).await });
    let id = created(&other).await;
    let path = format!("/connections/{id}");
    until("a request for it", || other.requests_to("GET", &path) > 0).await;
    one.stop().await;
    let status = call.await.unwrap().unwrap_err();
    assert_pending(&status.into(), Code::Unavailable, &id);

    assert!(other.emulator.set_state(&id, "enabled"));
    let created = other.send(request).await.unwrap();
    assert_eq!((&created.id, created.replayed, posts(&other)), (&id, true, 1));
    assert!(created.test.unwrap().passed);
}
