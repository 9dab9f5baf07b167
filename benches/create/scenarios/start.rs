//! From exec to SERVING.

use tokio::time::Instant;

use crate::{
    Bench, Report,
    calls::Workload,
    contender::{Contender, Setup},
    drive::CallResult,
    report::{Limit, Spread, ratio},
};

pub(super) async fn run(bench: &Bench, report: &mut Report) {
    println!("from exec to SERVING");
    let upstream = bench.upstream(0).await;
    let setup = Setup::plain(&upstream);
    let contenders = bench.present(&[Contender::Service, Contender::Bare, Contender::Go]);
    let mut times = vec![Vec::new(); contenders.len()];
    for _ in 0..bench.arguments.count(21, 1) {
        for (contender, times) in contenders.iter().zip(&mut times) {
            let began = Instant::now();
            let process = bench.process(*contender, setup).await;
            let target = bench.connect(&process, setup, 1, Workload::Health).await;
            assert_eq!(target.call().await, CallResult::Ok, "{contender} is not SERVING");
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    for (contender, times) in contenders.iter().zip(&times) {
        report.figure(format!("{contender}: exec to SERVING, ms"), Spread::of(times.clone()));
    }
    report.target("exec to SERVING vs bare", Limit::AtMost(1.5), ratio(&times[0], &times[1]));
}
