//! Changing and deleting connections.

use std::collections::BTreeMap;

use http::{StatusCode, header};
use hubspot_connection_service::emulator::{Action, FaultResponse, Moment, ORG_ID, Settings, Shape};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::{Caller, body_of, connection, listed};

impl Caller {
    /// Creates a connection and returns its ID and its version.
    async fn created(&self, name: &str) -> (String, String) {
        let created = body_of(self.create(name).await.unwrap()).await;
        (text(&created["id"]), text(&created["etag"]))
    }

    async fn try_patch(&self, id: &str, version: &str, body: &Value) -> reqwest::Result<Response> {
        let request = self.request(Method::PATCH, &format!("/connections/{id}/"));
        let request = request.header(header::ACCEPT, "application/json; version=1");
        let request = request.header(header::CONTENT_TYPE, "application/json");
        request.header(header::IF_MATCH, version).body(body.to_string()).send().await
    }

    async fn patch(&self, id: &str, version: &str, body: &Value) -> Response {
        self.try_patch(id, version, body).await.unwrap()
    }

    async fn delete(&self, id: &str) -> Response {
        self.try_send(Method::DELETE, &format!("/connections/{id}"), None).await.unwrap()
    }

    async fn item(&self, id: &str) -> Value {
        body_of(self.get(&format!("/connections/{id}")).await).await["items"][0].clone()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn rename(name: &str) -> Value {
    json!([{"op": "replace", "path": "/name", "value": name}])
}

/// What a report's `type` ends with.
async fn code_of(response: Response) -> String {
    let body = body_of(response).await;
    text(&body["type"]).rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_patch_changes_a_connection_and_its_version() {
    let caller = Caller::new().await;
    let (id, version) = caller.created("old").await;
    let before = caller.item(&id).await;
    let params = json!({"clientId": "1", "clientSecret": "2", "accessToken": "3", "refreshToken": "4"});
    let patch = json!([
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "REMOVE", "path": "/description", "value": "made by a test"},
        {"op": "Add", "path": "/auth/params", "value": params},
    ]);
    let response = caller.patch(&id, &version, &patch).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body = body_of(response).await;
    let after = caller.item(&id).await;
    assert_eq!(body, json!({"id": id, "etag": after["etag"]}));
    assert_ne!(after["etag"], before["etag"]);
    assert_eq!((&after["name"], &after["auth"]["params"]), (&json!("new"), &params));
    assert!(after.get("description").is_none());
    assert_eq!(after["createdAt"], before["createdAt"]);
    assert!(after["updatedAt"].as_u64() > before["updatedAt"].as_u64());

    let stale = caller.patch(&id, &version, &rename("newer")).await;
    assert_eq!(stale.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(caller.item(&id).await, after);
}

#[tokio::test]
async fn a_patch_needs_the_current_version() {
    let caller = Caller::new().await;
    let (id, version) = caller.created("old").await;
    let without = caller.try_send(Method::PATCH, &format!("/connections/{id}"), Some(rename("new"))).await;
    assert_eq!(code_of(without.unwrap()).await, "FLOW-1403-400");
    for other in [version.trim_matches('"'), "\"0400117f-0000-0200-0000-5f3f23450000\"", "*"] {
        let response = caller.patch(&id, other, &rename("new")).await;
        assert_eq!(response.status(), StatusCode::PRECONDITION_FAILED);
        let message =
            format!("Supplied version=[{other}] does not match the current version on entity=[{version}]");
        assert_eq!(body_of(response).await, json!({"errorMessage": message, "errorDetails": message}));
    }
    assert_eq!(caller.names(), ["old"]);
}

#[tokio::test]
async fn one_wrong_instruction_undoes_the_others() {
    let caller = Caller::new().await;
    let (id, version) = caller.created("old").await;
    let before = caller.item(&id).await;
    let patch = json!([
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "replace", "path": "/connectionSpec/id", "value": "other"},
    ]);
    assert_eq!(code_of(caller.patch(&id, &version, &patch).await).await, "FLOW-1414-400");
    assert_eq!(caller.item(&id).await, before);
}

#[tokio::test]
async fn a_deleted_connection_is_gone() {
    let caller = Caller::new().await;
    for status in [StatusCode::NO_CONTENT, StatusCode::ACCEPTED] {
        caller.emulator.settings(Settings { delete_status: status, ..Settings::default() });
        let (id, _) = caller.created("a").await;
        let response = caller.delete(&id).await;
        assert_eq!(response.status(), status);
        assert!(response.bytes().await.unwrap().is_empty());
        assert_eq!(caller.get(&format!("/connections/{id}")).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(caller.delete(&id).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(listed(&body_of(caller.get("/connections").await).await), [""; 0]);
    }
}

#[tokio::test]
async fn a_connection_in_use_by_flows_cannot_be_deleted() {
    let caller = Caller::new().await;
    let (id, _) = caller.created("a").await;
    let flows = |flows: &[&str]| {
        let flows = flows.iter().map(|&flow| flow.to_owned()).collect();
        Settings { flows: BTreeMap::from([(id.clone(), flows)]), ..Settings::default() }
    };
    caller.emulator.settings(flows(&["flow-1", "flow-2"]));
    let rejected = body_of(caller.delete(&id).await).await;
    assert_eq!(rejected["type"], "https://ns.adobe.com/aep/errors/FLOW-1418-400");
    assert_eq!(rejected["report"]["flows"], json!(["flow-1", "flow-2"]));
    assert_eq!(caller.names(), ["a"]);
    caller.emulator.settings(flows(&[]));
    assert_eq!(caller.delete(&id).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_state_decides_whether_a_connection_can_be_changed() {
    let caller = Caller::new().await;
    let (id, _) = caller.created("a").await;
    for (state, update, delete) in [
        ("updating", "FLOW-1416-400", "FLOW-1416-400"),
        ("draft", "FLOW-1416-400", "FLOW-1416-400"),
        ("delete-finalizing", "FLOW-1457-400", "FLOW-1458-400"),
    ] {
        assert!(caller.emulator.set_state(&id, state));
        let item = caller.item(&id).await;
        assert_eq!(item["state"], state);
        assert_eq!(code_of(caller.patch(&id, &text(&item["etag"]), &rename("b")).await).await, update);
        assert_eq!(code_of(caller.delete(&id).await).await, delete);
    }
    assert_eq!(caller.names(), ["a"]);
    for state in ["initializing", "disabled", "enabled"] {
        caller.emulator.set_state(&id, state);
        let version = text(&caller.item(&id).await["etag"]);
        assert_eq!(caller.patch(&id, &version, &rename(state)).await.status(), StatusCode::OK);
        assert_eq!(caller.names(), [state]);
    }
    assert_eq!(caller.delete(&id).await.status(), StatusCode::NO_CONTENT);
    assert!(!caller.emulator.set_state(&id, "enabled"));
}

#[tokio::test]
async fn no_route_finds_an_unknown_connection_or_that_of_another_tenant() {
    let caller = Caller::new().await;
    let (id, version) = caller.created("a").await;
    let other = caller.for_tenant(ORG_ID, "dev");
    for (caller, id) in [(&caller, "4890fc95"), (&other, &*id)] {
        for response in [
            caller.patch(id, &version, &rename("b")).await,
            caller.delete(id).await,
            caller.get(&format!("/connections/{id}/test")).await,
            caller.get(&format!("/connections/{id}/explore?objectType=root")).await,
        ] {
            assert_eq!(response.status(), StatusCode::NOT_FOUND);
            let message = format!("connections not found with id = [{id}]");
            assert_eq!(body_of(response).await["errorMessage"], message);
        }
    }
    assert_eq!(caller.names(), ["a"]);
}

#[tokio::test]
async fn a_lost_response_leaves_the_change_made_or_not_as_the_fault_says() {
    let caller = Caller::new().await;
    let (id, version) = caller.created("a").await;
    for (moment, name) in [(Moment::BeforeCommit, "a"), (Moment::AfterCommit, "b")] {
        caller.inject("PATCH /connections/{id}", Action::Close(moment));
        caller.try_patch(&id, &version, &rename("b")).await.unwrap_err();
        assert_eq!(caller.names(), [name]);
    }
    let lost = FaultResponse { commit: true, ..FaultResponse::new(StatusCode::ACCEPTED, Shape::Cut) };
    caller.inject("DELETE /connections/{id}", Action::Respond(lost));
    assert!(caller.delete(&id).await.bytes().await.is_err());
    assert_eq!(caller.names(), [""; 0]);
}

#[tokio::test]
async fn pages_stay_consistent_while_connections_come_and_go() {
    let caller = Caller::new().await;
    caller.create_all(&["a", "c", "d", "e"]).await;
    let first = body_of(caller.get("/connections?orderby=name&limit=2").await).await;
    assert_eq!(listed(&first), ["a", "c"]);
    for gone in [&first["items"][0], &first["items"][1]] {
        assert_eq!(caller.delete(&text(&gone["id"])).await.status(), StatusCode::NO_CONTENT);
    }
    caller.create_all(&["b", "f"]).await;
    let second = body_of(caller.get(&text(&first["_links"]["next"]["href"])).await).await;
    assert_eq!(listed(&second), ["d", "e"]);
    let third = body_of(caller.get(&text(&second["_links"]["next"]["href"])).await).await;
    assert_eq!(listed(&third), ["f"]);
}

#[tokio::test]
async fn the_secrets_of_a_patch_are_not_shown() {
    let caller = Caller::new().await;
    let (id, version) = caller.created("a").await;
    let params = connection("a")["auth"]["params"].clone();
    let patch = json!([{"op": "replace", "path": "/auth/params", "value": params}]);
    assert_eq!(caller.patch(&id, &version, &patch).await.status(), StatusCode::OK);
    let shown = caller.control(Method::GET, "/requests", "").await.text().await.unwrap();
    assert!(shown.contains("/auth/params") && !shown.contains("canary"), "{shown}");
}
