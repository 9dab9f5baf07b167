//! One request makes one connection: real processes over a real Redis, while a share of the requests
//! upstream fails and one of the processes is killed repeatedly.

mod callers;
mod clock;
mod dataflows;
mod faults;
mod forgetting;
mod plan;
pub(crate) mod redis;
mod replicas;
mod replies;
mod run;
mod stalls;
mod surroundings;
mod tally;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hubspot_connection_service::{
    emulator::{CLIENT_SECRET, Emulator, LedgerEntry, Options, Settings},
    proto::CreateHubSpotConnectionRequest,
};
use serde_json::json;
use tokio::{
    sync::Mutex,
    time::{Instant, interval, timeout},
};
use tonic::Code;

use self::{
    callers::{create_all, naively_post_all, requests},
    faults::Faults,
    redis::SharedRedis,
    replicas::Replicas,
};
use crate::{
    canary::search::Search,
    support::{Failure, collector::hex, in_time, inject, start_emulator, until},
};

const FINGERPRINT_KEY: &str = "CANARY/FINGERPRINT-KEY+ZQXWVJKYPBGTMRHU";

/// The time limit of a run: several times the usual duration.
const LIMIT: Duration = Duration::from_secs(400);

/// The largest runs do not compete for the processors: slow processes are killed before they get anywhere.
static LARGEST: Mutex<()> = Mutex::const_new(());

/// Applies the time limit to a run.
async fn bounded<T>(run: impl Future<Output = T>) -> T {
    timeout(LIMIT, Box::pin(run)).await.expect("it takes too long")
}

pub(crate) fn print(line: &str) {
    #![expect(clippy::print_stdout, reason = "the figures are a result of the test")]
    println!("{line}");
}

/// A source of faults, with the seed that reproduces them.
fn random() -> (u64, fastrand::Rng) {
    let seed = fastrand::u64(..);
    (seed, fastrand::Rng::with_seed(seed))
}

/// Creates connections during faults and kills, and checks the promise. Returns the connections.
async fn create_amidst_chaos(
    what: &str,
    emulator: &Emulator,
    redis: &SharedRedis,
    requests: &[CreateHubSpotConnectionRequest],
) -> Vec<LedgerEntry> {
    let start = Instant::now();
    let (seed, mut random) = random();
    let faults = Faults::shuffled(&mut random);
    faults.inject(emulator);
    let replicas = Replicas::over(emulator, redis);
    let ((responses, refusals), killed) = replicas.killed_repeatedly(create_all(&replicas, requests)).await;
    let kills = killed.times;
    assert_eq!(killed.forbidden_lines, [""; 0]);
    let seconds = start.elapsed().as_secs_f64();

    let counts = faults.counts(emulator);
    until("the requests in transit", || emulator.connections().len() >= counts.committed).await;
    print(&format!(
        "{what}: {} creations, {} of {} requests upstream with faults, {kills} kills, {} POSTs that \
         reached the emulator, {} connections, {seconds:.1} s; calls retried: {refusals:?}; seed {seed}",
        requests.len(),
        counts.faulty,
        counts.requests,
        counts.posts,
        emulator.connections().len(),
    ));
    let ledger = emulator.connections();
    assert_eq!((ledger.len(), counts.committed), (requests.len(), requests.len()), "{counts:?}");
    let by_name: BTreeMap<_, _> = ledger.iter().map(|entry| (&*entry.name, entry)).collect();
    for (request, response) in requests.iter().zip(&responses) {
        let own = by_name[&*request.name];
        assert_eq!((&response.id, &response.etag), (&own.id, &own.etag), "{}", request.name);
        assert_eq!(response.request_id, request.request_id);
    }
    // A short run may end before the first kill.
    let is_chaos = counts.faulty * 10 > counts.requests && (kills >= 2 || requests.len() < 100);
    assert!(is_chaos, "there was no chaos: {kills} kills, {counts:?}");

    // A retry gets the same response from a process that knows nothing but the store.
    emulator.inject(Vec::new());
    let fresh = replicas.start().await;
    let mut client = fresh.client().await;
    for (request, response) in requests.iter().zip(&responses) {
        let retried = client.create_hub_spot_connection(request.clone()).await.unwrap().into_inner();
        assert_eq!((&retried.id, &retried.etag, retried.replayed), (&response.id, &response.etag, true));
    }
    assert_eq!(faults.counts(emulator).posts, counts.posts);
    ledger
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_retry_with_their_request_id_get_one_connection_each() {
    let Some(redis) = SharedRedis::start().await else { return };
    let emulator = start_emulator(Options::default()).await;
    let requests = requests(100);
    bounded(create_amidst_chaos("patient callers", &emulator, &redis, &requests)).await;
}

#[tokio::test]
async fn callers_that_retry_the_post_create_duplicates_under_the_same_faults() {
    let emulator = start_emulator(Options::default()).await;
    let (seed, mut random) = random();
    let faults = Faults::shuffled(&mut random);
    faults.inject(&emulator);
    let requests = requests(200);
    bounded(naively_post_all(&emulator, &requests)).await;

    let counts = faults.counts(&emulator);
    until("the requests in transit", || emulator.connections().len() >= counts.committed).await;
    let ledger = emulator.connections();
    print(&format!(
        "naive callers: {} creations, {} of {} POSTs with faults, {} connections; seed {seed}",
        requests.len(),
        counts.faulty,
        counts.posts,
        ledger.len(),
    ));
    let names: BTreeSet<_> = ledger.iter().map(|entry| &entry.name).collect();
    assert_eq!(names.len(), requests.len());
    assert!(ledger.len() > requests.len(), "no duplicates: {counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credential_is_in_redis_during_a_run_or_after_it() {
    let Some(redis) = SharedRedis::start().await else { return };
    let emulator = start_emulator(Options::default()).await;
    emulator.settings(Settings { index_lag: Duration::from_millis(200), ..Settings::default() });
    let requests = requests(30);

    // Data that is stored only briefly counts, too.
    let mut stored = BTreeSet::new();
    let scan_repeatedly = async {
        let mut ticks = interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            stored.extend(redis.dump().await);
        }
    };
    let ledger = bounded(async {
        tokio::select! {
            ledger = create_amidst_chaos("with an index that lags", &emulator, &redis, &requests) => ledger,
            () = scan_repeatedly => unreachable!("it has no end"),
        }
    })
    .await;
    let remaining = redis.dump().await;
    let text = |stored: &[u8], values: &[Vec<u8>]| [stored, &values.join(&b"\n"[..])].join(&b"\n"[..]);
    let after: Vec<u8> = remaining.iter().flat_map(|(key, values)| text(key, values)).collect();
    for needle in ledger.iter().map(|entry| &entry.id).chain(requests.iter().map(|r| &r.request_id)) {
        assert!(contains(&after, needle.as_bytes()), "no {needle} in the remaining records");
    }
    stored.extend(remaining);
    let all: Vec<u8> = stored.iter().flat_map(|(key, values)| text(key, values)).collect();
    for state in ["sending", "unknown", "done"] {
        assert!(contains(&all, state.as_bytes()), "nothing was ever {state}");
    }

    let credentials = requests.into_iter().flat_map(|request| {
        let credentials = request.credentials.unwrap();
        [
            credentials.client_id,
            credentials.client_secret,
            credentials.access_token,
            credentials.refresh_token,
        ]
    });
    let secrets: Vec<_> = credentials.chain([FINGERPRINT_KEY.to_owned()]).collect();
    // Any part of them, also in base64.
    Search::new(&secrets).assert_absent("Redis", &all);
    let lower_case = all.to_ascii_lowercase();
    for secret in secrets.iter().map(String::as_str).chain([CLIENT_SECRET]) {
        let hash = digest(&SHA256, secret.as_bytes());
        assert!(!contains(&all, secret.as_bytes()) && !contains(&all, hash.as_ref()), "{secret}");
        for bytes in [secret.as_bytes(), hash.as_ref()] {
            let base64 = STANDARD.encode(bytes);
            assert!(!contains(&all, base64.trim_end_matches('=').as_bytes()), "{secret}");
            assert!(!contains(&lower_case, hex(bytes).as_bytes()), "{secret}");
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn of_two_replicas_with_the_same_request_id_at_once_one_creates_and_the_other_reports_it() {
    let Some(redis) = SharedRedis::start().await else { return };
    let emulator = start_emulator(Options::default()).await;
    let slow = json!([{"route": "POST /connections", "action": {"delay": "2s"}}]);
    inject(&emulator, slow);
    let replicas = Replicas::over(&emulator, &redis);
    let processes = [replicas.start().await, replicas.start().await];
    let mut clients = [processes[0].client().await, processes[1].client().await];
    let request = requests(1).remove(0);

    let [one, other] = clients.each_mut().map(|client| {
        let (mut client, request) = (client.clone(), request.clone());
        Box::pin(async move { client.create_hub_spot_connection(request).await })
    });
    let (first, second) = match in_time("either response", futures_util::future::select(one, other)).await {
        futures_util::future::Either::Left((response, other)) => ((0, response), other),
        futures_util::future::Either::Right((response, one)) => ((1, response), one),
    };
    // The slow one holds the id; the other one reports at once that it does not.
    let (index, refused) = first;
    let failure = Failure::from(refused.unwrap_err());
    assert_eq!(failure.row(), (Code::Aborted, "REQUEST_IN_PROGRESS"));
    assert!(failure.retry_after.is_some_and(|delay| !delay.is_zero()));

    let created = in_time("the other response", second).await.unwrap().into_inner();
    assert!(!created.replayed);
    let retried = clients[index].create_hub_spot_connection(request).await.unwrap().into_inner();
    assert_eq!((&retried.id, &retried.etag, retried.replayed), (&created.id, &created.etag, true));
    let ledger = emulator.connections();
    assert_eq!((ledger.len(), &ledger[0].id), (1, &created.id));
}
