//! The peak throughput of creations.

use crate::{
    Bench, Report,
    calls::Workload,
    contender::{Contender, IN_FLIGHT, Server, Setup, assert_all_good},
    drive,
    report::{Limit, Spread, ratio},
    scenarios::workloads::SHORT,
};

struct Round {
    /// Creations per second.
    rate: f64,
    /// The share of its core that the server has used: if it is less than all, something else was the
    /// limit.
    busy: f64,
    cpu_us: f64,
}

async fn round(bench: &Bench, server: &Server) -> Round {
    let target = server.target.clone();
    let (began, before) = (tokio::time::Instant::now(), server.process.cpu());
    let in_flight = IN_FLIGHT.try_into().unwrap();
    let run = drive::closed(in_flight, bench.arguments.time(SHORT), move || target.call()).await;
    let (used, took) = (server.process.cpu() - before, began.elapsed());
    assert_all_good(&run);
    Round {
        rate: run.rate(IN_FLIGHT),
        busy: used.as_secs_f64() / took.as_secs_f64(),
        cpu_us: used.as_secs_f64() * 1e6 / run.calls() as f64,
    }
}

/// The rate at which a server is half busy: half the rate of its calls in a closed loop.
pub(super) async fn half(bench: &Bench, server: &Server) -> f64 {
    if bench.arguments.quick {
        return 200.0;
    }
    let mut rates = Vec::new();
    // More would fill the store before it forgets the first.
    for _ in 0..3 {
        rates.push(round(bench, server).await.rate);
    }
    Spread::of(rates).median() / 2.0
}

pub(super) async fn run(bench: &Bench, report: &mut Report) {
    println!("peak throughput of creations");
    let upstream = bench.upstream(0).await;
    let contenders = [Contender::Service, Contender::Bare, Contender::Go];
    let servers = bench.servers(&contenders, Setup::plain(&upstream), Workload::Create).await;
    let mut rounds: Vec<_> = servers.iter().map(|_| Vec::new()).collect();
    for _ in 0..bench.arguments.short_rounds() {
        for (server, rounds) in servers.iter().zip(&mut rounds) {
            rounds.push(round(bench, server).await);
        }
    }
    let of = |rounds: &[Round], figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    for (server, rounds) in servers.iter().zip(&rounds) {
        let name = server.contender;
        report.figure(format!("{name}: creations per second"), Spread::of(of(rounds, |round| round.rate)));
        let busy = Spread::of(of(rounds, |round| round.busy));
        report.figure(format!("{name}: part of its core that is busy"), busy);
        let cpu = Spread::of(of(rounds, |round| round.cpu_us));
        report.figure(format!("{name}: CPU at peak, µs per create"), cpu);
    }
    for (other, of_other) in servers.iter().zip(&rounds).skip(1) {
        let other = other.contender;
        let reached = ratio(&of(&rounds[0], |round| round.rate), &of(of_other, |round| round.rate));
        let what = format!("peak throughput of creates vs {other}");
        match other {
            Contender::Bare => report.target(what, Limit::AtLeast(0.85), reached),
            Contender::Service | Contender::Go => report.figure(what, reached),
        }
        let cpu = ratio(&of(&rounds[0], |round| round.cpu_us), &of(of_other, |round| round.cpu_us));
        report.figure(format!("CPU at peak per create vs {other}"), cpu);
    }
}
