//! A collector that is not there.

use std::time::Duration;

use hubspot_connection_service::emulator::Options;
use tokio::time::Instant;

use crate::support::{ServiceProcess, listen, request, start_emulator, unused_port};

/// Calls go on and the process ends within its drain, although spans go nowhere.
async fn goes_on_with(collector: &str) {
    let emulator = start_emulator(Options::default()).await;
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("HCS_DRAIN_TIMEOUT", "10s"),
        // One thread must do for the calls and for the last export.
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
    let log = output.stdout();
    assert!(
        log.contains("spans cannot be exported") || log.contains("could not be exported in time"),
        "{log}"
    );
}

#[tokio::test]
async fn a_collector_that_is_down_costs_nothing_but_spans() {
    let (address, _socket) = unused_port();
    goes_on_with(&format!("http://{address}")).await;
}

#[tokio::test]
async fn a_collector_that_hangs_costs_nothing_but_spans() {
    // It takes connections and never says a word.
    let silent = listen().await;
    goes_on_with(&format!("http://{}", silent.local_addr().unwrap())).await;
}
