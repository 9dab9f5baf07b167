//! The traces: the spans that a collector receives, and their cost without a collector.

mod configuration;
mod outage;

use hubspot_connection_service::{
    emulator::{Emulator, Options},
    proto::CreateHubSpotConnectionRequest,
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};
use tonic::{Request, metadata::MetadataValue};

use crate::{
    server::health,
    support::{
        ServiceProcess,
        collector::{Collector, Seen},
        inject, request, start_emulator,
    },
};

const CALLERS_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLERS_SPAN: &str = "b7ad6b7169203331";
const METHOD: &str = "hubspot_connection.v1.HubSpotConnectionService/CreateHubSpotConnection";
const CREATE: &str = "POST /connections";
const TOKEN: &str = "POST /ims/token/v3";

/// A creation by a caller that is itself part of a trace.
fn traced() -> Request<CreateHubSpotConnectionRequest> {
    let mut request = Request::new(request());
    let parent = format!("00-{CALLERS_TRACE}-{CALLERS_SPAN}-01");
    request.metadata_mut().insert("traceparent", MetadataValue::try_from(parent).unwrap());
    request.metadata_mut().insert("tracestate", MetadataValue::from_static("vendor=x"));
    request
}

/// A service that exports its traces, after these faults of the emulator.
async fn exporting(faults: Value, settings: &[(&str, &str)]) -> (Emulator, Collector, ServiceProcess) {
    let emulator = start_emulator(Options::default()).await;
    inject(&emulator, faults);
    let collector = Collector::start().await;
    let export = collector.settings();
    let export: Vec<_> = export.iter().map(|(name, value)| (*name, &**value)).collect();
    let service = ServiceProcess::start(&emulator, &[&export, settings].concat()).await;
    (emulator, collector, service)
}

/// The trace context of the requests of this kind.
fn parents(emulator: &Emulator, path_end: &str) -> Vec<Option<String>> {
    let received = emulator.received();
    let requests =
        received.iter().filter(|request| request.method == "POST" && request.path.ends_with(path_end));
    let parent = |headers: &http::HeaderMap| Some(headers.get("traceparent")?.to_str().unwrap().to_owned());
    requests.map(|request| parent(&request.headers)).collect()
}

fn parent_of(span: &Seen) -> Option<String> {
    Some(format!("00-{}-{}-01", span.trace, span.id))
}

fn assert_attributes(span: &Seen, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(span.attributes.get(*name).map(String::as_str), Some(*value), "{name} of {span:#?}");
    }
}

#[tokio::test]
async fn a_collector_receives_the_spans_of_a_creation_below_that_of_its_caller() {
    // The first access token is refused, so that the creation has to get another one.
    let refused = json!([{"route": CREATE, "action": {"status": 401, "shape": "D"}}]);
    let (emulator, collector, service) = exporting(refused, &[]).await;
    health(service.grpc, "").await.unwrap();
    let response = service.client().await.create_hub_spot_connection(traced()).await.unwrap().into_inner();

    let server = collector.span(METHOD).await;
    assert_eq!((&*server.trace, &*server.parent), (CALLERS_TRACE, CALLERS_SPAN));
    assert_eq!((server.kind, server.is_error), (SpanKind::Server, false));
    assert_attributes(
        &server,
        &[
            ("rpc.system.name", "grpc"),
            ("rpc.method", METHOD),
            ("rpc.response.status_code", "OK"),
            ("hubspot_connection.request_id", &response.request_id),
            ("hubspot_connection.connection_id", &response.id),
        ],
    );

    let (status, _) = service.stop().await;
    assert_eq!(status.code(), Some(0));
    let all = collector.spans();
    let below: Vec<_> =
        all.iter().filter(|span| span.trace == CALLERS_TRACE && span.id != server.id).collect();
    assert!(below.iter().all(|span| span.parent == server.id), "{below:#?}");
    let of = |name: &str| below.iter().filter(|span| span.name == name).copied().collect::<Vec<_>>();
    let (attempts, tokens) = (of(CREATE), of(TOKEN));
    let ([first, second], [token]) = (&attempts[..], &tokens[..]) else { panic!("{all:#?}") };
    let port = emulator.addr().port().to_string();
    for (span, template, status) in
        [(first, "/connections", "401"), (second, "/connections", "201"), (token, "/ims/token/v3", "200")]
    {
        assert_eq!((span.kind, span.is_error), (SpanKind::Client, status == "401"), "{span:#?}");
        assert_attributes(
            span,
            &[
                ("http.request.method", "POST"),
                ("url.template", template),
                ("server.address", "127.0.0.1"),
                ("server.port", &port),
                ("http.response.status_code", status),
            ],
        );
        assert!(!span.attributes.contains_key("url.full"), "{span:#?}");
    }
    assert_attributes(first, &[("error.type", "401")]);
    assert_attributes(second, &[("http.request.resend_count", "1")]);
    // The wait for it has a span as well, if there was one. Health checks and exports have none.
    let others = all.iter().filter(|span| ![METHOD, CREATE, TOKEN, "adobe_token"].contains(&&*span.name));
    assert_eq!(others.count(), 0, "{all:#?}");

    // Each request to Adobe names its span.
    assert_eq!(parents(&emulator, "/connections"), [parent_of(first), parent_of(second)]);
    assert_eq!(parents(&emulator, "/token/v3").last(), Some(&parent_of(token)));
}

#[tokio::test]
async fn a_creation_that_waits_for_a_token_has_a_span_of_the_wait() {
    let refused = json!([
        {"route": CREATE, "action": {"status": 401, "shape": "D", "code": "401013"}},
        {"route": TOKEN, "count": 0, "action": {"delay": "300ms"}},
    ]);
    let (_emulator, collector, service) = exporting(refused, &[]).await;
    service.client().await.create_hub_spot_connection(traced()).await.unwrap();
    let wait = collector.span("adobe_token").await;
    let server = collector.span(METHOD).await;
    assert_eq!((wait.kind, &wait.parent, &*wait.trace), (SpanKind::Internal, &server.id, CALLERS_TRACE));
    // No call has requested the first token.
    let spans = collector.spans();
    let mut tokens = spans.iter().filter(|span| span.name == TOKEN);
    assert!(tokens.any(|token| token.parent.is_empty() && token.trace != CALLERS_TRACE), "{spans:#?}");
}

#[tokio::test]
async fn failures_are_marked_with_what_they_are() {
    let lost = json!([{"route": CREATE, "action": {"close": "after_commit"}}, {"route": "GET /connections", "count": 0, "action": {"status": 503, "shape": "empty"}}]);
    let (_emulator, collector, service) = exporting(lost, &[("HCS_REQUEST_TIMEOUT", "1s")]).await;
    service.client().await.create_hub_spot_connection(request()).await.unwrap_err();
    let server = collector.span(METHOD).await;
    assert!(server.is_error && server.parent.is_empty(), "{server:#?}");
    assert_eq!(server.attributes["error.type"], server.attributes["rpc.response.status_code"]);
    assert!(server.attributes.contains_key("hubspot_connection.reason"), "{server:#?}");
    let attempt = collector.span(CREATE).await;
    assert_eq!((&attempt.parent, attempt.is_error), (&server.id, true));
    assert_attributes(&attempt, &[("error.type", "reset")]);
}

#[tokio::test]
async fn lines_of_the_log_name_the_trace_of_the_call() {
    let emulator = start_emulator(Options::default()).await;
    let service = ServiceProcess::start(&emulator, &[]).await;
    let mut client = service.client().await;
    client.create_hub_spot_connection(traced()).await.unwrap();
    client.create_hub_spot_connection(request()).await.unwrap();
    let (_, output) = service.stop().await;
    let calls: Vec<_> = output.log_lines().into_iter().filter(|line| line["message"] == "call").collect();
    assert_eq!(calls[0]["span"]["trace_id"], CALLERS_TRACE, "{calls:#?}");
    // Without a trace there is no name to log.
    assert_eq!(calls[1]["span"].get("trace_id"), None, "{calls:#?}");

    // Adobe receives the context of the caller unchanged.
    let expected = format!("00-{CALLERS_TRACE}-{CALLERS_SPAN}-01");
    assert_eq!(parents(&emulator, "/connections"), [Some(expected), None]);
    assert_eq!(parents(&emulator, "/token/v3"), [None]);
    let received = emulator.received();
    assert!(
        received.iter().any(|request| request.headers.get("tracestate").is_some_and(|s| s == "vendor=x"))
    );
}

#[tokio::test]
async fn with_export_every_line_of_a_call_names_its_trace() {
    let (_emulator, collector, service) = exporting(json!([]), &[]).await;
    service.client().await.create_hub_spot_connection(request()).await.unwrap();
    let server = collector.span(METHOD).await;
    let (_, output) = service.stop().await;
    let lines = output.log_lines();
    let call = lines.iter().find(|line| line["message"] == "call").unwrap();
    assert_eq!(call["span"]["trace_id"], server.trace);
}

#[tokio::test]
async fn a_caller_that_does_not_sample_is_not_exported() {
    let (emulator, collector, service) = exporting(json!([]), &[]).await;
    let mut unsampled = Request::new(request());
    let parent = format!("00-{CALLERS_TRACE}-{CALLERS_SPAN}-00");
    unsampled.metadata_mut().insert("traceparent", MetadataValue::try_from(parent).unwrap());
    service.client().await.create_hub_spot_connection(unsampled).await.unwrap();
    service.stop().await;
    assert!(collector.spans().iter().all(|span| span.trace != CALLERS_TRACE), "{:#?}", collector.spans());
    let parents = parents(&emulator, "/connections");
    let parent = parents[0].as_deref().unwrap();
    assert!(parent.contains(CALLERS_TRACE) && parent.ends_with("-00"), "{parent}");
}
