//! A deletion is finished whatever fails: a reply is lost, a service refuses, or the process ends in between.

use hubspot_connection_service::emulator::Options;
use serde_json::{Value, json};
use tonic::Code;

use super::{Setup, client, creation, delete::DELETIONS, deletion, kinds};
use crate::{
    chaos::redis::SharedRedis,
    support::{FINGERPRINT_KEY, ServiceProcess, Signal, request, start_emulator, until},
};

const FLOW: &str = "DELETE /flows/{id}";
const OTHERS: [(&str, &str); 3] = [
    ("DELETE /sourceConnections/{id}", "source_connection"),
    ("DELETE /targetConnections/{id}", "target_connection"),
    ("DELETE /data/foundation/conversion/mappingSets/{id}", "mapping_set"),
];

/// Replies that are lost although the request was executed.
fn lost_after_commit() -> [Value; 4] {
    [
        json!({"close": "after_commit"}),
        json!({"status": 503, "commit": true}),
        json!({"status": 502, "shape": "html", "commit": true}),
        json!({"commit_after": "300ms"}),
    ]
}

fn assert_gone(setup: &Setup, of: &str) {
    let left = setup.ledger();
    let gone = [left.flows, left.source_connections, left.target_connections, left.mapping_sets];
    assert_eq!(gone, [0; 4], "{of}");
    assert_eq!(left.connections, 1, "{of}");
}

#[tokio::test]
async fn a_lost_reply_to_the_deletion_of_the_flow_is_resolved_by_reading() {
    let mut setup = Setup::new().await;
    for action in lost_after_commit() {
        let id = setup.create_elsewhere("Contacts").await.id;
        let before = setup.writes().len();
        setup.service.inject(json!([{"route": FLOW, "action": action}]));
        let leftovers = setup.delete(&id, false).await;
        let leftovers = leftovers.unwrap_or_else(|failure| panic!("{action}: {failure:?}"));
        assert_eq!(leftovers.iter().map(|left| &*left.kind).collect::<Vec<_>>(), ["dataset", "schema"]);
        assert_eq!(setup.writes()[before..], DELETIONS, "{action}");
        assert_gone(&setup, &action.to_string());
    }
}

#[tokio::test]
async fn a_deletion_without_effect_and_reply_is_of_unknown_outcome_and_is_repeated() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    setup.service.inject(json!([{"route": FLOW, "action": {"close": "before_commit"}}]));
    let before = setup.ledger();
    let failure = setup.delete(&id, false).await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "OUTCOME_UNKNOWN"));
    assert!(failure.message.contains("allow_missing") && failure.retry_after.is_some(), "{failure:?}");
    assert_eq!(failure.metadata("stage"), "delete");
    assert_eq!(setup.ledger(), before);
    setup.delete(&id, true).await.unwrap();
    assert_gone(&setup, "repeated");
}

#[tokio::test]
async fn whatever_could_not_be_deleted_is_a_leftover_that_a_repetition_deletes() {
    let mut setup = Setup::new().await;
    for (route, kind) in OTHERS {
        for action in [
            json!({"close": "before_commit"}),
            json!({"close": "after_commit"}),
            json!({"status": 400, "code": "1100"}),
            json!({"status": 403, "shape": "D", "code": 403_003}),
            json!({"status": 502, "shape": "html"}),
        ] {
            let of = format!("{route} {action}");
            let flow = setup.create_elsewhere("Contacts").await;
            setup.service.inject(json!([{"route": route, "action": action}]));
            let leftovers = setup.delete(&flow.id, false).await;
            let leftovers = leftovers.unwrap_or_else(|failure| panic!("{of}: {failure:?}"));
            // Where the reply was lost after the deletion it may be known to be gone.
            if action != json!({"close": "after_commit"}) {
                assert_eq!(kinds(&leftovers).iter().filter(|(left, _)| *left == kind).count(), 1, "{of}");
            }
            let repeated = setup.delete(&flow.id, true).await.unwrap();
            assert!(repeated.iter().all(|left| matches!(&*left.kind, "dataset" | "schema")), "{of}");
            assert_gone(&setup, &of);
        }
    }
}

/// A deletion of which two replicas of one store do one half each.
#[tokio::test]
async fn a_deletion_whose_process_died_is_finished_by_another_process() {
    let Some(redis) = SharedRedis::start().await else { return };
    let url = redis.url().to_owned();
    let settings = [("HCS_REDIS_URL", &*url), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY)];
    let emulator = start_emulator(Options::default()).await;
    for path in
        ["/flows", "/sourceConnections", "/targetConnections", "/data/foundation/conversion/mappingSets"]
    {
        let dying = ServiceProcess::start(&emulator, &settings).await;
        let connection =
            dying.client().await.create_hub_spot_connection(request()).await.unwrap().into_inner().id;
        let mut caller = client(dying.grpc).await;
        let created =
            caller.create_hub_spot_dataflow(creation(&connection, path)).await.unwrap().into_inner();
        let made = created.resources.unwrap();
        crate::support::inject(
            &emulator,
            json!([{"route": format!("DELETE {path}/{{id}}"), "action": {"delay": "60s"}}]),
        );
        let before = emulator.received().len();
        let id = created.id.clone();
        let call = tokio::spawn(async move { caller.delete_hub_spot_dataflow(deletion(&id, false)).await });
        let is_sent =
            || emulator.received()[before..].iter().any(|r| r.method == "DELETE" && r.path.contains(path));
        until("the deletion", is_sent).await;
        dying.process.signal(Signal::KILL);
        dying.process.wait().await;
        call.await.unwrap().unwrap_err();

        let next = ServiceProcess::start(&emulator, &settings).await;
        let mut caller = client(next.grpc).await;
        let deleted =
            caller.delete_hub_spot_dataflow(deletion(&created.id, false)).await.unwrap().into_inner();
        assert_eq!(
            kinds(&deleted.leftovers),
            [("dataset", &*made.dataset_id), ("schema", &*made.schema_id)],
            "{path}"
        );
        let left = emulator.ledger();
        let gone = [left.flows, left.source_connections, left.target_connections, left.mapping_sets];
        assert_eq!(gone, [0; 4], "{path}");
        // It is finished.
        caller.delete_hub_spot_dataflow(deletion(&created.id, false)).await.unwrap_err();
        next.process.signal(Signal::KILL);
    }
}
