//! A pod is ready once every dependency of a call has been available.

use std::net::SocketAddr;

use futures_util::future::join_all;
use hubspot_connection_service::{
    emulator::{self, Emulator},
    grpc::SERVICE_NAME,
};
use serde_json::{Value, json};

use super::{
    list,
    tokens::{with_keys_at, with_keys_in},
};
use crate::{
    server::health,
    support::{
        Mount, Process, ServiceProcess, TestService, in_time, inject, listen, start_emulator,
        tokens::{KeyEndpoint, TokenKey, claims, key_set},
        until,
    },
};

const READER: &str = "system:serviceaccount:crm:reader";
const TOKEN: &str = "POST /ims/token/v3";

async fn readyz(admin: SocketAddr) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(format!("http://{admin}/readyz")).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Fails unless every health check reports that the service is not ready, the text names this setting,
/// and the process still runs.
async fn assert_waits_for(service: &TestService, setting: &str) {
    for address in [service.grpc, service.admin] {
        for name in ["", SERVICE_NAME] {
            assert_eq!(health(address, name).await.unwrap(), "NOT_SERVING", "{setting} {name:?}");
        }
    }
    let (status, text) = readyz(service.admin).await;
    assert!(status == 503 && text.contains(setting), "{status} {text}");
    let livez = reqwest::get(format!("http://{}/livez", service.admin)).await.unwrap();
    assert_eq!(livez.status(), 200);
}

async fn until_ready(service: &TestService) {
    in_time("SERVING", async {
        while health(service.admin, "").await.unwrap() != "SERVING" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    for address in [service.grpc, service.admin] {
        assert_eq!(health(address, SERVICE_NAME).await.unwrap(), "SERVING");
    }
    assert_eq!(readyz(service.admin).await.0, 200);
}

async fn with_token_fault(action: Value) -> Emulator {
    let emulator = start_emulator(emulator::Options::default()).await;
    let faults = json!([{"route": TOKEN, "count": 0, "action": action}]);
    inject(&emulator, faults);
    emulator
}

#[tokio::test]
async fn nothing_but_a_complete_key_set_with_status_200_makes_a_service_ready() {
    let key = TokenKey::es256("key");
    let good = key_set(&[&key]).to_string();
    let rows = [
        (302, good.clone()),
        (203, good.clone()),
        (206, good.clone()),
        (404, good.clone()),
        (503, good.clone()),
        (204, String::new()),
        (200, String::new()),
        (200, "<html>Sign in</html>".to_owned()),
        (200, r#"{"keys":[]}"#.to_owned()),
        (200, json!({"keys": [{"kty": "oct", "kid": "key", "k": "AAAA"}]}).to_string()),
        (200, json!([key.jwk()]).to_string()),
        (200, format!("{good}{}", " ".repeat(1 << 20))),
    ];
    join_all(rows.map(async |(status, body)| {
        let keys = KeyEndpoint::start(listen().await, &[]);
        keys.respond(status, body);
        let service = TestService::with(with_keys_at(&keys.url)).await;
        let mut client = service.client().await;
        let token = key.sign(&claims(READER));
        service.assert_cannot_check(list(&mut client, Some(&token))).await;
        assert_waits_for(&service, "HCS_JWT_JWKS_URL").await;
        keys.publish(Some(&[&key]));
        until_ready(&service).await;
        list(&mut client, Some(&token)).await.unwrap();
        // A later outage affects every replica alike.
        keys.publish(None);
        let stranger = TokenKey::es256("stranger").sign(&claims(READER));
        list(&mut client, Some(&stranger)).await.unwrap_err();
        assert_eq!(readyz(service.admin).await.0, 200);
    }))
    .await;
}

#[tokio::test]
async fn neither_a_silent_endpoint_nor_one_without_tls_makes_a_service_ready() {
    let silent = listen().await;
    let plain = KeyEndpoint::start(listen().await, &[&TokenKey::es256("key")]);
    let urls =
        [format!("http://{}/jwks", silent.local_addr().unwrap()), plain.url.replace("http://", "https://")];
    let token = TokenKey::es256("key").sign(&claims(READER));
    join_all(urls.iter().map(async |url| {
        let service = TestService::with(with_keys_at(url)).await;
        assert_waits_for(&service, "HCS_JWT_JWKS_URL").await;
        service.assert_cannot_check(list(&mut service.client().await, Some(&token))).await;
    }))
    .await;
}

#[tokio::test]
async fn keys_and_readiness_stay_when_the_key_file_becomes_unusable() {
    let (known, new) = (TokenKey::es256("known"), TokenKey::es256("new"));
    let files = Mount::new(&[("jwks.json", &key_set(&[&known]).to_string())]);
    let service = with_keys_in(&files).await;
    let mut client = service.client().await;
    until_ready(&service).await;
    for content in ["", "{\"keys\":[]}"] {
        files.replace(&[("jwks.json", content)]);
        list(&mut client, Some(&known.sign(&claims(READER)))).await.unwrap();
        service.assert_cannot_check(list(&mut client, Some(&new.sign(&claims(READER))))).await;
        assert_eq!(readyz(service.admin).await.0, 200);
    }
}

#[tokio::test]
async fn a_service_whose_credential_ims_rejects_does_not_become_ready_until_it_is_accepted() {
    let files = Mount::new(&[("secret", "wrong")]);
    let settings = [("HCS_CLIENT_SECRET", ""), ("HCS_CLIENT_SECRET_FILE", &*files.path("secret"))];
    let service = TestService::with(settings).await;
    assert_waits_for(&service, "HCS_CLIENT_SECRET").await;
    files.replace(&[("secret", emulator::CLIENT_SECRET)]);
    until_ready(&service).await;
}

/// IMS throttles clients that retry with wrong credentials.
#[tokio::test]
async fn a_rejected_credential_stays_rejected_when_the_next_attempts_fail_otherwise() {
    let service = TestService::with([("HCS_CLIENT_SECRET", "wrong")]).await;
    assert_waits_for(&service, "HCS_CLIENT_SECRET").await;
    service.inject(json!([
        {"route": TOKEN, "action": {"status": 429}},
        {"route": TOKEN, "count": 0, "action": {"close": "before_commit"}},
    ]));
    let attempts =
        || service.emulator.received().iter().filter(|request| request.path.contains("/token/")).count();
    until("both of these", || attempts() >= 3).await;
    assert_waits_for(&service, "HCS_CLIENT_SECRET").await;
}

/// An outage of IMS affects every replica: a new one need not wait for its end.
#[tokio::test]
async fn a_failing_or_throttling_ims_does_not_block_readiness() {
    for action in [json!({"status": 503}), json!({"status": 429}), json!({"close": "before_commit"})] {
        let service = TestService::against(with_token_fault(action).await, []).await;
        until_ready(&service).await;
    }
}

#[tokio::test]
async fn a_credential_that_is_rejected_later_does_not_change_readiness() {
    let service = TestService::start().await;
    until_ready(&service).await;
    service.inject(json!([
        {"route": "POST /connections", "count": 0, "action": {"status": 401, "shape": "D", "code": "401013"}},
        {"route": TOKEN, "count": 0, "action": {"status": 401, "shape": "E", "code": "invalid_client"}},
    ]));
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.reason, "PLATFORM_CREDENTIALS_REJECTED", "{failure:?}");
    assert_eq!(failure.metadata("upstream_code"), "invalid_client");
    until_ready(&service).await;
}

/// A service that stops before it was ready reports the same state as any other.
#[tokio::test]
async fn a_service_that_is_not_ready_yet_can_be_stopped() {
    let keys = KeyEndpoint::start(listen().await, &[]);
    let service = TestService::with(with_keys_at(&keys.url)).await;
    assert_waits_for(&service, "HCS_JWT_JWKS_URL").await;
    in_time("the end", service.stop()).await;
}

#[tokio::test]
async fn a_missing_dependency_is_logged_once_with_its_cause_and_shown_by_check_config() {
    let keys = KeyEndpoint::start(listen().await, &[]);
    keys.respond(302, String::new());
    let emulator = start_emulator(emulator::Options::default()).await;
    let settings = with_keys_at(&keys.url);
    let service = ServiceProcess::start(&emulator, &settings).await;
    service.process.prints_text("not ready").await;
    // Three attempts are logged as one error.
    until("another attempt", || keys.requests() > 2).await;
    keys.publish(Some(&[&TokenKey::es256("key")]));
    service.process.prints_text("ready: SERVING from now on").await;
    let (_, output) = service.stop().await;
    let lines = output.log_lines();
    let about = |message: &str| -> Vec<_> {
        lines.iter().filter(|line| line["message"].as_str().unwrap().contains(message)).collect()
    };
    let [waiting] = &about("not ready")[..] else { panic!("{lines:#?}") };
    assert!(waiting["waiting_for"].as_str().unwrap().contains("HCS_JWT_JWKS_URL"), "{waiting}");
    let [failure] = &about("cannot be read")[..] else { panic!("{lines:#?}") };
    // It may be up a moment later.
    assert_eq!(failure["level"], "WARN", "{failure}");
    assert!(failure["error"].as_str().unwrap().contains("302"), "{failure}");
    assert!(keys.url.contains(failure["host"].as_str().unwrap()), "{failure}");
    assert_eq!(about("can be read again").len(), 1, "{lines:#?}");

    let adobe = [("HCS_ORG_ID", emulator::ORG_ID), ("HCS_CLIENT_ID", "x"), ("HCS_CLIENT_SECRET", "canary")];
    let (status, output) = Process::run(&["check-config"], &[&adobe[..], &settings].concat()).await;
    assert!(status.success(), "{output:?}");
    let last = output.stdout().lines().last().unwrap().to_owned();
    assert!(last.contains("HCS_CLIENT_SECRET") && last.contains("HCS_JWT_JWKS_URL"), "{last}");
}
