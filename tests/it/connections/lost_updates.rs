//! Updates whose reply is lost.

use hubspot_connection_service::proto::UpdateHubSpotConnectionRequest;
use serde_json::{Value, json};
use tonic::Code;

use super::{GET, UPDATE, get, other_credentials, requests, stored, stored_params, until_requested, update};
use crate::support::{Failure, TestService};

/// The kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Name,
    Description,
    Credentials,
    NameAndCredentials,
}

impl Change {
    const ALL: [Self; 4] = [Self::Name, Self::Description, Self::Credentials, Self::NameAndCredentials];

    fn request(self, id: &str, etag: Option<&str>) -> UpdateHubSpotConnectionRequest {
        let has_name = matches!(self, Self::Name | Self::NameAndCredentials);
        UpdateHubSpotConnectionRequest {
            id: id.to_owned(),
            sandbox_name: String::new(),
            etag: etag.unwrap_or_default().to_owned(),
            name: has_name.then(|| "HubSpot US".to_owned()),
            description: (self == Self::Description).then(String::new),
            credentials: self.has_credentials().then(other_credentials),
            validate_only: false,
        }
    }

    fn has_credentials(self) -> bool {
        matches!(self, Self::Credentials | Self::NameAndCredentials)
    }

    /// Whether the connection shows the change.
    async fn is_made(self, service: &TestService, id: &str) -> bool {
        let connection = get(service, id).await.unwrap();
        let has_new_name = connection.name == "HubSpot US";
        let has_new_credentials =
            stored_params(&service.emulator, id).await["refreshToken"] == "new-refresh-token";
        match self {
            Self::Name => has_new_name,
            Self::Description => connection.description.is_empty(),
            Self::Credentials => has_new_credentials,
            Self::NameAndCredentials => has_new_name && has_new_credentials,
        }
    }
}

/// How a reply is lost, and whether the change is made.
fn losses() -> [(Value, bool); 10] {
    [
        (json!({"close": "before_commit"}), false),
        (json!({"close": "after_commit"}), true),
        (json!({"status": 503}), false),
        (json!({"status": 503, "commit": true}), true),
        (json!({"status": 504, "shape": "empty", "commit": true}), true),
        (json!({"status": 200, "shape": "cut", "commit": true}), true),
        (json!({"status": 200, "shape": "html", "commit": true}), true),
        (json!({"status": 200, "shape": "empty", "commit": false}), false),
        (json!({"status": 409, "shape": "A", "commit": true}), true),
        (json!({"status": 499, "shape": "empty"}), false),
    ]
}

/// Creates a connection, changes it under these faults, and returns the number of changes sent.
async fn change(
    change: Change,
    with_etag: bool,
    faults: Value,
) -> (TestService, String, Result<String, Failure>, usize) {
    let service = TestService::start().await;
    let created = service.create().await.unwrap();
    service.inject(faults);
    let request = change.request(&created.id, with_etag.then_some(&*created.etag));
    let response = update(&service, request).await;
    let sent = requests(&service, "PATCH", &created.id).len();
    (service, created.id, response, sent)
}

#[tokio::test]
async fn without_an_etag_a_lost_reply_is_recovered() {
    for (action, is_committed) in losses() {
        for what in Change::ALL {
            let case = format!("{what:?} {action}");
            let (service, id, response, sent) =
                change(what, false, json!([{"route": UPDATE, "action": action}])).await;
            let etag = response.unwrap_or_else(|failure| panic!("{case}: {failure:?}"));
            assert_eq!(etag, stored(&service, &id).unwrap().etag, "{case}");
            assert!(what.is_made(&service, &id).await, "{case}");
            // A readable change need not be retried.
            let is_seen = is_committed && !what.has_credentials();
            assert_eq!(sent, if is_seen { 1 } else { 2 }, "{case}");
        }
    }
}

#[tokio::test]
async fn with_an_etag_a_lost_reply_is_recovered_if_the_change_is_visible() {
    for (action, is_committed) in losses() {
        for what in Change::ALL {
            let case = format!("{what:?} {action}");
            let (service, id, response, sent) =
                change(what, true, json!([{"route": UPDATE, "action": action}])).await;
            assert_eq!(sent, if is_committed { 1 } else { 2 }, "{case}");
            assert!(what.is_made(&service, &id).await, "{case}");
            if what == Change::Credentials && is_committed {
                let failure = response.unwrap_err();
                assert_eq!(failure.row(), (Code::Unknown, "OUTCOME_UNKNOWN"), "{case}");
                assert!(failure.forbids_retry && failure.retry_after.is_none(), "{failure:?}");
                assert!(failure.message.contains("its current etag or without one"), "{failure:?}");
                assert_eq!(failure.metadata("stage"), "update");
            } else {
                let etag = response.unwrap_or_else(|failure| panic!("{case}: {failure:?}"));
                assert_eq!(etag, stored(&service, &id).unwrap().etag, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn several_replies_in_a_row_may_be_lost() {
    for with_etag in [false, true] {
        for what in Change::ALL {
            let lost = json!({"close": "before_commit"});
            let (service, id, response, sent) =
                change(what, with_etag, json!([{"route": UPDATE, "count": 3, "action": lost}])).await;
            response.unwrap_or_else(|failure| panic!("{what:?}: {failure:?}"));
            assert!(what.is_made(&service, &id).await);
            assert_eq!(sent, 4);
        }
    }
}

#[tokio::test]
async fn a_change_that_keeps_failing_is_given_up() {
    for with_etag in [false, true] {
        let lost = json!({"status": 503});
        let faults = json!([{"route": UPDATE, "count": 0, "action": lost}]);
        let (service, id, response, sent) = change(Change::Credentials, with_etag, faults).await;
        let failure = response.unwrap_err();
        let code = if with_etag { Code::Unknown } else { Code::Unavailable };
        assert_eq!((failure.row(), sent), ((code, "OUTCOME_UNKNOWN"), 4));
        assert_eq!(failure.metadata("upstream_status"), "503");
        assert!(!Change::Credentials.is_made(&service, &id).await);
    }
}

#[tokio::test]
async fn the_outcome_is_unknown_if_the_connection_cannot_be_read_again() {
    for (with_etag, code) in [(false, Code::Unavailable), (true, Code::Unknown)] {
        for moment in ["before_commit", "after_commit"] {
            let faults = json!([
                {"route": UPDATE, "action": {"close": moment}},
                // The first read, before the change, succeeds.
                {"route": GET, "action": {"delay": "0s"}},
                {"route": GET, "count": 0, "action": {"status": 503, "shape": "empty"}},
            ]);
            let (_service, _, response, sent) = change(Change::Name, with_etag, faults).await;
            let failure = response.unwrap_err();
            assert_eq!((failure.row(), sent), ((code, "OUTCOME_UNKNOWN"), 1), "{failure:?}");
            assert_eq!(failure.retry_after.is_some(), !with_etag);
            assert!(failure.message.contains("may have been executed"), "{failure:?}");
        }
    }
}

#[tokio::test]
async fn a_change_by_another_client_is_not_mistaken_for_the_lost_one() {
    let service = TestService::start().await;
    let created = service.create().await.unwrap();
    service.inject(json!([
        {"route": UPDATE, "action": {"close": "before_commit"}},
        {"route": GET, "action": {"delay": "0s"}},
        {"route": GET, "count": 2, "action": {"status": 503, "shape": "empty"}},
    ]));
    let request = Change::Name.request(&created.id, Some(&created.etag));
    let meanwhile = async {
        until_requested(&service, "PATCH", &created.id, 1).await;
        service.emulator.set_state(&created.id, "disabled");
    };
    let (response, ()) = tokio::join!(update(&service, request), meanwhile);
    assert_eq!(response.unwrap_err().row(), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(requests(&service, "PATCH", &created.id).len(), 1);
    assert_ne!(get(&service, &created.id).await.unwrap().name, "HubSpot US");
}

#[tokio::test]
async fn a_change_that_arrives_late_is_not_made_twice() {
    // It arrives just before it is retried.
    for with_etag in [false, true] {
        let arrived = json!({"status": 412, "shape": "B", "commit": true});
        let faults = json!([
            {"route": UPDATE, "action": {"close": "before_commit"}},
            {"route": UPDATE, "action": arrived},
        ]);
        let (service, id, response, sent) = change(Change::Name, with_etag, faults).await;
        assert_eq!(response.unwrap(), stored(&service, &id).unwrap().etag);
        assert!(Change::Name.is_made(&service, &id).await);
        assert_eq!(sent, 2);
    }
}
