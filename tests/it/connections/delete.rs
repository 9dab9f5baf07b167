//! Deleting a connection, also when the reply is lost.

use http::StatusCode;
use hubspot_connection_service::{
    emulator::Settings,
    proto::{CreateHubSpotConnectionRequest, DeleteHubSpotConnectionRequest},
};
use serde_json::json;
use tonic::Code;

use super::{
    DELETE, GET, MISSING_ID, SHORT_TIMEOUT, assert_not_found, delete, delete_allowing_missing, get, requests,
    send_delete, stored,
};
use crate::support::{SETTLES_FAST, TestService, in_time, request, salesforce};

#[tokio::test]
async fn a_deleted_connection_is_gone_and_no_other() {
    for delete_status in [StatusCode::NO_CONTENT, StatusCode::ACCEPTED] {
        let service = TestService::start().await;
        service.emulator.settings(Settings { delete_status, ..Settings::default() });
        let kept = service.create().await.unwrap().id;
        let id = service.create().await.unwrap().id;
        delete(&service, &id).await.unwrap();
        assert_not_found(&get(&service, &id).await.unwrap_err(), &id);
        let remaining: Vec<_> = service.emulator.connections().into_iter().map(|c| c.id).collect();
        assert_eq!((remaining, requests(&service, "DELETE", &id).len()), (vec![kept], 1));
    }
}

#[tokio::test]
async fn a_missing_connection_is_not_found_unless_allow_missing_is_set() {
    let service = TestService::start().await;
    let gone = service.create().await.unwrap().id;
    delete(&service, &gone).await.unwrap();
    for id in [MISSING_ID, &gone] {
        assert_not_found(&delete(&service, id).await.unwrap_err(), id);
        delete_allowing_missing(&service, id).await.unwrap();
    }
    // With it, an existing connection is deleted, too.
    let there = service.create().await.unwrap().id;
    delete_allowing_missing(&service, &there).await.unwrap();
    assert_eq!(service.emulator.connections(), []);
}

#[tokio::test]
async fn a_connection_to_another_source_is_never_touched() {
    let service = TestService::start().await;
    let id = salesforce(&service.emulator).await;
    assert_not_found(&delete(&service, &id).await.unwrap_err(), &id);
    // It is not missing; it belongs to another source.
    assert_not_found(&delete_allowing_missing(&service, &id).await.unwrap_err(), &id);
    assert!(stored(&service, &id).is_some());
    assert_eq!(requests(&service, "DELETE", &id).len(), 0);
}

#[tokio::test]
async fn a_connection_of_another_sandbox_is_never_touched() {
    let service = TestService::start().await;
    let in_dev = CreateHubSpotConnectionRequest { sandbox_name: "dev".to_owned(), ..request() };
    let id = service.send(in_dev).await.unwrap().id;
    // The proof that it is HubSpot's in one sandbox does not count for another.
    let request = |sandbox: &str| DeleteHubSpotConnectionRequest {
        id: id.clone(),
        sandbox_name: sandbox.to_owned(),
        allow_missing: false,
    };
    super::get_in(&service, &id, "dev").await.unwrap();
    assert_not_found(&send_delete(&service, request("")).await.unwrap_err(), &id);
    assert_eq!(requests(&service, "DELETE", &id).len(), 0);
    send_delete(&service, request("dev")).await.unwrap();
    assert_eq!(service.emulator.connections(), []);
}

#[tokio::test]
async fn an_invalid_request_is_refused_before_anything_is_sent() {
    let service = TestService::start().await;
    let request = DeleteHubSpotConnectionRequest {
        id: "../flows".to_owned(),
        sandbox_name: "Prod".to_owned(),
        allow_missing: true,
    };
    let failure = send_delete(&service, request.clone()).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
    let fields: Vec<_> = failure.violations.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["id", "sandbox_name"]);
    let elsewhere = DeleteHubSpotConnectionRequest {
        id: MISSING_ID.to_owned(),
        sandbox_name: "qa".to_owned(),
        ..request
    };
    let failure = send_delete(&service, elsewhere).await.unwrap_err();
    assert_eq!(failure.row(), (Code::PermissionDenied, "SANDBOX_NOT_ALLOWED"));
    assert!(service.emulator.received().iter().all(|request| request.method == "POST"));
}

#[tokio::test]
async fn a_connection_in_use_stays_and_its_dataflows_are_named() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let flows = ["0a4c5b9e-5f4e-4c0e-9f0d-0d8b9c1f3a11", "e0bd8463-0913-4ca1-bd84-6309134ca1f6"];
    for (named, subjects) in [
        (flows.to_vec(), flows.map(|flow| format!("flows/{flow}")).to_vec()),
        (vec!["no ID"], vec![format!("connections/{id}")]),
    ] {
        let named = named.into_iter().map(str::to_owned).collect();
        service.emulator.settings(Settings { flows: [(id.clone(), named)].into(), ..Settings::default() });
        for allow_missing in [false, true] {
            let request =
                DeleteHubSpotConnectionRequest { id: id.clone(), allow_missing, ..Default::default() };
            let failure = send_delete(&service, request).await.unwrap_err();
            assert_eq!(failure.row(), (Code::FailedPrecondition, "CONNECTION_IN_USE"));
            let subjects_named: Vec<_> =
                failure.preconditions.iter().map(|(_, subject, _)| subject.clone()).collect();
            assert_eq!(subjects_named, subjects);
            for (kind, _, description) in &failure.preconditions {
                assert_eq!(kind, "CONNECTION_IN_USE");
                assert!(description.contains("delete those dataflows first"), "{description}");
            }
            assert!(failure.message.contains("nothing was deleted") && failure.forbids_retry, "{failure:?}");
            assert_eq!(failure.metadata("upstream_code"), "FLOW-1418-400");
        }
    }
    assert!(stored(&service, &id).is_some());
    service.emulator.settings(Settings::default());
    delete(&service, &id).await.unwrap();
}

#[tokio::test]
async fn a_state_that_does_not_allow_it_is_a_precondition() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    service.emulator.set_state(&id, "updating");
    let failure = delete(&service, &id).await.unwrap_err();
    assert_eq!(failure.row(), (Code::FailedPrecondition, "CONNECTION_STATE"));
    assert_eq!(failure.preconditions.len(), 1);
    let (kind, subject, description) = &failure.preconditions[0];
    assert_eq!((kind.as_str(), subject), ("CONNECTION_STATE", &format!("connections/{id}")));
    assert!(
        description.contains("GetHubSpotConnection") && failure.message.contains("nothing was deleted"),
        "{failure:?}"
    );
    assert_eq!(failure.metadata("upstream_code"), "FLOW-1416-400");
    assert!(stored(&service, &id).is_some());
}

#[tokio::test]
async fn a_connection_that_is_being_deleted_need_not_be_deleted_again() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    service.emulator.set_state(&id, "delete-finalizing");
    delete(&service, &id).await.unwrap();
    delete_allowing_missing(&service, &id).await.unwrap();
}

#[tokio::test]
async fn a_lost_reply_is_recovered() {
    for (action, deletions) in [
        (json!({"close": "before_commit"}), 2),
        (json!({"close": "after_commit"}), 1),
        (json!({"status": 503}), 2),
        (json!({"status": 503, "commit": true}), 1),
        (json!({"status": 504, "shape": "empty", "commit": true}), 1),
        (json!({"status": 200, "shape": "cut", "commit": true}), 1),
        (json!({"status": 204, "shape": "empty", "commit": true}), 1),
        // Not a refusal of the Flow Service: an intermediary has given up.
        (json!({"status": 409, "shape": "empty"}), 2),
        (json!({"status": 425, "shape": "html", "commit": true}), 1),
        (json!({"status": 499, "shape": "empty", "commit": true}), 1),
    ] {
        for is_known in [false, true] {
            let service = TestService::start().await;
            let others = [service.create().await.unwrap().id, service.create().await.unwrap().id];
            // A connection that this service has not created itself just before.
            let id = service.create_behind_its_back(&request()).await;
            if is_known {
                get(&service, &id).await.unwrap();
            }
            service.inject(json!([{"route": DELETE, "action": action}]));
            delete(&service, &id).await.unwrap_or_else(|failure| panic!("{action}: {failure:?}"));
            let remaining: Vec<_> = service.emulator.connections().into_iter().map(|c| c.id).collect();
            assert_eq!(remaining, others, "{action}");
            assert_eq!(requests(&service, "DELETE", &id).len(), deletions, "{action}");
        }
    }
}

#[tokio::test]
async fn a_deletion_with_an_unknown_outcome_is_safe_to_retry() {
    let service = TestService::start().await;
    let id = service.create_behind_its_back(&request()).await;
    get(&service, &id).await.unwrap();
    service.inject(json!([
        {"route": DELETE, "action": {"close": "after_commit"}},
        {"route": GET, "count": 0, "action": {"status": 503, "shape": "empty"}},
    ]));
    let failure = delete(&service, &id).await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "OUTCOME_UNKNOWN"));
    assert!(failure.retry_after.is_some() && failure.message.contains("allow_missing"), "{failure:?}");
    assert_eq!(failure.metadata("stage"), "delete");
    service.inject(json!([]));
    delete_allowing_missing(&service, &id).await.unwrap();
}

#[tokio::test]
async fn a_deletion_that_keeps_failing_is_given_up() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    service.inject(json!([{"route": DELETE, "count": 0, "action": {"status": 503}}]));
    let failure = delete(&service, &id).await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "OUTCOME_UNKNOWN"));
    assert_eq!(failure.metadata("upstream_status"), "503");
    assert_eq!(requests(&service, "DELETE", &id).len(), 4);
    assert!(stored(&service, &id).is_some());
}

#[tokio::test]
async fn a_refusal_deletes_nothing_and_reports_it() {
    for (action, row) in [
        (json!({"status": 403, "code": "2121"}), (Code::FailedPrecondition, "PLATFORM_PERMISSION_MISSING")),
        (json!({"status": 404, "shape": "D"}), (Code::FailedPrecondition, "UPSTREAM_REJECTED")),
        (json!({"status": 404, "shape": "E"}), (Code::FailedPrecondition, "UPSTREAM_REJECTED")),
        (json!({"status": 400, "code": "1405"}), (Code::FailedPrecondition, "UPSTREAM_REJECTED")),
        (json!({"status": 400, "code": "1999"}), (Code::InvalidArgument, "UPSTREAM_REJECTED")),
    ] {
        let service = TestService::start().await;
        let id = service.create().await.unwrap().id;
        service.inject(json!([{"route": DELETE, "action": action}]));
        let failure = delete_allowing_missing(&service, &id).await.unwrap_err();
        assert_eq!(failure.row(), row, "{action}");
        assert!(failure.message.contains("nothing was deleted"), "{failure:?}");
        assert!(stored(&service, &id).is_some());
    }
}

#[tokio::test]
async fn without_a_proof_nothing_is_deleted() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    for action in [
        json!({"status": 404, "shape": "html"}),
        json!({"status": 404, "shape": "D"}),
        json!({"status": 404, "shape": "empty"}),
        json!({"status": 404, "shape": "C"}),
        json!({"status": 503}),
    ] {
        service.inject(json!([{"route": GET, "count": 0, "action": action}]));
        let failure = delete_allowing_missing(&service, &id).await.unwrap_err();
        assert!(failure.message.contains("nothing was deleted"), "{failure:?}");
    }
    assert_eq!(requests(&service, "DELETE", &id).len(), 0);
}

#[tokio::test]
async fn an_exceeded_deadline_reports_that_the_connection_may_be_deleted() {
    let service = TestService::with([SHORT_TIMEOUT]).await;
    let id = service.create().await.unwrap().id;
    service.inject(json!([{"route": DELETE, "count": 0, "action": {"delay": "30s"}}]));
    let failure = delete(&service, &id).await.unwrap_err();
    assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!((failure.metadata("stage"), failure.metadata("may_exist")), ("delete", "false"));
    assert!(failure.message.contains("may have been deleted"), "{failure:?}");
    assert!(failure.message.contains("allow_missing"), "{failure:?}");
}

#[tokio::test]
async fn a_connection_that_was_just_created_is_not_considered_missing() {
    let service = TestService::with(SETTLES_FAST).await;
    let id = service.create().await.unwrap().id;
    // A node that does not know it yet.
    let lagging = json!([
        {"route": GET, "count": 0, "action": {"status": 404, "shape": "A"}},
        {"route": DELETE, "count": 0, "action": {"status": 404, "shape": "A"}},
    ]);
    service.inject(lagging.clone());
    for delete_it in [true, false] {
        let failure = if delete_it {
            delete(&service, &id).await.unwrap_err()
        } else {
            delete_allowing_missing(&service, &id).await.unwrap_err()
        };
        assert_eq!(failure.row(), (Code::Unavailable, "OUTCOME_UNKNOWN"));
        assert!(failure.retry_after.is_some(), "{failure:?}");
    }
    assert!(stored(&service, &id).is_some());
    service.inject(json!([]));
    delete_allowing_missing(&service, &id).await.unwrap();
    assert!(stored(&service, &id).is_none());
    // A deleted connection is missing from then on.
    assert_not_found(&delete(&service, &id).await.unwrap_err(), &id);

    // A connection that was created long ago and is not found is missing.
    let id = service.create().await.unwrap().id;
    service.inject(lagging);
    in_time("the end of the settle window", async {
        while delete_allowing_missing(&service, &id).await.is_err() {}
    })
    .await;
}
