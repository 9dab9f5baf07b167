//! What is deleted again: a connection that is certainly this creation's, and still does not work.

use hubspot_connection_service::proto::{CreateHubSpotConnectionRequest, HubSpotCredentials, Verification};
use serde_json::json;

use super::{DELETE, assert_verification_failed, posts, with_id};
use crate::support::{Failure, TestService, credentials, until};

/// Sends a creation that gets lost on its way, and creates a connection of the same name with another
/// client ID behind its back, whose ID comes back with the answer. Neither works.
async fn lost_while_another_is_created(
    service: &TestService,
    request: &CreateHubSpotConnectionRequest,
    client_id: &str,
) -> (Failure, String) {
    service.set(json!({"test_result": false}));
    service.inject(json!([{"route": "POST /connections", "action": {"close": "before_commit"}}]));
    let credentials = HubSpotCredentials { client_id: client_id.to_owned(), ..credentials() };
    let other = CreateHubSpotConnectionRequest { credentials: Some(credentials), ..request.clone() };
    let (answer, id) = tokio::join!(service.send(request.clone()), async {
        until("a look for it", || service.requests_to("GET", "/connections") > 0).await;
        service.create_behind_its_back(&other).await;
        service.emulator.connections()[0].id.clone()
    });
    (answer.unwrap_err(), id)
}

fn ids(service: &TestService) -> Vec<String> {
    service.emulator.connections().into_iter().map(|connection| connection.id).collect()
}

#[tokio::test]
async fn a_connection_that_need_not_be_this_creations_is_taken_for_it_and_never_deleted() {
    for client_id in ["************", "hs-cl****-id", "xxxxxxxxxxxx", "an-id-of-another-length"] {
        let service = TestService::start().await;
        let request = with_id(Verification::Require);
        let (failure, id) = lost_while_another_is_created(&service, &request, client_id).await;
        assert_verification_failed(&failure, &id);
        assert!(failure.message.contains("unless it is another creation's"), "{failure:?}");
        for test_result in [false, true] {
            service.set(json!({"test_result": test_result}));
            assert_verification_failed(&service.send(request.clone()).await.unwrap_err(), &id);
        }
        assert_eq!((ids(&service), posts(&service)), (vec![id], 2), "{client_id}");
        assert_eq!(service.requests_to("DELETE", ""), 0);
    }
}

#[tokio::test]
async fn a_connection_that_is_certainly_another_creations_is_not_even_taken_for_it() {
    let service = TestService::with([("HCS_SETTLE_WINDOW", "1s")]).await;
    let request = with_id(Verification::Require);
    let own = credentials().client_id;
    let (failure, id) = lost_while_another_is_created(&service, &request, &own.replace("hs", "sh")).await;
    // Once it is certain that it never arrived, it is sent again, and its own connection deleted again.
    assert_verification_failed(&failure, "");
    assert_eq!((&ids(&service), posts(&service)), (&vec![id.clone()], 3));
    assert_verification_failed(&service.send(request).await.unwrap_err(), "");
    assert_eq!((ids(&service), service.requests_to("DELETE", &id)), (vec![id], 0));
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
async fn a_connection_that_somebody_has_repaired_is_not_deleted_by_a_repetition() {
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
    // Nor one of which nobody can tell.
    service.inject(json!([{"route": super::TEST, "count": 0, "action": {"status": 503, "shape": "A"}}]));
    assert_verification_failed(&service.send(request.clone()).await.unwrap_err(), &id);
    assert_eq!((ids(&service), service.requests_to("DELETE", "")), (vec![id], deletions));
}
