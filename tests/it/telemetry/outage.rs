//! A collector that is down.

use std::time::Duration;

use hubspot_connection_service::emulator::Options;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{CREATE, METHOD, exporting, parents};
use crate::support::{ServiceProcess, listen, metrics, request, start_emulator, until, unused_port};

const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

/// Calls continue and the process exits within its drain, although spans are not exported.
async fn goes_on_with(collector: &str, protocol: &str) {
    let emulator = start_emulator(Options::default()).await;
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("HCS_DRAIN_TIMEOUT", "10s"),
        // A single thread must suffice for the calls and for the last export.
        ("HCS_WORKER_THREADS", "1"),
    ];
    let service = ServiceProcess::start(&emulator, &settings).await;
    let mut client = service.client().await;
    for _ in 0..20 {
        client.create_hub_spot_connection(request()).await.unwrap();
    }
    drop(client);
    let stopped = Instant::now();
    let (status, output) = service.stop().await;
    assert_eq!(status.code(), Some(0), "{output:?}");
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
    let lines = output.log_lines();
    let failed = lines.iter().find(|line| line["message"] == "spans cannot be exported and are lost");
    if let Some(line) = failed {
        // The log names the address.
        assert!(line["collector"].as_str().unwrap().starts_with(collector), "{line}");
        assert!(line.to_string().matches("tcp connect error").count() <= 1, "{line}");
    } else {
        assert!(output.stdout().contains("could not be exported in time"), "{lines:#?}");
    }
}

#[tokio::test]
async fn a_collector_that_is_down_costs_nothing_but_spans() {
    let (address, _socket) = unused_port();
    for protocol in PROTOCOLS {
        goes_on_with(&format!("http://{address}"), protocol).await;
    }
}

#[tokio::test]
async fn a_collector_that_hangs_costs_nothing_but_spans() {
    // It accepts connections and never sends anything.
    let silent = listen().await;
    for protocol in PROTOCOLS {
        goes_on_with(&format!("http://{}", silent.local_addr().unwrap()), protocol).await;
    }
}

#[tokio::test]
async fn an_export_ends_although_the_collector_never_completes_the_handshake() {
    let silent = listen().await;
    let endpoint = format!("https://{}", silent.local_addr().unwrap());
    let emulator = start_emulator(Options::default()).await;
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let service = ServiceProcess::start(&emulator, &settings).await;
    let mut client = service.client().await;
    client.create_hub_spot_connection(request()).await.unwrap();
    service.process.prints_text("spans cannot be exported").await;
    // A separate export, whether the earlier spans were sent in one export or in two.
    client.create_hub_spot_connection(request()).await.unwrap();
    let lost = metrics(service.admin).await;
    let lost = lost.lines().find_map(|line| line.strip_prefix("hubspot_connection_spans_lost_total "));
    assert!(lost.unwrap().parse::<u32>().unwrap() > 0, "{lost:?}");
    // The failed connection is not the only one.
    let connection = async || timeout(Duration::from_secs(10), silent.accept()).await.unwrap().unwrap();
    connection().await;
    connection().await;
    drop(client);
    assert_eq!(service.stop().await.0.code(), Some(0));
}

#[tokio::test]
async fn the_spans_of_a_call_that_is_ended_with_the_process_are_exported() {
    let slow = json!([{"route": CREATE, "action": {"delay": "60s"}}]);
    // Nothing is exported before the exit.
    let settings = [("HCS_DRAIN_TIMEOUT", "100ms"), ("OTEL_BSP_SCHEDULE_DELAY", "60000")];
    let (emulator, collector, service) = exporting(slow, &settings).await;
    let mut client = service.client().await;
    let call = tokio::spawn(async move { client.create_hub_spot_connection(request()).await });
    until("the creation", || !parents(&emulator, "/connections").is_empty()).await;
    let (status, output) = service.stop().await;
    assert_eq!(status.code(), Some(1), "{output:?}");
    call.await.unwrap().unwrap_err();
    for name in [METHOD, CREATE] {
        collector.span(name).await;
    }
}
