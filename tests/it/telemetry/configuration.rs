//! The standard variables of OpenTelemetry.

use hubspot_connection_service::emulator::Options;
use serde_json::{Value, json};

use super::{CALLERS_SPAN, CALLERS_TRACE, METHOD, exporting, parents, traced};
use crate::support::{
    Mount, Process, ServiceProcess, certificates::Authority, collector::Collector, request, start_emulator,
};

const ADOBE: [(&str, &str); 3] =
    [("HCS_ORG_ID", "1234@AdobeOrg"), ("HCS_CLIENT_ID", "client"), ("HCS_CLIENT_SECRET", "canary")];

/// Variables that a cluster may inject.
#[tokio::test]
async fn invalid_variables_are_ignored_with_a_warning() {
    let injected = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/ca.crt"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/no/such/tls.key"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "canary"),
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("OTEL_TRACES_SAMPLER", "xray"),
        ("OTEL_PROPAGATORS", "xray,b3multi"),
        ("OTEL_SDK_DISABLED", "no"),
        ("OTEL_RESOURCE_ATTRIBUTES", "canary"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "18446744073709551615"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ];
    let collector = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:canary@collector:4318");
    let (status, output) =
        Process::run(&["check-config"], &[&ADOBE[..], &injected, &[collector]].concat()).await;
    assert_eq!(status.code(), Some(0), "{output:?}");
    assert!(
        output.stderr().contains("warning: OTEL_EXPORTER_OTLP_ENDPOINT: ignored: must not hold"),
        "{output:?}"
    );
    assert!(!format!("{output:?}").contains("canary"), "{output:?}");

    let emulator = start_emulator(Options::default()).await;
    let collector = Collector::start().await;
    let endpoint = format!("http://{}", collector.address);
    let settings = [&injected[..], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint)]].concat();
    let service = ServiceProcess::start(&emulator, &settings).await;
    service.client().await.create_hub_spot_connection(traced()).await.unwrap();
    let (status, output) = service.stop().await;
    assert_eq!(status.code(), Some(0), "{output:?}");
    // The valid variables still take effect.
    assert_eq!(collector.span(METHOD).await.trace, CALLERS_TRACE);
    let parent = parents(&emulator, "/connections")[0].clone().unwrap();
    assert!(parent.contains(CALLERS_TRACE), "{parent}");
    let lines = output.log_lines();
    let warned = |name: &str| {
        let about =
            |line: &&Value| line["level"] == "WARN" && line["message"].as_str().unwrap().starts_with(name);
        lines.iter().filter(about).count()
    };
    for (name, _) in injected {
        let is_for_others = ["OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"].contains(&name);
        assert_eq!(warned(&format!("{name}: ")), usize::from(!is_for_others), "{name}: {lines:#?}");
    }
    assert!(!output.stdout().contains("canary"), "{output:?}");
}

#[tokio::test]
async fn a_collector_that_takes_http_gets_the_spans_at_the_path_of_traces() {
    let secret = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collectors-token");
    for (variable, path, compression) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "/v1/traces", "none"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "/v1/traces", "GZIP"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/spans", "gzip"),
    ] {
        let emulator = start_emulator(Options::default()).await;
        let collector = Collector::start().await;
        let base = format!("http://{}", collector.address);
        let endpoint = if variable.contains("TRACES") { format!("{base}{path}") } else { base };
        let settings = [
            (variable, &*endpoint),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "HTTP/protobuf"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", ""),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            // A single thread must suffice for the calls and for the exports.
            ("HCS_WORKER_THREADS", "1"),
            secret,
        ];
        let service = ServiceProcess::start(&emulator, &settings).await;
        service.client().await.create_hub_spot_connection(traced()).await.unwrap();
        let span = collector.span(METHOD).await;
        assert_eq!((&*span.trace, &*span.parent), (CALLERS_TRACE, CALLERS_SPAN));
        let headers = collector.metadata();
        assert_eq!(collector.path(), path);
        assert_eq!(headers.get("content-type").unwrap(), "application/x-protobuf");
        assert_eq!(headers.get("content-encoding").is_some(), compression != "none");
        assert_eq!(headers.get("authorization").unwrap(), "Bearer collectors-token");
        let (status, output) = service.stop().await;
        assert_eq!(status.code(), Some(0), "{output:?}");
        assert!(!output.stdout().contains("collectors-token"), "{output:?}");
        assert_eq!(collector.resource()["service.name"], "hubspot-connection-service");
    }
}

#[tokio::test]
async fn exports_over_grpc_are_compressed_where_the_environment_asks_for_it() {
    // White space sets nothing, and leaves the general variable in effect.
    let settings =
        [("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", " "), ("OTEL_EXPORTER_OTLP_COMPRESSION", "Gzip")];
    let (_emulator, collector, service) = exporting(json!([]), &settings).await;
    service.client().await.create_hub_spot_connection(request()).await.unwrap();
    collector.span(METHOD).await;
    assert_eq!(collector.metadata().get("grpc-encoding").unwrap(), "gzip");
}

#[tokio::test]
async fn an_invalid_log_filter_is_a_problem() {
    for filter in ["warning", "info,verbose", "hyper=verbose", "info;audit=off"] {
        for command in ["serve", "check-config"] {
            let (status, output) =
                Process::run(&[command], &[&ADOBE[..], &[("HCS_LOG", filter)]].concat()).await;
            assert_eq!(status.code(), Some(64), "{output:?}");
            assert!(output.stderr().contains("\n  HCS_LOG: must be a log filter"), "{output:?}");
        }
    }
}

#[tokio::test]
async fn check_config_shows_the_endpoint_and_never_the_headers() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary"),
    ];
    let (status, output) = Process::run(&["check-config"], &[&ADOBE[..], &variables].concat()).await;
    assert_eq!(status.code(), Some(0), "{output:?}");
    assert!(output.stdout().contains("OTEL_EXPORTER_OTLP_ENDPOINT = https://collector:4317\n"), "{output:?}");
    assert!(!output.stdout().contains("canary"), "{output:?}");
}

#[tokio::test]
async fn the_variables_that_the_sdk_reads_take_effect() {
    let settings = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collectors-token"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let (_emulator, collector, service) = exporting(json!([]), &settings).await;
    service.client().await.create_hub_spot_connection(request()).await.unwrap();
    collector.span(METHOD).await;
    let resource = collector.resource();
    assert_eq!(resource["service.name"], "hubspot-connection-service");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["deployment.environment.name"], "test");
    assert_eq!(collector.metadata().get("authorization").unwrap(), "Bearer collectors-token");
    let (_, output) = service.stop().await;
    assert!(!output.stdout().contains("collectors-token"), "{output:?}");

    let settings = [("OTEL_SERVICE_NAME", "another"), ("OTEL_TRACES_SAMPLER", "parentbased_always_on")];
    let (_emulator, collector, service) = exporting(json!([]), &settings).await;
    service.client().await.create_hub_spot_connection(request()).await.unwrap();
    collector.span(METHOD).await;
    assert_eq!(collector.resource()["service.name"], "another");
}

#[tokio::test]
async fn a_collector_with_tls_needs_a_certificate_of_an_authority_of_the_system() {
    let [known, unknown] = ["known", "unknown"].map(Authority::new);
    let file = Mount::new(&[("authorities.pem", &known.pem)]);
    for (authority, is_trusted, protocol) in [
        (&known, true, "grpc"),
        (&unknown, false, "grpc"),
        (&known, true, "http/protobuf"),
        (&unknown, false, "http/protobuf"),
    ] {
        let emulator = start_emulator(Options::default()).await;
        let collector = Collector::start_tls(&authority.server(1)).await;
        let endpoint = format!("https://localhost:{}", collector.address.port());
        let settings = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("SSL_CERT_FILE", &file.path("authorities.pem")),
        ];
        let service = ServiceProcess::start(&emulator, &settings).await;
        service.client().await.create_hub_spot_connection(request()).await.unwrap();
        if is_trusted {
            collector.span(METHOD).await;
        } else {
            service.process.prints_text("spans cannot be exported").await;
            assert!(collector.spans().is_empty());
        }
        assert_eq!(service.stop().await.0.code(), Some(0));
    }
}

#[tokio::test]
async fn the_tls_variables_define_the_trust_and_the_certificate_for_a_collector() {
    let authority = Authority::new("collectors");
    let caller = authority.client(&["service.example.com"]);
    let files = Mount::new(&[
        ("authority.pem", &authority.pem),
        ("client.pem", &caller.certificate_pem),
        ("client.key", &caller.key_pem),
    ]);
    let [ca, certificate, key] = ["authority.pem", "client.pem", "client.key"].map(|file| files.path(file));
    for protocol in ["grpc", "http/protobuf"] {
        let emulator = start_emulator(Options::default()).await;
        let collector = Collector::start_mutual_tls(&authority.server(1), &authority.pem).await;
        let endpoint = format!("localhost:{}", collector.address.port());
        let settings = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_INSECURE", "false"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", &*ca),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &*certificate),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", &*key),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ];
        let service = ServiceProcess::start(&emulator, &settings).await;
        service.client().await.create_hub_spot_connection(request()).await.unwrap();
        collector.span(METHOD).await;
    }
}

/// A problem with telemetry must not prevent the start.
#[tokio::test]
async fn a_service_starts_although_the_files_for_its_collector_are_unusable() {
    let files = Mount::new(&[("tls.crt", "no certificate"), ("tls.key", "no key")]);
    let [certificate, key] = ["tls.crt", "tls.key"].map(|file| files.path(file));
    for protocol in ["grpc", "http/protobuf"] {
        let emulator = start_emulator(Options::default()).await;
        let settings = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.invalid:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key),
        ];
        let service = ServiceProcess::start(&emulator, &settings).await;
        service.client().await.create_hub_spot_connection(request()).await.unwrap();
        let (status, output) = service.stop().await;
        assert_eq!(status.code(), Some(0), "{output:?}");
        let lines = output.log_lines();
        let line = lines.iter().find(|line| line["message"] == "traces cannot be exported");
        let line = line.unwrap_or_else(|| panic!("{protocol}: {output:?}"));
        assert!(line["collector"].as_str().unwrap().starts_with("https://collector.invalid:4317/"), "{line}");
    }
}

#[tokio::test]
async fn nothing_is_exported_where_the_environment_disables_it() {
    for no in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ] {
        let (_emulator, collector, service): (_, Collector, _) = exporting(json!([]), &[no]).await;
        service.client().await.create_hub_spot_connection(request()).await.unwrap();
        let (status, output) = service.stop().await;
        assert_eq!(status.code(), Some(0), "{output:?}");
        assert!(collector.spans().is_empty(), "{no:?}: {:#?}", collector.spans());
    }
}
