//! The content of `/metrics`.

mod dataflows;
mod formats;

use hubspot_connection_service::proto::{
    CreateHubSpotConnectionRequest, GetHubSpotConnectionRequest, ListHubSpotConnectionsRequest, Verification,
};
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use crate::{
    server::health,
    support::{TestService, counted, metrics, request, request_with_id, until_counted},
};

const CREATE: &str = "POST /connections";
const LIST: &str = "GET /connections";
const GET: &str = "GET /connections/{id}";
const METHOD: &str = "hubspot_connection.v1.HubSpotConnectionService";

/// Every metric family of an idle service without TLS. The durations of calls and of requests to Adobe appear with the
/// first one.
const FAMILIES: [(&str, &str); 47] = [
    ("hubspot_connection_calls_total", "counter"),
    ("hubspot_connection_call_own_time_seconds", "histogram"),
    ("hubspot_connection_build_info", "gauge"),
    ("hubspot_connection_calls_in_flight", "gauge"),
    ("hubspot_connection_calls_shed_total", "counter"),
    ("hubspot_connection_background_creations", "gauge"),
    ("hubspot_connection_upstream_retries_total", "counter"),
    ("hubspot_connection_upstream_retries_refused_total", "counter"),
    ("hubspot_connection_breaker_open", "gauge"),
    ("hubspot_connection_breaker_opened_total", "counter"),
    ("hubspot_connection_throttle_gate_closed", "gauge"),
    ("hubspot_connection_upstream_throttled_total", "counter"),
    ("hubspot_connection_idempotency_claims_total", "counter"),
    ("hubspot_connection_idempotency_store_up", "gauge"),
    ("hubspot_connection_idempotency_store_outage", "gauge"),
    ("hubspot_connection_idempotency_store_weakness", "gauge"),
    ("hubspot_connection_creations_total", "counter"),
    ("hubspot_connection_reconciliations_total", "counter"),
    ("hubspot_connection_first_searches_total", "counter"),
    ("hubspot_connection_dataflow_steps_total", "counter"),
    ("hubspot_connection_undos_total", "counter"),
    ("hubspot_connection_dataflow_runs_read_total", "counter"),
    ("hubspot_connection_duplicates_total", "counter"),
    ("hubspot_connection_clock_disagreements_total", "counter"),
    ("hubspot_connection_verifications_total", "counter"),
    ("hubspot_connection_adobe_token_age_seconds", "gauge"),
    ("hubspot_connection_adobe_token_valid", "gauge"),
    ("hubspot_connection_adobe_token_expiry_timestamp_seconds", "gauge"),
    ("hubspot_connection_adobe_token_refreshes_total", "counter"),
    ("hubspot_connection_spec_drift", "gauge"),
    ("hubspot_connection_spans_lost_total", "counter"),
    ("hubspot_connection_tls_reloads_total", "counter"),
    ("hubspot_connection_tls_reload_failures_total", "counter"),
    ("hubspot_connection_tls_files_unusable", "gauge"),
    ("hubspot_connection_jwks_failures_total", "counter"),
    ("hubspot_connection_tls_handshake_failures_total", "counter"),
    ("hubspot_connection_callers_refused_total", "counter"),
    ("hubspot_connection_requests_refused_total", "counter"),
    ("hubspot_connection_connections_cut_total", "counter"),
    ("hubspot_connection_connections_idle_total", "counter"),
    ("process_cpu_seconds_total", "counter"),
    ("process_max_fds", "gauge"),
    ("process_open_fds", "gauge"),
    ("process_resident_memory_bytes", "gauge"),
    ("process_start_time_seconds", "gauge"),
    ("process_threads", "gauge"),
    ("process_virtual_memory_bytes", "gauge"),
];

fn own(name: &str) -> String {
    format!("hubspot_connection_{name}")
}

/// The number of calls of a method with this code.
fn calls(method: &str, code: &str) -> String {
    let error =
        if ["INTERNAL", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN"].contains(&code) { code } else { "" };
    format!(
        "rpc_server_call_duration_seconds_count{{rpc_system_name=\"grpc\",rpc_method=\"{method}\",\
         rpc_response_status_code=\"{code}\",error_type=\"{error}\"}}"
    )
}

/// The number of calls of a method that ended in this way.
fn ended(method: &str, outcome: &str) -> String {
    own(&format!("calls_total{{rpc_method=\"{METHOD}/{method}\",outcome=\"{outcome}\"}}"))
}

/// The number of requests to Adobe with this outcome.
fn requests(service: &TestService, [method, template, status, error]: [&str; 4]) -> String {
    let port = service.emulator.addr().port();
    format!(
        "http_client_request_duration_seconds_count{{http_request_method=\"{method}\",url_template=\"{template}\",\
         server_address=\"127.0.0.1\",server_port=\"{port}\",http_response_status_code=\"{status}\",error_type=\"{error}\"}}"
    )
}

#[tokio::test]
async fn every_metric_is_there_from_the_start() {
    let service = TestService::start().await;
    let text = metrics(service.admin).await;
    for (name, kind) in FAMILIES {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}: {text}");
    }
    for line in [
        &*ended("CreateHubSpotConnection", "ok"),
        &*ended("CreateHubSpotConnection", "failed"),
        &*ended("GetHubSpotConnection", "rejected"),
        &*ended("ListHubSpotTables", "cancelled"),
        "hubspot_connection_idempotency_claims_total{outcome=\"fresh\"}",
        "hubspot_connection_calls_shed_total{reason=\"max_in_flight\"}",
        "hubspot_connection_idempotency_store_weakness{weakness=\"evicts\"}",
        "hubspot_connection_upstream_retries_total{http_request_method=\"POST\",url_template=\"/connections\"}",
    ] {
        assert!(text.contains(&format!("\n{line} 0\n")), "{line}: {text}");
    }
    let build =
        format!("hubspot_connection_build_info{{version=\"{}\",revision=\"", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&build), "{text}");
}

#[tokio::test]
async fn a_creation_counts_as_call_claim_request_and_creation() {
    let service = TestService::start().await;
    let request = request_with_id();
    service.send(request.clone()).await.unwrap();
    service.send(request.clone()).await.unwrap();
    let other = CreateHubSpotConnectionRequest { name: "another".to_owned(), ..request };
    service.send(other).await.unwrap_err();
    health(service.grpc, "").await.unwrap();

    let method = format!("{METHOD}/CreateHubSpotConnection");
    for (line, value) in [
        (calls(&method, "OK"), 2),
        (calls(&method, "INVALID_ARGUMENT"), 1),
        (ended("CreateHubSpotConnection", "ok"), 2),
        (ended("CreateHubSpotConnection", "rejected"), 1),
        (ended("CreateHubSpotConnection", "failed"), 0),
        (own("call_own_time_seconds_count"), 3),
        (requests(&service, ["POST", "/connections", "201", ""]), 1),
        (requests(&service, ["POST", "/ims/token/v3", "200", ""]), 1),
        (own("idempotency_claims_total{outcome=\"fresh\"}"), 1),
        (own("idempotency_claims_total{outcome=\"replayed\"}"), 1),
        (own("idempotency_claims_total{outcome=\"reused\"}"), 1),
        (own("creations_total{outcome=\"created\"}"), 1),
        (own("adobe_token_refreshes_total{outcome=\"ok\"}"), 1),
        (own("calls_in_flight"), 0),
    ] {
        until_counted(service.admin, &line, value).await;
    }
    let text = metrics(service.admin).await;
    // Health checks are not measured.
    assert!(!text.contains("grpc.health"), "{text}");
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    assert!(value("hubspot_connection_adobe_token_age_seconds ") > 0.0, "{text}");
    assert!(value("hubspot_connection_adobe_token_valid ") > 0.0, "{text}");
    assert!(value("hubspot_connection_adobe_token_expiry_timestamp_seconds ") > 1.7e9, "{text}");
}

#[tokio::test]
async fn an_outage_of_adobe_fails_calls_and_the_time_that_they_wait_is_not_this_services() {
    let service = TestService::with([("HCS_REQUEST_TIMEOUT", "1s")]).await;
    let slow = |route| json!({"route": route, "count": 0, "action": {"delay": "30s"}});
    service.inject(json!([slow(GET), slow(CREATE)]));
    service.create().await.unwrap_err();
    let get = GetHubSpotConnectionRequest {
        id: Uuid::new_v4().to_string(),
        ..GetHubSpotConnectionRequest::default()
    };
    service.client().await.get_hub_spot_connection(get).await.unwrap_err();
    for (line, value) in [
        (ended("GetHubSpotConnection", "failed"), 1),
        (ended("CreateHubSpotConnection", "failed"), 1),
        (own("call_own_time_seconds_count"), 2),
    ] {
        until_counted(service.admin, &line, value).await;
    }
    let text = metrics(service.admin).await;
    let sum = |histogram: &str| -> f64 {
        let sums = text.lines().filter(|line| line.starts_with(&format!("{histogram}_sum")));
        sums.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    };
    let (all, own) =
        (sum("rpc_server_call_duration_seconds"), sum("hubspot_connection_call_own_time_seconds"));
    // Both calls waited until the time limit.
    assert!(all > 1.8 && own < all / 2.0, "{own} of {all}");
}

#[tokio::test]
async fn a_fresh_pod_exports_as_few_series_as_documented() {
    let service = TestService::start().await;
    let text = metrics(service.admin).await;
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    let page = include_str!("../../deploy/telemetry.md");
    let (before, _) = page.split_once(" series from the start").unwrap();
    let documented: usize = before.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(series < documented && documented <= 320, "{series} of {documented}: {text}");
}

#[tokio::test]
async fn a_retried_read_is_counted_with_its_failure() {
    let service = TestService::start().await;
    let created = service.create().await.unwrap();
    service.inject(json!([
        {"route": GET, "action": {"status": 503, "shape": "A"}},
        {"route": GET, "action": {"close": "before_commit"}},
    ]));
    let get = GetHubSpotConnectionRequest { id: created.id, ..GetHubSpotConnectionRequest::default() };
    service.client().await.get_hub_spot_connection(get).await.unwrap();
    for (line, value) in [
        (requests(&service, ["GET", "/connections/{id}", "503", "503"]), 1),
        (requests(&service, ["GET", "/connections/{id}", "", "reset"]), 1),
        (requests(&service, ["GET", "/connections/{id}", "200", ""]), 1),
        (own("upstream_retries_total{http_request_method=\"GET\",url_template=\"/connections/{id}\"}"), 2),
    ] {
        assert_eq!(counted(service.admin, &line).await, value, "{line}");
    }
}

#[tokio::test]
async fn a_throttle_counts_and_closes_the_gate() {
    let service = TestService::start().await;
    let throttled = json!({"status": 429, "shape": "A", "headers": {"retry-after": "60"}});
    let failure = service.create_with_faults(json!([{"route": CREATE, "action": throttled}])).await;
    assert_eq!(failure.code, Code::ResourceExhausted);
    for (name, value) in [
        ("upstream_throttled_total", 1),
        ("throttle_gate_closed{service=\"flow_service\"}", 1),
        ("throttle_gate_closed{service=\"catalog\"}", 0),
        ("breaker_open{service=\"flow_service\"}", 0),
        ("creations_total{outcome=\"not_sent\"}", 1),
    ] {
        assert_eq!(counted(service.admin, &own(name)).await, value, "{name}");
    }
}

#[tokio::test]
async fn an_open_breaker_shows_and_its_openings_count() {
    let service = TestService::start().await;
    service.inject(json!([{"route": GET, "count": 0, "action": {"status": 503, "shape": "A"}}]));
    let mut client = service.client().await;
    for _ in 0..2 {
        let get = GetHubSpotConnectionRequest {
            id: Uuid::new_v4().to_string(),
            ..GetHubSpotConnectionRequest::default()
        };
        client.get_hub_spot_connection(get).await.unwrap_err();
    }
    for (name, is_open) in [("flow_service", 1), ("schema_registry", 0), ("catalog", 0), ("data_prep", 0)] {
        let line = own(&format!("breaker_open{{service=\"{name}\"}}"));
        assert_eq!(counted(service.admin, &line).await, is_open, "{name}");
    }
    assert_eq!(counted(service.admin, &own("breaker_opened_total")).await, 1);
}

#[tokio::test]
async fn a_lost_creation_counts_as_it_is_found_and_its_test_as_it_ends() {
    let service = TestService::start().await;
    service.inject(json!([{"route": CREATE, "action": {"close": "after_commit"}}]));
    let lost =
        CreateHubSpotConnectionRequest { verification: Verification::Report.into(), ..request_with_id() };
    service.send(lost).await.unwrap();
    service.set(json!({"test_result": false}));
    let failing =
        CreateHubSpotConnectionRequest { verification: Verification::Report.into(), ..request_with_id() };
    service.send(failing).await.unwrap();
    for (name, value) in [
        ("reconciliations_total{outcome=\"found\"}", 1),
        ("verifications_total{outcome=\"passed\"}", 1),
        ("verifications_total{outcome=\"failed\"}", 1),
        ("creations_total{outcome=\"created\"}", 2),
        ("background_creations", 0),
    ] {
        until_counted(service.admin, &own(name), value).await;
    }
}

#[tokio::test]
async fn calls_that_are_shed_cancelled_or_unknown_are_counted() {
    let service = TestService::with([("HCS_MAX_IN_FLIGHT", "1")]).await;
    service.inject(json!([{"route": CREATE, "action": {"delay": "30s"}}]));
    let mut client = service.client().await;
    let given_up = tokio::spawn(async move { client.create_hub_spot_connection(request()).await });
    until_counted(service.admin, &own("calls_in_flight"), 1).await;
    until_counted(service.admin, &own("background_creations"), 1).await;
    assert_eq!(service.create().await.unwrap_err().code, Code::ResourceExhausted);
    given_up.abort();
    let method = format!("{METHOD}/CreateHubSpotConnection");
    until_counted(service.admin, &calls(&method, "CANCELLED"), 1).await;
    until_counted(service.admin, &ended("CreateHubSpotConnection", "cancelled"), 1).await;
    assert_eq!(counted(service.admin, &own("calls_in_flight")).await, 0);
    // The creation continues, and keeps its permit.
    assert_eq!(service.create().await.unwrap_err().code, Code::ResourceExhausted);
    service.inject(json!([{"route": LIST, "action": {"delay": "30s"}}]));
    let mut client = service.client().await;
    let list = || ListHubSpotConnectionsRequest::default();
    let stuck = tokio::spawn(async move { client.list_hub_spot_connections(list()).await });
    until_counted(service.admin, &own("calls_in_flight"), 1).await;
    let shed = service.client().await.list_hub_spot_connections(list()).await.unwrap_err();
    assert_eq!(shed.code(), Code::ResourceExhausted);
    stuck.abort();
    until_counted(service.admin, &ended("CreateHubSpotConnection", "failed"), 2).await;
    until_counted(service.admin, &ended("ListHubSpotConnections", "failed"), 1).await;
    for (reason, value) in [("max_in_flight", 1), ("max_creations", 2)] {
        let line = own(&format!("calls_shed_total{{reason=\"{reason}\"}}"));
        assert_eq!(counted(service.admin, &line).await, value, "{line}");
    }
}

#[tokio::test]
async fn a_request_that_is_not_a_call_is_not_counted_as_a_failed_one() {
    let service = TestService::start().await;
    crate::support::post(service.grpc, &[("content-type", "text/plain")], Vec::new()).await;
    service.create().await.unwrap();
    let method = format!("{METHOD}/CreateHubSpotConnection");
    until_counted(service.admin, &calls(&method, "OK"), 1).await;
    assert_eq!(counted(service.admin, &calls(&method, "UNKNOWN")).await, 0);
    assert_eq!(counted(service.admin, &own("calls_in_flight")).await, 0);
}

#[tokio::test]
async fn without_a_token_there_is_none_to_be_valid() {
    let unavailable =
        json!([{"route": "POST /ims/token/v3", "count": 0, "action": {"status": 503, "shape": "A"}}]);
    let service = TestService::with_faults(unavailable, [("HCS_REQUEST_TIMEOUT", "1s")]).await;
    service.create().await.unwrap_err();
    assert_eq!(counted(service.admin, &own("adobe_token_valid")).await, 0);
    assert!(!metrics(service.admin).await.contains("url_template=\"/ims/token/v3\"} "));
}

#[tokio::test]
async fn refused_credentials_count_as_such() {
    let service = TestService::with([("HCS_CLIENT_SECRET", "wrong")]).await;
    service.create().await.unwrap_err();
    let line = own("adobe_token_refreshes_total{outcome=\"refused\"}");
    assert!(counted(service.admin, &line).await >= 1);
    assert!(counted(service.admin, &requests(&service, ["POST", "/ims/token/v3", "401", "401"])).await >= 1);
}
