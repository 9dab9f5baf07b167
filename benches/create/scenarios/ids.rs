//! The cost of many remembered request ids.

use hubspot_connection_service::exactly_once::store::CAPACITY;

use crate::{
    Bench, Report,
    calls::Workload,
    contender::{Contender, IN_FLIGHT, Server, Setup, assert_all_good},
    drive,
    report::{Limit, Spread, ratio},
    scenarios::{peak, workloads::Figures},
};

/// The capacity of the store in memory.
const MANY: usize = CAPACITY;
const FEW: usize = 1_000;
const SECONDS: f64 = 0.4;
const ROUNDS: usize = 7;

pub(super) async fn run(bench: &Bench, report: &mut Report) {
    println!("many request ids");
    let upstream = bench.upstream(0).await;
    let setup = Setup { settings: &[("HCS_REQUEST_ID_TTL", "24h")], ..Setup::plain(&upstream) };
    let few = bench.server(Contender::Service, setup, Workload::Create).await;
    let first = bench.arguments.count(FEW, 10);
    create(&few, first).await;
    let rate = peak::half(bench, &bench.server(Contender::Service, setup, Workload::Create).await).await;

    let many = bench.server(Contender::Service, setup, Workload::Create).await;
    create(&many, first).await;
    let before = many.process.rss_kib();
    // The ids that are created during the measurement are remembered as well.
    let margin = (rate * SECONDS * (ROUNDS + 1) as f64) as usize;
    let created = bench.arguments.count((MANY - FEW).saturating_sub(margin), 100);
    create(&many, created).await;
    let bytes = (many.process.rss_kib() - before) * 1024.0 / created as f64;
    report.figure("request ids remembered", Spread::of([(created + first) as f64]));
    report.target("bytes per request id", Limit::AtMost(1000.0), Spread::of([bytes]));

    let (mut with_few, mut with_many) = (Figures::default(), Figures::default());
    for _ in 0..bench.arguments.rounds().min(ROUNDS) {
        with_few.measure(&few, rate, bench.arguments.time(SECONDS)).await;
        with_many.measure(&many, rate, bench.arguments.time(SECONDS)).await;
    }
    let what = "CPU per create with many request ids vs a thousand";
    report.target(what, Limit::AtMost(1.1), ratio(&with_many.cpu_us, &with_few.cpu_us));
}

async fn create(server: &Server, calls: usize) {
    let target = server.target.clone();
    let in_flight = (2 * IN_FLIGHT).try_into().unwrap();
    assert_all_good(&drive::times(in_flight, calls, move || target.call()).await);
}
