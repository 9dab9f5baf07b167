//! The binary: its subcommands, its signals, its exit status.

mod commands;
mod log;

use std::time::Duration;

use hubspot_connection_service::{
    emulator::{Emulator, Options},
    proto::CreateHubSpotConnectionResponse,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tonic::Status;

use crate::chaos::redis::SharedRedis;
use crate::support::{
    FINGERPRINT_KEY, Process, ServiceProcess, Signal, credentials, in_time, inject, request, start_emulator,
    until,
};

const CREATE: &str = "POST /connections";
/// With a single thread, everything runs on the one that waits for signals.
const THREADS: [(&str, &str); 2] = [("HCS_WORKER_THREADS", "1"), ("HCS_WORKER_THREADS", "2")];

async fn start(settings: &[(&str, &str)]) -> (Emulator, ServiceProcess) {
    let emulator = start_emulator(Options::default()).await;
    let service = ServiceProcess::start(&emulator, settings).await;
    (emulator, service)
}

/// Starts a creation whose reply the emulator delays, and waits until it has arrived there.
async fn slow_creation(
    emulator: &Emulator,
    service: &ServiceProcess,
    delay: &str,
) -> JoinHandle<Result<CreateHubSpotConnectionResponse, Status>> {
    inject(emulator, json!([{"route": CREATE, "action": {"delay": delay}}]));
    let mut client = service.client().await;
    let call = tokio::spawn(async move {
        client.create_hub_spot_connection(request()).await.map(tonic::Response::into_inner)
    });
    until("the creation", || !emulator.connections().is_empty()).await;
    call
}

#[tokio::test]
async fn a_service_serves_and_exits_with_0_on_either_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let (emulator, service) = start(&[]).await;
        let response = service.client().await.create_hub_spot_connection(request()).await.unwrap();
        assert_eq!(response.into_inner().id, emulator.connections()[0].id);
        service.process.signal(signal);
        let (status, output) = service.process.wait().await;
        assert_eq!(status.code(), Some(0), "{output:?}");
        assert_eq!(output.stderr(), "");
    }
}

/// A core dump would contain every secret.
#[tokio::test]
async fn a_crash_leaves_no_dump_of_the_memory() {
    let (_emulator, service) = start(&[]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.process.id())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(limit.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);
    // No other process of the same user can read its memory either: its files belong to root.
    let status = std::fs::metadata(format!("/proc/{}/environ", service.process.id())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&status), 0);
}

#[tokio::test]
async fn a_running_call_is_completed_before_the_exit() {
    for threads in THREADS {
        let (emulator, service) = start(&[threads]).await;
        let call = slow_creation(&emulator, &service, "1s").await;
        let (status, output) = service.stop().await;
        assert_eq!(call.await.unwrap().unwrap().id, emulator.connections()[0].id);
        assert_eq!(status.code(), Some(0), "{output:?}");
    }
}

#[tokio::test]
async fn a_creation_that_is_abandoned_during_the_drain_is_finished_before_the_exit() {
    for threads in THREADS {
        let (emulator, service) = start(&[threads]).await;
        let call = slow_creation(&emulator, &service, "2s").await;
        service.process.signal(Signal::TERM);
        service.process.prints_text("finishing the calls under way").await;
        // The connection ends with its only call.
        call.abort();
        let (status, output) = service.process.wait().await;
        assert_eq!(status.code(), Some(0), "{output:?}");
        let id = emulator.connections()[0].id.clone();
        let is_outcome = |line: &Value| line["target"] == "audit" && line["connection_id"] == json!(id);
        assert!(output.log_lines().iter().any(is_outcome), "{output:?}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once_with_1() {
    for (second, threads) in [Signal::TERM, Signal::INT].into_iter().zip(THREADS) {
        let (emulator, service) = start(&[threads]).await;
        let call = slow_creation(&emulator, &service, "30s").await;
        service.process.signal(Signal::TERM);
        service.process.prints_text("finishing the calls under way").await;
        let started = Instant::now();
        service.process.signal(second);
        let (status, output) = service.process.wait().await;
        assert!(started.elapsed() < Duration::from_secs(15));
        assert_eq!(status.code(), Some(1), "{output:?}");
        in_time("the loss of the call", call).await.unwrap().unwrap_err();
    }
}

#[tokio::test]
async fn a_drain_that_takes_too_long_ends_with_1() {
    for threads in THREADS {
        let (emulator, service) = start(&[("HCS_DRAIN_TIMEOUT", "100ms"), threads]).await;
        let call = slow_creation(&emulator, &service, "30s").await;
        let (status, output) = service.stop().await;
        assert_eq!(status.code(), Some(1), "{output:?}");
        in_time("the loss of the call", call).await.unwrap().unwrap_err();
        let last = output.log_lines().pop().unwrap();
        assert_eq!((&last["message"], &last["drained"]), (&json!("stopped"), &json!("TimedOut")), "{last}");
        let warning =
            output.log_lines().into_iter().find(|line| line["level"] == "WARN" && line["creations"] == 1);
        assert!(warning.is_some(), "{output:?}");
    }
}

/// The exit waits only for what is available: a store that is down is not.
#[tokio::test]
async fn a_store_that_is_down_does_not_delay_the_exit() {
    for threads in THREADS {
        let Some(mut redis) = SharedRedis::start().await else { return };
        let url = redis.url().to_owned();
        let settings = [("HCS_REDIS_URL", &*url), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY), threads];
        let (emulator, service) = start(&settings).await;
        let call = slow_creation(&emulator, &service, "1s").await;
        redis.server().kill().await;
        // It is created, and cannot be recorded.
        let created = in_time("the creation", call).await.unwrap().unwrap();
        assert_eq!(created.id, emulator.connections()[0].id);
        // Another creation ends before it is sent, and leaves its lease.
        service.client().await.create_hub_spot_connection(request()).await.unwrap_err();
        let started = Instant::now();
        let (status, output) = service.stop().await;
        assert_eq!(status.code(), Some(0), "{output:?}");
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        let is_warned = |line: &Value| line["level"] == "WARN" && line["connection_id"] == json!(created.id);
        assert!(output.log_lines().iter().any(is_warned), "{output:?}");
    }
}

/// Neither do the others: the trace collector, the token issuer, Adobe.
#[tokio::test]
async fn nothing_else_that_is_down_delays_the_exit() {
    // Connections to it wait in vain.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    for dead in [&*silent, "http://127.0.0.1:1"] {
        let token_url = format!("{dead}/ims/token/v3");
        let keys_url = format!("{dead}/keys");
        let service = ServiceProcess::with(&[
            ("HCS_IMS_URL", &token_url),
            ("HCS_FLOW_SERVICE_URL", &format!("{dead}/data/foundation/flowservice")),
            ("HCS_JWT_ISSUER", "https://issuer.example"),
            ("HCS_JWT_AUDIENCE", "service"),
            ("HCS_JWT_JWKS_URL", &keys_url),
            ("HCS_CALLERS", "jwt:*=write"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", dead),
        ])
        .await;
        let started = Instant::now();
        let (status, output) = service.stop().await;
        assert_eq!(status.code(), Some(0), "{output:?}");
        assert!(started.elapsed() < Duration::from_secs(12), "{dead}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_bad_configuration_ends_with_64_before_a_port_is_opened() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, output) = Process::run(
        &["serve"],
        &[
            ("HCS_LISTEN", &address),
            ("HCS_CLIENT_SECRET", "canary"),
            ("HCS_ACCESS_TOKEN", "canary"),
            ("HCS_DRAIN_DELAY", "5"),
        ],
    )
    .await;
    let (stdout, stderr) = (output.stdout(), output.stderr());
    assert_eq!((status.code(), &*stdout), (Some(64), ""), "{stderr}");
    assert!(stderr.starts_with("error: 4 problems in the configuration:\n"), "{stderr}");
    for name in ["HCS_ORG_ID", "HCS_CLIENT_ID", "HCS_CLIENT_SECRET", "HCS_DRAIN_DELAY"] {
        assert!(stderr.contains(&format!("\n  {name}: ")), "no {name} in {stderr}");
    }
    assert!(!stderr.contains("listen on") && !stderr.contains("canary"), "{stderr}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_ends_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, other) in [("HCS_LISTEN", "HCS_ADMIN_LISTEN"), ("HCS_ADMIN_LISTEN", "HCS_LISTEN")] {
        let (status, output) = Process::run(
            &[],
            &[
                (variable, &address),
                (other, "127.0.0.1:0"),
                ("HCS_ORG_ID", "1234@AdobeOrg"),
                ("HCS_CLIENT_ID", "client"),
                ("HCS_CLIENT_SECRET", &credentials().client_secret),
            ],
        )
        .await;
        let stderr = output.stderr();
        assert_eq!(status.code(), Some(1), "{output:?}");
        assert!(stderr.starts_with(&format!("error: cannot listen on {address} ({variable}): ")), "{stderr}");
    }
}
