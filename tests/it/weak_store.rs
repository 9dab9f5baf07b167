//! How a service reports a store that may forget, or cannot be used.

use hubspot_connection_service::exactly_once::store::Weakness;
use tonic::Code;

use crate::{
    chaos::redis::SharedRedis,
    store::weaknesses::cluster_node_arguments,
    support::{
        ServiceProcess, TestService, counted, in_time, metrics, request, start_emulator, until_counted,
    },
};

const FINGERPRINT_KEY: (&str, &str) = ("HCS_FINGERPRINT_KEY", "0123456789abcdef0123456789abcdef");

fn series(weakness: &str) -> String {
    format!("hubspot_connection_idempotency_store_weakness{{weakness=\"{weakness}\"}}")
}

/// Waits until the metrics of a service report exactly these weaknesses.
async fn until_weaknesses(service: &TestService, expected: &[&str]) {
    for name in Weakness::NAMES {
        until_counted(service.admin, &series(name), expected.contains(&name).into()).await;
    }
}

/// The lines of `/readyz` after `ok`; the service is ready.
async fn readyz(service: &TestService) -> Vec<String> {
    let response = reqwest::get(format!("http://{}/readyz", service.admin)).await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    let mut lines = text.lines().map(str::to_owned);
    assert_eq!(lines.next().as_deref(), Some("ok"), "{text}");
    lines.collect()
}

#[tokio::test]
async fn a_service_with_its_ids_in_memory_reports_that_it_forgets_them() {
    let service = TestService::start().await;
    until_weaknesses(&service, &["in_memory"]).await;
    let [line] = &readyz(&service).await[..] else { panic!() };
    assert!(line.starts_with("idempotency store: in_memory: request ids are forgotten"), "{line}");
}

#[tokio::test]
async fn a_weakness_of_redis_is_reported_until_it_is_corrected() {
    let Some(redis) =
        SharedRedis::start_with(&["--maxmemory", "20mb", "--maxmemory-policy", "volatile-lru"]).await
    else {
        return;
    };
    let service = TestService::with([("HCS_REDIS_URL", redis.url()), FINGERPRINT_KEY]).await;
    // Before anything is created.
    until_weaknesses(&service, &["evicts", "not_persistent"]).await;
    let lines = readyz(&service).await;
    assert!(lines[0].starts_with("idempotency store: evicts: Redis may evict"), "{lines:?}");
    assert!(lines[1].starts_with("idempotency store: not_persistent: Redis forgets"), "{lines:?}");
    // A weakness is not an outage.
    service.create().await.unwrap();
    assert_eq!(counted(service.admin, "hubspot_connection_idempotency_store_up").await, 1);

    redis.run(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    redis.run(&["CONFIG", "SET", "appendonly", "yes"]).await;
    // Another connection is inspected at once, the same one within a minute.
    redis.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    until_weaknesses(&service, &[]).await;
    assert_eq!(readyz(&service).await, [""; 0]);
    assert!(metrics(service.admin).await.contains("\nhubspot_connection_idempotency_store_up 1\n"));
}

#[tokio::test]
async fn with_a_redis_cluster_nothing_is_created_and_every_report_names_the_cause() {
    let arguments = cluster_node_arguments().await;
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let Some(redis) = SharedRedis::start_with(&arguments).await else { return };
    let service = TestService::with([("HCS_REDIS_URL", redis.url()), FINGERPRINT_KEY]).await;
    let failure = service.create().await.unwrap_err();
    assert_eq!(failure.row(), (Code::Unavailable, "STORE_UNAVAILABLE"));
    assert_eq!(service.requests_to("POST", "/connections"), 0);
    until_weaknesses(&service, &["is_cluster", "not_persistent"]).await;
    let lines = readyz(&service).await;
    assert!(lines[0].starts_with("idempotency store: unavailable: cluster: "), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("HCS_REDIS_URL names a node of a Redis Cluster")));

    let emulator = start_emulator(Default::default()).await;
    let settings = [("HCS_REDIS_URL", redis.url()), FINGERPRINT_KEY, ("HCS_LOG_FORMAT", "json")];
    let process = ServiceProcess::start(&emulator, &settings).await.process;
    process.prints_text("the idempotency store is down").await;
    let lines = process.output().log_lines();
    let errors = lines.iter().filter(|line| line["level"] == "ERROR").map(ToString::to_string);
    let errors: Vec<_> = errors.collect();
    assert!(errors[0].contains("a single primary (with replicas) is needed"), "{errors:?}");
}

/// The causes of an outage that the metrics of a service report.
async fn outages(service: &TestService) -> Vec<String> {
    let metrics = metrics(service.admin).await;
    let causes = metrics.lines().filter_map(|line| {
        let cause = line.strip_prefix("hubspot_connection_idempotency_store_outage{reason=\"")?;
        cause.strip_suffix("\"} 1").map(str::to_owned)
    });
    causes.collect()
}

/// A failover within the minute between two inspections: the connection stays open, and accepts no
/// writes.
#[tokio::test]
async fn a_server_that_turns_read_only_is_down_and_the_same_service_uses_it_again_as_a_primary() {
    const UP: &str = "hubspot_connection_idempotency_store_up";
    let Some(redis) = SharedRedis::start().await else { return };
    let emulator = start_emulator(Default::default()).await;
    let settings = [("HCS_REDIS_URL", redis.url()), FINGERPRINT_KEY, ("HCS_LOG_FORMAT", "json")];
    let process = ServiceProcess::start(&emulator, &settings).await;
    let service = TestService::with([("HCS_REDIS_URL", redis.url()), FINGERPRINT_KEY]).await;
    service.create().await.unwrap();
    assert_eq!(outages(&service).await, [""; 0]);

    redis.run(&["REPLICAOF", "127.0.0.1", "1"]).await;
    // Without any call.
    until_counted(service.admin, UP, 0).await;
    assert_eq!(outages(&service).await, ["read_only"]);
    let lines = readyz(&service).await;
    assert!(lines[0].starts_with("idempotency store: unavailable: read_only: the server takes no writes"));
    for _ in 0..3 {
        let failure = service.create().await.unwrap_err();
        assert_eq!(failure.row(), (Code::Unavailable, "STORE_UNAVAILABLE"));
    }
    assert_eq!(counted(service.admin, UP).await, 0);
    process.process.prints_text("the idempotency store is down").await;

    redis.run(&["REPLICAOF", "NO", "ONE"]).await;
    until_counted(service.admin, UP, 1).await;
    assert_eq!(outages(&service).await, [""; 0]);
    service.create().await.unwrap();
    process.process.prints_text("the idempotency store is back").await;

    let (_, output) = process.stop().await;
    let lines = output.log_lines();
    let down = lines.iter().filter(|line| line["level"] == "ERROR").collect::<Vec<_>>();
    let [down] = down[..] else { panic!("{down:?}") };
    assert_eq!(down["reason"], "read_only");
    let error = down["error"].as_str().unwrap();
    assert!(
        error.contains("HCS_REDIS_URL has to lead to the primary") || error.contains("role:slave"),
        "{error}"
    );
}

#[tokio::test]
async fn the_log_has_a_warning_for_each_weakness_and_a_line_when_it_is_gone() {
    let Some(redis) = SharedRedis::start_with(&["--replicaof", "127.0.0.1", "1"]).await else { return };
    let emulator = start_emulator(Default::default()).await;
    let settings = [("HCS_REDIS_URL", redis.url()), FINGERPRINT_KEY, ("HCS_LOG_FORMAT", "json")];
    let service = ServiceProcess::start(&emulator, &settings).await;
    service.process.prints_text("the idempotency store is down").await;
    let mut client = service.client().await;
    for _ in 0..3 {
        client.create_hub_spot_connection(request()).await.unwrap_err();
    }
    redis.run(&["REPLICAOF", "NO", "ONE"]).await;
    in_time("a creation", async { while client.create_hub_spot_connection(request()).await.is_err() {} })
        .await;
    service.process.prints_text("a weakness of the idempotency store is gone").await;

    let (_, output) = service.stop().await;
    let lines = output.log_lines();
    let count = |level: &str, weakness: &str| {
        let is_it = |line: &&serde_json::Value| line["level"] == level && line["weakness"] == weakness;
        lines.iter().filter(is_it).count()
    };
    assert_eq!((count("WARN", "is_replica"), count("INFO", "is_replica")), (1, 1), "{output:?}");
    assert_eq!((count("WARN", "not_persistent"), count("INFO", "not_persistent")), (1, 0), "{output:?}");
    let down = "the idempotency store is down";
    let down = lines.iter().find(|line| line.to_string().contains(down)).unwrap().to_string();
    assert!(down.contains("HCS_REDIS_URL names a read-only replica (role:slave)"), "{down}");
}
