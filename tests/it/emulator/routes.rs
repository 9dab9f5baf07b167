//! The routes without faults.

use std::time::Duration;

use http::{StatusCode, header};
use hubspot_connection_service::emulator::{
    Action, CLIENT_ID, CLIENT_SECRET, DEMO_ACCESS_TOKEN, Moment, ORG_ID, Settings,
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{Caller, body_of, connection, listed};

#[tokio::test]
async fn a_created_connection_can_be_read_and_listed() {
    let caller = Caller::new().await;
    let created = caller.create("HubSpot").await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    let date = created.headers()[header::DATE].to_str().unwrap();
    assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
    assert_eq!(created.headers()["x-request-id"].len(), 32);
    let location = created.headers()[header::LOCATION].to_str().unwrap().to_owned();
    let created = body_of(created).await;
    let id = created["id"].as_str().unwrap();
    assert!(location.ends_with(&format!("/connections/{id}")), "{location}");
    let etag = created["etag"].as_str().unwrap();
    assert!(etag.starts_with('"') && etag.ends_with("0000\""), "{etag}");

    let read = body_of(caller.get(&format!("/connections/{id}/")).await).await;
    let item = &read["items"][0];
    for (field, value) in [
        ("id", json!(id)),
        ("etag", json!(etag)),
        ("version", json!(etag)),
        ("state", json!("enabled")),
        ("name", json!("HubSpot")),
        ("description", json!("made by a test")),
        ("sandboxName", json!("prod")),
        ("imsOrgId", json!(ORG_ID)),
        ("createdBy", json!(CLIENT_ID)),
        ("auth", connection("HubSpot")["auth"].clone()),
    ] {
        assert_eq!(item[field], value, "{field}");
    }
    assert!(item["createdAt"].as_u64().unwrap() > 1_600_000_000_000);

    let list = body_of(caller.get("/connections?property=name==%22HubSpot%22").await).await;
    assert_eq!(list, json!({"items": [item], "_links": {}}));
}

#[tokio::test]
async fn an_unknown_connection_is_not_found_in_the_legacy_shape() {
    let caller = Caller::new().await;
    let response = caller.get("/connections/4890fc95").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let message = "connections not found with id = [4890fc95]";
    assert_eq!(body_of(response).await, json!({"errorMessage": message, "errorDetails": message}));
}

#[tokio::test]
async fn duplicate_names_are_accepted_and_counted() {
    let caller = Caller::new().await;
    caller.create_all(&["a", "b", "a"]).await;
    let count = body_of(caller.get("/connections?count=true&property=name==a").await).await;
    assert_eq!(count, json!({"count": 2}));
}

#[tokio::test]
async fn pages_follow_one_another_with_and_without_the_query() {
    let caller = Caller::new().await;
    caller.create_all(&["b1", "a", "b2", "b3"]).await;
    for repeated in ["", "&property=name==b1,b2,b3&orderby=name"] {
        let query = "?property=name==b1,b2,b3&orderby=name&limit=2";
        let first = body_of(caller.get(&format!("/connections{query}")).await).await;
        assert_eq!(listed(&first), ["b1", "b2"]);
        let next = first["_links"]["next"]["href"].as_str().unwrap();
        assert!(next.starts_with("/connections?continuationToken="), "{next}");
        let second = body_of(caller.get(&format!("{next}{repeated}")).await).await;
        assert_eq!(listed(&second), ["b3"]);
        assert!(second["_links"].get("next").is_none());
        let other = caller.get(&format!("{next}&property=name==a")).await;
        assert_eq!(other.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn tenants_do_not_see_one_another() {
    let caller = Caller::new().await;
    let id = body_of(caller.create("a").await.unwrap()).await["id"].as_str().unwrap().to_owned();
    for other in [caller.for_tenant(ORG_ID, "dev"), caller.for_tenant("OTHER@AdobeOrg", "prod")] {
        assert_eq!(listed(&body_of(other.get("/connections").await).await), [""; 0]);
        assert_eq!(other.get(&format!("/connections/{id}")).await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn an_issued_token_is_valid_until_it_expires() {
    let caller = Caller::new().await;
    let issue = async || {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("scope", "openid,AdobeID"),
        ];
        body_of(caller.client.post(caller.emulator.ims_url()).form(&form).send().await.unwrap()).await
    };
    let status_with = async |token: &Value| {
        let request = caller.client.get(format!("{}/connections", caller.emulator.base_url()));
        let request = request.bearer_auth(token.as_str().unwrap());
        let request = request.header("x-api-key", CLIENT_ID).header("x-gw-ims-org-id", ORG_ID);
        request.header("x-sandbox-name", "prod").send().await.unwrap().status()
    };
    let issued = issue().await;
    assert_eq!((&issued["token_type"], &issued["expires_in"]), (&json!("bearer"), &json!(86_400)));
    assert_eq!(status_with(&issued["access_token"]).await, StatusCode::OK);
    caller.emulator.settings(Settings { token_ttl: Duration::ZERO, ..Settings::default() });
    assert_eq!(status_with(&issue().await["access_token"]).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_checks_are_made_in_their_order() {
    let caller = Caller::new().await;
    let post = || caller.client.post(format!("{}/connections", caller.emulator.base_url()));
    let admitted = || {
        let post = post().bearer_auth(DEMO_ACCESS_TOKEN);
        post.header("x-api-key", CLIENT_ID).header("x-gw-ims-org-id", ORG_ID)
    };
    let typed = || admitted().header(header::CONTENT_TYPE, "application/json; charset=utf-8");
    let in_prod = || typed().header("x-sandbox-name", "prod");
    for (request, status, field, value) in [
        (post(), 403, "error_code", json!("403010")),
        (admitted().body("{}"), 400, "title", json!("BadRequestError")),
        (typed(), 400, "type", json!("https://ns.adobe.com/aep/errors/FLOW-2105-400")),
        (
            typed().header("x-sandbox-name", "UPPER"),
            404,
            "type",
            json!("https://ns.adobe.com/aep/errors/FLOW-2100-404"),
        ),
        (in_prod(), 400, "type", json!("https://ns.adobe.com/aep/errors/FLOW-1405-400")),
        (in_prod().body("{"), 400, "title", json!("BadRequestError")),
        (
            in_prod().body(r#"{"connectionSpec": {"id": "x"}}"#),
            422,
            "message",
            json!("connectionSpec.version 'version' is required for spec info"),
        ),
        (in_prod().body(vec![b' '; 2 << 20]), 413, "message", json!("The body cannot be read")),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{value}");
        assert_eq!(body_of(response).await[field], value);
    }
    let unknown = caller.get("/policies").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(body_of(unknown).await["type"], "https://ns.adobe.com/aep/errors/FLOW-1439-404");
    assert_eq!(caller.names(), [""; 0]);
}

#[tokio::test]
async fn a_request_id_is_returned_in_header_and_report() {
    let caller = Caller::new().await;
    let url = format!("{}/connections?start=1", caller.emulator.base_url());
    let request = caller.client.get(url).bearer_auth(DEMO_ACCESS_TOKEN).header("x-api-key", CLIENT_ID);
    let request = request.header("x-gw-ims-org-id", ORG_ID).header("x-sandbox-name", "prod");
    let response = request.header("x-request-id", "mine").send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "mine");
    assert_eq!(body_of(response).await["report"]["request-id"], "mine");
}

#[tokio::test]
async fn http2_is_served_on_the_same_port() {
    let mut caller = Caller::new().await;
    caller.client = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    caller.create_all(&["a"]).await;
    assert_eq!(caller.emulator.received()[0].version, http::Version::HTTP_2);
    caller.inject("POST /connections", Action::Close(Moment::AfterCommit));
    assert!(caller.create("b").await.is_err());
    assert_eq!(caller.names(), ["a", "b"]);
}

#[tokio::test]
async fn a_stopped_emulator_closes_its_port_and_connections() {
    let caller = Caller::new().await;
    caller.create_all(&["a"]).await;
    let mut idle = TcpStream::connect(caller.emulator.addr()).await.unwrap();
    caller.emulator.stop().await;
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(caller.emulator.addr()).await.is_err());
}
