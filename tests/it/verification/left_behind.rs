//! Which connection is deleted again: one that certainly belongs to this creation, and still does not
//! work.

use http::Method;
use hubspot_connection_service::proto::Verification;
use serde_json::json;

use super::{DELETE, assert_verification_failed, posts, with_id};
use crate::support::{TestService, request_upstream, until};

fn ids(service: &TestService) -> Vec<String> {
    service.emulator.connections().into_iter().map(|connection| connection.id).collect()
}

#[tokio::test]
async fn a_connection_whose_reference_is_gone_is_not_deleted() {
    let service = TestService::start().await;
    service.set(json!({"initial_state": "initializing", "test_result": false}));
    let request = with_id(Verification::Require);
    let (response, id) = tokio::join!(service.send(request.clone()), async {
        until("its creation", || posts(&service) > 0 && !ids(&service).is_empty()).await;
        let id = ids(&service).remove(0);
        describe(&service, &id, "somebody else's by now").await;
        assert!(service.emulator.set_state(&id, "enabled"));
        id
    });
    assert_verification_failed(&response.unwrap_err(), &id);
    assert_verification_failed(&service.send(request).await.unwrap_err(), &id);
    assert_eq!((ids(&service), service.requests_to("DELETE", "")), (vec![id], 0));
}

#[tokio::test]
async fn a_connection_that_was_found_without_a_record_is_not_deleted() {
    for search_first in ["auto", "strict"] {
        let service = TestService::start().await;
        let request = with_id(Verification::Require);
        service.send(request.clone()).await.unwrap();
        let emulator = service.emulator.clone();
        service.stop().await;
        let service = TestService::against(emulator, [("HCS_SEARCH_FIRST", search_first)]).await;
        service.set(json!({"test_result": false}));
        let id = ids(&service).remove(0);
        assert_verification_failed(&service.send(request).await.unwrap_err(), &id);
        assert_eq!((ids(&service), service.requests_to("DELETE", "")), (vec![id], 0));
    }
}

/// Replaces the whole description, as a person can in Adobe's user interface.
async fn describe(service: &TestService, id: &str, description: &str) {
    let connection = service.emulator.connections().remove(0);
    let path = format!("/connections/{id}");
    let change = json!([{"op": "add", "path": "/description", "value": description}]);
    let response =
        request_upstream(&reqwest::Client::new(), &service.emulator, Method::PATCH, &path, Some(&change))
            .header("if-match", connection.etag)
            .send()
            .await
            .unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_lost_connection_that_is_found_and_does_not_work_is_deleted_again() {
    let service = TestService::start().await;
    service.set(json!({"test_result": false}));
    service.inject(json!([{"route": "POST /connections", "action": {"close": "after_commit"}}]));
    assert_verification_failed(&service.send(with_id(Verification::Require)).await.unwrap_err(), "");
    assert_eq!((ids(&service).len(), posts(&service)), (0, 1));
}

#[tokio::test]
async fn a_repaired_connection_is_not_deleted_by_a_retry() {
    let service = TestService::start().await;
    service.set(json!({"test_result": false}));
    service.inject(json!([{"route": DELETE, "count": 0, "action": {"status": 500, "shape": "A"}}]));
    let request = with_id(Verification::Require);
    let failure = service.send(request.clone()).await.unwrap_err();
    let id = ids(&service).remove(0);
    assert_verification_failed(&failure, &id);
    let deletions = service.requests_to("DELETE", "");
    assert!(deletions > 0);

    service.inject(json!([]));
    service.set(json!({"test_result": true}));
    for _ in 0..2 {
        let again = service.send(request.clone()).await.unwrap_err();
        assert_verification_failed(&again, &id);
        assert_eq!(
            (again.message, again.preconditions),
            (failure.message.clone(), failure.preconditions.clone())
        );
    }
    // An undecided one is not deleted either.
    service.inject(json!([{"route": super::TEST, "count": 0, "action": {"status": 503, "shape": "A"}}]));
    assert_verification_failed(&service.send(request.clone()).await.unwrap_err(), &id);
    assert_eq!((ids(&service), service.requests_to("DELETE", "")), (vec![id], deletions));
}
