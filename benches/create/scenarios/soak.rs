//! Ten minutes at half of the peak.

use std::time::Duration;

use tokio::time::{Instant, interval};

use crate::{
    Bench, Report,
    calls::Workload,
    contender::{Contender, Setup},
    drive::{self, CallResult},
    report::{Limit, Spread},
    scenarios::peak,
};

pub(super) async fn run(bench: &Bench, report: &mut Report) {
    let whole = bench.arguments.time(600.0);
    println!("{whole:?} at half of peak");
    let upstream = bench.upstream(0).await;
    let setup = Setup::plain(&upstream);
    let server = bench.server(Contender::Service, setup, Workload::Create).await;
    let rate = peak::half(bench, &server).await;

    let began = Instant::now();
    let mut sizes = Vec::new();
    let watch = async {
        let mut ticks = interval(whole / 600);
        loop {
            ticks.tick().await;
            sizes.push((began.elapsed(), server.process.rss_kib()));
        }
    };
    let mut failed = 0;
    let calls = async {
        // One minute at a time, so that the latencies of the calls are not kept for longer.
        for _ in 0..10 {
            let run = drive::open(rate, whole / 10, || server.target.call()).await;
            failed += run.calls() - run.count(CallResult::Ok);
        }
    };
    tokio::select! {
        () = watch => {}
        () = calls => {}
    }
    let size = |from: Duration, to: Duration| {
        let between = sizes.iter().filter(|(at, _)| (from..to).contains(at));
        Spread::of(between.map(|(_, size)| *size)).median()
    };
    let (early, late) = (size(whole / 5, whole / 4), size(whole * 19 / 20, whole * 2));
    report.figure("soak: calls per second", Spread::of([rate]));
    report.figure("soak: memory after two minutes, MiB", Spread::of([early / 1024.0]));
    report.target(
        "soak: growth of memory over the last 8 minutes, %",
        Limit::AtMost(2.0),
        Spread::of([(late / early - 1.0) * 100.0]),
    );
    report.target("soak: failed calls", Limit::AtMost(0.0), Spread::of([failed as f64]));
}
