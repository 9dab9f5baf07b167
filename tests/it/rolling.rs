//! Replicas are restarted one after the other, and no caller notices: real processes over a real
//! Redis, behind a balancer and by their addresses, called by gRPC's own client with the service
//! configs that callers are given.

mod adobe_away;
mod balancer;
mod behind_proxies;
#[cfg(target_os = "linux")]
mod dns;
#[cfg(target_os = "linux")]
mod evictions;
mod left_behind;
mod load;
mod network;
pub(crate) mod replica;
mod service_configs;
mod store_away;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hubspot_connection_service::{
    emulator::{Action, Emulator, Fault, LedgerEntry, Options},
    proto::CreateHubSpotConnectionRequest,
};
use tokio::time::Instant;
use uuid::Uuid;

use self::{
    balancer::Balancer,
    load::{Call, Calls, Load, Worker},
    replica::{Ports, completed, end, stop},
};
use crate::{
    chaos::{print, redis::SharedRedis},
    support::{Output, ServiceProcess, request, start_emulator, until},
};

/// The number of callers of each kind.
const CALLERS: usize = 3;
/// The pause between two calls of a caller, in seconds.
const PAUSE: f64 = 0.02;
/// The usual duration of a creation upstream, and its duration while a replica is stopping: longer than
/// the replica continues to accept.
const CREATION: Duration = Duration::from_millis(300);
const SLOW_CREATION: Duration = Duration::from_millis(2500);

fn creations_take(emulator: &Emulator, time: Duration) {
    emulator.inject(vec![Fault { count: 0, ..Fault::once("POST /connections", Action::Delay(time)) }]);
}

/// Replicas, and callers that call them continuously.
struct Rollout {
    emulator: Emulator,
    redis: SharedRedis,
    ports: [Ports; 3],
    replicas: Vec<ServiceProcess>,
    balancer: Balancer,
    load: Load,
    settings: &'static [(&'static str, &'static str)],
    /// The output of the exited processes.
    ended: Vec<Output>,
    /// How many of them stopped accepting before the creation that was running in them was complete.
    outlasted: usize,
}

impl Rollout {
    /// `None` if Redis or gRPC's client is missing and not required.
    async fn start(settings: &'static [(&'static str, &'static str)]) -> Option<Self> {
        let python = load::python()?;
        let redis = SharedRedis::start().await?;
        let emulator = start_emulator(Options::default()).await;
        let ports = [Ports::hold(), Ports::hold(), Ports::hold()];
        let mut replicas = Vec::new();
        for ports in &ports {
            replicas.push(ports.start(&emulator, &redis, settings).await);
        }
        let balancer = Balancer::before(&ports).await;
        for ports in &ports {
            balancer.until_in_rotation(ports.grpc).await;
        }
        let kept = CreateHubSpotConnectionRequest { name: "kept".to_owned(), ..request() };
        let kept = replicas[0].client().await.create_hub_spot_connection(kept).await.unwrap().into_inner();
        creations_take(&emulator, CREATION);

        let addresses = ports.each_ref().map(|ports| ports.grpc.to_string()).join(",");
        let targets = [format!("ipv4:{}", balancer.address()), format!("ipv4:{addresses}")];
        let workers: Vec<_> = [Calls::Creates, Calls::Reads]
            .into_iter()
            .flat_map(|calls| targets.clone().map(|target| (calls, target)))
            .flat_map(|(calls, target)| (0..CALLERS).map(move |_| Worker { calls, target: target.clone() }))
            .collect();
        let load = Load::start(&python, &workers, &kept.id, PAUSE).await;
        Some(Self {
            emulator,
            redis,
            ports,
            replicas,
            balancer,
            load,
            settings,
            ended: Vec::new(),
            outlasted: 0,
        })
    }

    /// Restarts a replica while a creation is running in it, and waits until it is called again.
    async fn restart(&mut self, index: usize) {
        let ports = &self.ports[index];
        let stopping = &self.replicas[index];
        creations_take(&self.emulator, SLOW_CREATION);
        let name = format!("under way {}", Uuid::new_v4());
        let slow = CreateHubSpotConnectionRequest { name: name.clone(), ..request() };
        let mut client = stopping.client().await;
        let slow = tokio::spawn(async move { client.create_hub_spot_connection(slow).await });
        until("the creation", || self.emulator.connections().iter().any(|entry| entry.name == name)).await;

        let stopped_at = stop(&stopping.process);
        stopping.process.prints_text("finishing the calls under way").await;
        self.outlasted += usize::from(!slow.is_finished());
        creations_take(&self.emulator, CREATION);
        let replaced = self.replicas.remove(index);
        self.ended.push(end(replaced.process, stopped_at).await);
        slow.await.unwrap().unwrap();

        let replica = ports.start(&self.emulator, &self.redis, self.settings).await;
        self.balancer.until_in_rotation(ports.grpc).await;
        replica.process.prints("calls", |output| (completed(output).len() >= 10).then_some(())).await;
        self.replicas.insert(index, replica);
    }

    /// Waits until each replica has ended this many connections because of their age.
    async fn until_aged(&self, count: usize) {
        for replica in &self.replicas {
            let aged = |output: &Output| {
                output.log_lines().iter().filter(|line| line["end"] == "age").count() >= count
            };
            replica.process.prints("ends of connections", |output| aged(output).then_some(())).await;
        }
    }

    /// Stops the callers and then the replicas, and checks that no call has failed and none was executed
    /// twice.
    async fn check(self, what: &str, started: Instant) {
        let calls = self.load.stop().await;
        let mut outputs = self.ended;
        for replica in self.replicas {
            let stopped_at = stop(&replica.process);
            outputs.push(end(replica.process, stopped_at).await);
        }
        let completed: Vec<_> = outputs.iter().map(completed).collect();
        print(&format!(
            "{what}: {} calls in {:.1} s, the longest {}; {} processes completed {:?}, {:?}",
            calls.len(),
            started.elapsed().as_secs_f64(),
            longest(&calls),
            completed.len(),
            completed.iter().map(Vec::len).collect::<Vec<_>>(),
            counted(completed.iter().flatten()),
        ));
        let failed: Vec<_> = calls.iter().filter(|call| call.code != "OK").collect();
        assert!(failed.is_empty(), "{} of {} failed: {failed:#?}", failed.len(), calls.len());
        assert!(completed.iter().all(|codes| !codes.is_empty()));
        // No caller had to retry: nothing was refused, and nothing was cut off.
        let direct = self.emulator.connections().iter().filter(|entry| is_direct(entry)).count();
        let codes = counted(completed.iter().flatten());
        assert_eq!(codes, BTreeMap::from([("OK", calls.len() + direct)]));

        let creates: Vec<_> = calls.iter().filter(|call| !call.name.is_empty()).collect();
        let ledger = self.emulator.connections();
        let by_name: BTreeMap<_, _> = ledger.iter().map(|entry| (&*entry.name, &*entry.id)).collect();
        assert_eq!(by_name.len(), ledger.len(), "a creation was executed twice");
        for call in &creates {
            assert_eq!(by_name.get(&*call.name), Some(&&*call.id), "{call:?}");
        }
        assert_eq!(ledger.len(), creates.len() + direct);
        let methods: BTreeSet<_> = calls.iter().map(|call| &*call.method).collect();
        assert_eq!(methods.len(), 6, "{methods:?}");
    }
}

/// Whether a connection was not created by the load.
fn is_direct(entry: &LedgerEntry) -> bool {
    !entry.name.starts_with("caller ")
}

fn counted<'a>(codes: impl Iterator<Item = &'a String>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for code in codes {
        *counts.entry(&**code).or_default() += 1;
    }
    counts
}

/// The longest call of each method.
fn longest(calls: &[Call]) -> String {
    let mut longest = BTreeMap::<&str, f64>::new();
    for call in calls {
        let seconds = longest.entry(&call.method).or_default();
        *seconds = seconds.max(call.seconds);
    }
    longest.iter().map(|(method, seconds)| format!("{method} {seconds:.2} s")).collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_call_and_creates_nothing_twice() {
    let started = Instant::now();
    let Some(mut rollout) = Rollout::start(&[]).await else { return };
    for index in [0, 1, 2, 0, 1, 2] {
        rollout.restart(index).await;
    }
    assert!(rollout.outlasted > 0, "no creation was under way when the port was closed");
    rollout.check("two rolling restarts", started).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_ended_for_their_age_cost_no_call() {
    let started = Instant::now();
    let settings =
        &[("HCS_MAX_CONNECTION_AGE", "1s"), ("HCS_LOG", "info,hubspot_connection_service::server=debug")];
    let Some(rollout) = Rollout::start(settings).await else { return };
    rollout.until_aged(20).await;
    rollout.check("connections that live for a second", started).await;
}
