//! Pause and resume.

use hubspot_connection_service::proto::DataflowState;
use serde_json::json;
use tonic::Code;

use super::{ACTION, Flow, NOT_FOUND, Setup};
use crate::support::{salesforce, until};

const STATE: (Code, &str) = (Code::FailedPrecondition, "DATAFLOW_STATE");

impl Setup {
    fn actions(&self) -> usize {
        self.service.requests_to("POST", "/action")
    }
}

#[tokio::test]
async fn a_dataflow_is_paused_and_resumed_and_nothing_is_sent_if_it_already_is() {
    let mut setup = Setup::new().await;
    let created = setup.create("ours").await.id;
    let elsewhere = setup.create_elsewhere("theirs").await.id;
    for (number, id) in [created, elsewhere].iter().enumerate() {
        for _ in 0..2 {
            let etag = setup.pause(id).await.unwrap();
            assert_eq!(setup.flow(id), ("disabled".to_owned(), etag));
        }
        assert_eq!(setup.get(id).await.unwrap().state(), DataflowState::Disabled);
        for _ in 0..2 {
            let etag = setup.resume(id).await.unwrap();
            assert_eq!(setup.flow(id), ("enabled".to_owned(), etag));
        }
        assert_eq!(setup.actions(), 2 * (number + 1));
    }
}

#[tokio::test]
async fn a_change_that_is_under_way_is_awaited() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    for (near, there, pauses) in [("disabling", "disabled", true), ("enabling", "enabled", false)] {
        assert!(setup.service.emulator.set_state(&id, near));
        let reads = setup.service.requests_to("GET", &id);
        let emulator = setup.service.emulator.clone();
        let change = async { if pauses { setup.pause(&id).await } else { setup.resume(&id).await } };
        let finish = async {
            let read = || emulator.received().iter().filter(|r| r.path.ends_with(&id)).count();
            until("two reads", || read() >= reads + 2).await;
            emulator.set_state(&id, there);
        };
        let (etag, ()) = tokio::join!(change, finish);
        assert_eq!(setup.flow(&id), (there.to_owned(), etag.unwrap()));
    }
    assert_eq!(setup.actions(), 0);
}

#[tokio::test]
async fn a_lost_reply_is_resolved_by_reading() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    for action in [
        json!({"close": "after_commit"}),
        json!({"status": 503, "commit": true}),
        json!({"status": 502, "shape": "html", "commit": true}),
        json!({"status": 200, "shape": "cut", "commit": true}),
        json!({"commit_after": "500ms"}),
    ] {
        setup.service.inject(json!([{"route": ACTION, "action": action}]));
        let etag = setup.pause(&id).await.unwrap_or_else(|failure| panic!("{action}: {failure:?}"));
        assert_eq!(setup.flow(&id), ("disabled".to_owned(), etag), "{action}");
        setup.resume(&id).await.unwrap();
    }
    // One request each: none is repeated.
    assert_eq!(setup.actions(), 10);
}

#[tokio::test]
async fn a_request_that_has_no_effect_and_no_reply_is_of_unknown_outcome() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    setup.service.inject(json!([{"route": ACTION, "action": {"close": "before_commit"}}]));
    let failure = setup.pause(&id).await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "OUTCOME_UNKNOWN"));
    assert_eq!((failure.metadata("dataflow_id"), failure.metadata("stage")), (&*id, "update"));
    assert!(failure.retry_after.is_some(), "{failure:?}");
    assert_eq!((setup.actions(), setup.flow(&id).0), (1, "enabled".to_owned()));
    setup.pause(&id).await.unwrap();
    assert_eq!(setup.flow(&id).0, "disabled");
}

#[tokio::test]
async fn a_state_that_does_not_allow_it_is_named() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    for (state, name, sends) in [
        ("draft", "DATAFLOW_STATE_DRAFT", 0),
        ("delete-finalizing", "DATAFLOW_STATE_DELETING", 0),
        ("initializing", "DATAFLOW_STATE_INITIALIZING", 1),
        ("updating", "DATAFLOW_STATE_UPDATING", 1),
    ] {
        setup.service.emulator.set_state(&id, state);
        for pauses in [true, false] {
            let before = setup.actions();
            let changed = if pauses { setup.pause(&id).await } else { setup.resume(&id).await };
            let failure = changed.unwrap_err();
            assert_eq!(failure.row(), STATE, "{state}");
            assert!(failure.message.contains(name), "{failure:?}");
            assert_eq!(failure.preconditions[0].1, format!("dataflows/{id}"));
            assert!(failure.forbids_retry);
            assert_eq!(setup.actions() - before, sends, "{state}");
        }
        assert_eq!(setup.flow(&id).0, state);
    }
}

#[tokio::test]
async fn another_client_that_is_faster_does_no_harm() {
    let mut setup = Setup::new().await;
    let id = setup.create("Contacts").await.id;
    // The reply arrives late and is a refusal, as the other client's request came first.
    setup.service.inject(json!([
        {"route": ACTION, "action": {"status": 400, "code": "1422", "commit": true}},
    ]));
    let etag = setup.pause(&id).await.unwrap();
    assert_eq!(setup.flow(&id), ("disabled".to_owned(), etag));
}

#[tokio::test]
async fn a_flow_of_another_source_is_neither_paused_nor_resumed() {
    let mut setup = Setup::new().await;
    let connection = salesforce(&setup.service.emulator).await;
    let flow = Flow::of_salesforce(&setup.service.emulator, &connection, "Accounts").await;
    let before = setup.flow(&flow.id);
    for id in [&*flow.id, "3f8a5c1e-0000-4000-8000-000000000000"] {
        assert_eq!(setup.pause(id).await.unwrap_err().row(), NOT_FOUND);
        assert_eq!(setup.resume(id).await.unwrap_err().row(), NOT_FOUND);
    }
    assert_eq!((setup.actions(), setup.flow(&flow.id)), (0, before));
}
