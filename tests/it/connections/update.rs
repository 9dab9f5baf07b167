//! Changing a connection.

use hubspot_connection_service::{
    emulator::ReceivedRequest,
    proto::{
        CreateHubSpotConnectionRequest, CreateHubSpotConnectionResponse, HubSpotCredentials,
        UpdateHubSpotConnectionRequest,
    },
};
use serde_json::{Value, json};
use tonic::Code;

use super::{
    MISSING_ID, SHORT_TIMEOUT, UPDATE, assert_not_found, get, other_credentials, requests, stored,
    stored_params, until_requested, update,
};
use crate::support::{TestService, credentials, request, salesforce};

fn rename(id: &str, name: &str) -> UpdateHubSpotConnectionRequest {
    UpdateHubSpotConnectionRequest {
        id: id.to_owned(),
        name: Some(name.to_owned()),
        ..UpdateHubSpotConnectionRequest::default()
    }
}

fn describe(id: &str, description: &str) -> UpdateHubSpotConnectionRequest {
    UpdateHubSpotConnectionRequest {
        id: id.to_owned(),
        description: Some(description.to_owned()),
        ..UpdateHubSpotConnectionRequest::default()
    }
}

fn rotate(id: &str) -> UpdateHubSpotConnectionRequest {
    UpdateHubSpotConnectionRequest {
        id: id.to_owned(),
        credentials: Some(other_credentials()),
        ..UpdateHubSpotConnectionRequest::default()
    }
}

/// A description in the Flow Service.
fn stored_description(description: &str, request_id: &str) -> String {
    format!("{description} [request {request_id}]")
}

/// Credentials with the field names of the Flow Service.
fn params(credentials: HubSpotCredentials) -> Value {
    let HubSpotCredentials { client_id, client_secret, access_token, refresh_token } = credentials;
    json!({
        "clientId": client_id, "clientSecret": client_secret,
        "accessToken": access_token, "refreshToken": refresh_token,
    })
}

fn if_match(request: &ReceivedRequest) -> &str {
    request.headers["if-match"].to_str().unwrap()
}

#[tokio::test]
async fn everything_is_changed_by_one_request_in_the_form_that_adobe_documents() {
    let service = TestService::start().await;
    let created = service.create().await.unwrap();
    let etag = update(
        &service,
        UpdateHubSpotConnectionRequest {
            name: Some("  HubSpot US ".to_owned()),
            description: Some("for sales".to_owned()),
            credentials: Some(other_credentials()),
            ..rename(&created.id, "")
        },
    )
    .await
    .unwrap();

    let [sent] = &requests(&service, "PATCH", &created.id)[..] else { panic!("not one PATCH") };
    assert_eq!(if_match(sent), created.etag);
    assert!(created.etag.starts_with('"') && created.etag.ends_with('"'));
    assert_eq!(sent.headers["content-type"], "application/json");
    assert_eq!(sent.query, None);
    for name in ["authorization", "x-api-key", "x-gw-ims-org-id", "x-sandbox-name"] {
        assert!(sent.headers.contains_key(name), "{name}");
    }
    assert_eq!(
        serde_json::from_slice::<Value>(&sent.body).unwrap(),
        json!([
            {"op": "replace", "path": "/name", "value": "HubSpot US"},
            {"op": "add", "path": "/description", "value": stored_description("for sales", &created.request_id)},
            {"op": "replace", "path": "/auth/params", "value": params(other_credentials())},
        ])
    );

    let after = get(&service, &created.id).await.unwrap();
    assert_eq!((after.name.as_str(), after.description.as_str()), ("HubSpot US", "for sales"));
    assert_eq!((after.client_id.as_str(), &after.etag), ("new-client-id", &etag));
    assert_ne!(etag, created.etag);
    assert_eq!(stored_params(&service.emulator, &created.id).await, params(other_credentials()));
}

#[tokio::test]
async fn fields_that_are_not_named_stay_unchanged() {
    let service = TestService::start().await;
    let CreateHubSpotConnectionResponse { id, request_id, .. } = service.create().await.unwrap();
    update(&service, rename(&id, "HubSpot US")).await.unwrap();
    update(&service, describe(&id, "for sales")).await.unwrap();
    let connection = stored(&service, &id).unwrap();
    assert_eq!(
        (connection.name.as_str(), connection.description),
        ("HubSpot US", Some(stored_description("for sales", &request_id)))
    );
    let connection = stored(&service, &id).unwrap();
    assert_eq!(stored_params(&service.emulator, &id).await, params(credentials()));
    update(&service, rotate(&id)).await.unwrap();
    let rotated = stored(&service, &id).unwrap();
    assert_eq!((rotated.name, rotated.description), (connection.name, connection.description));
    assert_eq!(stored_params(&service.emulator, &id).await, params(other_credentials()));
}

#[tokio::test]
async fn a_description_can_be_removed_and_the_reference_stays() {
    let service = TestService::start().await;
    let CreateHubSpotConnectionResponse { id, request_id, .. } = service.create().await.unwrap();
    update(&service, describe(&id, "")).await.unwrap();
    assert_eq!(stored(&service, &id).unwrap().description, Some(format!("[request {request_id}]")));
    let after = get(&service, &id).await.unwrap();
    assert_eq!((after.description.as_str(), after.request_id), ("", request_id));
}

#[tokio::test]
async fn the_description_of_a_connection_without_a_reference_can_be_removed() {
    let service = TestService::with([("HCS_DESCRIPTION_REFERENCE", "false")]).await;
    let id = service.create().await.unwrap().id;
    update(&service, describe(&id, "")).await.unwrap();
    assert_eq!(stored(&service, &id).unwrap().description, None);
    let [sent] = &requests(&service, "PATCH", &id)[..] else { panic!("not one PATCH") };
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    // Adobe's OpenAPI document requires a value for a removal, too.
    assert_eq!(body, json!([{"op": "remove", "path": "/description", "value": "for marketing"}]));
    assert_eq!(get(&service, &id).await.unwrap().description, "");
}

#[tokio::test]
async fn an_unchanged_value_is_not_sent() {
    let service = TestService::start().await;
    let created = service.create().await.unwrap();
    let before = stored(&service, &created.id).unwrap();
    let nothing_new = UpdateHubSpotConnectionRequest {
        name: Some(before.name.clone()),
        ..describe(&created.id, "for marketing")
    };
    assert_eq!(update(&service, nothing_new).await.unwrap(), created.etag);
    assert_eq!(stored(&service, &created.id), Some(before));
    assert_eq!(requests(&service, "PATCH", &created.id).len(), 0);

    let described = update(&service, describe(&created.id, "")).await.unwrap();
    assert_eq!(update(&service, describe(&created.id, "")).await.unwrap(), described);
    // Credentials cannot be compared.
    update(&service, rotate(&created.id)).await.unwrap();
    update(&service, rotate(&created.id)).await.unwrap();
    assert_eq!(requests(&service, "PATCH", &created.id).len(), 3);
}

#[tokio::test]
async fn an_etag_may_lack_its_quotes_and_is_sent_with_them() {
    let service = TestService::start().await;
    let created = service.create().await.unwrap();
    let mut etag = created.etag;
    for (number, has_quotes) in [true, false, true, false].into_iter().enumerate() {
        let pasted = if has_quotes { etag.clone() } else { etag.trim_matches('"').to_owned() };
        let request = UpdateHubSpotConnectionRequest {
            etag: pasted,
            ..rename(&created.id, &format!("HubSpot {number}"))
        };
        let next = update(&service, request).await.unwrap();
        assert_eq!(if_match(requests(&service, "PATCH", &created.id).last().unwrap()), etag);
        etag = next;
    }
}

#[tokio::test]
async fn an_etag_of_an_earlier_version_changes_nothing() {
    let service = TestService::start().await;
    let created = service.create().await.unwrap();
    assert!(service.emulator.set_state(&created.id, "disabled"));
    let before = stored(&service, &created.id);
    for stale in [&*created.etag, created.etag.trim_matches('"'), "made-up"] {
        for request in [rename(&created.id, "HubSpot US"), rotate(&created.id)] {
            let request = UpdateHubSpotConnectionRequest { etag: stale.to_owned(), ..request };
            let failure = update(&service, request).await.unwrap_err();
            assert_eq!(failure.row(), (Code::Aborted, "ETAG_MISMATCH"));
            assert!(failure.message.contains("nothing was changed") && failure.forbids_retry, "{failure:?}");
        }
    }
    assert_eq!(stored(&service, &created.id), before);
    assert_eq!(requests(&service, "PATCH", &created.id).len(), 0);
}

#[tokio::test]
async fn with_an_etag_a_concurrent_change_is_not_overwritten() {
    let service = TestService::start().await;
    let created = service.create().await.unwrap();
    let request = UpdateHubSpotConnectionRequest { etag: created.etag, ..rotate(&created.id) };
    let meanwhile = async {
        until_requested(&service, "GET", &created.id, 1).await;
        service.emulator.set_state(&created.id, "disabled");
    };
    let (response, ()) = tokio::join!(update(&service, request), meanwhile);
    assert_eq!(response.unwrap_err().row(), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(requests(&service, "PATCH", &created.id).len(), 1);
    assert_eq!(stored_params(&service.emulator, &created.id).await, params(credentials()));
}

#[tokio::test]
async fn without_an_etag_an_update_is_retried_after_a_concurrent_change() {
    let service = TestService::start().await;
    for request in [rename("", "HubSpot US"), rotate("")] {
        let created = service.create().await.unwrap();
        let request = UpdateHubSpotConnectionRequest { id: created.id.clone(), ..request };
        let meanwhile = async {
            until_requested(&service, "GET", &created.id, 1).await;
            service.emulator.set_state(&created.id, "disabled");
            stored(&service, &created.id).unwrap().etag
        };
        let (response, etag_between) = tokio::join!(update(&service, request), meanwhile);
        let after = stored(&service, &created.id).unwrap();
        assert_eq!((response.unwrap(), after.state.as_str()), (after.etag, "disabled"));
        let sent = requests(&service, "PATCH", &created.id);
        let meant_for: Vec<_> = sent.iter().map(if_match).collect();
        assert_eq!(meant_for, [created.etag, etag_between]);
    }
}

#[tokio::test]
async fn concurrent_changes_are_all_made() {
    let service = TestService::start().await;
    let CreateHubSpotConnectionResponse { id, request_id, .. } = service.create().await.unwrap();
    let (renamed, described, rotated) = tokio::join!(
        update(&service, rename(&id, "HubSpot US")),
        update(&service, describe(&id, "for sales")),
        update(&service, rotate(&id)),
    );
    let etags = [renamed.unwrap(), described.unwrap(), rotated.unwrap()];
    let connection = stored(&service, &id).unwrap();
    assert!(etags.contains(&connection.etag));
    assert_eq!(
        (connection.name.as_str(), connection.description),
        ("HubSpot US", Some(stored_description("for sales", &request_id)))
    );
    assert_eq!(stored_params(&service.emulator, &id).await, params(other_credentials()));
}

#[tokio::test]
async fn an_update_of_a_constantly_changing_connection_is_given_up() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    service.inject(json!([{"route": UPDATE, "count": 0, "action": {"status": 412, "shape": "B"}}]));
    let failure = update(&service, rotate(&id)).await.unwrap_err();
    assert_eq!(failure.row(), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(requests(&service, "PATCH", &id).len(), 4);
}

#[tokio::test]
async fn an_empty_or_incomplete_update_is_refused() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let incomplete = HubSpotCredentials { client_id: String::new(), ..other_credentials() };
    let token_alone =
        HubSpotCredentials { refresh_token: "new-refresh-token".to_owned(), ..HubSpotCredentials::default() };
    let base = UpdateHubSpotConnectionRequest { id: id.clone(), ..Default::default() };
    for (request, fields) in [
        (base.clone(), &["name"][..]),
        (UpdateHubSpotConnectionRequest { etag: "x".to_owned(), ..base.clone() }, &["name"]),
        (
            UpdateHubSpotConnectionRequest { credentials: Some(incomplete), ..rename(&id, "HubSpot US") },
            &["credentials.client_id"],
        ),
        (
            UpdateHubSpotConnectionRequest { credentials: Some(token_alone), ..base.clone() },
            &["credentials.client_id", "credentials.client_secret", "credentials.access_token"],
        ),
        (rename(&id, " "), &["name"]),
        (rename(&id, &"x".repeat(256)), &["name"]),
        (describe(&id, &"x".repeat(1001)), &["description"]),
        (UpdateHubSpotConnectionRequest { etag: "a b".to_owned(), ..rename(&id, "HubSpot US") }, &["etag"]),
        (
            UpdateHubSpotConnectionRequest { sandbox_name: "Prod".to_owned(), ..rename("a/b", " ") },
            &["id", "sandbox_name", "name"],
        ),
    ] {
        let failure = update(&service, request).await.unwrap_err();
        assert_eq!(failure.row(), (Code::InvalidArgument, "INVALID_REQUEST"));
        let reported: Vec<_> = failure.violations.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(reported, fields, "{failure:?}");
    }
    let elsewhere =
        UpdateHubSpotConnectionRequest { sandbox_name: "qa".to_owned(), ..rename(&id, "HubSpot US") };
    let failure = update(&service, elsewhere).await.unwrap_err();
    assert_eq!(failure.row(), (Code::PermissionDenied, "SANDBOX_NOT_ALLOWED"));
    assert!(service.emulator.received().iter().all(|request| request.method == "POST"));
}

#[tokio::test]
async fn a_connection_that_is_missing_or_not_hubspots_is_never_changed() {
    let service = TestService::start().await;
    for id in [MISSING_ID.to_owned(), salesforce(&service.emulator).await] {
        let before = stored(&service, &id);
        for request in [rename(&id, "HubSpot US"), rotate(&id)] {
            assert_not_found(&update(&service, request).await.unwrap_err(), &id);
        }
        assert_eq!(requests(&service, "PATCH", &id).len(), 0);
        assert_eq!(stored(&service, &id), before);
    }
}

#[tokio::test]
async fn a_connection_that_is_deleted_meanwhile_is_not_found() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    let meanwhile = async {
        until_requested(&service, "GET", &id, 1).await;
        service.emulator.reset();
    };
    let (response, ()) = tokio::join!(update(&service, rename(&id, "HubSpot US")), meanwhile);
    assert_not_found(&response.unwrap_err(), &id);
}

#[tokio::test]
async fn a_state_that_does_not_allow_it_is_a_precondition() {
    let service = TestService::start().await;
    let id = service.create().await.unwrap().id;
    for (state, code) in [("updating", "FLOW-1416-400"), ("delete-finalizing", "FLOW-1457-400")] {
        service.emulator.set_state(&id, state);
        let failure = update(&service, rename(&id, "HubSpot US")).await.unwrap_err();
        assert_eq!(failure.row(), (Code::FailedPrecondition, "CONNECTION_STATE"), "{state}");
        let (kind, subject, _) = &failure.preconditions[0];
        assert_eq!((kind.as_str(), subject), ("CONNECTION_STATE", &format!("connections/{id}")));
        assert!(failure.message.contains("nothing was changed") && failure.forbids_retry, "{failure:?}");
        assert_eq!(failure.metadata("upstream_code"), code);
    }
    assert_ne!(stored(&service, &id).unwrap().name, "HubSpot US");
}

#[tokio::test]
async fn a_refusal_changes_nothing_and_reports_it() {
    for (action, row) in [
        (json!({"status": 403, "code": "2121"}), (Code::FailedPrecondition, "PLATFORM_PERMISSION_MISSING")),
        // The feature is not enabled.
        (json!({"status": 400, "code": "1445"}), (Code::FailedPrecondition, "UPSTREAM_REJECTED")),
        (json!({"status": 404, "shape": "D"}), (Code::FailedPrecondition, "UPSTREAM_REJECTED")),
        (json!({"status": 400, "code": "1999"}), (Code::InvalidArgument, "UPSTREAM_REJECTED")),
    ] {
        let service = TestService::start().await;
        let id = service.create().await.unwrap().id;
        service.inject(json!([{"route": UPDATE, "action": action}]));
        let failure = update(&service, rotate(&id)).await.unwrap_err();
        assert_eq!(failure.row(), row, "{action}");
        assert!(failure.message.contains("nothing was changed"), "{failure:?}");
        assert_eq!(requests(&service, "PATCH", &id).len(), 1);
    }
}

#[tokio::test]
async fn an_exceeded_deadline_reports_that_the_connection_may_be_changed() {
    let service = TestService::with([SHORT_TIMEOUT]).await;
    let id = service.create().await.unwrap().id;
    service.inject(json!([{"route": UPDATE, "count": 0, "action": {"delay": "30s"}}]));
    let failure = update(&service, rename(&id, "HubSpot US")).await.unwrap_err();
    assert_eq!(failure.row(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!((failure.metadata("stage"), failure.metadata("may_exist")), ("update", "false"));
    assert!(failure.message.contains("may have been changed"), "{failure:?}");
}

#[tokio::test]
async fn an_invalid_existing_name_does_not_block_other_changes() {
    let service = TestService::start().await;
    let odd = CreateHubSpotConnectionRequest { name: " \n".to_owned(), ..request() };
    service.create_behind_its_back(&odd).await;
    let id = service.emulator.connections().remove(0).id;
    update(&service, describe(&id, "for sales")).await.unwrap();
    let connection = get(&service, &id).await.unwrap();
    assert_eq!((connection.name.as_str(), connection.description.as_str()), (" \n", "for sales"));
}
