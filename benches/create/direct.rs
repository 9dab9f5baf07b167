//! The same POST without any service: the cost that remains when everything else is free.

use std::{path::Path, process::Stdio, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{
    bare::Upstream,
    calls,
    drive::{self, CallResult},
    process::{Core, move_to},
};

/// Calls per second and seconds, in the environment.
const RATE: &str = "BENCH_RATE";
const SECONDS: &str = "BENCH_SECONDS";

/// The cost of a round.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Outcome {
    pub(crate) cpu_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) failed: usize,
}

/// Runs one round as a separate process, and prints its result.
pub(crate) fn main() {
    let variable = |name| std::env::var(name).unwrap().parse::<f64>().unwrap();
    let (rate, time) = (variable(RATE), Duration::from_secs_f64(variable(SECONDS)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let upstream = Upstream::from_environment();
        let call = || {
            let upstream = upstream.clone();
            async move {
                let created = upstream.create(&calls::create("")).await;
                created.map_or(CallResult::Failed, |_| CallResult::Ok)
            }
        };
        drive::open(rate, time / 10, call).await;
        let before = cpu();
        let run = drive::open(rate, time, call).await;
        Outcome {
            cpu_us: (cpu() - before).as_secs_f64() * 1e6 / run.calls() as f64,
            p50_us: run.latency(CallResult::Ok, 0.5),
            p99_us: run.latency(CallResult::Ok, 0.99),
            failed: run.count(CallResult::Failed),
        }
    });
    println!("{}", serde_json::to_string(&outcome).unwrap());
}

fn cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

pub(crate) async fn run(program: &Path, upstream: &str, rate: f64, time: Duration) -> Outcome {
    let mut command = Command::new(program);
    command.arg("direct").env_clear().env(crate::bare::UPSTREAM, upstream);
    command.env(RATE, rate.to_string()).env(SECONDS, time.as_secs_f64().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    move_to(Core::Measured);
    let child = command.spawn();
    move_to(Core::Rest);
    let output = child.unwrap().wait_with_output().await.unwrap();
    serde_json::from_slice(&output.stdout).expect("an outcome")
}
