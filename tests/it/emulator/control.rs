//! The control routes.

use http::{StatusCode, header};
use hubspot_connection_service::emulator::{
    Action, CLIENT_ID, CLIENT_SECRET, DEMO_ACCESS_TOKEN, LedgerEntry, Settings,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Caller, body_of, connection, listed};

#[tokio::test]
async fn faults_and_settings_are_set_over_http() {
    let caller = Caller::new().await;
    let faults = json!([
        {"route": "POST /connections", "count": 2, "action": {"status": 503, "shape": "empty"}},
        {"route": "GET /connections/{id}", "count": 0, "action": {"status": 401, "shape": "D", "code": 401013}},
    ]);
    let set = caller.control(Method::PUT, "/faults", &faults.to_string()).await;
    assert_eq!(set.status(), StatusCode::NO_CONTENT);
    for status in [503, 503, 201] {
        assert_eq!(caller.create("a").await.unwrap().status().as_u16(), status);
    }
    for _ in 0..3 {
        let body = body_of(caller.get("/connections/x").await).await;
        assert_eq!(body, json!({"error_code": 401013, "message": "Oauth token is not valid"}));
    }
    let cleared = caller.control(Method::DELETE, "/faults", "").await;
    assert_eq!(cleared.status(), StatusCode::NO_CONTENT);
    assert_eq!(caller.get("/connections/x").await.status(), StatusCode::NOT_FOUND);

    let settings = json!({"initial_state": "initializing", "mask_auth_params": true});
    let set = caller.control(Method::PUT, "/settings", &settings.to_string()).await;
    assert_eq!(set.status(), StatusCode::NO_CONTENT);
    caller.create_all(&["b"]).await;
    let list = body_of(caller.get("/connections?property=state==initializing").await).await;
    assert_eq!(listed(&list), ["b"]);
    assert!(!list.to_string().contains("canary"), "{list}");
}

#[tokio::test]
async fn a_wrong_control_request_is_rejected_and_changes_nothing() {
    let caller = Caller::new().await;
    let valid = json!({"route": "POST /connections", "action": {"status": 503}});
    for (path, body, says) in [
        ("/faults", json!([valid, {"route": "POST /runs", "action": {"status": 503}}]), "POST /runs"),
        ("/faults", json!([valid, {"route": "POST /connections", "action": {"explode": 1}}]), "explode"),
        ("/faults", json!([{"route": "POST /connections", "times": 1, "action": {"status": 503}}]), "times"),
        ("/faults", valid.clone(), "expected a sequence"),
        ("/settings", json!({"initial_state": "disabled", "delete_status": 500}), "delete_status 500"),
        ("/settings", json!({"initial_state": "disabled", "test_results": false}), "test_results"),
    ] {
        let response = caller.control(Method::PUT, path, &body.to_string()).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        let error = body_of(response).await["error"].as_str().unwrap().to_owned();
        assert!(error.contains(says), "{body}: {error}");
    }
    assert_eq!(caller.create("a").await.unwrap().status(), StatusCode::CREATED);
    let list = body_of(caller.get("/connections").await).await;
    assert_eq!(list["items"][0]["state"], "enabled");
    assert_eq!(caller.control(Method::GET, "/faults", "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(caller.control(Method::GET, "/nothing", "").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn received_requests_are_shown_without_secrets_and_kept_complete_in_the_process() {
    let caller = Caller::new().await;
    caller.create_all(&["a"]).await;
    let form = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    caller.client.post(caller.emulator.ims_url()).form(&form).send().await.unwrap();

    let shown = caller.control(Method::GET, "/requests", "").await.text().await.unwrap();
    let ledger = caller.control(Method::GET, "/connections", "").await.text().await.unwrap();
    let printed = format!("{:?} {:?}", caller.emulator, caller.emulator.received());
    for text in [&shown, &ledger, &printed] {
        for secret in ["canary", CLIENT_SECRET, DEMO_ACCESS_TOKEN] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown.as_array().unwrap().len(), 2);
    assert_eq!(shown[0]["path"], "/data/foundation/flowservice/connections");
    assert_eq!(shown[0]["body"]["auth"]["specName"], "Basic Authentication");
    let ledger: Value = serde_json::from_str(&ledger).unwrap();
    assert_eq!((&ledger[0]["name"], &ledger[0]["sandbox"]), (&json!("a"), &json!("prod")));

    let [created, _] = &caller.emulator.received()[..] else { panic!("two requests") };
    assert_eq!(serde_json::from_slice::<Value>(&created.body).unwrap(), connection("a"));
    assert_eq!(created.headers[header::AUTHORIZATION], format!("Bearer {DEMO_ACCESS_TOKEN}"));
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let caller = Caller::new().await;
    caller.create_all(&["a"]).await;
    caller.emulator.settings(Settings { initial_state: "disabled".to_owned(), ..Settings::default() });
    caller.inject("POST /connections", Action::status(StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(caller.control(Method::DELETE, "/state", "").await.status(), StatusCode::NO_CONTENT);
    assert!(caller.emulator.received().is_empty());
    caller.create_all(&["b"]).await;
    let [LedgerEntry { name, state, .. }] = &caller.emulator.connections()[..] else { panic!("one") };
    assert_eq!((name.as_str(), state.as_str()), ("b", "enabled"));
}
