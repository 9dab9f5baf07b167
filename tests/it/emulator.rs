//! The emulator as a client meets it.

use std::{error::Error, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use hubspot_connection_service::emulator::{
    Action, Answer, CLIENT_ID, CLIENT_SECRET, DEMO_ACCESS_TOKEN, Emulator, Fault, LedgerEntry, Moment,
    ORG_ID, Options, Route, Settings, Shape,
};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

struct Caller {
    emulator: Emulator,
    client: Client,
    sandbox: &'static str,
    org: &'static str,
}

impl Caller {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            emulator: Emulator::start(listener, Options::default()),
            client: Client::builder().no_proxy().build().unwrap(),
            sandbox: "prod",
            org: ORG_ID,
        }
    }

    fn elsewhere(&self, org: &'static str, sandbox: &'static str) -> Self {
        Self { emulator: self.emulator.clone(), client: self.client.clone(), sandbox, org }
    }

    async fn try_send(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Result<Response> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.emulator.base_url()))
            .bearer_auth(DEMO_ACCESS_TOKEN)
            .header("x-api-key", CLIENT_ID)
            .header("x-gw-ims-org-id", self.org)
            .header("x-sandbox-name", self.sandbox);
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        request.send().await
    }

    async fn get(&self, path: &str) -> Response {
        self.try_send(Method::GET, path, None).await.unwrap()
    }

    async fn create(&self, name: &str) -> reqwest::Result<Response> {
        self.try_send(Method::POST, "/connections", Some(connection(name))).await
    }

    async fn create_all(&self, names: &[&str]) {
        for name in names {
            assert_eq!(self.create(name).await.unwrap().status(), StatusCode::CREATED);
        }
    }

    async fn control(&self, method: Method, path: &str, body: &str) -> Response {
        let url = format!("http://{}/emulator{path}", self.emulator.addr());
        self.client.request(method, url).body(body.to_owned()).send().await.unwrap()
    }

    fn inject(&self, route: Route, action: Action) {
        self.emulator.inject(vec![Fault::once(route, action)]);
    }

    fn names(&self) -> Vec<String> {
        self.emulator.connections().into_iter().map(|entry| entry.name).collect()
    }
}

fn connection(name: &str) -> Value {
    json!({
        "name": name,
        "description": "made by a test",
        "auth": {"specName": "Basic Authentication", "params": {
            "clientId": "hubspot-client",
            "clientSecret": "canary-1", "accessToken": "canary-2", "refreshToken": "canary-3",
        }},
        "connectionSpec": {"id": "cc6a4487-9e91-433e-a3a3-9cf6626c1806", "version": "1.0"},
    })
}

async fn json(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn listed(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

/// Sends raw bytes and returns all that comes back until the connection closes.
async fn exchange(emulator: &Emulator, request: &str) -> String {
    let mut stream = TcpStream::connect(emulator.addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer ends it as well as an orderly close does.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_created_connection_can_be_read_and_listed() {
    let caller = Caller::new().await;
    let created = caller.create("HubSpot").await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    let date = created.headers()[header::DATE].to_str().unwrap();
    assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
    assert_eq!(created.headers()["x-request-id"].len(), 32);
    let location = created.headers()[header::LOCATION].to_str().unwrap().to_owned();
    let created = json(created).await;
    let id = created["id"].as_str().unwrap();
    assert!(location.ends_with(&format!("/connections/{id}")), "{location}");
    let etag = created["etag"].as_str().unwrap();
    assert!(etag.starts_with('"') && etag.ends_with("0000\""), "{etag}");

    let read = json(caller.get(&format!("/connections/{id}/")).await).await;
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

    let list = json(caller.get("/connections?property=name==%22HubSpot%22").await).await;
    assert_eq!(list, json!({"items": [item], "_links": {}}));
}

#[tokio::test]
async fn an_unknown_connection_is_not_found_in_the_legacy_shape() {
    let caller = Caller::new().await;
    let response = caller.get("/connections/4890fc95").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let message = "connections not found with id = [4890fc95]";
    assert_eq!(json(response).await, json!({"errorMessage": message, "errorDetails": message}));
}

#[tokio::test]
async fn duplicate_names_are_accepted_and_counted() {
    let caller = Caller::new().await;
    caller.create_all(&["a", "b", "a"]).await;
    let count = json(caller.get("/connections?count=true&property=name==a").await).await;
    assert_eq!(count, json!({"count": 2}));
}

#[tokio::test]
async fn pages_follow_one_another_with_and_without_the_query() {
    let caller = Caller::new().await;
    caller.create_all(&["b1", "a", "b2", "b3"]).await;
    for repeated in ["", "&property=name==b1,b2,b3&orderby=name"] {
        let query = "?property=name==b1,b2,b3&orderby=name&limit=2";
        let first = json(caller.get(&format!("/connections{query}")).await).await;
        assert_eq!(listed(&first), ["b1", "b2"]);
        let next = first["_links"]["next"]["href"].as_str().unwrap();
        assert!(next.starts_with("/connections?continuationToken="), "{next}");
        let second = json(caller.get(&format!("{next}{repeated}")).await).await;
        assert_eq!(listed(&second), ["b3"]);
        assert!(second["_links"].get("next").is_none());
        let other = caller.get(&format!("{next}&property=name==a")).await;
        assert_eq!(other.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn tenants_do_not_see_one_another() {
    let caller = Caller::new().await;
    let id = json(caller.create("a").await.unwrap()).await["id"].as_str().unwrap().to_owned();
    for other in [caller.elsewhere(ORG_ID, "dev"), caller.elsewhere("OTHER@AdobeOrg", "prod")] {
        assert_eq!(listed(&json(other.get("/connections").await).await), [""; 0]);
        assert_eq!(other.get(&format!("/connections/{id}")).await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn an_issued_token_opens_the_gateway_until_it_expires() {
    let caller = Caller::new().await;
    let issue = async || {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("scope", "openid,AdobeID"),
        ];
        json(caller.client.post(caller.emulator.ims_url()).form(&form).send().await.unwrap()).await
    };
    let status_with = async |token: &Value| {
        let request = caller.client.get(format!("{}/connections", caller.emulator.base_url()));
        let request = request.bearer_auth(token.as_str().unwrap());
        let request = request.header("x-api-key", CLIENT_ID).header("x-gw-ims-org-id", ORG_ID);
        request.header("x-sandbox-name", "prod").send().await.unwrap().status()
    };
    let answer = issue().await;
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("bearer"), &json!(86_400)));
    assert_eq!(status_with(&answer["access_token"]).await, StatusCode::OK);
    caller.emulator.settings(Settings { token_ttl: Duration::ZERO, ..Settings::default() });
    assert_eq!(status_with(&issue().await["access_token"]).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_checks_answer_in_their_order() {
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
        assert_eq!(json(response).await[field], value);
    }
    let unknown = caller.get("/flows").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(json(unknown).await["type"], "https://ns.adobe.com/aep/errors/FLOW-1439-404");
    assert_eq!(caller.names(), [""; 0]);
}

#[tokio::test]
async fn a_request_id_comes_back_in_header_and_report() {
    let caller = Caller::new().await;
    let url = format!("{}/connections?start=1", caller.emulator.base_url());
    let request = caller.client.get(url).bearer_auth(DEMO_ACCESS_TOKEN).header("x-api-key", CLIENT_ID);
    let request = request.header("x-gw-ims-org-id", ORG_ID).header("x-sandbox-name", "prod");
    let response = request.header("x-request-id", "mine").send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "mine");
    assert_eq!(json(response).await["report"]["request-id"], "mine");
}

#[tokio::test]
async fn a_status_fault_answers_before_every_check_and_commits_only_if_told() {
    let caller = Caller::new().await;
    let mut headers = HeaderMap::new();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("38"));
    let throttled = Answer { headers, ..Answer::new(StatusCode::TOO_MANY_REQUESTS, Shape::D) };
    let lost = Answer { commit: true, ..Answer::new(StatusCode::GATEWAY_TIMEOUT, Shape::Html) };
    caller.emulator.inject(vec![
        Fault::once(Route::CreateConnection, Action::Answer(throttled)),
        Fault::once(Route::CreateConnection, Action::Answer(lost)),
    ]);
    let response = caller.create("a").await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()[header::RETRY_AFTER], "38");
    assert_eq!(json(response).await, json!({"error_code": "429050", "message": "Too many requests"}));
    assert_eq!(caller.names(), [""; 0]);

    let response = caller.create("b").await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html");
    assert!(response.text().await.unwrap().contains("504 Gateway Timeout"));
    assert_eq!(caller.names(), ["b"]);

    assert_eq!(caller.create("c").await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_closed_connection_carries_no_byte_of_an_answer() {
    let caller = Caller::new().await;
    let request = "GET /data/foundation/flowservice/connections HTTP/1.1\r\nhost: emulator\r\n\r\n";
    caller.inject(Route::ListConnections, Action::Close(Moment::BeforeCommit));
    assert_eq!(exchange(&caller.emulator, request).await, "");
    for (moment, name, committed) in
        [(Moment::BeforeCommit, "a", &[][..]), (Moment::AfterCommit, "b", &["b"][..])]
    {
        caller.inject(Route::CreateConnection, Action::Close(moment));
        let error = caller.create(name).await.unwrap_err();
        assert!(error.is_request(), "{error:?}");
        assert_eq!(caller.names(), committed);
    }
}

#[tokio::test]
async fn a_cut_answer_breaks_off_in_its_body() {
    let caller = Caller::new().await;
    caller.inject(Route::ListConnections, Action::Answer(Answer::new(StatusCode::BAD_GATEWAY, Shape::Cut)));
    let request = "GET /data/foundation/flowservice/connections HTTP/1.1\r\nhost: emulator\r\n\r\n";
    let answer = exchange(&caller.emulator, request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 502 Bad Gateway"), "{head}");
    assert!(body.starts_with('{') && !body.ends_with('}'), "{body}");
    assert!(!head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");

    let cut = Answer { commit: true, ..Answer::new(StatusCode::CREATED, Shape::Cut) };
    caller.inject(Route::CreateConnection, Action::Answer(cut));
    let response = caller.create("a").await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(response.bytes().await.is_err());
    assert_eq!(caller.names(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_late_commit_happens_after_its_time_unless_the_state_is_reset() {
    let caller = Caller::new().await;
    let late = || Fault::once(Route::CreateConnection, Action::CommitAfter(Duration::from_secs(3600)));
    caller.emulator.inject(vec![late()]);
    let sent = Instant::now();
    assert!(caller.create("a").await.is_err());
    tokio::time::sleep_until(sent + Duration::from_secs(4000)).await;
    assert_eq!(caller.names(), ["a"]);

    caller.emulator.inject(vec![late()]);
    assert!(caller.create("b").await.is_err());
    caller.emulator.reset();
    tokio::time::sleep(Duration::from_secs(8000)).await;
    assert_eq!(caller.names(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_answer_comes_whole_after_its_time() {
    let caller = Caller::new().await;
    caller.inject(Route::CreateConnection, Action::Delay(Duration::from_secs(3600)));
    let sent = Instant::now();
    let response = caller.create("a").await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(sent.elapsed() >= Duration::from_secs(3600));
}

#[tokio::test]
async fn http2_is_served_on_the_same_port() {
    let mut caller = Caller::new().await;
    caller.client = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    caller.create_all(&["a"]).await;
    assert_eq!(caller.emulator.received()[0].version, http::Version::HTTP_2);
    caller.inject(Route::CreateConnection, Action::Close(Moment::AfterCommit));
    assert!(caller.create("b").await.is_err());
    assert_eq!(caller.names(), ["a", "b"]);
}

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
        let answer = json(caller.get("/connections/x").await).await;
        assert_eq!(answer, json!({"error_code": 401013, "message": "Oauth token is not valid"}));
    }
    let cleared = caller.control(Method::DELETE, "/faults", "").await;
    assert_eq!(cleared.status(), StatusCode::NO_CONTENT);
    assert_eq!(caller.get("/connections/x").await.status(), StatusCode::NOT_FOUND);

    let settings = json!({"initial_state": "initializing", "mask_auth_params": true});
    let set = caller.control(Method::PUT, "/settings", &settings.to_string()).await;
    assert_eq!(set.status(), StatusCode::NO_CONTENT);
    caller.create_all(&["b"]).await;
    let list = json(caller.get("/connections?property=state==initializing").await).await;
    assert_eq!(listed(&list), ["b"]);
    assert!(!list.to_string().contains("canary"), "{list}");
}

#[tokio::test]
async fn a_mistaken_control_request_is_named_and_changes_nothing() {
    let caller = Caller::new().await;
    let valid = json!({"route": "POST /connections", "action": {"status": 503}});
    for (path, body, says) in [
        ("/faults", json!([valid, {"route": "POST /flows", "action": {"status": 503}}]), "POST /flows"),
        ("/faults", json!([valid, {"route": "POST /connections", "action": {"explode": 1}}]), "explode"),
        ("/faults", json!([{"route": "POST /connections", "times": 1, "action": {"status": 503}}]), "times"),
        ("/faults", valid.clone(), "expected a sequence"),
        ("/settings", json!({"initial_state": "disabled", "delete_status": 202}), "delete_status"),
        ("/settings", json!({"test_result": false}), "test_result"),
    ] {
        let response = caller.control(Method::PUT, path, &body.to_string()).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        let error = json(response).await["error"].as_str().unwrap().to_owned();
        assert!(error.contains(says), "{body}: {error}");
    }
    assert_eq!(caller.create("a").await.unwrap().status(), StatusCode::CREATED);
    let list = json(caller.get("/connections").await).await;
    assert_eq!(list["items"][0]["state"], "enabled");
    assert_eq!(caller.control(Method::GET, "/faults", "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(caller.control(Method::GET, "/nothing", "").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_arrived_is_shown_without_secrets_and_kept_whole_in_the_process() {
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
    caller.inject(Route::CreateConnection, Action::status(StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(caller.control(Method::DELETE, "/state", "").await.status(), StatusCode::NO_CONTENT);
    assert!(caller.emulator.received().is_empty());
    caller.create_all(&["b"]).await;
    let [LedgerEntry { name, state, .. }] = &caller.emulator.connections()[..] else { panic!("one") };
    assert_eq!((name.as_str(), state.as_str()), ("b", "enabled"));
}

#[tokio::test]
async fn nothing_listens_once_it_has_stopped() -> Result<(), Box<dyn Error>> {
    let caller = Caller::new().await;
    caller.create_all(&["a"]).await;
    let mut idle = TcpStream::connect(caller.emulator.addr()).await?;
    caller.emulator.stop().await;
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(caller.emulator.addr()).await.is_err());
    Ok(())
}
