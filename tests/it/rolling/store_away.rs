//! Redis is away, as while its pod moves: real processes, called by gRPC's own client with the service config that
//! callers are given.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hubspot_connection_service::{
    emulator::{Emulator, Options},
    exactly_once::store::PATIENCE,
    proto::{CreateHubSpotConnectionRequest, HubSpotCredentials},
};
use tokio::time::{Instant, sleep};

use super::{
    load::{self, Call, Calls, Load, Worker},
    network::{Away, Store},
};
use crate::{
    chaos::print,
    support::{
        FINGERPRINT_KEY, ServiceProcess, counted, in_time, request, start_emulator, until, until_counted,
    },
};

/// Creations per second.
const RATE: u32 = 15;

/// Replicas that share a Redis, and callers that create continuously.
struct Outage {
    emulator: Emulator,
    store: Store,
    away: Away,
    replicas: [ServiceProcess; 2],
    load: Load,
}

impl Outage {
    /// `None` if Redis or gRPC's client is missing and not required.
    async fn start(away: Away, calls: Calls, settings: &[(&str, &str)]) -> Option<Self> {
        let python = load::python()?;
        let store = Store::start().await?;
        let emulator = start_emulator(Options::default()).await;
        let url = store.url(away);
        let own =
            [("HCS_REDIS_URL", &*url), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY), ("HCS_LOG_FORMAT", "json")];
        let settings = [&own, settings].concat();
        let replicas = [
            ServiceProcess::start(&emulator, &settings).await,
            ServiceProcess::start(&emulator, &settings).await,
        ];
        let target = format!("ipv4:{},{}", replicas[0].grpc, replicas[1].grpc);
        let load = Load::start(&python, &[Worker { calls, target }], "", 0.0).await;
        let outage = Self { emulator, store, away, replicas, load };
        outage.until_created(RATE as usize).await;
        Some(outage)
    }

    async fn until_created(&self, more: usize) {
        let enough = self.emulator.connections().len() + more;
        until("creations", || self.emulator.connections().len() >= enough).await;
    }

    /// Redis is away for so long. Returns every call.
    async fn lasts(mut self, time: Duration) -> Ended {
        let away = self.away;
        self.store.goes(away).await;
        sleep(time).await;
        self.store.is_back(away).await;
        self.until_created(2 * RATE as usize).await;
        let calls = self.load.stop().await;
        let mut waits = BTreeMap::new();
        for outcome in ["returned", "gave_up", "rejected"] {
            for replica in &self.replicas {
                let name =
                    format!("hubspot_connection_idempotency_store_waits_total{{outcome=\"{outcome}\"}}");
                *waits.entry(outcome).or_insert(0) += counted(replica.admin, &name).await;
            }
        }
        let longest = calls.iter().map(|call| call.seconds).fold(0.0, f64::max);
        let failed = calls.iter().filter(|call| call.code != "OK").count();
        print(&format!(
            "Redis {away:?} for {time:?}: {failed} of {} calls failed, the longest took {longest:.1} s; waits {waits:?}",
            calls.len()
        ));
        Ended { calls, waits, emulator: self.emulator, replicas: self.replicas, _store: self.store }
    }
}

struct Ended {
    calls: Vec<Call>,
    /// How calls of the service stopped waiting.
    waits: BTreeMap<&'static str, u64>,
    emulator: Emulator,
    replicas: [ServiceProcess; 2],
    _store: Store,
}

impl Ended {
    fn assert_that_none_failed(&self) {
        let failed: Vec<_> = self.calls.iter().filter(|call| call.code != "OK").collect();
        let messages: BTreeSet<_> = failed.iter().map(|call| &*call.message).collect();
        assert!(failed.is_empty(), "{} of {} failed: {messages:#?}", failed.len(), self.calls.len());
        // The outage was noticed.
        assert!(self.waits["returned"] > 0, "{:?}", self.waits);
    }

    /// Each of these calls has created one connection, and nothing else has created any.
    fn assert_created_once(&self, ids: &BTreeMap<&str, &str>) {
        let ledger = self.emulator.connections();
        let created: BTreeMap<_, _> = ledger.iter().map(|entry| (&*entry.name, &*entry.id)).collect();
        assert_eq!(created.len(), ledger.len(), "a creation was executed twice");
        assert_eq!(created, *ids);
    }

    fn ids(&self) -> BTreeMap<&str, &str> {
        let created = self.calls.iter().filter(|call| call.code == "OK");
        created.map(|call| (&*call.name, &*call.id)).collect()
    }
}

/// Redis is away in each of these ways at the same time, with replicas and callers of its own.
async fn no_call_fails_while_redis_is_away_for(time: Duration) {
    let outage = async |away| {
        let outage = Outage::start(away, Calls::CreatesPerSecond(RATE), &[]).await?;
        let ended = outage.lasts(time).await;
        ended.assert_that_none_failed();
        ended.assert_created_once(&ended.ids());
        Some(())
    };
    tokio::join!(outage(Away::Killed), outage(Away::Frozen), outage(Away::Unreachable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_is_away_for_two_seconds_costs_no_call() {
    no_call_fails_while_redis_is_away_for(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_is_away_for_twelve_seconds_costs_no_call() {
    no_call_fails_while_redis_is_away_for(Duration::from_secs(12)).await;
}

/// Three times as long as a call waits, as sixty seconds are with the default deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_is_away_for_longer_than_calls_wait_creates_nothing_twice() {
    let settings = [("HCS_REQUEST_TIMEOUT", "4s")];
    let calls = Calls::CreatesPerSecondOnce(RATE);
    let Some(outage) = Outage::start(Away::Killed, calls, &settings).await else { return };
    let ended = outage.lasts(Duration::from_secs(6)).await;
    let failed: Vec<_> = ended.calls.iter().filter(|call| call.code != "OK").collect();
    assert!(!failed.is_empty() && ended.waits["gave_up"] > 0, "{:?}", ended.waits);
    for call in &failed {
        // A call that was being sent when Redis went away may have taken a hold with it.
        assert!(call.code == "UNAVAILABLE" && call.message.contains("store"), "{call:?}");
    }
    // Each is repeated with its id, until nobody holds that any more.
    let mut ids = ended.ids();
    let mut repeated = BTreeMap::new();
    let mut client = ended.replicas[0].client().await;
    for call in &failed {
        let request = CreateHubSpotConnectionRequest {
            name: call.name.clone(),
            request_id: call.request_id.clone(),
            credentials: Some(HubSpotCredentials {
                client_id: "client".to_owned(),
                client_secret: "secret".to_owned(),
                access_token: "access".to_owned(),
                refresh_token: "refresh".to_owned(),
            }),
            ..CreateHubSpotConnectionRequest::default()
        };
        let created = in_time("the repetition", async {
            loop {
                match client.create_hub_spot_connection(request.clone()).await {
                    Ok(created) => return created.into_inner(),
                    Err(status) => assert!(
                        matches!(status.code(), tonic::Code::Aborted | tonic::Code::Unavailable),
                        "{status:?}"
                    ),
                }
                sleep(Duration::from_millis(200)).await;
            }
        });
        repeated.insert(&*call.name, created.await.id);
    }
    ids.extend(repeated.iter().map(|(name, id)| (*name, &**id)));
    ended.assert_created_once(&ids);
}

/// As where everything is installed at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_starts_before_its_redis_logs_no_error_and_its_first_calls_wait() {
    let Some(mut store) = Store::start().await else { return };
    store.goes(Away::Killed).await;
    let emulator = start_emulator(Options::default()).await;
    let url = store.url(Away::Killed);
    let settings =
        [("HCS_REDIS_URL", &*url), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY), ("HCS_LOG_FORMAT", "json")];
    let service = ServiceProcess::start(&emulator, &settings).await;
    service.process.prints_text("waiting for the idempotency store").await;
    let mut client = service.client().await;
    let call = tokio::spawn(async move { client.create_hub_spot_connection(request()).await });
    let waiting = "hubspot_connection_idempotency_store_waiting";
    until_counted(service.admin, waiting, 1).await;
    store.is_back(Away::Killed).await;
    call.await.unwrap().unwrap();
    service.process.prints_text("the idempotency store is available").await;
    let (_, output) = service.stop().await;
    let lines = output.log_lines();
    let errors: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let waits = lines.iter().filter(|line| line.to_string().contains("waiting for the idempotency store"));
    assert_eq!(waits.count(), 1, "{lines:#?}");
    drop(store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stops_does_not_wait_for_its_redis() {
    let Some(mut store) = Store::start().await else { return };
    let emulator = start_emulator(Options::default()).await;
    let url = store.url(Away::Frozen);
    let settings = [("HCS_REDIS_URL", &*url), ("HCS_FINGERPRINT_KEY", FINGERPRINT_KEY)];
    let service = ServiceProcess::start(&emulator, &settings).await;
    let mut client = service.client().await;
    client.create_hub_spot_connection(request()).await.unwrap();
    store.goes(Away::Frozen).await;
    let call = tokio::spawn(async move { client.create_hub_spot_connection(request()).await });
    until_counted(service.admin, "hubspot_connection_idempotency_store_waiting", 1).await;
    let began = Instant::now();
    let (status, output) = service.stop().await;
    assert!(status.success(), "{output:?}");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert_eq!(call.await.unwrap().unwrap_err().code(), tonic::Code::Unavailable);
    assert_eq!(emulator.connections().len(), 1);
    store.is_back(Away::Frozen).await;
}
