//! Pages of connections.

use axum::{Router, extract::RawQuery, routing::get};
use http::header;
use hubspot_connection_service::{
    adobe::{
        CallError, ConnectionPage, FlowService, HttpPlatform, ListQuery, ListedConnection, PageToken,
        Refusal, Timeouts,
    },
    domain::{Connection, ConnectionState, StoredCredentials},
    emulator,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use super::{LIST, SECOND, TIMEOUTS, Upstream, client, client_of, connection, in_time, progress, sandbox};

async fn first_page(flow_service: &HttpPlatform) -> Result<ConnectionPage, CallError> {
    flow_service.list_connections(&ListQuery::all(&sandbox("prod")), None, in_time()).await
}

async fn all(flow_service: &HttpPlatform, sandbox_name: &str) -> Vec<Connection> {
    let mut connections = Vec::new();
    let mut next: Option<PageToken> = None;
    loop {
        let page = flow_service
            .list_connections(&ListQuery::all(&sandbox(sandbox_name)), next.as_ref(), in_time())
            .await
            .unwrap();
        connections.extend(page.items.into_iter().map(|item| item.readable().unwrap()));
        next = page.next;
        if next.is_none() {
            return connections;
        }
    }
}

#[tokio::test]
async fn every_connection_is_on_one_of_the_pages_newest_first() {
    let upstream = Upstream::start().await;
    for number in 0..250 {
        upstream.create(&format!("connection {number}")).await.unwrap();
    }
    let listed = all(&upstream.flow_service, "prod").await;
    let names: Vec<_> = listed.iter().map(|connection| connection.name.as_str()).collect();
    let expected: Vec<_> = (0..250).rev().map(|number| format!("connection {number}")).collect();
    assert_eq!(names, expected);
    assert_eq!(upstream.requests("GET"), 3);
    assert!(listed.windows(2).all(|pair| pair[0].created_at_ms >= pair[1].created_at_ms));
}

#[tokio::test]
async fn the_request_has_the_headers_and_the_query_that_adobe_documents() {
    let upstream = Upstream::start().await;
    first_page(&upstream.flow_service).await.unwrap();
    let received = upstream.emulator.received();
    let list = received.iter().find(|r| r.path.ends_with("/connections")).unwrap();
    assert_eq!(
        list.query.as_deref(),
        Some(
            "property=connectionSpec.id%3D%3Dcc6a4487-9e91-433e-a3a3-9cf6626c1806&orderby=-createdAt&limit=100"
        )
    );
    for name in ["authorization", "x-api-key", "x-gw-ims-org-id", "x-sandbox-name", "accept"] {
        assert!(list.headers.contains_key(name), "{name}");
    }
    assert!(!list.headers.contains_key(header::CONTENT_TYPE) && list.body.is_empty());
}

#[tokio::test]
async fn connections_of_other_sandboxes_and_kinds_are_not_listed() {
    let upstream = Upstream::start().await;
    upstream.create("in prod").await.unwrap();
    let permit = upstream.permit().await;
    let in_dev = connection("dev", "in dev");
    upstream.flow_service.create_connection(&permit, &in_dev, None, in_time(), &progress()).await.unwrap();
    let salesforce = json!({
        "name": "Salesforce",
        "auth": {"specName": "Basic Authentication", "params": {
            "username": "u", "password": "canary", "securityToken": "canary",
        }},
        "connectionSpec": {"id": "cfc0fee1-7dc0-40ef-b73e-d8b134c436f5", "version": "1.0"},
    });
    let created = client()
        .post(format!("{}/connections", upstream.emulator.base_url()))
        .bearer_auth(emulator::DEMO_ACCESS_TOKEN)
        .header("x-api-key", emulator::CLIENT_ID)
        .header("x-gw-ims-org-id", emulator::ORG_ID)
        .header("x-sandbox-name", "prod")
        .header(header::CONTENT_TYPE, "application/json")
        .body(salesforce.to_string());
    assert_eq!(created.send().await.unwrap().status(), 201);

    for (sandbox, name) in [("prod", "in prod"), ("dev", "in dev")] {
        let names: Vec<_> = all(&upstream.flow_service, sandbox).await.into_iter().map(|c| c.name).collect();
        assert_eq!(names, [name]);
    }
}

#[tokio::test]
async fn a_listed_connection_has_the_fields_that_identify_it() {
    let upstream = Upstream::with(client(), "exc_app", TIMEOUTS).await;
    let created = upstream.create("HubSpot").await.unwrap();
    let page = first_page(&upstream.flow_service).await.unwrap();
    let ledger = upstream.emulator.connections();
    let created_at_ms = i64::try_from(ledger[0].created_at_ms).unwrap();
    let expected = ListedConnection {
        id: Some(created.id),
        etag: Some(created.etag),
        name: Some("HubSpot".to_owned()),
        description: Some("made by a test".to_owned()),
        state: Some(ConnectionState::Enabled),
        credentials: StoredCredentials {
            client_id: Some("hs-client".to_owned()),
            client_secret_set: true,
            access_token_set: true,
            refresh_token_set: true,
        },
        created_at_ms: Some(created_at_ms),
        updated_at_ms: Some(created_at_ms),
        created_client: Some("exc_app".to_owned()),
        is_of_another_source: false,
    };
    assert_eq!((page.items, page.next), (vec![expected], None));
}

#[tokio::test]
async fn a_failed_read_is_retried() {
    for action in [
        json!({"status": 503}),
        json!({"status": 500, "shape": "html"}),
        json!({"status": 504, "shape": "empty"}),
        json!({"close": "before_commit"}),
        json!({"status": 200, "shape": "cut", "commit": true}),
        json!({"status": 429, "shape": "D", "headers": {"retry-after": "0"}}),
    ] {
        let upstream = Upstream::start().await;
        upstream.create("HubSpot").await.unwrap();
        upstream.inject(LIST, 2, action.clone());
        let page = first_page(&upstream.flow_service).await.unwrap();
        assert_eq!((page.items.len(), upstream.requests("GET")), (1, 3), "{action}");
    }
}

#[tokio::test]
async fn a_read_is_not_retried_for_ever() {
    let upstream = Upstream::start().await;
    upstream.inject(LIST, 0, json!({"status": 503}));
    let error = first_page(&upstream.flow_service).await.unwrap_err();
    let CallError::Unavailable { problem: Some(problem), .. } = error else { panic!("{error:?}") };
    assert_eq!((problem.status, upstream.requests("GET")), (503, 3));
}

#[tokio::test]
async fn a_refused_read_is_not_retried() {
    let upstream = Upstream::start().await;
    upstream.inject(LIST, 1, json!({"status": 403, "code": "2120"}));
    let error = first_page(&upstream.flow_service).await.unwrap_err();
    assert!(matches!(error, CallError::Refused { refusal: Refusal::Permission, .. }), "{error:?}");
    assert_eq!(upstream.requests("GET"), 1);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let upstream = Upstream::start().await;
    upstream.inject(LIST, 1, json!({"status": 401, "shape": "D"}));
    first_page(&upstream.flow_service).await.unwrap();
    assert_eq!(upstream.requests("GET"), 2);

    let upstream = Upstream::start().await;
    upstream.inject(LIST, 0, json!({"status": 401, "shape": "D"}));
    let error = first_page(&upstream.flow_service).await.unwrap_err();
    assert!(matches!(error, CallError::TokenRefused { .. }), "{error:?}");
    assert_eq!(upstream.requests("GET"), 2);
}

#[tokio::test]
async fn a_read_ends_with_its_deadline_and_its_attempt() {
    let upstream = Upstream::start().await;
    upstream.permit().await;
    upstream.inject(LIST, 0, json!({"delay": "30s"}));
    let start = Instant::now();
    let error = upstream
        .flow_service
        .list_connections(&ListQuery::all(&sandbox("prod")), None, start + SECOND / 5)
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::Unavailable { .. }) && start.elapsed() < 3 * SECOND, "{error:?}");

    let timeouts = Timeouts { attempt: SECOND / 5, ..TIMEOUTS };
    let upstream = Upstream::with(client(), emulator::CLIENT_ID, timeouts).await;
    upstream.inject(LIST, 1, json!({"delay": "30s"}));
    first_page(&upstream.flow_service).await.unwrap();
}

/// A server that sends this response to every request for a list, with a date if one is given.
async fn scripted(body: impl Fn(String) -> String + Clone + Send + Sync + 'static) -> HttpPlatform {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let reply = async move |RawQuery(query): RawQuery| body(query.unwrap_or_default());
    let router = Router::new().route("/connections", get(reply));
    tokio::spawn(axum::serve(listener, router).into_future());
    client_of(address)
}

fn page_with_next(href: &Value) -> String {
    json!({"items": [], "_links": {"next": {"href": href}}}).to_string()
}

#[tokio::test]
async fn the_link_to_the_next_page_is_not_followed() {
    let link_target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let href = json!(format!(
        "http://{}/steal?x=1&continuationToken=YWJj%2BZA==&y=2",
        link_target.local_addr().unwrap()
    ));
    let flow_service = scripted(move |query| match query.split_once("continuationToken=") {
        None => page_with_next(&href),
        Some((_, token)) => {
            assert_eq!(token, "YWJj%2BZA%3D%3D");
            json!({"items": []}).to_string()
        }
    })
    .await;
    let next = first_page(&flow_service).await.unwrap().next.unwrap();
    assert_eq!(next, PageToken("YWJj+ZA==".to_owned()));
    let page = flow_service
        .list_connections(&ListQuery::all(&sandbox("prod")), Some(&next), in_time())
        .await
        .unwrap();
    assert_eq!(page.next, None);
    let connection = tokio::time::timeout(SECOND / 10, link_target.accept()).await;
    assert!(connection.is_err(), "the link was followed");
}

#[tokio::test]
async fn a_token_cannot_change_the_query() {
    let href = json!("/connections?continuationToken=a%26limit%3D1%23%0d%0a&property=name%3D%3Dx");
    let flow_service = scripted(move |query| {
        if query.contains("continuationToken") {
            assert!(query.ends_with("&limit=100&continuationToken=a%26limit%3D1%23%0D%0A"), "{query}");
        }
        page_with_next(&href)
    })
    .await;
    let next = first_page(&flow_service).await.unwrap().next.unwrap();
    // The page names itself as its next one, and the caller would follow.
    let page = flow_service
        .list_connections(&ListQuery::all(&sandbox("prod")), Some(&next), in_time())
        .await
        .unwrap();
    assert_eq!(page.next, Some(next));
}

#[tokio::test]
async fn a_response_that_would_hide_connections_is_an_error() {
    for body in [
        "<html></html>".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        "[[]]".to_owned(),
        r#"{"items":null}"#.to_owned(),
        r#"{"items":{}}"#.to_owned(),
        r#"{"items":[],"_links":[]}"#.to_owned(),
        r#"{"items":[],"_links":{"next":{}}}"#.to_owned(),
        page_with_next(&json!(5)),
        page_with_next(&json!("/connections?page=2")),
        format!(r#"{{"items":[],"x":"{}"}}"#, "x".repeat(5 * 1024 * 1024)),
    ] {
        let reply = body.clone();
        let flow_service = scripted(move |_| reply.clone()).await;
        let error = first_page(&flow_service).await.unwrap_err();
        let is_list = body.contains("items");
        let is_unreadable = matches!(error, CallError::Undecodable(_) | CallError::Unavailable { .. });
        let is_unrecognized = matches!(error, CallError::Unrecognized { .. });
        assert!(if is_list { is_unreadable } else { is_unrecognized }, "{body} {error:?}");
    }
}

#[tokio::test]
async fn a_list_needs_no_date() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flow_service = client_of(listener.local_addr().unwrap());
    let peer = tokio::spawn(async move {
        let mut seen = Vec::new();
        // Without a date, and with impossible ones.
        for date in ["", "date: yesterday\r\n", "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            seen.push(String::from_utf8_lossy(&request[..length]).starts_with("GET /connections?"));
            let (body, count) = (r#"{"items":[null]}"#, r#"{"count":1}"#);
            let body = if seen.len() == 3 { count } else { body };
            let length = body.len();
            let reply = format!(
                "HTTP/1.1 200 OK\r\n{date}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
        seen
    });
    for _ in 0..2 {
        assert_eq!(first_page(&flow_service).await.unwrap().items, [ListedConnection::default()]);
    }
    assert_eq!(flow_service.count_connections(&sandbox("prod"), in_time()).await.unwrap(), 1);
    assert_eq!(peer.await.unwrap(), [true; 3]);
}
