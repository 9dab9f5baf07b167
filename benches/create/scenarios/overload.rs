//! Ten times as many calls as the limit permits.

use std::time::Duration;

use crate::{
    Bench, Report,
    calls::Workload,
    contender::{Contender, Setup, assert_all_good},
    drive::{self, CallResult},
    report::{Limit, Spread, ratio},
};

const LIMIT: usize = 64;
const DELAY_MS: u64 = 200;
const OFFERED: f64 = 3200.0;

pub(super) async fn run(bench: &Bench, report: &mut Report) {
    // A debug build on a busy machine is too slow for more than twice the peak.
    let offered = if bench.arguments.quick { 640.0 } else { OFFERED };
    println!("HCS_MAX_IN_FLIGHT={LIMIT}, upstream at {DELAY_MS} ms, {offered}/s offered");
    let upstream = bench.upstream(DELAY_MS).await;
    let settings = [("HCS_MAX_IN_FLIGHT", "64")];
    let setup = Setup { settings: &settings, ..Setup::plain(&upstream) };
    let server = bench.server(Contender::Service, setup, Workload::Create).await;
    let target = &server.target;
    let time = bench.arguments.time(3.0).max(Duration::from_millis(700));

    let (mut peak, mut at_peak) = (Vec::new(), Vec::new());
    let (mut goodput, mut accepted, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.arguments.rounds().min(5) {
        let called = target.clone();
        let run = drive::closed(LIMIT.try_into().unwrap(), time, move || called.call()).await;
        assert_all_good(&run);
        peak.push(run.rate(LIMIT));
        at_peak.push(run.latency(CallResult::Ok, 0.99));

        let run = drive::open(offered, time, || target.call()).await;
        let failed = run.count(CallResult::Failed);
        assert_eq!(failed, 0, "calls that are neither accepted nor refused");
        goodput.push(run.rate(LIMIT));
        accepted.push(run.latency(CallResult::Ok, 0.99));
        refused.push(run.latency(CallResult::Refused, 0.99) / 1e3);
    }
    report.figure("peak, per second", Spread::of(peak.clone()));
    report.figure("p99 at peak, µs", Spread::of(at_peak.clone()));
    report.target("goodput at ten times the peak vs peak", Limit::AtLeast(0.95), ratio(&goodput, &peak));
    report.target("there, p99 of accepted calls vs at peak", Limit::AtMost(1.5), ratio(&accepted, &at_peak));
    report.target("there, p99 of a refusal, ms", Limit::AtMost(20.0), Spread::of(refused));
}
