//! CPU per call and latency, at a rate that keeps the service half busy.

use std::time::Duration;

use crate::{
    Bench, Report, Row,
    calls::Workload,
    contender::{Contender, Server, Setup, assert_all_good},
    direct,
    drive::{self, CallResult},
    report::{Limit, Spread, ratio},
    scenarios::peak,
    upstream::Upstream,
};

/// Seconds of a round: short, so that a pause of the machine spoils few rounds of many.
pub(super) const SHORT: f64 = 0.4;

/// The figures of a contender, round by round.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) cpu_us: Vec<f64>,
    pub(super) p50_us: Vec<f64>,
    p99_us: Vec<f64>,
}

impl Figures {
    /// Measures one round of a server. Returns the number of its calls.
    pub(super) async fn measure(&mut self, server: &Server, rate: f64, time: Duration) -> usize {
        let before = server.process.cpu();
        let run = drive::open(rate, time, || server.target.call()).await;
        let used = server.process.cpu() - before;
        assert_all_good(&run);
        self.cpu_us.push(used.as_secs_f64() * 1e6 / run.calls() as f64);
        self.p50_us.push(run.latency(CallResult::Ok, 0.5));
        self.p99_us.push(run.latency(CallResult::Ok, 0.99));
        run.calls()
    }

    pub(super) fn report(&self, report: &mut Report, what: &str) {
        report.figure(format!("{what}: CPU, µs per call"), Spread::of(self.cpu_us.clone()));
        report.figure(format!("{what}: p50, µs"), Spread::of(self.p50_us.clone()));
        report.figure(format!("{what}: p99, µs"), Spread::of(self.p99_us.clone()));
    }
}

pub(super) async fn run(bench: &Bench, report: &mut Report) {
    let upstream = bench.upstream(0).await;
    let rate = creations(bench, report, &upstream).await;
    if !bench.arguments.has(Row::Workloads) {
        return;
    }
    let plain = Setup::plain(&upstream);
    let both = [Contender::Service, Contender::Bare];
    let all = [Contender::Service, Contender::Bare, Contender::Go];
    for workload in [Workload::CreateWithoutId, Workload::Get, Workload::Health] {
        compare(bench, report, &workload.to_string(), &all, plain, workload, rate).await;
    }
    let mutual_tls = Setup { mutual_tls: true, ..plain };
    compare(bench, report, "create, mTLS", &all, mutual_tls, Workload::Create, rate).await;
    let slow = bench.upstream(200).await;
    let name = "create, upstream at 200 ms";
    compare(bench, report, name, &both, Setup::plain(&slow), Workload::Create, rate.min(1000.0)).await;
    redis(bench, report, plain, rate).await;
}

/// The comparison that has targets, with every contender. Returns the rate.
async fn creations(bench: &Bench, report: &mut Report, upstream: &Upstream) -> f64 {
    println!("create, plaintext, store in memory, upstream at 0 ms");
    let contenders = [Contender::Service, Contender::Bare, Contender::Go];
    let servers = bench.servers(&contenders, Setup::plain(upstream), Workload::Create).await;
    let rate = peak::half(bench, &servers[0]).await;
    report.figure("calls per second: half of the service's peak", Spread::of([rate]));
    let time = bench.arguments.time(SHORT);
    let url = format!("http://{}", upstream.address);
    let mut figures: Vec<_> = servers.iter().map(|_| Figures::default()).collect();
    let mut alone = Figures::default();
    for _ in 0..bench.arguments.short_rounds() {
        for (server, figures) in servers.iter().zip(&mut figures) {
            figures.measure(server, rate, time).await;
        }
        let outcome = direct::run(&bench.own, &url, rate, time).await;
        assert_eq!(outcome.failed, 0, "a direct call failed");
        alone.cpu_us.push(outcome.cpu_us);
        alone.p50_us.push(outcome.p50_us);
        alone.p99_us.push(outcome.p99_us);
    }
    for (server, figures) in servers.iter().zip(&figures) {
        figures.report(report, &format!("create, {}", server.contender));
    }
    alone.report(report, "create, direct");
    let [service, bare, go @ ..] = &figures[..] else { unreachable!("both are always there") };
    let cpu = ratio(&service.cpu_us, &bare.cpu_us);
    report.target("CPU per create vs bare", Limit::AtMost(1.25), cpu);
    for go in go {
        let cpu = ratio(&service.cpu_us, &go.cpu_us);
        report.target("CPU per create vs go", Limit::AtMost(0.7), cpu);
    }
    let p99 = ratio(&service.p99_us, &bare.p99_us);
    report.target("p99 at half of peak vs bare", Limit::AtMost(1.5), p99);
    rate
}

/// Another workload.
async fn compare(
    bench: &Bench,
    report: &mut Report,
    what: &str,
    contenders: &[Contender],
    setup: Setup<'_>,
    workload: Workload,
    rate: f64,
) {
    println!("{what}");
    let servers = bench.servers(contenders, setup, workload).await;
    let mut figures: Vec<_> = servers.iter().map(|_| Figures::default()).collect();
    for _ in 0..bench.arguments.short_rounds().min(21) {
        for (server, figures) in servers.iter().zip(&mut figures) {
            figures.measure(server, rate, bench.arguments.time(SHORT)).await;
        }
    }
    for (server, figures) in servers.iter().zip(&figures) {
        figures.report(report, &format!("{what}, {}", server.contender));
    }
    for (server, other) in servers.iter().zip(&figures).skip(1) {
        let cpu = ratio(&figures[0].cpu_us, &other.cpu_us);
        report.figure(format!("{what}: CPU vs {}", server.contender), cpu);
    }
}

/// The store in Redis against the one in memory.
async fn redis(bench: &Bench, report: &mut Report, plain: Setup<'_>, rate: f64) {
    let Some(redis) = crate::redis::Redis::start(&bench.directory).await else {
        return report.note("Redis is absent: no redis-server");
    };
    println!("create, store in Redis");
    let url = redis.url();
    let settings = [("HCS_REDIS_URL", &*url), ("HCS_FINGERPRINT_KEY", "0123456789abcdef0123456789abcdef")];
    let with = bench.servers(&[Contender::Service], Setup { settings: &settings, ..plain }, Workload::Create);
    let with = with.await;
    let without = bench.servers(&[Contender::Service], plain, Workload::Create).await;
    let (mut in_redis, mut in_memory) = (Figures::default(), Figures::default());
    for _ in 0..bench.arguments.short_rounds().min(21) {
        // Redis shares its core with the upstream and the generator.
        in_redis.measure(&with[0], rate / 2.0, bench.arguments.time(SHORT)).await;
        in_memory.measure(&without[0], rate / 2.0, bench.arguments.time(SHORT)).await;
    }
    in_redis.report(report, "create, Redis");
    in_memory.report(report, "create, memory, at the same rate");
    let cpu = ratio(&in_redis.cpu_us, &in_memory.cpu_us);
    report.figure("create: CPU, Redis vs memory", cpu);
}
