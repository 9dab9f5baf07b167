//! `DeleteHubSpotDataflow` with `create_request_id`: creations that nobody will repeat.

use std::time::Duration;

use http::Method;
use hubspot_connection_service::{
    emulator::{Emulator, Ledger, ORG_ID, Outcome, PlannedRun},
    proto::DeleteHubSpotDataflowResponse,
};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::Code;
use uuid::Uuid;

use super::{DATASETS, FLOWS, SOURCES, hiding, left_unknown, shared, unnamed, withdraw};
use crate::{
    chaos::redis::SharedRedis,
    support::{
        Failure, SETTLES_FAST, TestService,
        dataflows::{ONE_OF_EACH, ONLY_A_CONNECTION, WITH_DATASET},
        request_with_id,
    },
};

/// Gives up a creation whose outcome may not be known yet, and which may still be looked for.
pub(super) async fn until_known(
    service: &TestService,
    request_id: &str,
    allow_missing: bool,
) -> Result<DeleteHubSpotDataflowResponse, Failure> {
    let (began, mut ticks) = (Instant::now(), interval(Duration::from_millis(200)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match withdraw(service, request_id, allow_missing).await {
            Err(failure) if ["OUTCOME_UNKNOWN", "REQUEST_IN_PROGRESS"].contains(&&*failure.reason) => {
                assert!(began.elapsed() < Duration::from_secs(60), "{failure:?}");
            }
            outcome => return outcome,
        }
    }
}

async fn withdraw_until_known(service: &TestService, request_id: &str) {
    assert_eq!(until_known(service, request_id, false).await.unwrap().leftovers, []);
}

#[track_caller]
fn assert_withdrawn(failure: &Failure) {
    assert_eq!(failure.row(), (Code::FailedPrecondition, "DATAFLOW_STATE"), "{failure:?}");
    assert_eq!(failure.preconditions.len(), 1);
    assert!(failure.message.contains("new request_id"), "{failure:?}");
}

#[tokio::test]
async fn a_creation_that_succeeded_is_deleted_and_its_id_creates_nothing_any_more() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    service.create_dataflow(request.clone()).await.unwrap();
    assert_eq!(withdraw(&service, &request.request_id, false).await.unwrap().leftovers, []);
    assert_eq!(service.ledger(), ONLY_A_CONNECTION);
    assert_withdrawn(&service.create_dataflow(request.clone()).await.unwrap_err());
    assert_eq!(service.ledger(), ONLY_A_CONNECTION);
    // It can be repeated.
    withdraw(&service, &request.request_id, true).await.unwrap();
}

#[tokio::test]
async fn a_lost_creation_is_found_and_deleted() {
    for action in [json!({"close": "after_commit"}), json!({"commit_after": "2s"})] {
        let service = TestService::with(SETTLES_FAST).await;
        let request = service.dataflow_request().await;
        service.inject(json!([
            {"route": FLOWS, "action": action},
            {"route": "GET /flows", "count": 0, "action": {"status": 503, "shape": "empty"}},
        ]));
        let failure = service.create_dataflow_within(&request, "2S").await;
        assert_eq!(failure.metadata("may_exist"), "true", "{failure:?}");
        service.inject(json!([]));
        withdraw_until_known(&service, &request.request_id).await;
        assert_eq!(service.ledger(), ONLY_A_CONNECTION, "{action}");
        assert_withdrawn(&service.create_dataflow(request).await.unwrap_err());
    }
}

#[tokio::test]
async fn a_creation_whose_outcome_is_unknown_is_given_up_after_the_settle_window() {
    let service = TestService::with(SETTLES_FAST).await;
    let request = service.dataflow_request().await;
    service.inject(json!([{"route": FLOWS, "action": {"close": "before_commit"}}]));
    let failure = service.create_dataflow(request.clone()).await.unwrap_err();
    assert_eq!(failure.reason, "OUTCOME_UNKNOWN", "{failure:?}");
    withdraw_until_known(&service, &request.request_id).await;
    assert_eq!(service.posted_to("/flows").len(), 1);
    assert_eq!(service.ledger(), ONLY_A_CONNECTION);
    assert_withdrawn(&service.create_dataflow(request).await.unwrap_err());
}

#[tokio::test]
async fn a_creation_that_has_made_nothing_is_not_found_and_its_id_creates_nothing() {
    let service = TestService::with(SETTLES_FAST).await;
    let mut request = service.dataflow_request().await;
    let failure = withdraw(&service, &request.request_id, false).await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "OUTCOME_UNKNOWN"));
    assert!(failure.message.contains("allow_missing") && failure.retry_after.is_some(), "{failure:?}");
    assert_eq!(failure.metadata("request_id"), request.request_id);
    assert_withdrawn(&service.create_dataflow(request.clone()).await.unwrap_err());
    let failure = until_known(&service, &request.request_id, false).await.unwrap_err();
    assert_eq!(failure.row(), (Code::NotFound, "DATAFLOW_NOT_FOUND"));
    assert_eq!(failure.metadata("request_id"), request.request_id);

    request.request_id = Uuid::new_v4().to_string();
    assert_eq!(until_known(&service, &request.request_id, true).await.unwrap().leftovers, []);
    assert_withdrawn(&service.create_dataflow(request).await.unwrap_err());
    assert_eq!(service.ledger(), ONLY_A_CONNECTION);
}

#[tokio::test]
async fn a_preparation_is_deleted_also_without_a_record_and_without_a_dataset() {
    for route in [DATASETS, SOURCES, FLOWS] {
        let service = TestService::start().await;
        let request = service.dataflow_request().await;
        let action = json!({"status": 503, "shape": "empty"});
        service.inject(json!([{"route": route, "count": 0, "action": action}]));
        let failure = service.create_dataflow_within(&unnamed(&request), "4S").await;
        let ledger = service.ledger();
        assert_eq!((ledger.schemas, ledger.field_groups), (1, 1), "{route}: {failure:?}");
        service.inject(json!([]));
        // Another process, which has no record.
        let other = TestService::against(service.emulator.clone(), SETTLES_FAST).await;
        let id = failure.metadata("request_id");
        let failure = withdraw(&other, id, false).await.unwrap_err();
        // What is still on its way could appear.
        assert_eq!(failure.reason, "OUTCOME_UNKNOWN", "{route}: {failure:?}");
        assert_eq!(other.ledger(), ledger, "{route}");
        assert_eq!(until_known(&other, id, true).await.unwrap().leftovers, []);
        assert_eq!(other.ledger(), ONLY_A_CONNECTION, "{route}");
    }
}

#[tokio::test]
async fn data_and_what_existed_before_stay_and_are_listed() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let created = service.create_dataflow(request.clone()).await.unwrap();
    service.emulator.make_runs(&[PlannedRun::once(&created.id, Outcome::Succeeded)]).unwrap();
    let left = withdraw(&service, &request.request_id, false).await.unwrap().leftovers;
    let kinds: Vec<_> = left.iter().map(|each| &*each.kind).collect();
    assert_eq!(kinds, ["dataset", "schema", "field_group"], "{left:?}");
    assert_eq!(left[0].id, created.resources.unwrap().dataset_id);
    assert!(left[0].reason.contains("data was ingested"), "{left:?}");
    assert_eq!(service.ledger(), WITH_DATASET);

    let service = TestService::start().await;
    let dataset = service.existing_dataset().await;
    let request = service.dataflow_request_into(&dataset).await;
    service.create_dataflow(request.clone()).await.unwrap();
    withdraw(&service, &request.request_id, false).await.unwrap();
    assert_eq!(service.ledger(), WITH_DATASET);
}

#[tokio::test]
async fn a_connections_creation_is_not_given_up() {
    let service = TestService::start().await;
    let connection = request_with_id();
    let created = service.send(connection.clone()).await.unwrap();
    let failure = withdraw(&service, &connection.request_id, false).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "REQUEST_ID_REUSED"), "{failure:?}");
    assert_eq!(failure.metadata("connection_id"), created.id);
    assert_ne!(service.ledger(), ONE_OF_EACH);
    assert_eq!(service.ledger().connections, 1);
}

fn deletions(emulator: &Emulator) -> usize {
    emulator.received().iter().filter(|request| request.method == Method::DELETE).count()
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_not_one_of_nothing() {
    let Some(redis) = SharedRedis::start().await else { return };
    let (emulator, request) = left_unknown(&redis, "before_commit").await;
    let prepared = emulator.ledger();
    let key = format!("hcs:{{{ORG_ID}}}:request:{}", request.request_id);
    let context = async || {
        let dump = redis.dump().await;
        let fields: Vec<_> = dump[key.as_bytes()].chunks(2).collect();
        let context = fields.into_iter().find(|field| field[0] == b"context").unwrap();
        String::from_utf8(context[1].clone()).unwrap()
    };
    let before = context().await;
    let service = TestService::against(emulator, shared(&redis)).await;
    for damaged in [before.replace("\"version\":1", "\"version\":2"), before[..before.len() / 2].to_owned()] {
        redis.run(&["HSET", &key, "context", &damaged]).await;
        for allow_missing in [false, true] {
            let failure = withdraw(&service, &request.request_id, allow_missing).await.unwrap_err();
            assert_eq!(failure.row(), (Code::Internal, "RECORD_UNREADABLE"), "{failure:?}");
            assert!(failure.message.contains("repair the record"), "{failure:?}");
            assert_eq!(failure.metadata("may_exist"), "true");
        }
        assert_eq!((service.ledger(), deletions(&service.emulator)), (prepared, 0));
        assert_eq!(context().await, damaged);
    }
    redis.run(&["HSET", &key, "context", &before]).await;
    withdraw_until_known(&service, &request.request_id).await;
    assert_eq!(service.ledger(), ONLY_A_CONNECTION);
}

#[tokio::test]
async fn a_flow_that_does_not_show_its_source_may_be_the_one_to_delete() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    service.create_dataflow(request.clone()).await.unwrap();
    // Other processes, which have no record.
    let proxy = hiding(&service.emulator, &["sourceConnectionIds"]).await.base_url();
    let blind = TestService::against(service.emulator.clone(), [("HCS_FLOW_SERVICE_URL", &*proxy)]).await;
    for allow_missing in [false, true] {
        let failure = withdraw(&blind, &request.request_id, allow_missing).await.unwrap_err();
        assert_eq!(failure.row(), (Code::Internal, "UPSTREAM_UNDECODABLE"), "{failure:?}");
        assert!(failure.message.contains("repeat the call"), "{failure:?}");
        assert_eq!((blind.ledger(), deletions(&blind.emulator)), (ONE_OF_EACH, 0));
    }
    let other = TestService::against(service.emulator.clone(), SETTLES_FAST).await;
    let failure = withdraw(&other, &request.request_id, false).await.unwrap_err();
    assert_eq!(failure.reason, "OUTCOME_UNKNOWN", "{failure:?}");
    assert_eq!(other.ledger(), Ledger { flows: 0, ..ONE_OF_EACH });
    assert_eq!(until_known(&other, &request.request_id, true).await.unwrap().leftovers, []);
}

#[tokio::test]
async fn a_flow_that_does_not_show_its_source_proves_no_outcome_of_a_lost_creation() {
    let Some(redis) = SharedRedis::start().await else { return };
    let (emulator, request) = left_unknown(&redis, "after_commit").await;
    let [url, key, create_timeout, settle_window] = shared(&redis);
    let proxy = hiding(&emulator, &["sourceConnectionIds"]).await.base_url();
    let upstream = ("HCS_FLOW_SERVICE_URL", &*proxy);
    let settings = [url, key, create_timeout, settle_window, upstream, ("HCS_REQUEST_TIMEOUT", "4s")];
    let blind = TestService::against(emulator.clone(), settings).await;
    let failure = withdraw(&blind, &request.request_id, true).await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "OUTCOME_UNKNOWN"), "{failure:?}");
    assert_eq!((blind.ledger(), deletions(&emulator)), (ONE_OF_EACH, 0));
    // It is not given up either.
    let other = TestService::against(emulator, shared(&redis)).await;
    let created = other.create_dataflow(request).await.unwrap();
    assert_eq!((created.id, created.replayed), (other.emulator.flows()[0].id.clone(), true));
}
