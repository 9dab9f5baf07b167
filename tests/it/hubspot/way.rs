//! The way to HubSpot: the proxy, TLS, and its metrics.

use hubspot_connection_service::{
    config::{Config, Flags},
    emulator::Options,
    proto::check::State::{Passed, Skipped},
    telemetry::LogFormat,
};

use super::{
    found,
    server::{Reaction, Scripted, json},
    service, states,
};
use crate::support::{Mount, certificates::Authority, counted, metrics, start_emulator};

fn active() -> Reaction {
    json(200, r#"{"active":true,"scopes":["contacts","content"]}"#)
}

#[tokio::test]
async fn hubspot_is_reached_through_the_proxy() {
    // A proxy that replies itself shows what it is asked for.
    let proxy = Scripted::start(active()).await;
    let emulator = start_emulator(Options::default()).await;
    let settings = [("HCS_UPSTREAM_PROXY", &*proxy.url()), ("HCS_UPSTREAM_ALLOW_HTTP", "true")];
    let service = service(emulator, "http://hubspot.example.com/prefix/", settings).await;
    assert_eq!(states(&found(&service).await), [Passed; 4]);
    let received = proxy.received();
    assert_eq!(received.len(), 2);
    let first = "POST http://hubspot.example.com/prefix/oauth/2026-03/token/introspect HTTP/1.1\r\n";
    assert!(received.iter().all(|request| request.starts_with(first)), "{received:?}");
}

#[tokio::test]
async fn a_certificate_of_the_additional_authority_is_trusted_and_no_other() {
    let (authority, other) = (Authority::new("own"), Authority::new("other"));
    let hubspot = Scripted::on(active(), Some(authority.server(1).acceptor())).await;
    let url = format!("https://localhost:{}", hubspot.address.port());
    for (trusted, expected) in [(&authority, [Passed; 4]), (&other, [Skipped; 4])] {
        let files = Mount::new(&[("ca.crt", &trusted.pem)]);
        let ca_file = files.path("ca.crt");
        let emulator = start_emulator(Options::default()).await;
        let service = service(emulator, &url, [("HCS_UPSTREAM_CA_FILE", &*ca_file)]).await;
        let found = found(&service).await;
        assert_eq!(states(&found), expected, "{found:?}");
    }
    assert_eq!(hubspot.received().len(), 2, "nothing is sent to a server that is not trusted");
}

#[test]
fn its_url_is_https_beyond_loopback_and_has_no_path_at_hubspot() {
    let problem = |url: &str, allow_http: &str| {
        let settings = [
            ("HCS_ORG_ID", "1234@AdobeOrg"),
            ("HCS_CLIENT_ID", "client"),
            ("HCS_CLIENT_SECRET", "canary"),
            ("HCS_HUBSPOT_URL", url),
            ("HCS_UPSTREAM_ALLOW_HTTP", allow_http),
        ];
        let environment = settings.map(|(name, value)| (name.into(), value.into()));
        let problems = Config::load(environment, Flags::default(), LogFormat::Text).err();
        let problems = problems.map(|problems| problems.0).unwrap_or_default();
        problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.setting, problem.message))
            .collect::<String>()
    };
    for url in [
        "https://api.hubapi.com",
        "https://api.hubapi.com/",
        "http://127.0.0.1:8080",
        "https://proxy.test/hs",
        "",
    ] {
        assert_eq!(problem(url, "false"), "", "{url}");
    }
    assert_eq!(problem("http://emulator:8080", "true"), "");
    for (url, words) in [
        ("http://emulator:8080", "HCS_UPSTREAM_ALLOW_HTTP=true"),
        ("api.hubapi.com", "https URL"),
        ("https://api.hubapi.com/oauth/v1", "delete /oauth"),
        ("https://api.hubapi.com/crm", "no path"),
        ("https://me:canary@api.hubapi.com", "user name"),
        ("https://api.hubapi.com?x=canary", "query"),
    ] {
        let problem = problem(url, "false");
        assert!(problem.starts_with("HCS_HUBSPOT_URL: ") && problem.contains(words), "{url}: {problem}");
        assert!(!problem.contains("canary"), "{problem}");
    }
}

#[tokio::test]
async fn the_requests_to_hubspot_are_counted() {
    let hubspot = Scripted::start(active()).await;
    let emulator = start_emulator(Options::default()).await;
    let service = service(emulator, &hubspot.url(), []).await;
    let port = hubspot.address.port();
    let requests = format!(
        "http_client_request_duration_seconds_count{{http_request_method=\"POST\",\
         url_template=\"/oauth/2026-03/token/introspect\",server_address=\"127.0.0.1\",server_port=\"{port}\",\
         http_response_status_code=\"200\",error_type=\"\"}}"
    );
    assert_eq!(counted(service.admin, &requests).await, 0);
    let text = metrics(service.admin).await;
    for name in ["breaker_open", "throttle_gate_closed"] {
        let line = format!("hubspot_connection_{name}{{service=\"hubspot\"}} 0");
        assert!(text.lines().any(|text| text == line), "{line}");
    }
    found(&service).await;
    assert_eq!(counted(service.admin, &requests).await, 2);
}
