//! Calls that wait for a store that is away.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{FutureExt as _, future::join_all};

use super::*;
use crate::{
    exactly_once::store::{Claim, Lease, Outage, PATIENCE, Recorded, Step, StoreError},
    metrics::StoreWaitOutcome,
};

/// The longest time until calls go on after the store is back.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// Deadlines that do not shorten the patience.
pub(super) const LONG: Duration = Duration::from_secs(1000);

/// A store that is away at times, as one over a network.
#[derive(Clone)]
pub(super) struct Remote(Arc<State>);

struct State {
    store: Mutex<Arc<MemoryStore>>,
    /// The last claim.
    claimed: Mutex<Option<Lease>>,
    /// Why it is away.
    away: Mutex<Option<Outage>>,
    /// What the last check, or a step since, has found.
    known: Mutex<Option<Outage>>,
    checks: AtomicUsize,
    claims: AtomicUsize,
    /// How many of the next claims, or steps to `sending`, lose their replies.
    lost_replies: AtomicUsize,
    lost_begins: AtomicUsize,
}

impl Remote {
    pub(super) fn new() -> Self {
        Self(Arc::new(State {
            store: Mutex::new(store()),
            claimed: Mutex::default(),
            away: Mutex::default(),
            known: Mutex::default(),
            checks: AtomicUsize::default(),
            claims: AtomicUsize::default(),
            lost_replies: AtomicUsize::default(),
            lost_begins: AtomicUsize::default(),
        }))
    }

    pub(super) fn away(outage: Outage) -> Self {
        let remote = Self::new();
        remote.goes(outage);
        remote
    }

    pub(super) fn goes(&self, outage: Outage) {
        *self.0.away.lock().unwrap() = Some(outage);
    }

    pub(super) fn is_back(&self) {
        *self.0.away.lock().unwrap() = None;
    }

    /// The server that keeps the records, and another one in its place.
    pub(super) fn server(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.0.store.lock().unwrap())
    }

    pub(super) fn fails_over_to(&self, other: Arc<MemoryStore>) {
        *self.0.store.lock().unwrap() = other;
    }

    /// The replies of so many steps to `sending` are lost.
    pub(super) fn loses_begins(&self, count: usize) {
        self.0.lost_begins.store(count, Ordering::Relaxed);
    }

    pub(super) fn last_claim(&self) -> Lease {
        self.0.claimed.lock().unwrap().clone().unwrap()
    }

    fn reach(&self) -> Result<(), StoreError> {
        if self.is_away() { lost() } else { Ok(()) }
    }

    /// Notes why.
    fn is_away(&self) -> bool {
        let away = *self.0.away.lock().unwrap();
        if let Some(outage) = away {
            self.0.known.lock().unwrap().get_or_insert(outage);
        }
        away.is_some()
    }

    pub(super) fn replica(&self) -> Replica {
        Replica::with(Arc::new(self.clone()))
    }
}

/// Counts one of those that are lost.
fn is_lost(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

fn lost<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable(Arc::new(std::io::Error::other("lost"))))
}

#[async_trait::async_trait]
impl Store for Remote {
    fn outage(&self) -> Option<Outage> {
        *self.0.known.lock().unwrap()
    }

    async fn check(&self) {
        self.0.checks.fetch_add(1, Ordering::Relaxed);
        *self.0.known.lock().unwrap() = *self.0.away.lock().unwrap();
    }

    async fn claim(&self, lease: &Lease, wall_ms: i64) -> Result<Claim, StoreError> {
        self.0.claims.fetch_add(1, Ordering::Relaxed);
        self.reach()?;
        *self.0.claimed.lock().unwrap() = Some(lease.clone());
        let claim = self.server().claim(lease, wall_ms).await;
        if is_lost(&self.0.lost_replies) { lost() } else { claim }
    }

    async fn step(&self, lease: &Lease, step: Step, text: &str, wall_ms: i64) -> Result<(), StoreError> {
        self.reach()?;
        let taken = self.server().step(lease, step, text, wall_ms).await;
        let is_begin = matches!(step, Step::BeginSending | Step::Resend);
        if is_begin && is_lost(&self.0.lost_begins) { lost() } else { taken }
    }

    async fn record(
        &self,
        lease: &Lease,
        outcome: Option<&str>,
        wall_ms: i64,
    ) -> Result<Recorded, StoreError> {
        self.reach()?;
        self.server().record(lease, outcome, wall_ms).await
    }

    async fn replace(
        &self,
        request_id: &RequestId,
        expected: &str,
        outcome: &str,
    ) -> Result<Recorded, StoreError> {
        self.reach()?;
        self.server().replace(request_id, expected, outcome).await
    }
}

impl Replica {
    /// A creation with a generated id if there is none, within this time.
    pub(super) async fn create_within(
        &self,
        within: Duration,
        id: Option<RequestId>,
        world: &Arc<Mutex<World>>,
    ) -> Result<Thing, Failed> {
        let operation =
            CreateThing { world: Arc::clone(world), sandbox: SandboxName::parse("prod").unwrap() };
        let created = self.0.create(id, operation, Instant::now() + within, &CallProgress::default()).await;
        created.map(|(created, _)| created).map_err(|error| error.failure)
    }

    /// How many calls wait, and how many have stopped because of the return, gave up, and were rejected.
    fn waits(&self) -> (i64, [u64; 3]) {
        let metrics = &self.0.engine.metrics;
        let outcomes = [StoreWaitOutcome::Returned, StoreWaitOutcome::GaveUp, StoreWaitOutcome::Rejected];
        (metrics.waiting_for_store(), outcomes.map(|outcome| metrics.waits_for_store(outcome)))
    }
}

#[track_caller]
pub(super) fn assert_store_failed(created: Result<Thing, Failed>, may_exist: bool) {
    let failure = created.unwrap_err();
    assert!(matches!(&*failure, Failure::Store { may_exist: it, .. } if *it == may_exist), "{failure:?}");
}

pub(super) fn nothing() -> Arc<Mutex<World>> {
    world(World::default())
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_a_store_that_is_away_and_share_its_checks() {
    let remote = Remote::away(Outage::Refused);
    let (replica, began) = (remote.replica(), Instant::now());
    let (world, away) = (nothing(), Duration::from_secs(12));
    let ids = [None, None, Some(RequestId::generate()), Some(RequestId::generate())];
    let calls = join_all(ids.map(|id| replica.create_within(LONG, id, &world)));
    let back = async {
        sleep(away).await;
        assert_eq!(replica.waits(), (4, [0; 3]));
        remote.is_back();
    };
    let (created, ()) = tokio::join!(calls, back);
    assert!(created.iter().all(Result::is_ok), "{created:?}");
    assert!((away..away + SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(world.lock().unwrap().sent.len(), 4);
    assert_eq!(replica.waits(), (0, [4, 0, 0]));
    // Four a second, as for a single call.
    let checks = remote.0.checks.load(Ordering::Relaxed);
    assert!((40..=60).contains(&checks), "{checks}");
}

#[tokio::test(start_paused = true)]
async fn a_call_gives_up_when_its_patience_or_half_of_its_time_is_over() {
    let remote = Remote::away(Outage::Timeout);
    for (within, waited) in [(LONG, PATIENCE), (Duration::from_secs(6), Duration::from_secs(3))] {
        for id in [None, Some(RequestId::generate())] {
            let (replica, world, began) = (remote.replica(), nothing(), Instant::now());
            assert_store_failed(replica.create_within(within, id, &world).await, id.is_some());
            assert_eq!(began.elapsed(), waited);
            assert_eq!(replica.waits(), (0, [0, 1, 0]));
            assert!(world.lock().unwrap().sent.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_calls_get_the_error_at_once() {
    let remote = Remote::away(Outage::Refused);
    let (replica, world) = (remote.replica(), nothing());
    // The first claim finds out that the store is away.
    let waiting = (0..5).map(|_| replica.create_within(LONG, None, &world));
    let mut waiting = join_all(waiting);
    assert!((&mut waiting).now_or_never().is_none());
    let began = Instant::now();
    assert_store_failed(replica.create_within(LONG, None, &world).await, false);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(replica.waits(), (5, [0, 0, 1]));
    remote.is_back();
    assert!(waiting.await.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_does_not_end_by_itself_is_not_awaited() {
    for outage in Outage::ALL.iter().filter(|outage| !outage.may_pass()) {
        let remote = Remote::away(*outage);
        let (replica, world, began) = (remote.replica(), nothing(), Instant::now());
        for known_before in [false, true] {
            assert_eq!(remote.outage().is_some(), known_before);
            assert_store_failed(replica.create_within(LONG, None, &world).await, false);
            assert_eq!((began.elapsed(), replica.waits()), (Duration::ZERO, (0, [0; 3])));
        }
        // It is used again as soon as it can be, whatever is known of it.
        remote.is_back();
        replica.create_within(LONG, None, &world).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_stops_waiting_when_the_store_comes_back_with_an_outage_that_lasts() {
    let remote = Remote::away(Outage::Refused);
    let (replica, world, began) = (remote.replica(), nothing(), Instant::now());
    let change = async {
        sleep(Duration::from_secs(3)).await;
        remote.goes(Outage::WrongPassword);
    };
    let (created, ()) = tokio::join!(replica.create_within(LONG, None, &world), change);
    assert_store_failed(created, false);
    assert!(began.elapsed() < Duration::from_secs(3) + SOON);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_caller_leaves_does_not_wait_on() {
    let remote = Remote::away(Outage::Refused);
    let (replica, world) = (remote.replica(), nothing());
    let call = replica.create_within(LONG, None, &world);
    tokio::time::timeout(Duration::from_secs(2), call).await.unwrap_err();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(replica.waits(), (0, [0, 1, 0]));
    remote.is_back();
    sleep(LONG).await;
    assert!(world.lock().unwrap().sent.is_empty());
    assert_eq!(replica.0.engine.background.tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_every_wait() {
    let remote = Remote::away(Outage::Refused);
    let (replica, world) = (remote.replica(), nothing());
    let mut call = Box::pin(replica.create_within(LONG, None, &world));
    assert!((&mut call).now_or_never().is_none());
    let began = Instant::now();
    let (created, ()) = tokio::join!(call, replica.0.engine.background.drain());
    assert_store_failed(created, false);
    assert_eq!(began.elapsed(), Duration::ZERO);
    // Nor does a call wait that begins now.
    assert_store_failed(replica.create_within(LONG, None, &world).await, false);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_reply_was_lost_is_repeated_and_finds_its_own_hold() {
    let remote = Remote::new();
    let (replica, world) = (remote.replica(), nothing());
    remote.0.lost_replies.store(3, Ordering::Relaxed);
    let id = RequestId::generate();
    assert_eq!(replica.create_within(LONG, Some(id), &world).await.unwrap().id, "thing 1");
    assert_eq!(remote.0.claims.load(Ordering::Relaxed), 4);
    assert_eq!(replica.create_within(LONG, Some(id), &world).await.unwrap().id, "thing 1");
    assert_eq!(world.lock().unwrap().sent.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_that_wait_with_one_id_one_creates() {
    let remote = Remote::away(Outage::Unreachable);
    let (one, other) = (remote.replica(), remote.replica());
    let (world, id) = (nothing(), Some(RequestId::generate()));
    let back = async {
        sleep(Duration::from_secs(5)).await;
        remote.is_back();
    };
    let (first, second, ()) =
        tokio::join!(one.create_within(LONG, id, &world), other.create_within(LONG, id, &world), back);
    let created = [first, second].into_iter().filter_map(|created| match created {
        Ok(thing) => Some(thing.id),
        Err(failure) => {
            assert!(matches!(&*failure, Failure::RequestInProgress { .. }), "{failure:?}");
            None
        }
    });
    let created: Vec<_> = created.collect();
    assert!(!created.is_empty() && created.iter().all(|id| id == "thing 1"), "{created:?}");
    assert_eq!(world.lock().unwrap().sent.len(), 1);
}

/// A creation that takes a long time to prepare, during which the store goes away.
#[tokio::test(start_paused = true)]
async fn a_store_that_goes_away_before_the_sending_is_awaited_and_the_record_claimed_again() {
    // Longer than the lease lasts without a renewal.
    for away in [Duration::from_secs(2), LEASE + Duration::from_secs(1)] {
        let remote = Remote::new();
        let (replica, world, began) = (remote.replica(), nothing(), Instant::now());
        world.lock().unwrap().takes = Duration::from_secs(1);
        let outage = async {
            sleep(Duration::from_millis(500)).await;
            remote.goes(Outage::Refused);
            remote.check().await;
            sleep(away).await;
            remote.is_back();
        };
        let call = replica.create_within(LONG, Some(RequestId::generate()), &world);
        let (created, ()) = tokio::join!(call, outage);
        assert_eq!(created.unwrap().id, "thing 1");
        assert!(began.elapsed() < away + Duration::from_millis(500) + SOON);
        assert_eq!(world.lock().unwrap().sent.len(), 1);
    }
}
