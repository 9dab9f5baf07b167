//! Deadlines that are exceeded while a dataflow is being created.

use hubspot_connection_service::proto::CreateHubSpotDataflowRequest;
use serde_json::json;
use tonic::Code;

use super::{FLOWS, SOURCES, unnamed};
use crate::support::{
    TestService,
    dataflows::{ONE_OF_EACH, ONLY_A_CONNECTION},
    until,
};

#[tokio::test]
async fn a_deadline_exceeded_in_the_preparation_says_that_there_is_no_dataflow() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    service.inject(json!([{"route": SOURCES, "action": {"delay": "1500ms"}}]));
    let failure = service.create_dataflow_within(&unnamed(&request), "1000m").await;
    assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!((failure.metadata("stage"), failure.metadata("may_exist")), ("prepare", "false"));
    // The rest of the preparation is done for a retry, and nothing is sent for nobody.
    until("the target connection", || service.ledger().target_connections == 1).await;
    until("the source connection", || service.ledger().source_connections == 1).await;
    assert_eq!(service.ledger().flows, 0);

    let request_id = failure.metadata("request_id").to_owned();
    let retried = CreateHubSpotDataflowRequest { request_id, ..request };
    service.create_dataflow(retried).await.unwrap();
    assert_eq!(service.ledger(), ONE_OF_EACH);
}

#[tokio::test]
async fn a_deadline_exceeded_after_the_flow_was_sent_says_that_it_may_exist() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    service.inject(json!([{"route": FLOWS, "action": {"delay": "2s"}}]));
    let failure = service.create_dataflow_within(&unnamed(&request), "1500m").await;
    assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!((failure.metadata("stage"), failure.metadata("may_exist")), ("create", "true"));
    // The creation goes on.
    let request_id = failure.metadata("request_id").to_owned();
    let retried = CreateHubSpotDataflowRequest { request_id, ..request };
    let created = service.create_dataflow(retried).await.unwrap();
    assert_eq!((created.id, created.replayed), (service.emulator.flows()[0].id.clone(), true));
    assert_eq!(service.posted_to("/flows").len(), 1);
    assert_eq!(service.ledger(), ONE_OF_EACH);
}

#[tokio::test]
async fn while_an_attempt_may_be_forgotten_no_error_says_that_nothing_exists() {
    let service = TestService::start().await;
    let request = service.dataflow_request().await;
    let action = json!({"status": 503, "shape": "empty"});
    service.inject(json!([{"route": SOURCES, "count": 0, "action": action}]));
    let failure = service.create_dataflow(request.clone()).await.unwrap_err();
    assert_eq!((failure.metadata("stage"), failure.metadata("may_exist")), ("prepare", "true"));
    assert!(failure.message.contains("an earlier attempt may have created"), "{failure:?}");

    // An id that was generated just now has no earlier attempt.
    service.emulator.reset();
    let request = service.dataflow_request().await;
    service.inject(json!([{"route": FLOWS, "action": {"status": 400, "code": "1413"}}]));
    let failure = service.create_dataflow(unnamed(&request)).await.unwrap_err();
    assert_eq!(failure.metadata("may_exist"), "false", "{failure:?}");
    assert_eq!(service.ledger(), ONLY_A_CONNECTION);
}
