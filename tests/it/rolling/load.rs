//! Callers in a separate process: gRPC's client for Python, which supports service configs.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{optional::skip, support::in_time};

/// The service config for callers without request ids, and for those with them.
pub(super) const READS: &str = include_str!("../../../deploy/clients/service-config-reads.json");
pub(super) const REQUEST_IDS: &str = include_str!("../../../deploy/clients/service-config-request-ids.json");

/// Without retries.
const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

/// The repeated calls of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// Each after the one before.
    Creates,
    Reads,
    /// So many in a second, however long each takes.
    CreatesPerSecond(u32),
    /// The same without a service config, and so without retries.
    CreatesPerSecondOnce(u32),
}

/// A caller with its own connections.
pub(super) struct Worker {
    pub(super) calls: Calls,
    pub(super) target: String,
}

/// A call from the point of view of its caller.
#[derive(Debug, Deserialize)]
pub(super) struct Call {
    pub(super) method: String,
    /// The name of the connection to be created, and its request id.
    pub(super) name: String,
    pub(super) request_id: String,
    pub(super) code: String,
    pub(super) message: String,
    #[serde(default)]
    pub(super) id: String,
    pub(super) seconds: f64,
}

/// The callers, which continue until they are stopped.
pub(super) struct Load {
    process: Child,
    plan: ChildStdin,
    results: Lines<BufReader<ChildStdout>>,
}

/// The interpreter for which `tests/run.sh` installs gRPC. `None`, after a message, if it is missing and
/// not required.
pub(super) fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/grpc/bin/python");
    if python.exists() {
        return Some(python);
    }
    let cause = format!("there is no {}, which tests/run.sh installs", python.display());
    skip("HCS_TEST_TOOLS", "the tests with gRPC's own client", &cause);
    None
}

impl Load {
    /// Starts callers, and waits until each of them has had a response.
    pub(super) async fn start(python: &Path, workers: &[Worker], connection: &str, pause: f64) -> Self {
        Self::start_with(python, workers, connection, pause, &json!({})).await
    }

    /// The same, with more entries for the plan of each caller.
    pub(super) async fn start_with(
        python: &Path,
        workers: &[Worker],
        connection: &str,
        pause: f64,
        more: &Value,
    ) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new(python)
            .arg(root.join("tests/it/rolling/load.py"))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let worker = |worker: &Worker| {
            let (calls, service_config, pause, waits) = match worker.calls {
                Calls::Creates => ("creates", REQUEST_IDS, pause, true),
                Calls::Reads => ("reads", READS, pause, true),
                Calls::CreatesPerSecond(rate) => ("creates", REQUEST_IDS, 1.0 / f64::from(rate), false),
                Calls::CreatesPerSecondOnce(rate) => ("creates", ROUND_ROBIN, 1.0 / f64::from(rate), false),
            };
            let mut plan = json!({
                "calls": calls, "target": worker.target, "service_config": service_config, "pause": pause,
                "waits": waits,
            });
            plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            plan
        };
        let plan = json!({
            "proto": root.join("proto"),
            "connection": connection,
            "table": "Hubspot.Contacts",
            "workers": workers.iter().map(worker).collect::<Vec<Value>>(),
        });
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(format!("{plan}\n").as_bytes()).await.unwrap();
        let mut results = BufReader::new(process.stdout.take().unwrap()).lines();
        let begun = in_time("the first calls", results.next_line()).await.unwrap();
        assert_eq!(begun.as_deref(), Some("\"begun\""));
        Self { process, plan: stdin, results }
    }

    /// Stops the callers, and waits for their last calls.
    pub(super) async fn stop(self) -> Vec<Call> {
        let Self { mut process, plan, mut results } = self;
        drop(plan);
        let calls = in_time("the last calls", results.next_line()).await.unwrap().unwrap();
        in_time("the end of the callers", process.wait()).await.unwrap();
        serde_json::from_str(&calls).unwrap()
    }
}
