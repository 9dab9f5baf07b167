//! Memory: of an idle process, and of calls that wait for the upstream.

use std::time::Duration;

use tokio::{task::JoinSet, time::sleep};

use crate::{
    Bench, Report,
    calls::Workload,
    contender::{Contender, Setup},
    report::{Limit, Spread},
};

/// Longer than it takes until all calls are running, and shorter than the limit of a call.
const DELAY_MS: u64 = 30_000;
/// With 256 calls each.
const CONNECTIONS: usize = 64;
/// The calls start in this many groups, each after the previous one has reached the upstream.
const GROUPS: usize = 50;

pub(super) async fn run(bench: &Bench, report: &mut Report) {
    let calls = bench.arguments.count(10_000, 50);
    println!("memory of {calls} calls in flight");
    let upstream = bench.upstream(DELAY_MS).await;
    let settings = [("HCS_MAX_IN_FLIGHT", "20000")];
    let setup = Setup { settings: &settings, ..Setup::plain(&upstream) };
    for contender in [Contender::Service, Contender::Bare] {
        let process = bench.process(contender, setup).await;
        let target = bench.connect(&process, setup, CONNECTIONS, Workload::Health).await;
        // So that the difference is due to calls and not to connections.
        for _ in 0..CONNECTIONS {
            target.call().await;
        }
        let before = process.rss_kib();
        let target = target.calling(Workload::Create);
        let mut waiting = JoinSet::new();
        let groups = bench.arguments.count(GROUPS, 5);
        for _ in 0..groups {
            (0..calls / groups).for_each(|_| drop(waiting.spawn(target.call())));
            sleep(bench.arguments.time(0.1)).await;
        }
        sleep(bench.arguments.time(1.0)).await;
        assert!(waiting.try_join_next().is_none(), "a call does not wait");
        let per_call = Spread::of([(process.rss_kib() - before) / calls as f64]);
        match contender {
            Contender::Service => {
                report.target("memory per call in flight, KiB", Limit::AtMost(32.0), per_call);
            }
            Contender::Bare | Contender::Go => {
                report.figure(format!("{contender}: memory per call in flight, KiB"), per_call);
            }
        }
    }
}

pub(super) async fn idle(bench: &Bench, report: &mut Report) {
    println!("memory of a process that waits for calls");
    let upstream = bench.upstream(0).await;
    for contender in bench.present(&[Contender::Service, Contender::Bare, Contender::Go]) {
        let mut sizes = Vec::new();
        for _ in 0..bench.arguments.count(3, 1) {
            let process = bench.process(contender, Setup::plain(&upstream)).await;
            sleep(bench.arguments.time(1.0).max(Duration::from_millis(100))).await;
            sizes.push(process.rss_kib() / 1024.0);
        }
        match contender {
            Contender::Service => {
                report.target("idle memory, MiB", Limit::AtMost(16.0), Spread::of(sizes));
            }
            Contender::Bare | Contender::Go => {
                report.figure(format!("{contender}: idle memory, MiB"), Spread::of(sizes));
            }
        }
    }
}
