//! An update that is only tried.

use hubspot_connection_service::proto::{
    Check, HubSpotCredentials, UpdateHubSpotConnectionRequest, UpdateHubSpotConnectionResponse,
    check::State::{self, Failed, Passed, Skipped},
};
use serde_json::json;
use tonic::Code;

use super::{REFRESH, asked, asking, describe, described, of_hubspot, states};
use crate::support::{Failure, TestService, credentials, salesforce};

const AT_ADOBE: [&str; 4] = ["adobe_token", "sandbox", "connection", "connection_spec"];

fn rotation(id: &str) -> UpdateHubSpotConnectionRequest {
    UpdateHubSpotConnectionRequest {
        id: id.to_owned(),
        credentials: Some(credentials()),
        validate_only: true,
        ..UpdateHubSpotConnectionRequest::default()
    }
}

/// The checks of an update, which has no other result and changes nothing.
async fn tried(
    service: &TestService,
    request: UpdateHubSpotConnectionRequest,
) -> Result<Vec<Check>, Failure> {
    let response = service.client().await.update_hub_spot_connection(request).await?.into_inner();
    assert_eq!(service.requests_to("PATCH", ""), 0);
    let checks = response.checks.clone();
    assert_eq!(UpdateHubSpotConnectionResponse { checks: Vec::new(), ..response }, Default::default());
    Ok(checks)
}

/// The states of the checks at Adobe.
#[track_caller]
fn at_adobe(checks: &[Check]) -> [State; 4] {
    let names: Vec<_> = checks.iter().take(4).map(|check| &*check.name).collect();
    assert_eq!(names, AT_ADOBE);
    let failed = checks.iter().filter(|check| check.state() == Failed);
    failed.for_each(|check| assert!(check.message.contains(": "), "no cure in {check:?}"));
    [0, 1, 2, 3].map(|place| checks[place].state())
}

#[tokio::test]
async fn a_rotation_can_be_tried_first() {
    let service = asking([]).await;
    let created = service.create().await.unwrap();
    let checks = tried(&service, rotation(&created.id)).await.unwrap();
    assert_eq!((at_adobe(&checks), states(&of_hubspot(&checks))), ([Passed; 4], [Passed; 4]));
    describe(&service, described(REFRESH, "revoked"));
    let checks = tried(&service, rotation(&created.id)).await.unwrap();
    assert_eq!(at_adobe(&checks), [Passed; 4]);
    assert_eq!(states(&of_hubspot(&checks)), [Passed, Failed, Passed, Passed]);
    // A real one is not prevented: Adobe decides.
    let request = UpdateHubSpotConnectionRequest { validate_only: false, ..rotation(&created.id) };
    let response = service.client().await.update_hub_spot_connection(request).await.unwrap().into_inner();
    assert_eq!((response.id, response.checks), (created.id, Vec::new()));
}

#[tokio::test]
async fn without_new_credentials_or_its_url_hubspot_is_not_asked() {
    let service = asking([]).await;
    let id = service.create().await.unwrap().id;
    let renaming =
        UpdateHubSpotConnectionRequest { credentials: None, name: Some("new".to_owned()), ..rotation(&id) };
    let checks = tried(&service, renaming).await.unwrap();
    assert_eq!((at_adobe(&checks), checks.len()), ([Passed; 4], 4));
    assert_eq!(asked(&service), 0);

    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    assert_eq!(tried(&service, rotation(&id)).await.unwrap().len(), 4);
    assert_eq!(asked(&service), 0);
}

#[tokio::test]
async fn what_would_prevent_the_update_is_a_failed_check() {
    let service = TestService::start().await;
    let created = service.create().await.unwrap();
    let salesforce = salesforce(&service.emulator).await;
    for id in ["unknown", &salesforce] {
        let checks = tried(&service, rotation(id)).await.unwrap();
        assert_eq!(at_adobe(&checks), [Passed, Passed, Failed, Skipped], "{id}");
        assert!(checks[2].message.contains("ListHubSpotConnections"), "{checks:?}");
    }
    let outdated = UpdateHubSpotConnectionRequest { etag: "\"old\"".to_owned(), ..rotation(&created.id) };
    let checks = tried(&service, outdated).await.unwrap();
    assert_eq!(at_adobe(&checks), [Passed, Passed, Failed, Skipped]);
    assert!(checks[2].message.contains("etag"), "{checks:?}");
    let current = UpdateHubSpotConnectionRequest { etag: created.etag, ..rotation(&created.id) };
    assert_eq!(at_adobe(&tried(&service, current).await.unwrap()), [Passed; 4]);

    let get = "GET /connections/{id}";
    for (action, expected) in [
        (json!({"status": 403, "shape": "A", "code": "2120"}), [Passed, Failed, Skipped, Skipped]),
        (json!({"status": 403, "shape": "D", "code": "403025"}), [Failed, Skipped, Skipped, Skipped]),
        (json!({"status": 503, "shape": "A"}), [Skipped, Skipped, Failed, Skipped]),
    ] {
        service.inject(json!([{"route": get, "count": 0, "action": action}]));
        assert_eq!(at_adobe(&tried(&service, rotation(&created.id)).await.unwrap()), expected, "{action}");
    }
    service.inject(json!([]));
    service.set(json!({"auth_spec": []}));
    // It was read just now, and is still fresh.
    assert_eq!(at_adobe(&tried(&service, rotation(&created.id)).await.unwrap()), [Passed; 4]);
    assert!(service.emulator.set_state(&created.id, "deleting"));
    let checks = tried(&service, rotation(&created.id)).await.unwrap();
    assert_eq!(at_adobe(&checks), [Passed, Passed, Failed, Skipped]);
}

#[tokio::test]
async fn an_adobe_that_does_not_reply_fails_the_check_that_it_leaves_undecided() {
    let service = asking([("HCS_REQUEST_TIMEOUT", "3s")]).await;
    let created = service.create().await.unwrap();
    for (route, expected) in [
        ("GET /connections/{id}", [Skipped, Skipped, Failed, Skipped]),
        ("GET /connectionSpecs/{id}", [Passed, Passed, Passed, Failed]),
    ] {
        service.inject(json!([{"route": route, "count": 0, "action": {"delay": "60s"}}]));
        let checks = tried(&service, rotation(&created.id)).await.unwrap();
        assert_eq!(at_adobe(&checks), expected, "{route}");
        assert_eq!(states(&of_hubspot(&checks)), [Passed; 4]);
        let failed = checks.iter().find(|check| check.state() == Failed).unwrap();
        assert!(!failed.message.contains("connections of the sandbox"), "{failed:?}");
    }
}

#[tokio::test]
async fn bad_fields_fail_the_call() {
    let service = asking([]).await;
    let bad = HubSpotCredentials { refresh_token: String::new(), ..credentials() };
    let request = UpdateHubSpotConnectionRequest { credentials: Some(bad), ..rotation("a/b") };
    let failure = tried(&service, request).await.unwrap_err();
    assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
    let fields: Vec<_> = failure.violations.iter().map(|(field, _)| &**field).collect();
    assert_eq!(fields, ["id", "credentials.refresh_token"]);
    assert_eq!(asked(&service), 0);
}
