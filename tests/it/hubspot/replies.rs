//! A HubSpot that does not reply, or replies with something else: neither a yes nor a no.

use hubspot_connection_service::{
    emulator::Options,
    proto::check::State::{Failed, Passed, Skipped},
};

use super::{
    ACCESS, REFRESH, dry_run, found, of_hubspot,
    server::{Reaction, Scripted, json, reply},
    service, states,
};
use crate::support::{TestService, in_time, metrics, start_emulator, unused_port};

async fn asking<const N: usize>(reaction: Reaction, settings: [(&str, &str); N]) -> (TestService, Scripted) {
    let hubspot = Scripted::start(reaction).await;
    let service = service(start_emulator(Options::default()).await, &hubspot.url(), settings).await;
    (service, hubspot)
}

/// Fails unless nothing is known, for a reason with these words.
async fn assert_unknown(service: &TestService, words: &[&str]) {
    let found = found(service).await;
    assert_eq!(states(&found), [Skipped; 4], "{found:?}");
    for check in &found {
        for word in words {
            assert!(check.message.contains(word), "{word}: {check:?}");
        }
    }
}

async fn is_breaker_open(service: &TestService) -> bool {
    let open = "hubspot_connection_breaker_open{service=\"hubspot\"} 1";
    metrics(service.admin).await.lines().any(|line| line == open)
}

#[tokio::test]
async fn a_hubspot_that_never_replies_leaves_the_checks_open() {
    let (service, hubspot) = asking(Reaction::Silence, []).await;
    // Much less than the deadline of a minute.
    in_time("a dry run", assert_unknown(&service, &["not checked", "did not reply in time", "try again"]))
        .await;
    assert_eq!(hubspot.received().len(), 2, "sent once for each token");
}

#[tokio::test]
async fn a_caller_in_a_hurry_gets_what_is_known_and_says_nothing_about_hubspot() {
    let (service, _hubspot) = asking(Reaction::Silence, [("HCS_REQUEST_TIMEOUT", "2s")]).await;
    for _ in 0..4 {
        assert_unknown(&service, &["did not reply in time"]).await;
    }
    assert!(!is_breaker_open(&service).await);
}

#[tokio::test]
async fn a_body_that_does_not_end_is_no_reply() {
    let begun =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"active\":false"
            .to_vec();
    let (service, _hubspot) = asking(Reaction::Begin(begun), []).await;
    assert_unknown(&service, &["did not reply in time"]).await;
}

#[tokio::test]
async fn a_throttle_is_obeyed_by_all() {
    let reaction = reply(429, "retry-after: 30\r\nx-hubspot-ratelimit-max: 110\r\n", "");
    let (service, hubspot) = asking(reaction, []).await;
    assert_unknown(&service, &["throttles", "try again later"]).await;
    let sent = hubspot.received().len();
    assert!((1..=2).contains(&sent), "{sent}");
    hubspot.react(json(200, r#"{"active":true}"#));
    for _ in 0..3 {
        assert_unknown(&service, &["throttles"]).await;
    }
    assert_eq!(hubspot.received().len(), sent, "no request during the pause");
    let closed = "hubspot_connection_throttle_gate_closed{service=\"hubspot\"} 1";
    assert!(metrics(service.admin).await.lines().any(|line| line == closed));
    // Those of Adobe are other limits.
    service.create().await.unwrap();
}

#[tokio::test]
async fn a_hubspot_that_fails_is_left_alone_for_a_while() {
    let failing = json(
        503,
        r#"{"status":"error","message":"down for maintenance","correlationId":"c","category":"X"}"#,
    );
    let (service, hubspot) = asking(failing, []).await;
    assert_unknown(&service, &["HubSpot fails (HTTP 503) (down for maintenance)", "try again later"]).await;
    while !is_breaker_open(&service).await {
        found(&service).await;
    }
    let sent = hubspot.received().len();
    assert_unknown(&service, &["keeps failing", "try again later"]).await;
    assert_eq!(hubspot.received().len(), sent);
    // Adobe's breakers are others.
    service.create().await.unwrap();
}

#[tokio::test]
async fn a_reply_that_is_not_hubspots_is_for_the_operator() {
    let html = "<html><h1>\"active\":false</h1></html>";
    for (status, headers, body, shown) in [
        (200, "content-type: text/html; charset=utf-8\r\n", html, "(HTTP 200, text/html)"),
        (200, "", "", "(HTTP 200, no content type)"),
        (200, "content-type: application/json\r\n", "{}", "(HTTP 200, application/json)"),
        (200, "content-type: application/json\r\n", "[false]", "(HTTP 200, application/json)"),
        (401, "content-type: text/html\r\n", html, "(HTTP 401, text/html)"),
        (
            403,
            "content-type: application/json\r\n",
            r#"{"message":"Forbidden"}"#,
            "(HTTP 403, application/json)",
        ),
        (407, "", "", "(HTTP 407, no content type)"),
        (502, "content-type: text/html\r\n", html, "(HTTP 502, text/html)"),
        (429, "content-type: text/html\r\nretry-after: 30\r\n", html, "(HTTP 429, text/html)"),
    ] {
        let (service, _hubspot) = asking(reply(status, headers, body), []).await;
        assert_unknown(&service, &["not HubSpot's", shown, "HCS_HUBSPOT_URL", "operator"]).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Scripted::start(json(200, r#"{"active":true}"#)).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}/oauth/2026-03/token/introspect\r\n", elsewhere.url());
        let (service, hubspot) = asking(reply(status, &location, ""), []).await;
        assert_unknown(&service, &["not HubSpot's", &format!("HTTP {status}")]).await;
        assert_eq!(hubspot.received().len(), 2);
    }
    assert_eq!(elsewhere.received(), [""; 0]);
}

#[tokio::test]
async fn a_reply_that_is_too_long_is_not_read() {
    let body = format!(r#"{{"active":false,"x":"{}"}}"#, "x".repeat(100_000));
    let (service, _hubspot) = asking(json(200, &body), []).await;
    assert_unknown(&service, &["not HubSpot's", "operator"]).await;
}

#[tokio::test]
async fn a_hubspot_that_cannot_be_reached_or_hangs_up_is_no_answer() {
    let (closed, _socket) = unused_port();
    let emulator = start_emulator(Options::default()).await;
    let service = service(emulator, &format!("http://{closed}"), []).await;
    assert_unknown(&service, &["cannot be reached", "HCS_HUBSPOT_URL"]).await;
    let (service, _hubspot) = asking(Reaction::Close, []).await;
    assert_unknown(&service, &["cannot be reached"]).await;
}

#[tokio::test]
async fn an_error_of_hubspot_with_an_unknown_code_is_neither_yes_nor_no() {
    for (status, body) in [
        (
            400,
            r#"{"status":"error","message":"Invalid input","correlationId":"c","category":"VALIDATION_ERROR"}"#,
        ),
        (401, r#"{"status":"error","message":"x","correlationId":"c","category":"INVALID_AUTHENTICATION"}"#),
        (404, r#"{"status":"error","message":"x","correlationId":"c"}"#),
        // Of a proxy, or of a way to authenticate that has changed.
        (401, r#"{"error":"invalid_client","error_description":"x"}"#),
        (401, r#"{"error":"invalid_token","error_description":"x"}"#),
        (
            400,
            r#"{"message":"client_id and client_secret must be sent in the Authorization header","correlationId":"c","category":"VALIDATION_ERROR"}"#,
        ),
        (200, r#"{"active":"perhaps"}"#),
    ] {
        let (service, _hubspot) = asking(json(status, body), []).await;
        assert_unknown(&service, &["neither yes nor no", &format!("HTTP {status}")]).await;
    }
}

#[tokio::test]
async fn one_reply_that_is_missing_leaves_the_other_check_as_it_is() {
    let (service, hubspot) = asking(Reaction::Silence, []).await;
    hubspot.decide(|form| {
        let is_refresh = form.contains(&("token".to_owned(), REFRESH.to_owned()));
        if is_refresh { json(200, r#"{"active":false}"#) } else { Reaction::Silence }
    });
    let found = found(&service).await;
    assert_eq!(states(&found), [Passed, Failed, Skipped, Skipped]);
}

#[tokio::test]
async fn what_hubspot_repeats_of_the_credentials_is_not_shown() {
    let (service, hubspot) = asking(Reaction::Silence, []).await;
    for (status, body) in [
        (
            401,
            r#"{"error":"invalid_client","error_description":"the secret SECRET of ID is wrong","correlationId":"c"}"#,
        ),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"the token TOKEN is revoked","correlationId":"c"}"#,
        ),
        (503, r#"{"message":"TOKEN SECRET ID","correlationId":"TOKEN","category":"SECRET"}"#),
        (
            200,
            r#"{"active":true,"client_id":"ID","scopes":["TOKEN","SECRET"],"hub_id":"TOKEN","token":"TOKEN"}"#,
        ),
        (200, r#"{"active":true,"client_id":"other","scopes":["oauth"],"hub_id":1,"token":"TOKEN"}"#),
    ] {
        hubspot.decide(move |form| {
            let field = |name: &str| &form.iter().find(|(key, _)| key == name).unwrap().1;
            let body = body.replace("TOKEN", field("token"));
            json(status, &body.replace("SECRET", field("client_secret")).replace("ID", field("client_id")))
        });
        let checks = service.send(dry_run()).await.unwrap().checks;
        let shown = format!("{:?}", of_hubspot(&checks));
        for secret in ["hs-client-secret", REFRESH, ACCESS, "hs-client-id"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
