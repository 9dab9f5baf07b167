//! Faults.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use hubspot_connection_service::emulator::{Action, Emulator, Fault, FaultResponse, Moment, Shape};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use super::{Caller, body_of};

#[tokio::test]
async fn a_status_fault_comes_before_every_check_and_commits_only_on_request() {
    let caller = Caller::new().await;
    let mut headers = HeaderMap::new();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("38"));
    let throttled = FaultResponse { headers, ..FaultResponse::new(StatusCode::TOO_MANY_REQUESTS, Shape::D) };
    let lost = FaultResponse { commit: true, ..FaultResponse::new(StatusCode::GATEWAY_TIMEOUT, Shape::Html) };
    caller.emulator.inject(vec![
        Fault::once("POST /connections", Action::Respond(throttled)),
        Fault::once("POST /connections", Action::Respond(lost)),
    ]);
    let response = caller.create("a").await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()[header::RETRY_AFTER], "38");
    assert_eq!(body_of(response).await, json!({"error_code": "429050", "message": "Too many requests"}));
    assert_eq!(caller.names(), [""; 0]);

    let response = caller.create("b").await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html");
    assert!(response.text().await.unwrap().contains("504 Gateway Timeout"));
    assert_eq!(caller.names(), ["b"]);

    assert_eq!(caller.create("c").await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_closed_connection_carries_no_byte_of_a_response() {
    let caller = Caller::new().await;
    let request = "GET /data/foundation/flowservice/connections HTTP/1.1\r\nhost: emulator\r\n\r\n";
    caller.inject("GET /connections", Action::Close(Moment::BeforeCommit));
    assert_eq!(exchange(&caller.emulator, request).await, "");
    for (moment, name, committed) in
        [(Moment::BeforeCommit, "a", &[][..]), (Moment::AfterCommit, "b", &["b"][..])]
    {
        caller.inject("POST /connections", Action::Close(moment));
        let error = caller.create(name).await.unwrap_err();
        assert!(error.is_request(), "{error:?}");
        assert_eq!(caller.names(), committed);
    }
}

#[tokio::test]
async fn a_cut_response_ends_in_its_body() {
    let caller = Caller::new().await;
    caller
        .inject("GET /connections", Action::Respond(FaultResponse::new(StatusCode::BAD_GATEWAY, Shape::Cut)));
    let request = "GET /data/foundation/flowservice/connections HTTP/1.1\r\nhost: emulator\r\n\r\n";
    let response = exchange(&caller.emulator, request).await;
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 502 Bad Gateway"), "{head}");
    assert!(body.starts_with('{') && !body.ends_with('}'), "{body}");
    assert!(!head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");

    let cut = FaultResponse { commit: true, ..FaultResponse::new(StatusCode::CREATED, Shape::Cut) };
    caller.inject("POST /connections", Action::Respond(cut));
    let response = caller.create("a").await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(response.bytes().await.is_err());
    assert_eq!(caller.names(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_late_commit_happens_after_its_time_unless_the_state_is_reset() {
    let caller = Caller::new().await;
    let late = || Fault::once("POST /connections", Action::CommitAfter(Duration::from_secs(3600)));
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
async fn a_delayed_response_is_complete() {
    let caller = Caller::new().await;
    caller.inject("POST /connections", Action::Delay(Duration::from_secs(3600)));
    let sent = Instant::now();
    let response = caller.create("a").await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(sent.elapsed() >= Duration::from_secs(3600));
}

/// Sends raw bytes and returns everything received until the connection closes.
async fn exchange(emulator: &Emulator, request: &str) -> String {
    let mut stream = TcpStream::connect(emulator.addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    // After the response, a reset is as good as an orderly close.
    let _ = stream.read_to_end(&mut response).await;
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn every_status_goes_with_every_shape() {
    let caller = Caller::new().await;
    for status in [200, 201, 204, 205, 304, 400, 429, 500, 599] {
        for shape in [Shape::A, Shape::B, Shape::C, Shape::D, Shape::E, Shape::Empty, Shape::Html, Shape::Cut]
        {
            let response = FaultResponse::new(StatusCode::from_u16(status).unwrap(), shape);
            caller.inject("GET /connections", Action::Respond(response));
            let response = caller.get("/connections").await;
            assert_eq!(response.status().as_u16(), status, "{shape:?}");
            assert_eq!(response.headers()["x-request-id"].len(), 32, "{shape:?}");
        }
    }
}
