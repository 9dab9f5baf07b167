//! The standard variables of OpenTelemetry.

use hubspot_connection_service::emulator::Options;
use serde_json::json;

use super::{METHOD, exporting};
use crate::support::{
    Mount, Process, ServiceProcess, certificates::Authority, collector::Collector, request, start_emulator,
};

const ADOBE: [(&str, &str); 3] =
    [("HCS_ORG_ID", "1234@AdobeOrg"), ("HCS_CLIENT_ID", "client"), ("HCS_CLIENT_SECRET", "canary")];

#[tokio::test]
async fn what_cannot_be_exported_to_ends_the_service_with_the_other_problems() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:canary@collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("HCS_LOG", "x=loud"),
    ];
    for command in ["serve", "check-config"] {
        let (status, output) = Process::run(&[command], &[&ADOBE[..], &variables].concat()).await;
        assert_eq!(status.code(), Some(64), "{output:?}");
        let stderr = output.stderr();
        for expected in ["OTEL_EXPORTER_OTLP_ENDPOINT: must not hold a user name", "HCS_LOG: "] {
            assert!(stderr.contains(expected), "{stderr}");
        }
        assert!(!stderr.contains("canary"), "{stderr}");
    }
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"), variables[1]];
    let (status, output) = Process::run(&["check-config"], &[&ADOBE[..], &variables].concat()).await;
    assert_eq!(status.code(), Some(64), "{output:?}");
    assert!(output.stderr().contains("OTEL_EXPORTER_OTLP_PROTOCOL: must be grpc"), "{output:?}");
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
async fn the_variables_that_the_sdk_reads_count() {
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
    for (authority, is_trusted) in [(&known, true), (&unknown, false)] {
        let emulator = start_emulator(Options::default()).await;
        let collector = Collector::start_tls(&authority.server(1)).await;
        let endpoint = format!("https://localhost:{}", collector.address.port());
        let settings = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
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
async fn a_collector_is_trusted_and_shown_a_certificate_as_the_variables_of_tls_say() {
    let authority = Authority::new("collectors");
    let caller = authority.client(&["service.example.com"]);
    let files = Mount::new(&[
        ("authority.pem", &authority.pem),
        ("client.pem", &caller.certificate_pem),
        ("client.key", &caller.key_pem),
    ]);
    let [ca, certificate, key] = ["authority.pem", "client.pem", "client.key"].map(|file| files.path(file));
    let emulator = start_emulator(Options::default()).await;
    let collector = Collector::start_mutual_tls(&authority.server(1), &authority.pem).await;
    let endpoint = format!("localhost:{}", collector.address.port());
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
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

#[tokio::test]
async fn nothing_is_exported_where_the_environment_says_no() {
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
