//! Replicas end their connections for their age, and are restarted one after the other: no caller notices, and none has to
//! retry. The proxies have the address of a balancer, which treats replicas as a ClusterIP does.

use std::collections::BTreeMap;

use hubspot_connection_service::{emulator::Options, proto::CreateHubSpotConnectionRequest};

use super::{
    balancer::Balancer,
    load::{self, Calls, Load, Worker},
    replica::{Ports, completed, end, stop},
};
use crate::{
    chaos::{print, redis::SharedRedis},
    reverse_proxies::proxy::{Kind, Proxy},
    support::{Output, request, start_emulator},
};

/// Connections live this long, ±10 %.
const SETTINGS: [(&str, &str); 2] =
    [("HCS_MAX_CONNECTION_AGE", "5s"), ("HCS_LOG", "info,hubspot_connection_service::server=debug")];
/// The number of callers of each kind behind each proxy.
const CALLERS: usize = 3;
/// The pause between two calls of a caller, in seconds.
const PAUSE: f64 = 0.02;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_behind_a_proxy_fails_no_call_and_creates_nothing_twice() {
    let kinds = Kind::installed();
    let Some(python) = load::python().filter(|_| !kinds.is_empty()) else { return };
    let Some(redis) = SharedRedis::start().await else { return };
    let emulator = start_emulator(Options::default()).await;
    let ports = [Ports::hold(), Ports::hold()];
    let mut replicas = Vec::new();
    for ports in &ports {
        replicas.push(ports.start(&emulator, &redis, &SETTINGS).await);
    }
    let kept = CreateHubSpotConnectionRequest { name: "kept".to_owned(), ..request() };
    let kept = replicas[0].client().await.create_hub_spot_connection(kept).await.unwrap().into_inner();

    let balancer = Balancer::before(&ports).await;
    for ports in &ports {
        balancer.until_in_rotation(ports.grpc).await;
    }
    let mut proxies = Vec::new();
    for kind in kinds {
        proxies.push(kind.documented().start(&[balancer.address()]).await);
    }
    let workers: Vec<_> = proxies
        .iter()
        .flat_map(|proxy| [(Calls::Creates, proxy), (Calls::Reads, proxy)])
        .flat_map(|(calls, proxy)| (0..CALLERS).map(move |_| (calls, proxy)))
        .map(|(calls, proxy)| Worker { calls, target: format!("ipv4:{}", proxy.address) })
        .collect();
    let load = Load::start(&python, &workers, &kept.id, PAUSE).await;

    let mut outputs = Vec::new();
    for ports in &ports {
        let replica = replicas.remove(0);
        let aged = |output: &Output| output.log_lines().iter().any(|line| line["end"] == "age");
        replica.process.prints("an old connection", |output| aged(output).then_some(())).await;
        let stopped_at = stop(&replica.process);
        outputs.push(end(replica.process, stopped_at).await);
        let replica = ports.start(&emulator, &redis, &SETTINGS).await;
        balancer.until_in_rotation(ports.grpc).await;
        replica.process.prints("calls", |output| (completed(output).len() >= 10).then_some(())).await;
        replicas.push(replica);
    }
    let calls = load.stop().await;
    for replica in replicas {
        let stopped_at = stop(&replica.process);
        outputs.push(end(replica.process, stopped_at).await);
    }

    let failed: Vec<_> = calls.iter().filter(|call| call.code != "OK").collect();
    assert!(failed.is_empty(), "{} of {} failed: {failed:#?}", failed.len(), calls.len());
    let creates: BTreeMap<_, _> =
        calls.iter().filter(|call| !call.name.is_empty()).map(|call| (&*call.name, &*call.id)).collect();
    let ledger = emulator.connections();
    print(&format!(
        "behind proxies: {} calls, {} of them creations; the processes completed {:?}; the proxies: {:?}",
        calls.len(),
        creates.len(),
        outputs.iter().map(|output| completed(output).len()).collect::<Vec<_>>(),
        proxies.iter().map(Proxy::printed).collect::<Vec<_>>(),
    ));
    // No caller had to retry: nothing was refused, and nothing was cut off. One connection was created directly.
    let codes: Vec<_> = outputs.iter().flat_map(completed).collect();
    assert!(codes.iter().all(|code| code == "OK"), "{codes:?}");
    assert_eq!(codes.len(), calls.len() + 1);
    assert_eq!(ledger.len(), creates.len() + 1, "a creation was executed twice");
    for entry in ledger.iter().filter(|entry| entry.id != kept.id) {
        assert_eq!(creates.get(&*entry.name), Some(&&*entry.id), "{}", entry.name);
    }
}
