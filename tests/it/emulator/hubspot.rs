//! HubSpot's introspection.

use http::StatusCode;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::{Caller, body_of};

const PATH: &str = "/oauth/2026-03/token/introspect";

async fn introspect(caller: &Caller, body: &str) -> Response {
    let url = format!("{}{PATH}", caller.emulator.hubspot_url());
    let request = caller.client.post(url).header("content-type", "application/x-www-form-urlencoded");
    request.body(body.to_owned()).send().await.unwrap()
}

async fn of_token(caller: &Caller, token: &str, kind: &str) -> Value {
    let form = format!("client_id=an-id&client_secret=canary&token={token}&token_type_hint={kind}");
    let response = introspect(caller, &form).await;
    assert_eq!(response.status(), StatusCode::OK);
    body_of(response).await
}

#[tokio::test]
async fn a_token_is_what_the_control_route_says_and_any_other_is_active() {
    let caller = Caller::new().await;
    let tokens = json!([
        {"token": "t-old", "state": "expired"},
        {"token": "t-gone", "state": "revoked"},
        {"token": "t-other", "state": "other_app"},
        {"token": "t-small", "scopes": ["oauth"], "hub_id": 7},
    ]);
    let set = caller.control(Method::PUT, "/hubspot", &tokens.to_string()).await;
    assert_eq!(set.status(), StatusCode::NO_CONTENT);
    for token in ["t-old", "t-gone"] {
        assert_eq!(of_token(&caller, token, "refresh_token").await, json!({"active": false}));
    }
    let other = of_token(&caller, "t-other", "refresh_token").await;
    assert_eq!(other["active"], true);
    assert_ne!(other["client_id"], "an-id");
    let small = of_token(&caller, "t-small", "access_token").await;
    assert_eq!((&small["scopes"], &small["hub_id"]), (&json!(["oauth"]), &json!(7)));
    let any = of_token(&caller, "t-any", "access_token").await;
    assert_eq!((&any["client_id"], &any["token_use"]), (&json!("an-id"), &json!("access_token")));
    assert!(any["scopes"].as_array().unwrap().contains(&json!("crm.objects.contacts.read")), "{any}");
    assert_eq!(any["expires_in"], 1800);
    assert!(of_token(&caller, "t-any", "refresh_token").await["expires_in"].is_null());

    caller.control(Method::DELETE, "/state", "").await;
    assert_eq!(of_token(&caller, "t-old", "refresh_token").await["active"], true);
}

#[tokio::test]
async fn a_mistake_is_a_400_in_the_form_of_hubspot_and_of_a_control_changes_nothing() {
    let caller = Caller::new().await;
    for form in ["", "client_id=a&client_secret=b", "client_id=a&token=b", "client_secret=a&token=b"] {
        let response = introspect(&caller, form).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{form}");
        let body = body_of(response).await;
        assert!(body["correlationId"].is_string() && body["category"] == "VALIDATION_ERROR", "{body}");
    }
    for wrong in [
        json!({}),
        json!([{"state": "expired"}]),
        json!([{"token": "a", "state": "lost"}]),
        json!([{"token": "a", "x": 1}]),
        json!("canary"),
        json!([{"token": "a", "hub_id": "canary"}]),
        json!([{"token": "a", "state": "canary"}]),
        json!([{"token": "a", "canary": 1}]),
    ] {
        let response = caller.control(Method::PUT, "/hubspot", &wrong.to_string()).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{wrong}");
        let body = body_of(response).await.to_string();
        assert!(body.contains("column") && !body.contains("canary"), "{body}");
    }
}

#[tokio::test]
async fn its_route_has_faults_with_hubspots_errors_and_requests_are_listed_without_credentials() {
    let caller = Caller::new().await;
    let route = format!("POST {PATH}");
    let fault = |action: Value| json!([{"route": route, "action": action}]).to_string();
    for (action, status, member, value) in [
        (json!({"status": 401, "shape": "E", "code": "invalid_client"}), 401, "status", "BAD_CLIENT_SECRET"),
        (json!({"status": 400, "shape": "E", "code": "invalid_grant"}), 400, "status", "BAD_REFRESH_TOKEN"),
        (json!({"status": 429, "shape": "E"}), 429, "errorType", "RATE_LIMIT"),
        (json!({"status": 503, "shape": "E"}), 503, "category", "INTERNAL_ERROR"),
    ] {
        let set = caller.control(Method::PUT, "/faults", &fault(action)).await;
        assert_eq!(set.status(), StatusCode::NO_CONTENT);
        let response = introspect(&caller, "client_id=canary&client_secret=canary&token=canary").await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(body_of(response).await[member], value);
    }
    let listed = body_of(caller.control(Method::GET, "/requests", "").await).await.to_string();
    assert!(listed.contains(PATH) && !listed.contains("canary"), "{listed}");
    let controls = body_of(caller.control(Method::GET, "", "").await).await;
    assert!(controls["fault_routes"].as_array().unwrap().contains(&json!(route)), "{controls}");
    assert!(controls["controls"].to_string().contains("PUT /emulator/hubspot"), "{controls}");
}
