//! The cost of a search for each request id before its creation is sent: a store that has only just
//! started to remember ids requires one.

use crate::{
    Bench, Report,
    calls::Workload,
    contender::{Contender, Setup},
    report::{Spread, ratio},
    scenarios::{
        peak,
        workloads::{Figures, SHORT},
    },
};

const ROUNDS: usize = 15;
/// Calls per second to a slow upstream.
const SLOW_RATE: f64 = 500.0;

pub(super) async fn run(bench: &Bench, report: &mut Report) {
    compare(bench, report, 0).await;
    compare(bench, report, 200).await;
}

async fn compare(bench: &Bench, report: &mut Report, delay_ms: u64) {
    println!("search first, upstream at {delay_ms} ms");
    let upstreams = [bench.upstream(delay_ms).await, bench.upstream(delay_ms).await];
    let [never, auto] =
        ["never", "auto"].map(|when| [("HCS_SEARCH_FIRST", when), ("HCS_REQUEST_ID_TTL", "24h")]);
    let setups = [
        Setup { settings: &never, ..Setup::plain(&upstreams[0]) },
        Setup { settings: &auto, ..Setup::plain(&upstreams[1]) },
    ];
    let servers = [
        bench.server(Contender::Service, setups[0], Workload::Create).await,
        bench.server(Contender::Service, setups[1], Workload::Create).await,
    ];
    let rate = if delay_ms == 0 { peak::half(bench, &servers[1]).await } else { SLOW_RATE };
    let mut figures = [Figures::default(), Figures::default()];
    let mut requests = [Vec::new(), Vec::new()];
    for _ in 0..bench.arguments.rounds().min(ROUNDS) {
        for index in [0, 1] {
            let before = upstreams[index].requests();
            let calls = figures[index].measure(&servers[index], rate, bench.arguments.time(SHORT)).await;
            requests[index].push((upstreams[index].requests() - before) as f64 / calls as f64);
        }
    }
    for ((figures, requests), what) in figures.iter().zip(requests).zip(["sent at once", "searched first"]) {
        let what = format!("create, upstream at {delay_ms} ms, {what}");
        figures.report(report, &what);
        report.figure(format!("{what}: requests upstream per call"), Spread::of(requests));
    }
    let what = format!("search first, upstream at {delay_ms} ms");
    report.figure(format!("{what}: CPU vs sent at once"), ratio(&figures[1].cpu_us, &figures[0].cpu_us));
    report.figure(format!("{what}: p50 vs sent at once"), ratio(&figures[1].p50_us, &figures[0].p50_us));
}
