//! What HubSpot writes, in a reply of Adobe about a connection.

use axum::{body::Body, response::Response};
use hubspot_connection_service::{
    emulator::Options,
    proto::{CreateHubSpotConnectionRequest, Verification},
};
use serde_json::json;
use tonic::Code;

use crate::{
    diagnosis::{TEST_FAILED, states, test},
    support::{
        TestService,
        replacing_proxy::{Fate, ReplacingProxy},
        request, start_emulator,
    },
};

/// A service whose tests of connections fail with this text of HubSpot.
async fn failing(status: u16, text: &'static str) -> TestService {
    let emulator = start_emulator(Options::default()).await;
    let proxy = ReplacingProxy::start(&emulator, move |request| {
        if !request.uri().path().ends_with("/test") {
            return Fate::Forwarded;
        }
        let body = json!({
            "type": format!("https://ns.adobe.com/aep/errors/CONN-1105-{status}"), "title": "x", "status": status,
            "report": {"detailed-message": text, "request-id": "r-1"},
        });
        let response = Response::builder().status(status).header("content-type", "application/json");
        Fate::Answered(response.body(Body::from(body.to_string())).unwrap())
    })
    .await;
    TestService::against(emulator, [("HCS_FLOW_SERVICE_URL", &*proxy.base_url())]).await
}

#[tokio::test]
async fn a_known_cause_has_a_sentence_of_its_own() {
    for (status, text, what, cure) in [
        (401, "BAD_REFRESH_TOKEN: missing or unknown refresh token", "expired or were revoked", "install"),
        (400, "invalid_grant", "expired or were revoked", "UpdateHubSpotConnection"),
        (
            403,
            "This app hasn't been granted all required scopes to make this call",
            "lacks a scope",
            "add the scope",
        ),
        (403, "the app was uninstalled from this account", "not installed", "install it again"),
        (400, "missing or invalid client secret", "client ID and the client secret", "developer account"),
        (500, "You have reached your daily limit. RATE_LIMIT", "limits the requests", "later"),
        (401, "something new", "the source of the connection refuses", "check the credentials"),
    ] {
        let service = failing(status, text).await;
        let id = service.create().await.unwrap().id;
        let result = test(&service, &id).await.unwrap();
        assert_eq!((states(&result), result.passed), (TEST_FAILED, false), "{text}");
        let message = &result.checks[3].message;
        for words in [what, cure, text] {
            assert!(message.contains(words), "{words}: {message}");
        }
    }
}

#[tokio::test]
async fn a_connection_is_not_deleted_because_of_a_rate_limit() {
    for (text, is_deleted) in [("TEN_SECONDLY_ROLLING limit", false), ("BAD_REFRESH_TOKEN", true)] {
        let service = failing(403, text).await;
        let required =
            CreateHubSpotConnectionRequest { verification: Verification::Require.into(), ..request() };
        let failure = service.send(required).await.unwrap_err();
        let row = if is_deleted {
            (Code::FailedPrecondition, "VERIFICATION_FAILED")
        } else {
            (Code::Unknown, "OUTCOME_UNKNOWN")
        };
        assert_eq!(failure.row(), row, "{text}: {failure:?}");
        assert_eq!(service.emulator.connections().is_empty(), is_deleted, "{text}");
    }
}
