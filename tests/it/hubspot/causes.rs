//! Each cause has a state and a sentence about what to do.

use hubspot_connection_service::proto::check::State::{Failed, Passed, Skipped};
use serde_json::json;

use super::{ACCESS, INTROSPECT, REFRESH, asked, asking, describe, described, dry_run, found, states};
use crate::support::{TestService, credentials};

const ROUTE: &str = "POST /oauth/2026-03/token/introspect";

#[tokio::test]
async fn without_its_url_hubspot_is_never_called_and_not_in_the_checks() {
    let service = TestService::start().await;
    let checks = service.send(dry_run()).await.unwrap().checks;
    let names: Vec<_> = checks.iter().map(|check| &*check.name).collect();
    assert_eq!(names, ["adobe_token", "sandbox", "connection_spec"]);
    assert_eq!(asked(&service), 0);
}

#[tokio::test]
async fn credentials_that_work_pass_with_their_account_and_scopes() {
    let service = asking([]).await;
    let found = found(&service).await;
    assert_eq!(states(&found), [Passed; 4]);
    for token in &found[1..3] {
        assert!(token.message.contains("account 62515"), "{token:?}");
    }
    assert!(found[3].message.contains("crm.objects.contacts.read"), "{found:?}");
    let shown = format!("{found:?}");
    let own = credentials();
    for secret in [own.client_id, own.client_secret, own.access_token, own.refresh_token] {
        assert!(!shown.contains(&secret), "{shown}");
    }
}

#[tokio::test]
async fn the_credentials_are_in_the_body_alone() {
    let service = asking([]).await;
    let mut request = tonic::Request::new(dry_run());
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.metadata_mut().insert("traceparent", trace.parse().unwrap());
    service.send(request).await.unwrap();
    let received = service.emulator.received();
    let requests: Vec<_> = received.iter().filter(|request| request.path == INTROSPECT).collect();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!((request.method.as_str(), request.query.as_deref()), ("POST", None));
        let names: Vec<_> = request.headers.keys().map(http::HeaderName::as_str).collect();
        for name in &names {
            assert!(
                ["accept", "content-length", "content-type", "host", "user-agent"].contains(name),
                "{names:?}"
            );
        }
    }
    let own = credentials();
    let body = |token: &str, kind: &str| {
        format!(
            "client_id={}&client_secret={}&token={token}&token_type_hint={kind}",
            own.client_id, own.client_secret
        )
    };
    let mut bodies: Vec<_> = requests.iter().map(|request| String::from_utf8_lossy(&request.body)).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, [body(ACCESS, "access_token"), body(REFRESH, "refresh_token")]);
}

#[tokio::test]
async fn a_wrong_client_secret_or_an_unknown_client_id_fails_the_application() {
    let service = asking([]).await;
    for code in ["invalid_client", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET"] {
        let action = json!({"status": 401, "shape": "E", "code": code});
        service.inject(json!([{"route": ROUTE, "count": 0, "action": action}]));
        let found = found(&service).await;
        assert_eq!(states(&found), [Failed, Skipped, Skipped, Skipped], "{code}");
        assert!(found[0].message.contains("developer account"), "{found:?}");
        assert!(found[1].message.contains("not checked"), "{found:?}");
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_unknown_expired_or_revoked_fails_with_a_cure() {
    let service = asking([]).await;
    for state in ["expired", "revoked"] {
        describe(&service, described(REFRESH, state));
        let found = found(&service).await;
        assert_eq!(states(&found), [Passed, Failed, Passed, Passed], "{state}");
        assert!(found[1].message.contains("install the application"), "{found:?}");
    }
    describe(&service, json!([]));
    // The same as an error.
    let action = json!({"status": 400, "shape": "E", "code": "invalid_grant"});
    service.inject(json!([{"route": ROUTE, "count": 0, "action": action}]));
    let found = found(&service).await;
    assert_eq!(states(&found), [Skipped, Failed, Passed, Skipped]);
}

#[tokio::test]
async fn an_access_token_that_has_expired_is_only_a_remark() {
    let service = asking([]).await;
    describe(&service, described(ACCESS, "expired"));
    let found = found(&service).await;
    assert_eq!(states(&found), [Passed; 4]);
    assert!(found[2].message.contains("has expired") && found[2].message.contains("renews"), "{found:?}");
}

#[tokio::test]
async fn a_token_of_another_application_fails() {
    let service = asking([]).await;
    for (token, expected) in
        [(REFRESH, [Passed, Failed, Passed, Passed]), (ACCESS, [Passed, Passed, Failed, Passed])]
    {
        describe(&service, described(token, "other_app"));
        let found = found(&service).await;
        assert_eq!(states(&found), expected, "{token}");
        let failed = found.iter().find(|check| check.state() == Failed).unwrap();
        assert!(failed.message.contains("another HubSpot application"), "{failed:?}");
        assert!(!failed.message.contains("another-hubspot-client"), "{failed:?}");
    }
}

#[tokio::test]
async fn tokens_of_two_accounts_fail_with_both_accounts() {
    let service = asking([]).await;
    describe(&service, json!([{"token": REFRESH, "hub_id": 111}, {"token": ACCESS, "hub_id": 222}]));
    let found = found(&service).await;
    assert_eq!(states(&found), [Passed, Passed, Failed, Passed]);
    assert!(found[2].message.contains("222") && found[2].message.contains("111"), "{found:?}");
}

#[tokio::test]
async fn missing_scopes_are_named_and_fail_only_if_nothing_can_be_read() {
    let service = asking([]).await;
    for scopes in [json!([]), json!(["oauth"])] {
        // Only that of one token: the other one's is better.
        describe(&service, json!([{"token": REFRESH, "scopes": scopes}]));
        assert_eq!(states(&found(&service).await), [Passed; 4], "{scopes}");
        describe(
            &service,
            json!([{"token": REFRESH, "scopes": scopes}, {"token": ACCESS, "scopes": scopes}]),
        );
        let found = found(&service).await;
        assert_eq!(states(&found), [Passed, Passed, Passed, Failed], "{scopes}");
        assert!(found[3].message.contains("add the scopes"), "{found:?}");
    }
    describe(&service, json!([{"token": REFRESH, "scopes": ["oauth", "crm.objects.contacts.read"]}]));
    let found = found(&service).await;
    assert_eq!(states(&found), [Passed; 4]);
    for word in [
        "Missing",
        "crm.objects.deals.read",
        "Hubspot.All_Deals",
        "Hubspot.Blog_Authors",
        "does not document",
    ] {
        assert!(found[3].message.contains(word), "{word}: {found:?}");
    }
    assert!(!found[3].message.contains("Hubspot.Contacts"), "{found:?}");
}

#[tokio::test]
async fn hubspot_is_asked_even_if_adobe_refuses() {
    let service = asking([("HCS_CLIENT_SECRET", "wrong")]).await;
    describe(&service, described(REFRESH, "revoked"));
    let checks = service.send(dry_run()).await.unwrap().checks;
    assert_eq!(checks[0].state(), Failed);
    assert_eq!(states(&super::of_hubspot(&checks)), [Passed, Failed, Passed, Passed]);
}
