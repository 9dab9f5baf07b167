//! The formats of `/metrics`, and how a scraper chooses one.

use std::{io::Read as _, time::SystemTime};

use flate2::read::GzDecoder;
use hubspot_connection_service::emulator::Options;
use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, VARY},
};

use crate::support::{ServiceProcess, TestService, start_emulator};

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn ask(service: &TestService, method: Method, headers: &[(HeaderName, &str)]) -> Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(method, format!("http://{}/metrics", service.admin));
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_scraper_gets_the_format_that_it_prefers_and_else_that_of_prometheus() {
    let service = TestService::start().await;
    for (accept, expected) in [
        (None, PROMETHEUS),
        (Some("*/*"), PROMETHEUS),
        (Some("text/plain;version=0.0.4"), PROMETHEUS),
        (Some("application/openmetrics-text;version=3.0.0"), PROMETHEUS),
        (Some("application/openmetrics-text;q=0.1,text/plain;q=0.5"), PROMETHEUS),
        (
            Some("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"),
            OPEN_METRICS,
        ),
    ] {
        let accept: Vec<_> = accept.into_iter().map(|accept| (ACCEPT, accept)).collect();
        let response = ask(&service, Method::GET, &accept).await;
        assert_eq!(response.headers()[CONTENT_TYPE], expected, "{accept:?}");
        assert_eq!(response.headers()[VARY], "accept");
        let text = response.text().await.unwrap();
        let is_open_metrics = expected == OPEN_METRICS;
        assert_eq!(text.ends_with("# EOF\n"), is_open_metrics, "{text}");
        for (line, is_of_open_metrics) in [
            ("# TYPE hubspot_connection_build info", true),
            ("# TYPE hubspot_connection_build_info gauge", false),
            ("# TYPE hubspot_connection_creations counter", true),
            ("# TYPE hubspot_connection_creations_total counter", false),
            ("# TYPE process_cpu_seconds counter", true),
            ("# TYPE process_cpu_seconds_total counter", false),
        ] {
            assert_eq!(
                text.lines().any(|l| l == line),
                is_open_metrics == is_of_open_metrics,
                "{line}: {text}"
            );
        }
        assert!(text.contains("\nhubspot_connection_build_info{"), "{text}");
        assert!(text.contains("\nhubspot_connection_creations_total{outcome=\"created\"} 0\n"), "{text}");
    }
}

#[tokio::test]
async fn a_scraper_that_takes_gzip_gets_it() {
    let service = TestService::start().await;
    for (accepted, is_compressed) in
        [("gzip", true), ("deflate;q=0.5, gzip;q=0.1", true), ("gzip;q=0", false), ("br", false)]
    {
        let response = ask(&service, Method::GET, &[(ACCEPT_ENCODING, accepted)]).await;
        assert_eq!(response.headers()[CONTENT_TYPE], PROMETHEUS);
        let encoding =
            response.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(encoding.as_deref(), is_compressed.then_some("gzip"), "{accepted}");
        let body = response.bytes().await.unwrap();
        let mut text = String::new();
        if is_compressed {
            GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
        } else {
            text.push_str(std::str::from_utf8(&body).unwrap());
        }
        assert!(text.contains("\nhubspot_connection_build_info{"), "{text}");
    }
}

#[tokio::test]
async fn metrics_are_read_and_nothing_else() {
    let service = TestService::start().await;
    let head = ask(&service, Method::HEAD, &[(ACCEPT, OPEN_METRICS)]).await;
    assert_eq!(
        (head.status(), &head.headers()[CONTENT_TYPE]),
        (StatusCode::OK, &OPEN_METRICS.parse().unwrap())
    );
    assert!(head.bytes().await.unwrap().is_empty());
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let response = ask(&service, method, &[]).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET,HEAD");
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in ["metric", "metrics/", "metrics/x"] {
        let response = client.get(format!("http://{}/{path}", service.admin)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(response.text().await.unwrap().contains("/metrics"), "{path}");
    }
}

/// The metrics of a separate process, which has protected its memory.
#[tokio::test]
async fn the_process_is_measured_as_the_kernel_sees_it() {
    let emulator = start_emulator(Options::default()).await;
    let service = ServiceProcess::start(&emulator, &[]).await;
    let text = crate::support::metrics(service.admin).await;
    let value = |name: &str| -> f64 {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    // The clock of the kernel has a resolution of at most seconds.
    assert!((now - value("process_start_time_seconds")).abs() < 120.0, "{text}");
    assert!(value("process_cpu_seconds_total") < 60.0, "{text}");
    assert!(value("process_resident_memory_bytes") > 1e6, "{text}");
    assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"), "{text}");
    assert!(value("process_threads") >= 1.0, "{text}");
    let open = value("process_open_fds");
    let open_now = std::fs::read_dir(format!("/proc/{}/fd", service.process.id())).unwrap().count();
    assert!(
        open >= 5.0 && (open - f64::from(u32::try_from(open_now).unwrap())).abs() <= 3.0,
        "{open} {open_now}"
    );
    assert!(value("process_max_fds") > open, "{text}");
}
