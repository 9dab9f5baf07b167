//! The throughput that remains with a slow upstream.

use crate::{
    Bench, Report,
    calls::Workload,
    contender::{Contender, Setup, assert_all_good},
    drive,
    report::{Limit, Spread},
};

const DELAY_MS: u64 = 200;

pub(super) async fn run(bench: &Bench, report: &mut Report) {
    println!("512 calls in flight, upstream at {DELAY_MS} ms");
    let in_flight = bench.arguments.count(512, 8);
    let ideal = in_flight as f64 * 1000.0 / DELAY_MS as f64;
    let upstream = bench.upstream(DELAY_MS).await;
    let contenders = [Contender::Service, Contender::Bare];
    let servers = bench.servers(&contenders, Setup::plain(&upstream), Workload::Create).await;
    let mut reached = vec![Vec::new(); servers.len()];
    for _ in 0..bench.arguments.rounds().min(5) {
        for (server, reached) in servers.iter().zip(&mut reached) {
            let target = server.target.clone();
            // Also in a quick run: a rate needs several bursts.
            let time = bench.arguments.time(3.0).max(std::time::Duration::from_millis(700));
            let run = drive::closed(in_flight.try_into().unwrap(), time, move || target.call()).await;
            assert_all_good(&run);
            reached.push(run.rate(in_flight) / ideal);
        }
    }
    let what = "throughput with a 200 ms upstream and 512 calls in flight vs ideal";
    report.target(what, Limit::AtLeast(0.95), Spread::of(reached.swap_remove(0)));
    report.figure(format!("{what}, bare"), Spread::of(reached.swap_remove(0)));
}
