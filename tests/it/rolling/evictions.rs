//! All replicas are evicted one after the other, each as soon as the successor of the last one is ready: that is when the
//! disruption budget permits it. Callers know the replicas from DNS, which they may ask again only after a while.

use std::{net::Ipv4Addr, time::Duration};

use hubspot_connection_service::{emulator::Options, proto::CreateHubSpotConnectionRequest};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep_until},
};

use super::{
    dns::Dns,
    is_direct,
    load::{self, Calls, Load, Worker},
    longest,
    replica::{Ports, completed, end, is_serving, stop},
};
use crate::{
    chaos::{print, redis::SharedRedis},
    support::{in_time, request, start_emulator},
};

/// The shortest time between two DNS queries of a caller.
const INTERVAL: Duration = Duration::from_secs(15);
/// How long an evicted replica works before it gets the signal to stop (`preStop`): a little longer.
const WORKS_ON: Duration = Duration::from_secs(18);
/// A caller that knows no replica until it asks DNS again exceeds this.
const DEADLINE: Duration = Duration::from_secs(7);

/// A call would wait for as long as its caller may not ask DNS, and exceed its deadline, if the three replicas ended as
/// quickly as they are evicted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_by_dns_do_not_notice_that_all_replicas_are_evicted_quickly() {
    let Some(python) = load::python() else { return };
    let Some(redis) = SharedRedis::start().await else { return };
    let emulator = start_emulator(Options::default()).await;
    let ports = Ports::hold_on([2, 3, 4, 5, 6, 7].map(|last| Ipv4Addr::new(127, 0, 0, last)));
    let (first, successors) = ports.split_at(3);
    let dns = Dns::start().await;
    let mut replicas = Vec::new();
    for ports in first {
        replicas.push(ports.start(&emulator, &redis, &[]).await);
        dns.add(ports.grpc);
    }
    let kept = CreateHubSpotConnectionRequest { name: "kept".to_owned(), ..request() };
    let kept = replicas[0].client().await.create_hub_spot_connection(kept).await.unwrap().into_inner();
    let target = dns.target(first[0].grpc.port());
    let workers: Vec<_> = [Calls::Creates, Calls::Reads]
        .into_iter()
        .flat_map(|calls| (0..2).map(move |_| calls))
        .map(|calls| Worker { calls, target: target.clone() })
        .collect();
    let more = json!({
        "deadline": DEADLINE.as_secs_f64(), "dns_interval_ms": u64::try_from(INTERVAL.as_millis()).unwrap(),
    });
    let load = Load::start_with(&python, &workers, &kept.id, 0.05, &more).await;

    let started = Instant::now();
    let mut stopping = JoinSet::new();
    let mut successor_processes = Vec::new();
    for ((evicted, replica), ports) in first.iter().zip(replicas).zip(successors) {
        dns.remove(evicted.grpc);
        let signal = Instant::now() + WORKS_ON;
        stopping.spawn(async move {
            sleep_until(signal).await;
            let stopped_at = stop(&replica.process);
            end(replica.process, stopped_at).await
        });
        let successor = ports.start(&emulator, &redis, &[]).await;
        let mut ticks = interval(Duration::from_millis(50));
        in_time("the successor", async {
            while !is_serving(ports.admin).await {
                ticks.tick().await;
            }
        })
        .await;
        dns.add(ports.grpc);
        successor_processes.push(successor);
    }
    let evicted_within = started.elapsed();
    let mut outputs = stopping.join_all().await;
    for successor in &successor_processes {
        successor.process.prints("calls", |output| (completed(output).len() >= 10).then_some(())).await;
    }
    let calls = load.stop().await;
    for successor in successor_processes {
        let stopped_at = stop(&successor.process);
        outputs.push(end(successor.process, stopped_at).await);
    }

    print(&format!(
        "three replicas evicted within {:.1} s, {} calls, the longest {}",
        evicted_within.as_secs_f64(),
        calls.len(),
        longest(&calls),
    ));
    let failed: Vec<_> = calls.iter().filter(|call| call.code != "OK").collect();
    assert!(failed.is_empty(), "{} of {} failed: {failed:#?}", failed.len(), calls.len());
    // No caller had to retry.
    assert!(outputs.iter().flat_map(completed).all(|code| code == "OK"));
    let made = emulator.connections().iter().filter(|entry| !is_direct(entry)).count();
    assert_eq!(made, calls.iter().filter(|call| !call.name.is_empty()).count());
}
